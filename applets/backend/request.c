/* request.c - the course of a request: it waits or works as it was told to, and is answered. */
#include <stdlib.h>
#include <string.h>

#include "backend.h"

void backend_release(struct request *r)
{
	sd_list_del(&r->link);
	sd_loop_timer_cancel(r->w->w->loop, &r->timer);
	free(r->text);
	free(r);
}
static void maybe_answer(struct request *r)
{
	if (r->x && r->complete && r->waited)
		r->answer(r);
}

static void on_wait_over(struct sd_timer *t)
{
	struct request *r = sd_container(t, struct request, timer);
	r->waited = true;
	maybe_answer(r);
}

/* Work that keeps the thread it is done on. */
static void do_work(struct sd_world *world, enum work_kind kind, int64_t ns)
{
	if (kind == WORK_COMPUTE)
		sd_world_compute_ns(world, ns);
	else
		sd_world_sleep_ns(world, ns);
}

static void work_run(struct sd_work *work)
{
	struct request *r = sd_container(work, struct request, work);
	struct sd_world *world = sd_loop_world(r->w->w->loop);
	if (r->wait_ns > 0)
		sd_world_sleep_ns(world, r->wait_ns);
	do_work(world, r->kind, r->work_ns);
}

static void work_done(struct sd_work *work)
{
	struct request *r = sd_container(work, struct request, work);
	r->working = false;
	r->waited = true;
	if (!r->x)
		backend_release(r); /* the client did not wait */
	else
		maybe_answer(r);
}

static void begin_wait(struct request *r)
{
	struct worker *w = r->w;
	struct sd_loop *l = w->w->loop;
	int64_t work = w->now.work_ns, idle = r->wait_ns + w->now.delay_ns;
	if (w->now.jitter_ns)
		idle += (int64_t)(sd_rng_unit(&w->rng) * (double)w->now.jitter_ns);
	bool keeps_loop = w->b->mode == MODE_SINGLE || w->now.kind == WORK_COMPUTE;
	if (work && w->b->mode != MODE_THREADED && keeps_loop)
		do_work(sd_loop_world(l), w->now.kind, work);
	else if (work && w->b->mode == MODE_EVENT)
		idle += work;
	if (work && w->b->mode == MODE_THREADED) {
		r->wait_ns = idle;
		r->work_ns = work;
		r->kind = w->now.kind;
		r->work = (struct sd_work){.run = work_run, .done = work_done};
		r->working = sd_helpers_submit(w->b->helpers, l, &r->work);
		r->waited = !r->working;
	} else if (idle > 0) {
		r->timer.fn = on_wait_over;
		sd_loop_timer_set(l, &r->timer, sd_loop_now_ns(l) + idle);
	} else {
		r->waited = true;
	}
}

/* The commonest request, and nothing to wait for: answered without remembering it. */
static bool answered_at_once(struct worker *w, struct sd_http_exchange *x, const struct sd_http_head *head)
{
	const struct behaviour *now = &w->now;
	if (head->path.n != 1 || head->path.p[0] != '/' || head->framing != SD_HTTP_BODY_NONE)
		return false;
	if (now->delay_ns || now->jitter_ns || now->work_ns || now->error_rate > 0 || now->fail_from)
		return false;
	sd_http_respond(x, 200, NULL, "text/plain; charset=utf-8", w->home, w->home_n);
	return true;
}

/* Is the request that was counted last one that is to fail? */
static bool fails(struct worker *w)
{
	const struct behaviour *now = &w->now;
	if (now->fail_from && w->served >= now->fail_from && w->served - now->fail_from < now->fail_count)
		return true;
	return now->error_rate > 0 && sd_rng_unit(&w->rng) < now->error_rate;
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct worker *w = x->server->arg;
	const char *error;
	sd_count(&w->served, 1);
	if (answered_at_once(w, x, head))
		return;
	struct request *r = calloc(1, sizeof(*r));
	if (!r) {
		sd_http_refuse(x, 503, "out of memory");
		return;
	}
	r->w = w;
	r->x = x;
	r->status = 200;
	sd_list_init(&r->link);
	if (!backend_find(r, head, &error)) {
		sd_http_respond_text(x, head->path.n > 1 && error[0] == 'e' ? 400 : 404, "%s", error);
		backend_release(r);
		return;
	}
	x->user = r;
	sd_list_add(&w->live, &r->link);
	if (r->wait_ns < 0) {
		r->waited = true;
	} else {
		if (fails(w)) {
			sd_count(&w->errors, 1);
			r->echo = false;
			r->status = 500;
			r->answer = backend_answer_status;
		}
		begin_wait(r);
	}
}

static void collect(struct request *r, const char *p, size_t n)
{
	char *more = realloc(r->text, r->n + n);
	if (!more)
		return;
	memcpy(more + r->n, p, n);
	r->text = more;
	r->n += n;
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct request *r = x->user;
	if (!r || !r->echo)
		return;
	/* Streams when there is nothing to wait for. The answer begins with the first byte of the body and not before: a
	 * client that asked for 100 Continue sends nothing more once it sees a final status. */
	if (!x->out_begun && r->waited && r->n == 0) {
		sd_http_begin(x, 200, (struct sd_slice){0});
		sd_http_field_text(x, "Content-Type", r->type[0] ? r->type : "application/octet-stream");
		sd_http_head_done(x, r->left);
	}
	if (!x->out_begun) {
		if (r->n + n <= 16 * 1024 * 1024)
			collect(r, p, n);
		return;
	}
	sd_http_write(x, p, n);
	if (sd_http_backlog(x))
		sd_http_body_pause(x);
}

static void on_end(struct sd_http_exchange *x)
{
	struct request *r = x->user;
	if (!r)
		return;
	r->complete = true;
	if (r->echo && x->out_begun) {
		sd_http_finish(x);
		backend_release(r);
		return;
	}
	maybe_answer(r);
}

static void on_drained(struct sd_http_exchange *x)
{
	struct request *r = x->user;
	if (r && r->echo)
		sd_http_body_resume(x);
	else if (r && !r->endless)
		backend_send_bytes(r);
}

static void on_gone(struct sd_http_exchange *x)
{
	struct request *r = x->user;
	if (!r)
		return;
	r->x = NULL;
	if (!r->working)
		backend_release(r);
}

const struct sd_http_handler backend_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
};
