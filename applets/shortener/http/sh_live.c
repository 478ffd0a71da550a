/* sh_live.c - /api/live: what changed, as server-sent events, once a second to everybody who listens.
 *
 *	control   a timer asks the database while somebody listens, so that clicks of other servers show, and hands each worker
 *		  that has listeners a copy of the text
 *	worker    keeps its listeners in a list and writes the text to those that take it
 */
#include <stdlib.h>

#include "../clicks/sh_clicks.h"
#include "core/count.h"
#include "sh_http.h"
#include "sh_page.h"
#include "sh_said.h"

#define EVERY_NS 1000000000
#define FIRST_NS 20000000 /* from the first listener's coming */
#define MOST	 1000 /* listeners of a worker */

/* Of one worker. */
struct lane {
	struct sd_link listeners;
	uint32_t n; /* written by the worker, read by the control loop */
	bool draining;
};

struct sh_stream {
	struct sh *sh;
	struct sd_timer timer;
	int64_t cursor;
	bool asking, ticking;
	unsigned nlanes;
	struct lane lanes[];
};

struct listener {
	struct sh_waiter waiter;
	struct sd_http_exchange *x;
	struct lane *lane;
	struct sd_link link;
};

/* ---- on a worker ---- */

static void forget(struct listener *l)
{
	sd_list_del(&l->link);
	sd_gauge(&l->lane->n, -1);
	l->x->user = NULL;
	free(l);
}

static void on_gone(struct sd_http_exchange *x)
{
	forget(sd_container(x->user, struct listener, waiter));
}

static void finish(struct listener *l)
{
	struct sd_http_exchange *x = l->x;
	forget(l);
	sd_http_finish(x);
}

static void begin(struct sh_call *c, struct sd_http_exchange *x)
{
	struct lane *lane = &c->sh->live->lanes[c->w->w->index];
	struct listener *l = lane->n < MOST ? calloc(1, sizeof(*l)) : NULL;
	if (!l) {
		sh_say_status(x, 503, false, "too many listen");
		return;
	}
	*l = (struct listener){.waiter.gone = on_gone, .x = x, .lane = lane};
	x->user = &l->waiter;
	sd_list_add(&lane->listeners, &l->link);
	sd_gauge(&lane->n, 1);
	sd_http_begin(x, 200, (struct sd_slice){0});
	sd_http_field_text(x, "Content-Type", "text/event-stream");
	sd_http_field_text(x, "Cache-Control", "no-store");
	sd_http_field_text(x, "X-Accel-Buffering", "no");
	sd_http_head_done(x, SD_HTTP_UNKNOWN);
	if (c->method == SD_HTTP_HEAD || lane->draining)
		finish(l);
	else
		sd_http_write(x, "retry: 1000\n\n", 13);
}

struct told {
	struct sd_task task;
	struct lane *lane;
	size_t n;
	char text[];
};

static void on_told(struct sd_task *t)
{
	struct told *told = sd_container(t, struct told, task);
	for (struct sd_link *at = told->lane->listeners.next; at != &told->lane->listeners; at = at->next) {
		struct listener *l = sd_container(at, struct listener, link);
		if (!sd_http_backlog(l->x)) /* who is slow gets the next */
			sd_http_write(l->x, told->text, told->n);
	}
	free(told);
}

static void end_lane(struct lane *lane)
{
	while (!sd_list_empty(&lane->listeners))
		finish(sd_container(lane->listeners.next, struct listener, link));
}

static void on_end_lane(struct sd_task *t)
{
	struct told *told = sd_container(t, struct told, task);
	end_lane(told->lane);
	free(told);
}

void sh_live_drain(struct sh_worker *w)
{
	struct sh_stream *live = w->sh->live;
	struct lane *lane = live ? &live->lanes[w->w->index] : NULL;
	if (!lane)
		return;
	lane->draining = true;
	end_lane(lane);
}

/* ---- on the control loop ---- */

static void post(struct sh_stream *live, unsigned i, void (*fn)(struct sd_task *t), struct sd_slice text)
{
	struct told *told = sd_gauge_read(&live->lanes[i].n) ? calloc(1, sizeof(*told) + text.n) : NULL;
	if (!told)
		return;
	told->task.fn = fn;
	told->lane = &live->lanes[i];
	told->n = text.n;
	if (text.n)
		memcpy(told->text, text.p, text.n);
	sd_loop_post(live->sh->workers[i]->w->loop, &told->task);
}

void sh_live_end_all(struct sh *sh)
{
	for (unsigned i = 0; !sh->closing && i < sh->live->nlanes; i++)
		post(sh->live, i, on_end_lane, (struct sd_slice){0});
}

static char *event_of(const struct sh_live_row *rows, size_t nrows, int64_t links, int64_t clicks, size_t *n)
{
	cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "changed");
	struct sd_text t = {0};
	cJSON_AddNumberToObject(o, "links", (double)links);
	cJSON_AddNumberToObject(o, "clicks", (double)clicks);
	for (size_t i = 0; i < nrows; i++) {
		cJSON *row = cJSON_CreateObject();
		cJSON_AddStringToObject(row, "code", rows[i].code);
		cJSON_AddNumberToObject(row, "clicks", (double)rows[i].clicks);
		cJSON_AddItemToArray(list, row);
	}
	char *json = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	if (json)
		sd_text_format(&t, "data: %s\n\n", json);
	free(json);
	return sd_text_take(&t, n);
}

static void on_changes(void *arg, enum sd_err err, const struct sh_live *found)
{
	struct sh_stream *live = arg;
	size_t n = 0;
	live->asking = false;
	if (err) /* the database is away: what changed is told when it is back */
		return;
	char *text = event_of(found->rows, found->n, found->links, found->clicks, &n);
	live->cursor = found->cursor;
	for (unsigned i = 0; text && i < live->nlanes; i++)
		post(live, i, on_told, (struct sd_slice){text, n});
	free(text);
}

static void on_timer(struct sd_timer *t)
{
	struct sh_stream *live = sd_container(t, struct sh_stream, timer);
	struct sd_loop *loop = live->sh->control;
	uint32_t n = 0;
	for (unsigned i = 0; i < live->nlanes; i++)
		n += sd_gauge_read(&live->lanes[i].n);
	if (n && !live->asking) {
		live->asking = true;
		sh_stats_since(live->sh->clicks, live->cursor, on_changes, live);
	}
	sd_loop_timer_set(loop, t, sd_loop_now_ns(loop) + EVERY_NS);
}

void sh_run_live(struct sh_call *c)
{
	struct sh_stream *live = c->sh->live;
	struct sd_loop *loop = c->sh->control;
	if (!live->ticking) /* from the first listener on */
		sd_loop_timer_set(loop, &live->timer, sd_loop_now_ns(loop) + FIRST_NS);
	live->ticking = true;
	sh_answer_there(c, begin);
}

/* ---- life ---- */

enum sd_err sh_live_open(struct sh *sh, struct sh_stream **out, struct sd_error *e)
{
	struct sh_stream *live = calloc(1, sizeof(*live) + sh->nworkers * sizeof(live->lanes[0]));
	if (!live)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	live->sh = sh;
	live->timer.fn = on_timer;
	live->nlanes = sh->nworkers;
	for (unsigned i = 0; i < live->nlanes; i++)
		sd_list_init(&live->lanes[i].listeners);
	*out = live;
	return SD_OK;
}

void sh_live_close(struct sh_stream *live)
{
	if (live)
		sd_loop_timer_cancel(live->sh->control, &live->timer);
	free(live);
}
