/* mq_conn.c - frames of a connection, its errors, its end and its time. */
#include "mq_conn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bytes.h"
#include "mq_conn_int.h"

#define HANDSHAKE_MS 10000
#define CLOSING_MS   10000
#define SAY_MOST     20 /* lines about connections in a second */
#define FUDGE	     8 /* larger by this than was agreed on is taken, as RabbitMQ does */

/* ---- writing ---- */

void mq_conn_woken(struct mq_conn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	c->hub->wake(c);
}

void mq_conn_put(struct mq_conn *c, unsigned channel, uint32_t id, const struct sd_amqp_arg *args)
{
	sd_amqp_put_method(&c->out, (uint16_t)channel, id, args);
	mq_conn_woken(c);
}

/* Whoever comes can be the cause of lines: some a second, and how many more there were. */
static bool may_say(struct mq_hub *h, int64_t now_ms, uint64_t *skipped)
{
	*skipped = 0;
	if (now_ms - h->said_ms >= 1000) {
		*skipped = h->said > SAY_MOST ? h->said - SAY_MOST : 0;
		h->said_ms = now_ms;
		h->said = 0;
	}
	return h->say && ++h->said <= SAY_MOST;
}

void mq_conn_say(struct mq_conn *c, const char *event, const char *format, ...)
{
	char text[512];
	uint64_t skipped;
	va_list ap;
	if (!may_say(c->hub, c->now_ms, &skipped))
		return;
	int n = skipped ? snprintf(text, sizeof(text), "(%llu more) %s: ", (unsigned long long)skipped, c->peer)
			: snprintf(text, sizeof(text), "%s: ", c->peer);
	va_start(ap, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, ap);
	va_end(ap);
	c->hub->say(c->hub->arg, event, text);
}

/* ---- ends ---- */

static void end_sessions(struct mq_conn *c)
{
	for (size_t i = 0; i < c->room; i++)
		if (c->sessions[i])
			mq_session_free(c->sessions[i]);
	free(c->sessions);
	c->sessions = NULL;
	c->room = 0;
}

static void close_now(struct mq_conn *c)
{
	end_sessions(c);
	c->state = MQ_CONN_CLOSED;
	mq_conn_woken(c);
}

void mq_conn_fail(struct mq_conn *c, const struct mq_error *e, uint32_t method)
{
	mq_args args = {{.n = e->code}, {.s = sd_slice_of(e->text)}, {.n = method >> 16}, {.n = method & 0xffff}};
	c->hub->count.errors++;
	end_sessions(c);
	mq_conn_put(c, 0, SD_AMQP_CONNECTION_CLOSE, args);
	c->state = MQ_CONN_CLOSING;
	c->deadline_ms = c->now_ms + CLOSING_MS;
}

void mq_conn_drop(struct mq_conn *c, const char *why)
{
	mq_conn_say(c, "connection_dropped", "%s", why);
	close_now(c);
}

/* Until both sides agree on how to talk, errors end it without a word, as with RabbitMQ; the log has them. A login that was refused
 * is told to who can hear it. */
static void fail(struct mq_conn *c, const struct mq_error *e, uint32_t method)
{
	bool login = c->state == MQ_CONN_STARTING && e->code == 403;
	if (!login)
		mq_conn_say(c, "connection_error", "%s", e->text);
	if (login ? c->can_fail_auth : c->state >= MQ_CONN_OPENING)
		mq_conn_fail(c, e, login ? 0 : method);
	else
		close_now(c);
}

void mq_conn_shut(struct mq_conn *c, int64_t now_ms)
{
	struct mq_error e = {0};
	c->now_ms = now_ms;
	if (c->state == MQ_CONN_CLOSING || c->state == MQ_CONN_CLOSED)
		return;
	mq_fail(&e, 320, "broker forced connection closure with reason 'shutdown'");
	if (c->state == MQ_CONN_RUNNING)
		mq_conn_fail(c, &e, 0);
	else
		close_now(c);
}

/* ---- frames that are none ---- */

/* What is there of the payload of the frame that p begins with. */
static struct sd_slice payload_in_hand(struct sd_slice p)
{
	size_t n = p.n > SD_AMQP_HEAD ? p.n - SD_AMQP_HEAD : 0, whole = p.n >= SD_AMQP_HEAD ? sd_get_be(p.p + 3, 4) : 0;
	return (struct sd_slice){n ? p.p + SD_AMQP_HEAD : NULL, n < whole ? n : whole};
}

static void describe(struct sd_slice payload, char *out, size_t n)
{
	char octets[200];
	bool all = payload.n <= 16;
	payload.n = all ? payload.n : 16;
	snprintf(out, n, "%s octets = %s", all ? "all" : "first 16", mq_octets(payload, true, octets, sizeof(octets)));
}

static void refuse_frame(struct mq_conn *c, enum sd_amqp_took took, struct sd_slice in, uint32_t most)
{
	struct mq_error e;
	char octets[240];
	unsigned type = (unsigned char)in.p[0];
	uint64_t n = in.n >= SD_AMQP_HEAD ? sd_get_be(in.p + 3, 4) : 0;
	describe(took == SD_AMQP_TOO_LARGE ? (struct sd_slice){NULL, 0} : payload_in_hand(in), octets, sizeof(octets));
	if (took == SD_AMQP_TOO_LARGE)
		mq_fail(&e, 501, "type %u, %s: {frame_too_large,%llu,%u}", type, octets, (unsigned long long)n, most - FUDGE - SD_AMQP_HEAD - 1);
	else if (took == SD_AMQP_BAD_END)
		mq_fail(&e, 501, "type %u, %s: {invalid_frame_end_marker,%u}", type, octets, (unsigned char)in.p[SD_AMQP_HEAD + n]);
	else
		mq_fail(&e, 501, "type %u, %s: unknown_frame", type, octets);
	fail(c, &e, 0);
}

/* ---- channel 0 ---- */

static bool unexpected(const struct sd_amqp_frame *f, struct mq_error *e)
{
	char octets[240];
	describe(f->payload, octets, sizeof(octets));
	if (f->type == SD_AMQP_HEARTBEAT && f->payload.n)
		return mq_fail(e, 501, "type %u, %s: unknown_frame", f->type, octets);
	return mq_fail(e, 505, "type %u, %s", f->type, octets);
}

static bool run_method(struct mq_conn *c, uint32_t id, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (id == SD_AMQP_CONNECTION_CLOSE && c->state >= MQ_CONN_OPENING) {
		end_sessions(c);
		mq_conn_put(c, 0, SD_AMQP_CONNECTION_CLOSE_OK, NULL);
		c->state = MQ_CONN_CLOSED;
		return true;
	}
	if (c->state == MQ_CONN_CLOSING) {
		if (id == SD_AMQP_CONNECTION_CLOSE_OK)
			close_now(c);
		return true;
	}
	if (c->state != MQ_CONN_RUNNING)
		return mq_login_step(c, id, a, e);
	if (id == SD_AMQP_CONNECTION_UPDATE_SECRET) {
		mq_conn_put(c, 0, SD_AMQP_CONNECTION_UPDATE_SECRET_OK, NULL);
		return true;
	}
	return mq_fail(e, 504, "unexpected method in connection state running");
}

static bool take_control(struct mq_conn *c, const struct sd_amqp_frame *f, struct mq_error *e, uint32_t *method)
{
	struct sd_amqp_arg a[SD_AMQP_ARGS];
	if (f->type == SD_AMQP_HEARTBEAT && !f->payload.n)
		return true;
	if (f->type != SD_AMQP_METHOD)
		return unexpected(f, e);
	return mq_session_decode(f, method, a, e) && run_method(c, *method, a, e);
}

static void take_frame(struct mq_conn *c, const struct sd_amqp_frame *f)
{
	struct mq_error e = {0};
	uint32_t method = 0;
	bool ok = true;
	c->frames_in++;
	c->hub->count.frames++;
	if (!f->channel)
		ok = take_control(c, f, &e, &method);
	else if (c->state == MQ_CONN_CLOSING)
		return;
	else if (c->state != MQ_CONN_RUNNING || f->type == SD_AMQP_HEARTBEAT)
		ok = unexpected(f, &e);
	else
		ok = mq_session_frame(c, f, &e, &method);
	if (!ok)
		fail(c, &e, method);
}

/* ---- publishers that are to wait ---- */

static void tell_blocked(struct mq_conn *c, const char *reason)
{
	if (c->told)
		return;
	c->told = true;
	c->hub->nblocked++;
	if (c->can_block)
		mq_conn_put(c, 0, SD_AMQP_CONNECTION_BLOCKED, (mq_args){{.s = sd_slice_of(reason)}});
}

static void tell_unblocked(struct mq_conn *c)
{
	if (!c->told || c->pressed || c->hub->blocked)
		return;
	c->told = false;
	c->hub->nblocked--;
	if (c->can_block && c->state == MQ_CONN_RUNNING)
		mq_conn_put(c, 0, SD_AMQP_CONNECTION_UNBLOCKED, NULL);
	mq_conn_woken(c);
}

void mq_hub_block(struct mq_hub *h, const char *reason)
{
	h->blocked = reason;
	for (struct sd_link *k = h->conns.next; k != &h->conns; k = k->next) {
		struct mq_conn *c = sd_container(k, struct mq_conn, of_hub);
		if (reason && c->publishes && c->state == MQ_CONN_RUNNING)
			tell_blocked(c, reason);
		else
			tell_unblocked(c);
	}
}

void mq_hub_relieved(struct mq_hub *h)
{
	for (struct sd_link *k = h->conns.next; k != &h->conns; k = k->next) {
		struct mq_conn *c = sd_container(k, struct mq_conn, of_hub);
		c->pressed = false;
		tell_unblocked(c);
	}
}

/* A publication is not taken while publishers are to wait; everything in front of it is, so that acknowledgements, which make room,
 * come through. */
static bool has_to_wait(struct mq_conn *c, const struct sd_amqp_frame *f)
{
	static const char publish[] = {0, 60, 0, 40};
	if (f->type != SD_AMQP_METHOD || f->payload.n < 4 || memcmp(f->payload.p, publish, 4) != 0)
		return false;
	c->publishes = true;
	if (!c->pressed && !c->hub->blocked)
		return false;
	tell_blocked(c, c->hub->blocked ? c->hub->blocked : "a queue it publishes to is full");
	return true;
}

/* ---- input ---- */

static size_t take_header(struct mq_conn *c, struct sd_slice in)
{
	size_t n = in.n < 8 ? in.n : 8;
	if (memcmp(in.p, SD_AMQP_PROTOCOL, n) != 0) {
		sd_text_add(&c->out, SD_AMQP_PROTOCOL, 8);
		mq_conn_drop(c, "not AMQP 0-9-1");
		return in.n;
	}
	if (n < 8)
		return 0;
	mq_login_start(c);
	return 8;
}

/* Before it was agreed on, as RabbitMQ; with no limit agreed on, what holds the largest message. */
static uint32_t frame_most(const struct mq_conn *c)
{
	if (c->state < MQ_CONN_OPENING)
		return SD_AMQP_FRAME_MIN + FUDGE;
	return c->frame_max ? c->frame_max + FUDGE : c->hub->mq->conf.message_max + SD_AMQP_FRAME_MIN;
}

size_t mq_conn_need(const struct mq_conn *c)
{
	return frame_most(c);
}

static bool may_go_on(const struct mq_conn *c)
{
	return c->state != MQ_CONN_CLOSED && c->out.n + c->unsent < MQ_STUCK;
}

static void take_frames(struct mq_conn *c, struct sd_slice *in)
{
	struct sd_amqp_frame f;
	while (may_go_on(c)) {
		struct sd_slice before = *in;
		uint32_t most = frame_most(c);
		enum sd_amqp_took took = sd_amqp_take(in, most, &f);
		if (took == SD_AMQP_MORE)
			return;
		if (took != SD_AMQP_TOOK) {
			refuse_frame(c, took, *in, most);
			c->deaf = true;
			return;
		}
		if (has_to_wait(c, &f)) {
			*in = before;
			return;
		}
		take_frame(c, &f);
	}
}

/* Behind a frame that was none nothing can be read; but its sender confirms the close that it was sent with the last it says. */
static void listen_for_close_ok(struct mq_conn *c, const char *p, size_t n)
{
	static const char close_ok[] = "\1\0\0\0\0\0\4\0\12\0\63\316";
	size_t k = sizeof(close_ok) - 1;
	if (n >= k && memcmp(p + n - k, close_ok, k) == 0)
		close_now(c);
}

size_t mq_conn_input(struct mq_conn *c, const char *p, size_t n, int64_t now_ms)
{
	struct sd_slice in = {p, n};
	c->now_ms = c->received_ms = now_ms;
	if (n && c->state == MQ_CONN_HEADER) {
		size_t took = take_header(c, in);
		in = (struct sd_slice){p + took, n - took};
	}
	if (c->deaf)
		listen_for_close_ok(c, p, n);
	else if (c->state != MQ_CONN_HEADER && c->state != MQ_CONN_CLOSED)
		take_frames(c, &in);
	size_t took = c->state == MQ_CONN_CLOSED || c->deaf ? n : n - in.n;
	c->bytes_in += took;
	c->hub->count.bytes_in += took;
	return took;
}

/* ---- time ---- */

void mq_conn_turn(struct mq_conn *c, int64_t now_ms)
{
	struct mq_error e = {0};
	c->now_ms = now_ms;
	if (!c->broken || c->state != MQ_CONN_RUNNING)
		return;
	mq_fail(&e, 541, "what it asked for cannot be read or written");
	fail(c, &e, 0);
}

void mq_conn_sent(struct mq_conn *c, size_t unsent, int64_t now_ms)
{
	c->sent_ms = now_ms;
	c->unsent = unsent;
	if (!c->held || unsent >= MQ_ROOM)
		return;
	c->held = false;
	for (size_t i = 0; i < c->room; i++)
		if (c->sessions[i] && !c->sessions[i]->closing)
			mq_channel_ready(&c->sessions[i]->ch);
}

/* Nothing came for two intervals. Not of one whose bytes were left where they are. */
static bool is_silent(const struct mq_conn *c)
{
	return c->heartbeat_s && !c->told && c->state == MQ_CONN_RUNNING && c->now_ms - c->received_ms >= c->heartbeat_s * 2000LL;
}

void mq_conn_time(struct mq_conn *c, int64_t now_ms)
{
	c->now_ms = now_ms;
	if (c->state == MQ_CONN_CLOSED)
		return;
	if (c->state != MQ_CONN_RUNNING && now_ms >= c->deadline_ms)
		mq_conn_drop(c, c->state == MQ_CONN_CLOSING ? "did not confirm that it was closed" : "took too long to log in");
	else if (is_silent(c))
		mq_conn_drop(c, "missed heartbeats");
	else if (c->heartbeat_s && c->state == MQ_CONN_RUNNING && now_ms - c->sent_ms >= c->heartbeat_s * 500LL) {
		sd_amqp_put_heartbeat(&c->out);
		c->sent_ms = now_ms;
		mq_conn_woken(c);
	}
}

int64_t mq_conn_next(const struct mq_conn *c)
{
	if (c->state == MQ_CONN_CLOSED)
		return MQ_CONN_NEVER;
	if (c->state != MQ_CONN_RUNNING)
		return c->deadline_ms;
	if (!c->heartbeat_s)
		return MQ_CONN_NEVER;
	int64_t beat = c->sent_ms + c->heartbeat_s * 500LL, silent = c->received_ms + c->heartbeat_s * 2000LL;
	return c->told || beat < silent ? beat : silent;
}

/* ---- beginning and end ---- */

void mq_hub_init(struct mq_hub *h, struct mq *mq, const struct mq_users *users)
{
	*h = (struct mq_hub){.mq = mq, .users = users, .frame_max = 131072, .channel_max = 2047, .heartbeat_s = 60, .cluster = "sdlab"};
	sd_list_init(&h->conns);
}

void mq_conn_begin(struct mq_conn *c, struct mq_hub *hub, const char *peer, bool local, int64_t now_ms)
{
	*c = (struct mq_conn){.hub = hub, .local = local, .now_ms = now_ms, .received_ms = now_ms, .sent_ms = now_ms,
			      .frame_max = SD_AMQP_FRAME_MIN, .deadline_ms = now_ms + HANDSHAKE_MS};
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	sd_list_add(&hub->conns, &c->of_hub);
	hub->nconns++;
	hub->count.opened++;
}

void mq_conn_end(struct mq_conn *c)
{
	end_sessions(c);
	mq_connection_end(c->hub->mq, c);
	c->state = MQ_CONN_CLOSED;
	c->hub->nblocked -= c->told;
	c->hub->nconns--;
	c->hub->count.closed++;
	sd_list_del(&c->of_hub);
	free(c->out.p);
	c->out = (struct sd_text){0};
}
