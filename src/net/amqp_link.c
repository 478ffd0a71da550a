#include "amqp_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp_client_int.h"
#include "connect.h"
#include "core/rng.h"

#define IN_LIMIT (256 * 1024)

enum state { TRYING, START, TUNE, OPEN, CHANNEL_OPEN, SETUP, STANDS, WAITING };

struct publication {
	sd_amqp_answered *fn; /* NULL: answered */
	void *arg;
};

/* A name being looked up; it may outlive its link. */
struct lookup {
	struct sd_resolve r;
	struct sd_amqp_link *link;
};

struct sd_amqp_link {
	struct sd_loop *loop;
	struct sd_amqp_link_conf conf;
	struct sd_tls_target *tls;
	struct sd_amqp_client *client; /* of this connection; NULL: none. It does not wait: conn.woken is set */
	enum state state;
	const struct sd_amqp_link_ask *next; /* of the setup, to be answered */
	struct sd_stream *stream;
	struct lookup *lookup;
	struct sd_timer timer;
	struct sd_task look; /* at what woke us, when the callback is over */
	/* A ring of conf.most: publications first_tag to first_tag + n - 1 of this connection. */
	struct publication *ring;
	uint64_t first_tag;
	size_t first, n;
	uint32_t failures;
	bool blocked, told_up, told_down;
	struct sd_rng rng;
	char why[256];
};

const struct sd_amqp_link_conf sd_amqp_link_defaults = {
    .to = {.timeout_ns = 5000000000, .heartbeat_s = 10},
    .most = 256,
    .backoff = {100000000, 5000000000, SD_GROW_DOUBLING, 0.5},
};

static void try_now(struct sd_amqp_link *k);

/* ---- publications ---- */

static void answer(struct publication *p, enum sd_err err)
{
	sd_amqp_answered *fn = p->fn;
	p->fn = NULL;
	if (fn)
		fn(p->arg, err);
}

static void drop_answered(struct sd_amqp_link *k)
{
	while (k->n && !k->ring[k->first].fn) {
		k->first = (k->first + 1) % k->conf.most;
		k->first_tag++;
		k->n--;
	}
}

/* What is published meanwhile is of another connection, and comes behind those that are there. */
static void answer_all(struct sd_amqp_link *k, enum sd_err err)
{
	for (size_t left = k->n; left > 0 && k->n; left--) {
		struct publication p = k->ring[k->first];
		k->first = (k->first + 1) % k->conf.most;
		k->n--;
		answer(&p, err);
	}
}

static void on_confirm(struct sd_amqp_link *k, const struct sd_amqp_event *ev)
{
	uint64_t end = k->first_tag + k->n;
	if (ev->tag < k->first_tag || ev->tag >= end)
		return;
	for (uint64_t tag = ev->multiple ? k->first_tag : ev->tag; tag <= ev->tag && k->client; tag++)
		answer(&k->ring[(k->first + (tag - k->first_tag)) % k->conf.most], ev->refused ? SD_EAGAIN : SD_OK);
	drop_answered(k);
}

static void on_event(void *arg, const struct sd_amqp_event *ev)
{
	struct sd_amqp_link *k = arg;
	if (ev->kind == SD_AMQP_CONFIRMED)
		on_confirm(k, ev);
	else if (ev->kind == SD_AMQP_DELIVERED && k->conf.delivered)
		k->conf.delivered(k->conf.arg, ev);
	else if (ev->kind == SD_AMQP_CANCELLED)
		sd_waited_end(&k->client->conn, SD_ENOTFOUND, "the broker cancelled the consumer");
	else if (ev->kind == SD_AMQP_BLOCKED || ev->kind == SD_AMQP_UNBLOCKED)
		k->blocked = ev->kind == SD_AMQP_BLOCKED;
}

enum sd_err sd_amqp_link_publish(struct sd_amqp_link *k, struct sd_slice exchange, struct sd_slice key, struct sd_slice raw,
				 struct sd_slice body, sd_amqp_answered *fn, void *arg)
{
	if (k->state != STANDS)
		return SD_EUNREACHABLE;
	if (k->n == k->conf.most || k->blocked)
		return SD_EAGAIN;
	k->ring[(k->first + k->n++) % k->conf.most] = (struct publication){fn, arg};
	sd_amqp_client_publish(k->client, exchange, key, false, raw, body);
	sd_loop_defer(k->loop, &k->look);
	return SD_OK;
}

/* A delivery may come right behind the answer to the last of the setup. */
static void say(struct sd_amqp_link *k, uint32_t id, const struct sd_amqp_arg *args)
{
	if (k->state != STANDS && k->state != SETUP)
		return;
	sd_amqp_client_send(k->client, id, args);
	sd_loop_defer(k->loop, &k->look);
}

void sd_amqp_link_ack(struct sd_amqp_link *k, uint64_t tag, bool multiple)
{
	say(k, SD_AMQP_BASIC_ACK, (const struct sd_amqp_arg[]){{.n = tag}, {.n = multiple}});
}

void sd_amqp_link_discard(struct sd_amqp_link *k, uint64_t tag)
{
	say(k, SD_AMQP_BASIC_REJECT, (const struct sd_amqp_arg[]){{.n = tag}, {.n = 0}});
}

/* ---- the end of a connection, or of a try ---- */

static void hang_up(struct sd_amqp_link *k)
{
	if (k->stream)
		sd_stream_close(k->stream);
	k->stream = NULL;
	if (k->lookup)
		k->lookup->link = NULL;
	k->lookup = NULL;
	sd_loop_timer_cancel(k->loop, &k->timer);
	if (k->client) {
		sd_loop_timer_cancel(k->loop, &k->client->beat_timer);
		amqp_client_free(k->client);
	}
	k->client = NULL;
	k->blocked = false;
}

static void arm(struct sd_amqp_link *k, int64_t ns)
{
	sd_loop_timer_set(k->loop, &k->timer, sd_loop_now_ns(k->loop) + ns);
}

static void give_up(struct sd_amqp_link *k, const char *why)
{
	snprintf(k->why, sizeof(k->why), "%s", why);
	hang_up(k);
	k->state = WAITING;
	k->failures += k->failures < UINT32_MAX;
	arm(k, sd_backoff(&k->conf.backoff, k->failures, sd_rng_unit(&k->rng)));
	answer_all(k, SD_ERESET);
	if (k->told_down)
		return;
	k->told_down = true;
	k->told_up = false;
	if (k->conf.down)
		k->conf.down(k->conf.arg, k->why);
}

/* ---- the beginning ---- */

static void stand(struct sd_amqp_link *k)
{
	k->state = STANDS;
	k->failures = 0;
	k->first_tag = 1;
	k->client->asking = false;
	sd_loop_timer_cancel(k->loop, &k->timer);
	if (k->told_up)
		return;
	k->told_up = true;
	k->told_down = false;
	if (k->conf.up)
		k->conf.up(k->conf.arg);
}

static void ask_setup(struct sd_amqp_link *k)
{
	k->state = SETUP;
	if (!k->next->id)
		return stand(k);
	sd_amqp_client_send(k->client, k->next->id, k->next->args);
	amqp_client_expect(k->client, k->next->want);
}

/* The answer that was expected came: what is said next. */
static enum sd_err go_on(struct sd_amqp_link *k, struct sd_error *e)
{
	struct sd_amqp_client *c = k->client;
	enum sd_err err = SD_OK;
	if (k->state == START) {
		err = amqp_client_introduce(c, &k->conf.to, e);
	} else if (k->state == TUNE) {
		err = amqp_client_tune(c, &k->conf.to, e);
	} else if (k->state == OPEN) {
		sd_amqp_client_send(c, SD_AMQP_CHANNEL_OPEN, (const struct sd_amqp_arg[]){{0}});
		amqp_client_expect(c, SD_AMQP_CHANNEL_OPEN_OK);
	} else {
		c->channel_open = true;
		k->next = k->state == SETUP ? k->next + 1 : k->conf.setup;
		ask_setup(k);
		return SD_OK;
	}
	k->state++;
	return err;
}

/* After everything that may have changed something; never from within the client. */
static void look(struct sd_amqp_link *k)
{
	struct sd_error e = {0};
	while (k->client && k->state != STANDS && k->client->asking && k->client->answered && !k->client->conn.err && !e.code)
		go_on(k, &e);
	if (!k->client)
		return;
	if (!e.code && k->client->channel_err)
		e = k->client->channel_why;
	if (!e.code && k->client->conn.err)
		e = k->client->conn.why;
	if (e.code) {
		give_up(k, e.text);
		return;
	}
	amqp_client_flush(k->client);
	if (k->client->conn.err)
		give_up(k, k->client->conn.why.text);
}

static void on_look(struct sd_task *t)
{
	look(sd_container(t, struct sd_amqp_link, look));
}

static void on_woken(struct sd_waited *conn)
{
	struct sd_amqp_client *c = sd_container(conn, struct sd_amqp_client, conn);
	struct sd_amqp_link *k = c->arg;
	sd_loop_defer(k->loop, &k->look);
}

/* ---- the stream ---- */

/* While an answer is awaited the client stops behind it; the loop goes on with what it left. */
static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_amqp_link *k = s->owner;
	size_t at = 0, took;
	do {
		took = amqp_client_take(k->client, p + at, n - at);
		at += took;
		look(k);
	} while (took && at < n && k->stream == s);
	return k->stream == s ? at : n;
}

static void on_connected(struct sd_stream *s)
{
	struct sd_amqp_link *k = s->owner;
	k->state = START;
	k->client->conn.stream = s;
	amqp_client_begin(k->client);
	look(k);
}

static void on_eof(struct sd_stream *s)
{
	struct sd_amqp_link *k = s->owner;
	give_up(k, k->state == TUNE ? "the broker does not let us in" : "the broker closed the connection");
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	char text[256];
	snprintf(text, sizeof(text), "%s", sd_stream_why(s, why));
	give_up(s->owner, text);
}

static const struct sd_stream_events events = {.connected = on_connected, .data = on_data, .eof = on_eof, .closed = on_closed};

/* ---- connecting ---- */

static void connect_to(struct sd_amqp_link *k, const struct sd_addr *addr)
{
	struct sd_connect how = {.addr = addr, .tls = k->tls, .in_limit = IN_LIMIT};
	struct sd_error e = {0};
	k->client = amqp_client_new(k->loop, k->conf.to.timeout_ns);
	if (!k->client)
		return give_up(k, "out of memory");
	k->client->conn.woken = on_woken;
	k->client->fn = on_event;
	k->client->arg = k;
	if (sd_stream_connect(k->loop, &how, &events, k, &k->stream, &e))
		give_up(k, e.text);
}

static void on_found(struct sd_resolve *r)
{
	struct lookup *u = sd_container(r, struct lookup, r);
	struct sd_amqp_link *k = u->link;
	if (k) {
		k->lookup = NULL;
		if (r->nfound)
			connect_to(k, &r->found[0]);
		else
			give_up(k, r->err);
	}
	free(u);
}

static void on_dropped(struct sd_resolve *r)
{
	free(sd_container(r, struct lookup, r));
}

static void look_up(struct sd_amqp_link *k)
{
	struct lookup *u = calloc(1, sizeof(*u));
	if (u) {
		*u = (struct lookup){.r = {.port = k->conf.to.addr.port, .done = on_found, .dropped = on_dropped}, .link = k};
		snprintf(u->r.host, sizeof(u->r.host), "%s", k->conf.to.addr.name);
		if (sd_resolve_start(k->loop, &u->r)) {
			k->lookup = u;
			return;
		}
	}
	free(u);
	give_up(k, "no thread to look up its name");
}

static void try_now(struct sd_amqp_link *k)
{
	k->state = TRYING;
	arm(k, k->conf.to.timeout_ns);
	if (k->conf.to.addr.kind == SD_ADDR_NAME)
		look_up(k);
	else
		connect_to(k, &k->conf.to.addr);
}

static void on_timer(struct sd_timer *t)
{
	struct sd_amqp_link *k = sd_container(t, struct sd_amqp_link, timer);
	if (k->state == WAITING)
		try_now(k);
	else
		give_up(k, "no connection in time");
}

/* ---- life ---- */

struct sd_amqp_link *sd_amqp_link_open(struct sd_loop *l, const struct sd_amqp_link_conf *conf)
{
	struct sd_amqp_link *k = calloc(1, sizeof(*k));
	uint64_t seed;
	if (!k)
		return NULL;
	*k = (struct sd_amqp_link){.loop = l, .conf = *conf, .state = WAITING, .timer.fn = on_timer, .look.fn = on_look};
	k->ring = calloc(conf->most, sizeof(*k->ring));
	k->tls = conf->to.tls ? sd_tls_target_new(conf->to.tls, conf->to.tls_name) : NULL;
	if (!k->ring || (conf->to.tls && !k->tls)) {
		free(k->ring);
		free(k);
		return NULL;
	}
	sd_world_random(sd_loop_world(l), &seed, sizeof(seed));
	sd_rng_seed(&k->rng, seed);
	arm(k, 0); /* a try may fail at once, and nobody is called from here */
	return k;
}

void sd_amqp_link_close(struct sd_amqp_link *k)
{
	if (!k)
		return;
	hang_up(k);
	k->state = WAITING;
	answer_all(k, SD_ECANCELED);
	if (k->look.queued)
		sd_loop_flush(k->loop); /* it must not find us gone */
	sd_tls_target_free(k->tls);
	free(k->ring);
	free(k);
}

bool sd_amqp_link_stands(const struct sd_amqp_link *k)
{
	return k->state == STANDS;
}

bool sd_amqp_link_blocked(const struct sd_amqp_link *k)
{
	return k->blocked;
}

const char *sd_amqp_link_why(const struct sd_amqp_link *k)
{
	return k->why;
}

size_t sd_amqp_link_waiting(const struct sd_amqp_link *k)
{
	return k->n;
}
