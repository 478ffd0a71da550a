/* ratelimit_resp.c - decisions for others, over RESP, as redis-cell has them:
 *
 *	CL.THROTTLE KEY MAX-BURST COUNT PERIOD [QUANTITY]
 *
 * (core/throttle.h), and what peers ask (ratelimit_ring.h). The rest is what clients say when they connect.
 *
 * Where somebody has to be asked first, the reply comes later; those behind it wait (app/resp_front.h).
 */
#include <stdlib.h>
#include <string.h>

#include "core/throttle.h"
#include "ratelimit_ring.h"

#define IN_LIMIT (512 * 1024)

static const struct sd_resp_limits limits = {.max_args = RL_RING_ARGS, .max_bulk = 8 * 1024};

/* A question, and where its answer goes. */
struct waiting {
	struct sd_resp_later *later;
	struct rl_asked *asked;
};

/* ---- commands ---- */

static void on_dropped(void *arg)
{
	struct waiting *wait = arg;
	rl_ask_forget(wait->asked);
	free(wait);
}

static void on_answered(void *arg, const struct rl_outcome *o)
{
	struct waiting *wait = arg;
	struct sd_resp_out *out = &wait->later->out;
	if (o->how == RL_DECIDED)
		sd_throttle_answer(&o->answers[0], out);
	else if (o->how == RL_UNABLE)
		sd_resp_errorf(out, "ERR %s", o->why);
	else
		sd_resp_error(out, "TRYAGAIN who keeps these limits is not reached");
	sd_resp_later_done(wait->later);
	free(wait);
}

static void throttle_elsewhere(struct sd_resp_conn *c, const struct sd_ratelimit_ask *ask, int64_t units)
{
	struct rl_question q = {.op = units < 0 ? SD_LIMIT_SETTLE : SD_LIMIT_TAKE, .strict = true, .n = 1};
	struct waiting *wait = calloc(1, sizeof(*wait));
	if (!wait || !(wait->later = sd_resp_later_new(c, on_dropped, wait))) {
		free(wait);
		c->out.full = true;
		return;
	}
	q.items[0] = (struct sd_limit_item){.name = "CL.THROTTLE", .limit = *ask->limit, .scope = ask->scope, .key = ask->key, .cost = ask->cost};
	rl_ask(c->front->owner, &q, on_answered, wait, &wait->asked);
}

static struct rl_worker *worker(const struct sd_resp_conn *c)
{
	return c->front->owner;
}

static void cmd_throttle(struct sd_resp_conn *c)
{
	struct sd_ratelimit *table = worker(c)->rl->table;
	struct sd_ratelimit_limit limit;
	struct sd_ratelimit_answer a;
	int64_t units, now = rl_now(worker(c));
	if (!sd_throttle_read(c->reader.argc, c->reader.argv, &limit, &units, &c->out))
		return;
	struct sd_ratelimit_ask ask = {&limit, sd_limits_scope(sd_slice_of("CL.THROTTLE")), c->reader.argv[1],
				       (uint32_t)(units < 0 ? -units : units)};
	sd_count(&worker(c)->asked, 1);
	if (rl_is_shared(worker(c))) {
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

static void cmd_decide(struct sd_resp_conn *c)
{
	rl_ring_asked(worker(c), c->reader.argc, c->reader.argv, &c->out);
}

static void cmd_ping(struct sd_resp_conn *c)
{
	if (c->reader.argc > 1)
		sd_resp_bulk(&c->out, c->reader.argv[1].p, c->reader.argv[1].n);
	else
		sd_resp_simple(&c->out, "PONG");
}

static void cmd_ok(struct sd_resp_conn *c)
{
	sd_resp_simple(&c->out, "OK");
}

static void cmd_quit(struct sd_resp_conn *c)
{
	c->quit = true;
	cmd_ok(c);
}

static void cmd_none(struct sd_resp_conn *c)
{
	sd_resp_array(&c->out, 0);
}

/* Clients wait for a server that says it is not loading. */
static void cmd_info(struct sd_resp_conn *c)
{
	sd_resp_text(&c->out, "# Server\r\nredis_mode:standalone\r\n# Persistence\r\nloading:0\r\n");
}

static void cmd_hello(struct sd_resp_conn *c)
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
	void (*fn)(struct sd_resp_conn *c);
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

static void call(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!sd_slice_ieq(argv[0], commands[i].name))
			continue;
		if (argc < commands[i].min || argc > commands[i].max)
			sd_resp_errorf(&c->out, "ERR wrong number of arguments for '%s' command", commands[i].name);
		else
			commands[i].fn(c);
		return;
	}
	sd_resp_errorf(&c->out, "ERR unknown command '%.*s'", (int)(argv[0].n < 64 ? argv[0].n : 64), argv[0].p);
}

/* ---- connections ---- */

static const struct sd_resp_front_events events = {.conn_bytes = sizeof(struct sd_resp_conn), .call = call};

static void on_accepted(void *arg, struct sd_io *io)
{
	struct rl_worker *w = arg;
	sd_resp_front_accept(&w->front, io, false, (struct sd_client_pass){0});
}

enum sd_err rl_resp_listen(struct rl_worker *w, struct sd_error *e)
{
	struct sd_listener_events on = {.accepted = on_accepted, .arg = w};
	w->front = (struct sd_resp_front){.loop = w->w->loop, .events = &events, .limits = limits, .in_limit = IN_LIMIT, .owner = w};
	sd_resp_front_begin(&w->front);
	return sd_loop_listen(w->w->loop, &w->rl->resp_addr, w->rl->nworkers > 1, &on, &w->resp, e);
}

void rl_resp_stop(struct rl_worker *w)
{
	if (w->resp)
		sd_listener_close(w->resp);
	w->resp = NULL;
	sd_resp_front_end(&w->front, true);
}
