/* sh_events.c - batches to a queue: as messages of records of one run, persistent and confirmed. A batch is done when all of it is confirmed;
 * else all of it is published again, later: whoever consumes knows by the numbers what it had. Meanwhile the journal is the spool. */
#include <stdlib.h>

#include "core/list.h"
#include "sh_clicks_int.h"
#include "sh_queue.h"

#define MESSAGE_BYTES 65536

struct sh_events {
	struct sh_clicks *c;
	struct sh_queue queue;
	struct sd_amqp_link *link;
	struct sd_text raw, message;
	size_t waiting; /* messages that are not answered */
	bool busy, closing;
	struct sd_error why;
	struct sd_task over;
	void (*done)(struct sh_clicks *c, const struct sd_error *e);
	/* counted */
	uint64_t published, confirmed, refused, unknown;
};

static void on_over(struct sd_task *t)
{
	struct sh_events *v = sd_container(t, struct sh_events, over);
	struct sd_error e = v->why;
	v->busy = false;
	v->done(v->c, &e);
}

/* All of the batch is answered: said on a later turn, since the link may be in the middle of telling. */
static void settle(struct sh_events *v)
{
	if (v->busy && !v->waiting && !v->closing)
		sd_loop_defer(v->c->loop, &v->over);
}

static void on_answered(void *arg, enum sd_err err)
{
	struct sh_events *v = arg;
	v->waiting--;
	v->confirmed += err == SD_OK;
	v->refused += err == SD_EAGAIN;
	v->unknown += err != SD_OK && err != SD_EAGAIN;
	if (err == SD_EAGAIN)
		sd_fail(&v->why, err, "the queue %s refuses them", v->queue.name);
	else if (err)
		sd_fail(&v->why, err, "the queue is away: %s", sd_amqp_link_why(v->link));
	settle(v);
}

static enum sd_err send_message(struct sh_events *v)
{
	struct sd_slice raw = {v->raw.p, v->raw.n}, body = {v->message.p, v->message.n};
	enum sd_err err = v->message.full ? SD_ENOMEM
					  : sd_amqp_link_publish(v->link, (struct sd_slice){"", 0}, sd_slice_of(v->queue.name), raw, body,
								 on_answered, v);
	if (!err) {
		v->waiting++;
		v->published++;
		return SD_OK;
	}
	if (err == SD_EUNREACHABLE)
		return sd_fail(&v->why, err, "the queue is away: %s", sd_amqp_link_why(v->link));
	return sd_fail(&v->why, err, sd_amqp_link_blocked(v->link) ? "the queue has blocked publishers" : "%s", sd_err_text(err));
}

/* Blocks of one run follow each other, and all before the first of this batch were confirmed with an earlier one. */
static enum sd_err send_run(struct sh_events *v, const struct sh_block *b, size_t n)
{
	uint64_t floor = b[0].seq ? b[0].seq - 1 : 0;
	enum sd_err err = SD_OK;
	for (size_t i = 0; i < n && !err;) {
		v->message.n = 0;
		sh_message_begin(&v->message, b[i].source, floor);
		do {
			sh_message_add(&v->message, b[i].seq, b[i].clicks);
			i++;
		} while (i < n && v->message.n + b[i].clicks.n < MESSAGE_BYTES);
		err = send_message(v);
	}
	return err;
}

const char *sh_events_why(const struct sh_events *v)
{
	return sd_amqp_link_why(v->link);
}

bool sh_events_stands(const struct sh_events *v)
{
	return sd_amqp_link_stands(v->link);
}

bool sh_events_idle(const struct sh_events *v)
{
	return !v->busy;
}

void sh_events_publish(struct sh_events *v, void (*done)(struct sh_clicks *c, const struct sd_error *e))
{
	const struct sh_batch *b = &v->c->batch;
	enum sd_err err = SD_OK;
	v->done = done;
	v->busy = true;
	v->why = (struct sd_error){0};
	for (size_t i = 0, next; i < b->n && !err; i = next) {
		for (next = i + 1; next < b->n && b->blocks[next].source == b->blocks[i].source; next++)
			;
		err = send_run(v, b->blocks + i, next - i);
	}
	settle(v);
}

static void on_up(void *arg)
{
	struct sh_events *v = arg;
	sd_event(v->c->sh->log, SD_INFO, "queue_up", NULL, "Clicks go to the queue %s at %.*s", v->queue.name, (int)v->queue.url.shown.n,
		 v->queue.url.shown.p);
}

static void on_down(void *arg, const char *why)
{
	struct sh_events *v = arg;
	sd_event(v->c->sh->log, SD_WARN, "queue_down", NULL, "The queue of clicks is away: %s", why);
}

enum sd_err sh_events_open(struct sh_clicks *c, const char *url, const char *queue, struct sh_events **out, struct sd_error *e)
{
	struct sh_events *v = calloc(1, sizeof(*v));
	if (!v)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*out = v;
	v->c = c;
	v->over.fn = on_over;
	sd_amqp_put_properties(&v->raw, &(struct sd_amqp_properties){.has = SD_AMQP_DELIVERY_MODE | SD_AMQP_CONTENT_TYPE, .delivery_mode = 2,
								       .content_type = sd_slice_of("application/x-sdlab-clicks")});
	enum sd_err err = sh_queue_init(&v->queue, c->world, url, queue, 0, e);
	if (err)
		return err;
	v->queue.conf.up = on_up;
	v->queue.conf.down = on_down;
	v->queue.conf.arg = v;
	v->link = sd_amqp_link_open(c->loop, &v->queue.conf);
	return v->link ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

void sh_events_close(struct sh_events *v)
{
	if (!v)
		return;
	v->closing = true;
	sd_amqp_link_close(v->link);
	if (v->over.queued)
		sd_loop_flush(v->c->loop);
	sh_queue_end(&v->queue);
	free(v->raw.p);
	free(v->message.p);
	free(v);
}

void sh_events_metrics(const struct sh_events *v, struct sd_metrics *m, const char *label)
{
	const struct {
		const char *name, *help;
		uint64_t n;
	} rows[] = {
	    {"sdlab_shortener_events_published_total", "Messages of clicks that were published", v->published},
	    {"sdlab_shortener_events_confirmed_total", "Messages of clicks that the queue has confirmed", v->confirmed},
	    {"sdlab_shortener_events_refused_total", "Messages of clicks that the queue refused", v->refused},
	    {"sdlab_shortener_events_unknown_total", "Messages of clicks that were on their way when a connection broke", v->unknown},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sd_metrics_family(m, rows[i].name, "counter", rows[i].help);
		sd_metrics_add(m, (double)rows[i].n, "%s", label);
	}
}
