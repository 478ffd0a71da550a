/* ratelimit_resp.c - decisions for others, over RESP, as redis-cell has them:
 *
 *	CL.THROTTLE KEY MAX-BURST COUNT PERIOD [QUANTITY]
 *
 * (core/throttle.h), and what peers ask (ratelimit_ring.h). The rest is what clients say when they connect.
 *
 * Where somebody has to be asked first, the reply gets a slot; replies behind it wait in slots too, so that all come in order.
 */
#include <stdlib.h>
#include <string.h>

#include "core/throttle.h"
#include "ratelimit_ring.h"

#define SECOND   INT64_C(1000000000)
#define IN_LIMIT (512 * 1024)

#define SLOTS    4096 /* a connection that asks for more waits */

static const struct sd_resp_limits limits = {.max_args = RL_RING_ARGS, .max_bulk = 8 * 1024};

/* A reply that is not written yet. */
struct slot {
	struct rl_conn *conn;
	struct sd_link link;
	struct rl_asked *asked;
	bool waits;
	struct sd_resp_out out;
};

struct rl_conn {
	struct rl_worker *w;
	struct sd_stream *stream;
	struct sd_resp_reader reader;
	struct sd_resp_out out;
	struct sd_link link;
	struct sd_link slots; /* in the order of their commands */
	size_t nslots;
	bool quit, held, busy; /* held: it is not read while there are too many slots; busy: it is being read */
};

/* ---- replies that wait ---- */

static void flush(struct rl_conn *c)
{
	if (c->out.n)
		sd_stream_write(c->stream, c->out.p, c->out.n);
	c->out.n = 0;
}

static void free_slot(struct slot *s)
{
	rl_ask_forget(s->asked);
	s->conn->nslots--;
	sd_list_del(&s->link);
	free(s->out.p);
	free(s);
}

static struct slot *new_slot(struct rl_conn *c, bool waits)
{
	struct slot *s = calloc(1, sizeof(*s));
	if (!s) {
		c->out.full = true;
		return NULL;
	}
	s->conn = c;
	s->waits = waits;
	s->out.resp3 = c->out.resp3;
	sd_list_add(&c->slots, &s->link);
	c->nslots++;
	return s;
}

/* A reply behind one that waits. */
static void park(struct rl_conn *c)
{
	struct slot *s = c->out.n && c->nslots ? new_slot(c, false) : NULL;
	if (!s)
		return;
	s->out = c->out;
	c->out = (struct sd_resp_out){.resp3 = s->out.resp3};
}

static void finish(struct rl_conn *c);

static void write_slots(struct rl_conn *c)
{
	while (!sd_list_empty(&c->slots)) {
		struct slot *s = sd_container(c->slots.next, struct slot, link);
		if (s->waits)
			break;
		c->quit |= s->out.full;
		sd_stream_write(c->stream, s->out.p, s->out.n);
		free_slot(s);
	}
	if (c->busy)
		return;
	if (c->quit && !c->nslots) {
		finish(c);
	} else if (c->held && c->nslots < SLOTS / 2) {
		c->held = false;
		sd_stream_resume(c->stream);
	}
}

/* ---- commands ---- */

static void on_answered(void *arg, const struct rl_outcome *o)
{
	struct slot *s = arg;
	if (o->how == RL_DECIDED)
		sd_throttle_answer(&o->answers[0], &s->out);
	else if (o->how == RL_UNABLE)
		sd_resp_errorf(&s->out, "ERR %s", o->why);
	else
		sd_resp_error(&s->out, "TRYAGAIN who keeps these limits is not reached");
	s->asked = NULL;
	s->waits = false;
	write_slots(s->conn);
}

static void throttle_elsewhere(struct rl_conn *c, const struct sd_ratelimit_ask *ask, int64_t units)
{
	struct rl_question q = {.op = units < 0 ? RL_SETTLE : RL_TAKE, .strict = true, .n = 1};
	if (!c->nslots)
		flush(c); /* what was answered before goes in front */
	struct slot *s = new_slot(c, true);
	if (!s)
		return;
	q.items[0] = (struct rl_item){.name = "CL.THROTTLE", .limit = *ask->limit, .scope = ask->scope, .key = ask->key, .cost = ask->cost};
	rl_ask(c->w, &q, on_answered, s, &s->asked);
}

static void cmd_throttle(struct rl_conn *c)
{
	struct sd_ratelimit *table = c->w->rl->table;
	struct sd_ratelimit_limit limit;
	struct sd_ratelimit_answer a;
	int64_t units, now = rl_now(c->w);
	if (!sd_throttle_read(c->reader.argc, c->reader.argv, &limit, &units, &c->out))
		return;
	struct sd_ratelimit_ask ask = {&limit, sd_limits_scope(sd_slice_of("CL.THROTTLE")), c->reader.argv[1],
				       (uint32_t)(units < 0 ? -units : units)};
	sd_count(&c->w->asked, 1);
	if (rl_is_shared(c->w)) {
		throttle_elsewhere(c, &ask, units);
		return;
	}
	if (units < 0) {
		sd_ratelimit_refund(table, &ask, now, now);
		ask.cost = 0;
	}
	sd_ratelimit_take(table, &ask, 1, now, &a);
	sd_throttle_answer(&a, &c->out);
}

static void cmd_decide(struct rl_conn *c)
{
	rl_ring_asked(c->w, c->reader.argc, c->reader.argv, &c->out);
}

static void cmd_ping(struct rl_conn *c)
{
	if (c->reader.argc > 1)
		sd_resp_bulk(&c->out, c->reader.argv[1].p, c->reader.argv[1].n);
	else
		sd_resp_simple(&c->out, "PONG");
}

static void cmd_ok(struct rl_conn *c)
{
	sd_resp_simple(&c->out, "OK");
}

static void cmd_quit(struct rl_conn *c)
{
	c->quit = true;
	cmd_ok(c);
}

static void cmd_none(struct rl_conn *c)
{
	sd_resp_array(&c->out, 0);
}

/* Clients wait for a server that says it is not loading. */
static void cmd_info(struct rl_conn *c)
{
	sd_resp_text(&c->out, "# Server\r\nredis_mode:standalone\r\n# Persistence\r\nloading:0\r\n");
}

static void cmd_hello(struct rl_conn *c)
{
	int64_t version = c->out.resp3 ? 3 : 2;
	if (c->reader.argc > 1 && (!sd_resp_parse_int(c->reader.argv[1], &version) || version < 2 || version > 3)) {
		sd_resp_error(&c->out, "NOPROTO unsupported protocol version");
		return;
	}
	c->out.resp3 = version == 3;
	sd_resp_map(&c->out, 3);
	sd_resp_text(&c->out, "server");
	sd_resp_text(&c->out, "sdlab ratelimit");
	sd_resp_text(&c->out, "proto");
	sd_resp_int(&c->out, version);
	sd_resp_text(&c->out, "mode");
	sd_resp_text(&c->out, "standalone");
}

static const struct command {
	const char *name;
	size_t min, max; /* words, with the name */
	void (*fn)(struct rl_conn *c);
} commands[] = {
    {"CL.THROTTLE", 5, 6, cmd_throttle},
    {RL_RING_NAME, 4, RL_RING_ARGS, cmd_decide},
    {"PING", 1, 2, cmd_ping},
    {"QUIT", 1, 32, cmd_quit},
    {"HELLO", 1, 32, cmd_hello},
    {"INFO", 1, 32, cmd_info},
    {"SELECT", 2, 2, cmd_ok},
    {"CLIENT", 2, 32, cmd_ok},
    {"COMMAND", 1, 32, cmd_none},
    {"CONFIG", 2, 32, cmd_none},
};

static void run(struct rl_conn *c)
{
	const struct sd_resp_reader *r = &c->reader;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!sd_slice_ieq(r->argv[0], commands[i].name))
			continue;
		if (r->argc < commands[i].min || r->argc > commands[i].max)
			sd_resp_errorf(&c->out, "ERR wrong number of arguments for '%s' command", commands[i].name);
		else
			commands[i].fn(c);
		return;
	}
	sd_resp_errorf(&c->out, "ERR unknown command '%.*s'", (int)(r->argv[0].n < 64 ? r->argv[0].n : 64), r->argv[0].p);
}

/* ---- connections ---- */

static void free_conn(struct rl_conn *c)
{
	while (!sd_list_empty(&c->slots))
		free_slot(sd_container(c->slots.next, struct slot, link));
	sd_list_del(&c->link);
	sd_resp_reader_free(&c->reader);
	free(c->out.p);
	free(c);
}

/* What was answered goes out; the connection ends after that. */
static void finish(struct rl_conn *c)
{
	sd_stream_finish(c->stream, sd_loop_now_ns(c->w->w->loop) + 5 * SECOND, true, NULL, NULL);
	free_conn(c);
}

static void take(struct rl_conn *c)
{
	if (c->reader.argc)
		run(c);
	sd_resp_reader_reset(&c->reader);
	c->quit |= c->out.full;
	park(c);
	if (c->out.n >= SD_STREAM_HIGH)
		flush(c);
}

static size_t take_all(struct rl_conn *c, const char *p, size_t n)
{
	size_t took = 0;
	while (took < n && !c->quit && !sd_stream_above_high(c->stream) && c->nslots < SLOTS) {
		ssize_t used = sd_resp_read(&c->reader, p + took, n - took, &limits);
		if (used == SD_RESP_INCOMPLETE)
			break;
		if (used < 0) {
			sd_resp_errorf(&c->out, "ERR %s", c->reader.error);
			c->quit = true;
			park(c);
			break;
		}
		take(c);
		took += (size_t)used;
	}
	return took;
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct rl_conn *c = s->owner;
	c->busy = true;
	size_t took = take_all(c, p, n);
	c->busy = false;
	c->held = c->nslots >= SLOTS;
	flush(c);
	if (!c->quit)
		return took;
	if (!c->nslots)
		finish(c);
	return n;
}

/* It will not ask any more, but may still want what it asked for. */
static void on_eof(struct sd_stream *s)
{
	struct rl_conn *c = s->owner;
	c->quit = true;
	if (!c->nslots)
		finish(c);
}

static void on_drained(struct sd_stream *s)
{
	sd_stream_resume(s);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	struct rl_conn *c = s->owner;
	(void)why;
	sd_stream_close(s);
	free_conn(c);
}

static const struct sd_stream_events events = {
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .closed = on_closed,
};

static void on_accepted(void *arg, struct sd_io *io)
{
	struct rl_worker *w = arg;
	struct rl_conn *c = calloc(1, sizeof(*c));
	if (!c) {
		io->ops->close(io, true);
		return;
	}
	c->stream = sd_stream_new(io, false, IN_LIMIT, &events, c);
	if (!c->stream) {
		free(c);
		return;
	}
	c->w = w;
	sd_list_init(&c->slots);
	sd_list_add(&w->conns, &c->link);
}

enum sd_err rl_resp_listen(struct rl_worker *w, struct sd_error *e)
{
	struct sd_listener_events on = {.accepted = on_accepted, .arg = w};
	return sd_loop_listen(w->w->loop, &w->rl->resp_addr, w->rl->nworkers > 1, &on, &w->resp, e);
}

void rl_resp_stop(struct rl_worker *w)
{
	if (w->resp)
		sd_listener_close(w->resp);
	w->resp = NULL;
	while (!sd_list_empty(&w->conns)) {
		struct rl_conn *c = sd_container(w->conns.next, struct rl_conn, link);
		sd_stream_close(c->stream);
		free_conn(c);
	}
}
