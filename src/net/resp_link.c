#include "resp_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "connect.h"
#include "core/list.h"
#include "core/resp_url.h"
#include "core/rng.h"

#define IN_LIMIT (128 * 1024)
#define PATIENCE 4 /* times the time of a request: then a silent server is given up */

enum state { TRYING, GREETING, STANDS, WAITING };

struct request {
	sd_resp_answered *fn; /* NULL: was told that it took too long */
	void *arg;
	int64_t asked_ns;
};

/* A name being looked up; it may outlive its link. */
struct lookup {
	struct sd_resolve r;
	struct sd_resp_link *link;
};

struct sd_resp_link {
	struct sd_loop *loop;
	struct sd_resp_link_conf conf;
	char user[SD_RESP_SECRET], password[SD_RESP_SECRET], channel[SD_RESP_CHANNEL];
	enum state state;
	struct sd_stream *stream;
	struct lookup *lookup;
	struct sd_timer timer; /* of the try, of the oldest request, or until the next try */
	bool armed;
	struct sd_timer heartbeat;
	unsigned greetings; /* replies to what was said first that did not come yet */
	struct sd_resp_replies replies;
	struct sd_resp_tree tree;
	struct sd_resp_out out; /* until it stands */
	/* A ring of conf.most: `late` of them, the oldest, were told so and have no reply yet. */
	struct request *requests;
	size_t first, n, late;
	uint32_t failures; /* since the last reply */
	bool told_up, told_down;
	unsigned inside; /* callbacks of its owner that run */
	bool closed;
	struct sd_rng rng;
	char why[256];
};

const struct sd_resp_link_conf sd_resp_link_defaults = {
    .timeout_ns = 1000000000,
    .most = 256,
    .most_bytes = 1 << 20,
    .backoff = {50000000, 2000000000, SD_GROW_DOUBLING, 0.5},
    .limits = {16 << 20, 1 << 20, 16 << 20},
};

static void try_now(struct sd_resp_link *k);

/* ---- its owner is called ---- */

static void release(struct sd_resp_link *k)
{
	sd_resp_tree_free(&k->tree);
	free(k->out.p);
	free(k->requests);
	explicit_bzero(k->password, sizeof(k->password));
	free(k);
}

static void enter(struct sd_resp_link *k)
{
	k->inside++;
}

/* False: it is gone. */
static bool leave(struct sd_resp_link *k)
{
	if (--k->inside || !k->closed)
		return !k->closed;
	release(k);
	return false;
}

/* Takes the oldest request out and tells it; enter() was called. */
static void answer_first(struct sd_resp_link *k, enum sd_err err, const struct sd_resp_value *reply)
{
	struct request r = k->requests[k->first];
	k->first = (k->first + 1) % k->conf.most;
	k->n--;
	k->late -= !r.fn;
	if (r.fn)
		r.fn(r.arg, err, reply);
}

/* What is asked meanwhile is refused; but the link may be closed meanwhile, which answers the rest. */
static void answer_all(struct sd_resp_link *k, enum sd_err err)
{
	while (k->n)
		answer_first(k, err, NULL);
}

static void say_up(struct sd_resp_link *k)
{
	if (k->told_up)
		return;
	k->told_up = true;
	k->told_down = false;
	if (k->conf.up)
		k->conf.up(k->conf.arg);
}

static void say_down(struct sd_resp_link *k)
{
	if (k->told_down)
		return;
	k->told_down = true;
	k->told_up = false;
	if (k->conf.down)
		k->conf.down(k->conf.arg, k->why);
}

/* ---- the end of a connection, or of a try ---- */

static void hang_up(struct sd_resp_link *k)
{
	if (k->stream)
		sd_stream_close(k->stream);
	k->stream = NULL;
	if (k->lookup)
		k->lookup->link = NULL;
	k->lookup = NULL;
	sd_loop_timer_cancel(k->loop, &k->timer);
	sd_loop_timer_cancel(k->loop, &k->heartbeat);
	k->armed = false;
	k->out.n = 0;
	k->out.full = false;
	k->replies = (struct sd_resp_replies){0};
	sd_resp_tree_reset(&k->tree);
}

static void arm(struct sd_resp_link *k, int64_t at_ns)
{
	k->armed = true;
	sd_loop_timer_set(k->loop, &k->timer, at_ns);
}

static void give_up(struct sd_resp_link *k, enum sd_err err)
{
	hang_up(k);
	k->state = WAITING;
	k->failures += k->failures < UINT32_MAX;
	arm(k, sd_loop_now_ns(k->loop) + sd_backoff(&k->conf.backoff, k->failures, sd_rng_unit(&k->rng)));
	enter(k);
	answer_all(k, err);
	if (!k->closed)
		say_down(k);
	leave(k);
}

void sd_resp_link_break(struct sd_resp_link *k, enum sd_err err, const char *why)
{
	if (k->closed || k->state == WAITING)
		return;
	snprintf(k->why, sizeof(k->why), "%s", why);
	give_up(k, err);
}

/* ---- requests ---- */

static void beat(struct sd_resp_link *k)
{
	if (k->conf.heartbeat_ns)
		sd_loop_timer_set(k->loop, &k->heartbeat, sd_loop_now_ns(k->loop) + k->conf.heartbeat_ns);
}

/* Writes what waited, once it may leave. */
static void stand(struct sd_resp_link *k)
{
	k->state = STANDS;
	sd_loop_timer_cancel(k->loop, &k->timer);
	k->armed = false;
	sd_stream_write(k->stream, k->out.p, k->out.n);
	k->out.n = 0;
	if (k->n)
		arm(k, k->requests[k->first].asked_ns + k->conf.timeout_ns);
	beat(k);
	enter(k);
	say_up(k);
	leave(k);
}

static void put(struct sd_resp_out *o, size_t argc, const struct sd_slice *argv)
{
	sd_resp_array(o, argc);
	for (size_t i = 0; i < argc; i++)
		sd_resp_bulk(o, argv[i].p, argv[i].n);
}

static bool encode(struct sd_resp_link *k, size_t argc, const struct sd_slice *argv)
{
	size_t before = k->out.n;
	put(&k->out, argc, argv);
	if (k->out.full) {
		k->out.n = before;
		k->out.full = false;
		return false;
	}
	if (k->state == STANDS) {
		sd_stream_write(k->stream, k->out.p, k->out.n);
		k->out.n = 0;
	}
	return true;
}

static bool has_room(const struct sd_resp_link *k, size_t argc, const struct sd_slice *argv)
{
	size_t bytes = k->out.n + (k->stream ? sd_stream_backlog(k->stream) : 0);
	for (size_t i = 0; i < argc && bytes <= k->conf.most_bytes; i++)
		bytes += argv[i].n;
	return k->n < k->conf.most && bytes <= k->conf.most_bytes;
}

enum sd_err sd_resp_link_ask(struct sd_resp_link *k, size_t argc, const struct sd_slice *argv, sd_resp_answered *fn, void *arg)
{
	int64_t now = sd_loop_now_ns(k->loop);
	if (k->closed || (k->state != STANDS && k->failures))
		return SD_EUNREACHABLE;
	if (!has_room(k, argc, argv))
		return SD_EAGAIN;
	if (!encode(k, argc, argv))
		return SD_ENOMEM;
	k->requests[(k->first + k->n++) % k->conf.most] = (struct request){fn, arg, now};
	if (k->state == STANDS && (!k->armed || k->timer.due_ns > now + k->conf.timeout_ns))
		arm(k, now + k->conf.timeout_ns);
	return SD_OK;
}

/* ---- what the server says ---- */

static void on_pong(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	(void)arg;
	(void)err;
	(void)reply;
}

/* One that is not taken has others before it, which tell as well whether the server is there. */
static void on_heartbeat(struct sd_timer *t)
{
	struct sd_resp_link *k = sd_container(t, struct sd_resp_link, heartbeat);
	const struct sd_slice ping = {"PING", 4};
	sd_resp_link_ask(k, 1, &ping, on_pong, NULL);
	beat(k);
}

static bool is_word(const struct sd_resp_value *v, const char *word)
{
	return (v->kind == SD_RESP_BULK || v->kind == SD_RESP_SIMPLE) && sd_slice_ieq(v->text, word);
}

/* ["message", channel, text]: published, and no answer to anything. */
static bool is_message(const struct sd_resp_link *k, const struct sd_resp_value *v)
{
	return k->channel[0] && (v->kind == SD_RESP_ARRAY || v->kind == SD_RESP_PUSH) && v->items == 3 && v->span == 4 &&
	       is_word(&v[1], "message");
}

/* ["subscribe", channel, 1]: the answer to SUBSCRIBE, which is the last of the greetings. */
static bool is_subscribed(const struct sd_resp_link *k, const struct sd_resp_value *v)
{
	return (v->kind == SD_RESP_ARRAY || v->kind == SD_RESP_PUSH) && v->items == 3 && is_word(&v[1], "subscribe") &&
	       sd_slice_eq(v[2].text, k->channel);
}

static void on_greeted(struct sd_resp_link *k, const struct sd_resp_value *reply)
{
	if (sd_resp_is_error(reply->kind))
		sd_resp_link_break(k, SD_EPERM, reply->text.p);
	else if (k->greetings == 1 && k->channel[0] && !is_subscribed(k, reply))
		sd_resp_link_break(k, SD_EPROTO, "the server does not subscribe to channels");
	else if (--k->greetings == 0)
		stand(k);
}

static void on_reply(struct sd_resp_link *k, const struct sd_resp_value *reply)
{
	if (is_message(k, reply)) {
		if (k->state == STANDS)
			k->conf.message(k->conf.arg, reply[3].text);
	} else if (reply->kind == SD_RESP_PUSH && !is_subscribed(k, reply))
		return;
	else if (k->state == GREETING)
		on_greeted(k, reply);
	else if (k->n == 0)
		sd_resp_link_break(k, SD_EPROTO, "the server answered what nobody asked");
	else {
		k->failures = 0;
		answer_first(k, SD_OK, reply);
	}
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_resp_link *k = s->owner;
	size_t at = 0;
	bool whole = true;
	enter(k);
	while (whole && k->stream == s && !k->closed) {
		ssize_t took = sd_resp_tree_read(&k->tree, &k->replies, p + at, n - at, &k->conf.limits, &whole);
		if (took == SD_RESP_BAD) {
			char why[sizeof(k->replies.error)];
			snprintf(why, sizeof(why), "%s", k->replies.error);
			sd_resp_link_break(k, SD_EPROTO, why);
			break;
		}
		at += (size_t)took;
		if (!whole)
			break;
		on_reply(k, k->tree.values);
		if (k->stream == s)
			sd_resp_tree_reset(&k->tree);
	}
	leave(k);
	return at;
}

static void on_connected(struct sd_stream *s)
{
	struct sd_resp_link *k = s->owner;
	struct sd_resp_out hello = {0};
	k->greetings = sd_resp_greet(&hello, k->user, k->password, k->conf.db);
	if (k->channel[0]) {
		const struct sd_slice words[] = {{"SUBSCRIBE", 9}, sd_slice_of(k->channel)};
		put(&hello, 2, words);
		k->greetings++;
	}
	k->state = GREETING;
	sd_stream_write(s, hello.p, hello.n);
	if (hello.p)
		explicit_bzero(hello.p, hello.n);
	free(hello.p);
	if (hello.full)
		sd_resp_link_break(k, SD_ENOMEM, "out of memory");
	else if (!k->greetings)
		stand(k);
}

static void on_eof(struct sd_stream *s)
{
	sd_resp_link_break(s->owner, SD_EEOF, "the server closed the connection");
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	char text[256];
	snprintf(text, sizeof(text), "%s", sd_stream_why(s, why));
	sd_resp_link_break(s->owner, why, text);
}

static const struct sd_stream_events events = {
    .connected = on_connected, .data = on_data, .eof = on_eof, .closed = on_closed};

/* ---- time ---- */

/* Tells those that had no reply in their time; they are the oldest. */
static void tell_late(struct sd_resp_link *k, int64_t now)
{
	while (!k->closed && k->state == STANDS && k->late < k->n) {
		struct request *r = &k->requests[(k->first + k->late) % k->conf.most];
		sd_resp_answered *fn = r->fn;
		if (r->asked_ns + k->conf.timeout_ns > now)
			return;
		r->fn = NULL;
		k->late++;
		fn(r->arg, SD_ETIMEOUT, NULL);
	}
}

static void look_at_requests(struct sd_resp_link *k)
{
	int64_t now = sd_loop_now_ns(k->loop);
	enter(k);
	tell_late(k, now);
	if (!k->closed && k->state == STANDS && k->n) {
		const struct request *oldest = &k->requests[k->first];
		int64_t end = oldest->asked_ns + PATIENCE * k->conf.timeout_ns, next = end;
		if (k->late < k->n)
			next = k->requests[(k->first + k->late) % k->conf.most].asked_ns + k->conf.timeout_ns;
		if (end <= now)
			sd_resp_link_break(k, SD_ETIMEOUT, "the server does not answer");
		else
			arm(k, next < end ? next : end);
	}
	leave(k);
}

static void on_timer(struct sd_timer *t)
{
	struct sd_resp_link *k = sd_container(t, struct sd_resp_link, timer);
	k->armed = false;
	if (k->state == WAITING)
		try_now(k);
	else if (k->state == STANDS)
		look_at_requests(k);
	else
		sd_resp_link_break(k, SD_ETIMEOUT, "no connection in time");
}

/* ---- connecting ---- */

static void connect_to(struct sd_resp_link *k, const struct sd_addr *addr)
{
	struct sd_connect how = {.addr = addr, .tls = k->conf.tls, .in_limit = IN_LIMIT};
	struct sd_error e = {0};
	enum sd_err err = sd_stream_connect(k->loop, &how, &events, k, &k->stream, &e);
	if (err)
		sd_resp_link_break(k, err, e.text);
}

static void on_found(struct sd_resolve *r)
{
	struct lookup *u = sd_container(r, struct lookup, r);
	struct sd_resp_link *k = u->link;
	if (k) {
		k->lookup = NULL;
		if (r->nfound)
			connect_to(k, &r->found[0]);
		else
			sd_resp_link_break(k, SD_ENOTFOUND, r->err);
	}
	free(u);
}

static void on_dropped(struct sd_resolve *r)
{
	free(sd_container(r, struct lookup, r));
}

static void look_up(struct sd_resp_link *k)
{
	struct lookup *u = calloc(1, sizeof(*u));
	if (u) {
		*u = (struct lookup){.r = {.port = k->conf.addr.port, .done = on_found, .dropped = on_dropped}, .link = k};
		snprintf(u->r.host, sizeof(u->r.host), "%s", k->conf.addr.name);
		if (sd_resolve_start(k->loop, &u->r)) {
			k->lookup = u;
			return;
		}
	}
	free(u);
	sd_resp_link_break(k, SD_ENOMEM, "no thread to look up its name");
}

static void try_now(struct sd_resp_link *k)
{
	k->state = TRYING;
	arm(k, sd_loop_now_ns(k->loop) + k->conf.timeout_ns);
	if (k->conf.addr.kind == SD_ADDR_NAME)
		look_up(k);
	else
		connect_to(k, &k->conf.addr);
}

/* ---- life ---- */

struct sd_resp_link *sd_resp_link_open(struct sd_loop *l, const struct sd_resp_link_conf *conf)
{
	struct sd_resp_link *k = calloc(1, sizeof(*k));
	uint64_t seed;
	if (!k)
		return NULL;
	*k = (struct sd_resp_link){.loop = l, .conf = *conf, .state = WAITING, .timer.fn = on_timer, .heartbeat.fn = on_heartbeat};
	k->requests = calloc(conf->most, sizeof(*k->requests));
	if (!k->requests) {
		free(k);
		return NULL;
	}
	snprintf(k->user, sizeof(k->user), "%s", conf->user ? conf->user : "");
	snprintf(k->password, sizeof(k->password), "%s", conf->password ? conf->password : "");
	snprintf(k->channel, sizeof(k->channel), "%s", conf->channel ? conf->channel : "");
	k->conf.user = k->conf.password = k->conf.channel = NULL;
	sd_world_random(sd_loop_world(l), &seed, sizeof(seed));
	sd_rng_seed(&k->rng, seed);
	arm(k, sd_loop_now_ns(l)); /* a try may fail at once, and nobody is called from here */
	return k;
}

void sd_resp_link_close(struct sd_resp_link *k)
{
	if (!k || k->closed)
		return;
	hang_up(k);
	k->closed = true;
	enter(k);
	answer_all(k, SD_ECANCELED);
	leave(k);
}

bool sd_resp_link_stands(const struct sd_resp_link *k)
{
	return k->state == STANDS;
}

const char *sd_resp_link_why(const struct sd_resp_link *k)
{
	return k->why;
}

size_t sd_resp_link_waiting(const struct sd_resp_link *k)
{
	return k->n;
}
