/* sh_consumer.c - from the queue to the database. Messages gather while a batch is added; they are acknowledged when the transaction
 * that has them is committed, so that one who dies leaves them to the next. */
#include "sh_consumer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/list.h"
#include "sh_apply.h"
#include "sh_queue.h"

#define PREFETCH   64
#define RETRY_NS   1000000000ll

/* Deliveries that came and are not committed. */
struct bundle {
	struct sd_text bytes;
	size_t *ends; /* of each message in bytes */
	size_t n, room;
	uint64_t last_tag;
	uint64_t connection; /* of the link, counted: tags of another one are worth nothing */
};

struct sh_consumer {
	struct sh_consumer_conf conf;
	struct sd_helpers *helpers;
	struct sh_store *store;
	struct sh_queue queue;
	struct sd_amqp_link *link;
	uint64_t connection;
	struct bundle coming, going; /* going: being added */
	struct sh_block *blocks;
	size_t nblocks, block_room;
	struct sh_apply apply;
	struct sd_timer retry, anew;
	bool busy, closing;
	bool put_off;	      /* the last try to add failed, for `why` */
	bool missed;	      /* there was no memory for a message: those behind it are worth nothing */
	struct sd_error why;
	uint64_t messages, bad; /* counted */
};

static void start(struct sh_consumer *w);

/* ---- a bundle ---- */

static bool bundle_add(struct bundle *b, struct sd_slice body, uint64_t tag)
{
	if (b->n == b->room) {
		size_t room = b->room ? b->room * 2 : 64, *grown = reallocarray(b->ends, room, sizeof(*grown));
		if (!grown)
			return false;
		b->ends = grown;
		b->room = room;
	}
	sd_text_add(&b->bytes, body.p, body.n);
	b->ends[b->n++] = b->bytes.n;
	b->last_tag = tag;
	return !b->bytes.full;
}

static void bundle_clear(struct bundle *b)
{
	b->n = b->bytes.n = 0;
	b->bytes.full = false;
}

static bool add_block(struct sh_consumer *w, const struct sh_block *block)
{
	if (w->nblocks == w->block_room) {
		size_t room = w->block_room ? w->block_room * 2 : 256;
		struct sh_block *grown = reallocarray(w->blocks, room, sizeof(*grown));
		if (!grown)
			return false;
		w->blocks = grown;
		w->block_room = room;
	}
	w->blocks[w->nblocks++] = *block;
	return true;
}

/* Messages that are none are counted and left out. */
static bool take_apart(struct sh_consumer *w)
{
	size_t from = 0;
	w->nblocks = 0;
	for (size_t i = 0; i < w->going.n; from = w->going.ends[i++]) {
		struct sd_slice message = {w->going.bytes.p + from, w->going.ends[i] - from};
		struct sh_block block;
		size_t at = 0;
		bool bad = false;
		while (sh_message_next(message, &at, &block, &bad))
			if (!add_block(w, &block))
				return false;
		if (bad && !w->bad++)
			sd_event(w->conf.log, SD_WARN, "message_bad", NULL, "A message in %s is none of clicks and is left out; others are not told",
				 w->queue.name);
	}
	return true;
}

/* ---- adding ---- */

static void later(struct sh_consumer *w, struct sd_timer *t)
{
	sd_loop_timer_set(w->conf.loop, t, sd_loop_now_ns(w->conf.loop) + RETRY_NS);
}

/* Said once until it works again. */
static void put_off(struct sh_consumer *w, const struct sd_error *why)
{
	struct sd_field f[] = {{"why", why->text, 0}, {0}};
	w->why = *why;
	if (!w->put_off)
		sd_event(w->conf.log, SD_ERROR, "clicks_wait", f, "Clicks wait in the queue: %s", why->text);
	w->put_off = true;
	later(w, &w->retry);
}

static void on_applied(void *arg, const struct sd_error *e)
{
	struct sh_consumer *w = arg;
	w->busy = false;
	if (w->closing)
		return;
	if (e->code)
		return put_off(w, e);
	if (w->put_off)
		sd_event(w->conf.log, SD_INFO, "clicks_counted", NULL, "Clicks are counted again");
	w->put_off = false;
	if (w->going.connection == w->connection && w->link)
		sd_amqp_link_ack(w->link, w->going.last_tag, true);
	bundle_clear(&w->going);
	start(w);
}

static void apply(struct sh_consumer *w)
{
	if (!take_apart(w))
		return put_off(w, &(struct sd_error){SD_ENOMEM, "out of memory"});
	w->busy = true;
	sh_apply_run(&w->apply, w->blocks, w->nblocks, on_applied, w);
}

static void start(struct sh_consumer *w)
{
	struct bundle empty = w->going;
	if (w->busy || w->going.n || !w->coming.n)
		return;
	w->going = w->coming;
	w->coming = empty;
	apply(w);
}

static void on_retry(struct sd_timer *t)
{
	apply(sd_container(t, struct sh_consumer, retry));
}

/* ---- the queue ---- */

/* What came and was not begun comes again, perhaps to another worker. What is being added may be committed, and comes again too: then its
 * numbers tell. */
static void forget(struct sh_consumer *w)
{
	w->connection++;
	bundle_clear(&w->coming);
}

static void on_anew(struct sd_timer *t)
{
	struct sh_consumer *w = sd_container(t, struct sh_consumer, anew);
	sd_amqp_link_close(w->link);
	forget(w);
	w->link = sd_amqp_link_open(w->conf.loop, &w->queue.conf);
	w->missed = !w->link;
	if (w->missed)
		later(w, &w->anew);
}

/* A message that there is no memory for must not be acknowledged with those behind it: they all come again on another connection. */
static void on_delivered(void *arg, const struct sd_amqp_event *ev)
{
	struct sh_consumer *w = arg;
	if (w->missed)
		return;
	w->messages++;
	w->coming.connection = w->connection;
	if (bundle_add(&w->coming, ev->body, ev->tag))
		return start(w);
	w->missed = true;
	sd_event(w->conf.log, SD_ERROR, "queue_anew", NULL, "Out of memory for clicks; the queue is asked for them again");
	later(w, &w->anew);
}

static void on_up(void *arg)
{
	struct sh_consumer *w = arg;
	sd_event(w->conf.log, SD_INFO, "queue_up", NULL, "Clicks come from the queue %s at %.*s", w->queue.name, (int)w->queue.url.shown.n,
		 w->queue.url.shown.p);
}

static void on_down(void *arg, const char *why)
{
	struct sh_consumer *w = arg;
	struct sd_field f[] = {{"why", why, 0}, {0}};
	forget(w);
	sd_event(w->conf.log, SD_WARN, "queue_down", f, "The queue of clicks is away: %s", why);
}

/* ---- the database ---- */

static void on_store_up(void *arg, uint64_t links)
{
	struct sh_consumer *w = arg;
	struct sd_field f[] = {{"links", NULL, (int64_t)links}, {0}};
	sd_event(w->conf.log, SD_INFO, "database_up", f, "Database connected, %" PRIu64 " link%s stored", links, links == 1 ? "" : "s");
	if (!w->link)
		w->link = sd_amqp_link_open(w->conf.loop, &w->queue.conf);
}

static void on_store_down(void *arg, const struct sd_error *why, bool fatal)
{
	struct sh_consumer *w = arg;
	struct sd_field f[] = {{"why", why->text, 0}, {0}};
	if (fatal && w->conf.fatal)
		return w->conf.fatal(w->conf.arg, why);
	sd_event(w->conf.log, SD_ERROR, "database_down", f, fatal ? "Database cannot be used: %s" : "Database away: %s", why->text);
}

static struct sd_sql *sql_of(void *arg)
{
	struct sh_consumer *w = arg;
	return !w->closing && sh_store_ready(w->store, NULL) ? sh_store_sql(w->store) : NULL;
}

/* ---- how it is ---- */

bool sh_consumer_queue(const struct sh_consumer *w, const char **why)
{
	bool up = w->link && sd_amqp_link_stands(w->link);
	*why = up || !w->link ? "" : sd_amqp_link_why(w->link);
	return up;
}

bool sh_consumer_database(const struct sh_consumer *w, const char **why)
{
	if (!sh_store_ready(w->store, why))
		return false;
	*why = w->put_off ? w->why.text : "";
	return !w->put_off;
}

void sh_consumer_metrics(const struct sh_consumer *w, struct sd_metrics *m, const char *label)
{
	const char *why;
	const struct {
		const char *name, *type, *help;
		uint64_t n;
	} rows[] = {
	    {"sdlab_shortener_clicks_counted_total", "counter", "Clicks added up in the database by this server", w->apply.clicks},
	    {"sdlab_shortener_events_taken_total", "counter", "Messages of clicks that came from the queue", w->messages},
	    {"sdlab_shortener_events_bad_total", "counter", "Of these, not of clicks", w->bad},
	    {"sdlab_shortener_events_again_total", "counter", "Records that came again and were counted before", w->apply.again},
	    {"sdlab_shortener_count_batches_total", "counter", "Batches that were added to the database", w->apply.batches},
	    {"sdlab_shortener_count_conflicts_total", "counter", "Of these, begun again since somebody else had added one", w->apply.conflicts},
	    {"sdlab_shortener_queue_up", "gauge", "1 while the queue answers", sh_consumer_queue(w, &why)},
	    {"sdlab_shortener_database_up", "gauge", "1 while the database answers", sh_consumer_database(w, &why)},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sd_metrics_family(m, rows[i].name, rows[i].type, rows[i].help);
		sd_metrics_add(m, (double)rows[i].n, "%s", label);
	}
}

/* ---- life ---- */

static enum sd_err set_up(struct sh_consumer *w, struct sd_error *e)
{
	struct sh_store_conf store = w->conf.store;
	w->retry.fn = on_retry;
	w->anew.fn = on_anew;
	w->helpers = sd_helpers_new(sd_loop_world(w->conf.loop), 1);
	if (!w->helpers)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	w->apply = (struct sh_apply){.loop = w->conf.loop, .helpers = w->helpers, .sql = sql_of, .sql_arg = w};
	enum sd_err err = sh_queue_init(&w->queue, sd_loop_world(w->conf.loop), w->conf.events, w->conf.queue, PREFETCH, e);
	if (err)
		return err;
	w->queue.conf.up = on_up;
	w->queue.conf.down = on_down;
	w->queue.conf.delivered = on_delivered;
	w->queue.conf.arg = w;
	store.up = on_store_up;
	store.down = on_store_down;
	store.arg = w;
	return sh_store_open(w->conf.loop, &store, &w->store, e);
}

enum sd_err sh_consumer_open(const struct sh_consumer_conf *conf, struct sh_consumer **out, struct sd_error *e)
{
	struct sh_consumer *w = calloc(1, sizeof(*w));
	if (!w)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	w->conf = *conf;
	enum sd_err err = set_up(w, e);
	if (err)
		sh_consumer_close(w);
	else
		*out = w;
	return err;
}

void sh_consumer_close(struct sh_consumer *w)
{
	if (!w)
		return;
	w->closing = true;
	sd_loop_timer_cancel(w->conf.loop, &w->retry);
	sd_loop_timer_cancel(w->conf.loop, &w->anew);
	sd_loop_timer_cancel(w->conf.loop, &w->apply.timer);
	sd_amqp_link_close(w->link);
	sh_store_close(w->store);
	if (w->helpers)
		sd_helpers_free(w->helpers);
	w->apply.helpers = NULL;
	sd_loop_flush(w->conf.loop);
	sh_apply_close(&w->apply);
	sh_queue_end(&w->queue);
	free(w->coming.bytes.p);
	free(w->coming.ends);
	free(w->going.bytes.p);
	free(w->going.ends);
	free(w->blocks);
	free(w);
}
