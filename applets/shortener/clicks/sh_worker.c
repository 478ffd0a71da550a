/* sh_worker.c - from the queue to the database. Messages gather while a batch is added; they are acknowledged when the transaction
 * that has them is committed, so that one who dies leaves them to the next. */
#include "sh_worker.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../store/sh_store.h"
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

struct worker {
	struct sd_verb_call *call;
	struct sd_loop *loop;
	struct sd_helpers *helpers;
	struct sh_store *store;
	struct sh_queue queue;
	struct sd_amqp_link *link;
	uint64_t connection;
	struct bundle coming, going; /* going: being added */
	struct sh_block *blocks;
	size_t nblocks, block_room;
	struct sh_apply apply;
	struct sd_timer retry;
	bool busy, told_down, closing;
	uint64_t bad;
	int status;
};

const struct sd_option sh_worker_options[] = {
    {"db", SD_OPT_STRING, NULL, "database to add them up in, the one of the links", .meta = "URL", .secret = true, .required = true},
    {"events", SD_OPT_STRING, NULL, "queue to take clicks from: amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]", .meta = "URL", .secret = true,
     .required = true},
    {"click-queue", SD_OPT_STRING, "sdlab.clicks", "name of the queue", .meta = "NAME"},
    {0},
};

static void start(struct worker *w);

static void say(struct worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct worker *w, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("[URL] ", w->call->out);
	vfprintf(w->call->out, format, args);
	fputc('\n', w->call->out);
	fflush(w->call->out);
	va_end(args);
}

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
}

static bool add_block(struct worker *w, const struct sh_block *block)
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
static bool take_apart(struct worker *w)
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
			say(w, "A message in %s is none of clicks and is left out; others are not told", w->queue.name);
	}
	return true;
}

/* ---- adding ---- */

static void on_applied(void *arg, const struct sd_error *e)
{
	struct worker *w = arg;
	w->busy = false;
	if (w->closing)
		return;
	if (e->code) {
		if (!w->told_down)
			say(w, "Clicks wait in the queue: %s", e->text);
		w->told_down = true;
		sd_loop_timer_set(w->loop, &w->retry, sd_loop_now_ns(w->loop) + RETRY_NS);
		return;
	}
	if (w->told_down)
		say(w, "Clicks are counted again");
	w->told_down = false;
	if (w->going.connection == w->connection && w->link)
		sd_amqp_link_ack(w->link, w->going.last_tag, true);
	bundle_clear(&w->going);
	start(w);
}

static void apply_now(struct worker *w)
{
	w->busy = true;
	sh_apply_run(&w->apply, w->blocks, w->nblocks, on_applied, w);
}

static void start(struct worker *w)
{
	struct bundle empty = w->going;
	if (w->busy || w->going.n || !w->coming.n)
		return;
	w->going = w->coming;
	w->coming = empty;
	if (take_apart(w))
		return apply_now(w);
	say(w, "out of memory");
	w->status = 1;
	sd_loop_stop(w->loop);
}

static void on_retry(struct sd_timer *t)
{
	apply_now(sd_container(t, struct worker, retry));
}

/* ---- the queue ---- */

static void on_delivered(void *arg, const struct sd_amqp_event *ev)
{
	struct worker *w = arg;
	w->coming.connection = w->connection;
	if (!bundle_add(&w->coming, ev->body, ev->tag)) {
		say(w, "out of memory");
		w->status = 1;
		sd_loop_stop(w->loop);
		return;
	}
	start(w);
}

static void on_up(void *arg)
{
	struct worker *w = arg;
	say(w, "Clicks come from the queue %s at %.*s", w->queue.name, (int)w->queue.url.shown.n, w->queue.url.shown.p);
}

/* What came and was not begun comes again, perhaps to another worker. What is being added may be committed, and comes again too: then its
 * numbers tell. */
static void on_down(void *arg, const char *why)
{
	struct worker *w = arg;
	w->connection++;
	bundle_clear(&w->coming);
	say(w, "The queue of clicks is away: %s", why);
}

/* ---- the database ---- */

static void on_store_up(void *arg, uint64_t links)
{
	struct worker *w = arg;
	say(w, "Database connected, %" PRIu64 " links stored", links);
	if (!w->link)
		w->link = sd_amqp_link_open(w->loop, &w->queue.conf);
}

static void on_store_down(void *arg, const struct sd_error *why, bool fatal)
{
	struct worker *w = arg;
	if (!fatal) {
		say(w, "%s", why->text);
		return;
	}
	fprintf(w->call->err, "sdlab shortener worker: %s\n", why->text);
	w->status = 1;
	sd_loop_stop(w->loop);
}

static struct sd_sql *sql_of(void *arg)
{
	struct worker *w = arg;
	return !w->closing && sh_store_ready(w->store, NULL) ? sh_store_sql(w->store) : NULL;
}

/* ---- life ---- */

static void on_signal(void *arg, int signo)
{
	struct worker *w = arg;
	(void)signo;
	sd_loop_stop(w->loop);
}

static enum sd_err set_up(struct worker *w, struct sd_error *e)
{
	const struct sd_conf *conf = w->call->conf;
	struct sh_store_conf store = sh_store_defaults;
	w->loop = sd_loop_new(w->call->world, e);
	w->helpers = w->loop ? sd_helpers_new(w->call->world, 1) : NULL;
	if (!w->helpers)
		return w->loop ? sd_fail(e, SD_ENOMEM, "out of memory") : e->code;
	w->retry.fn = on_retry;
	w->apply = (struct sh_apply){.loop = w->loop, .helpers = w->helpers, .sql = sql_of, .sql_arg = w};
	enum sd_err err = sh_queue_init(&w->queue, w->call->world, sd_conf_string(conf, "events"), sd_conf_string(conf, "click-queue"), PREFETCH, e);
	if (err)
		return err;
	w->queue.conf.up = on_up;
	w->queue.conf.down = on_down;
	w->queue.conf.delivered = on_delivered;
	w->queue.conf.arg = w;
	store.sql.url = sd_conf_string(conf, "db");
	store.up = on_store_up;
	store.down = on_store_down;
	store.arg = w;
	return sh_store_open(w->loop, &store, &w->store, e);
}

static void run(struct worker *w)
{
	struct sd_signal *term = sd_loop_signal(w->loop, SIGTERM, on_signal, w), *interrupt = sd_loop_signal(w->loop, SIGINT, on_signal, w);
	sd_loop_run(w->loop);
	sd_signal_free(term);
	sd_signal_free(interrupt);
}

static void tear_down(struct worker *w)
{
	w->closing = true;
	if (w->loop) {
		sd_loop_timer_cancel(w->loop, &w->retry);
		sd_loop_timer_cancel(w->loop, &w->apply.timer);
	}
	sd_amqp_link_close(w->link);
	sh_store_close(w->store);
	if (w->helpers)
		sd_helpers_free(w->helpers);
	w->apply.helpers = NULL;
	if (w->loop)
		sd_loop_flush(w->loop);
	sh_apply_close(&w->apply);
	sh_queue_end(&w->queue);
	sd_loop_free(w->loop);
	free(w->coming.bytes.p);
	free(w->coming.ends);
	free(w->going.bytes.p);
	free(w->going.ends);
	free(w->blocks);
}

int sh_worker_verb(struct sd_verb_call *call)
{
	struct worker w = {.call = call};
	struct sd_error e = {0};
	enum sd_err err = set_up(&w, &e);
	if (err)
		fprintf(call->err, "sdlab shortener worker: %s\n", e.text);
	else
		run(&w);
	tear_down(&w);
	return err == SD_EUSAGE ? 2 : err ? 1 : w.status;
}
