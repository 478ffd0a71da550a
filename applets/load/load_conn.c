/* load_conn.c - one connection of the generator.
 *
 *	RESTING --retry--> CONNECTING --> IDLE --request--> BUSY --answer--> IDLE
 *	   ^                   |                             |
 *	   +---- refused ------+------- broke, too slow -----+ what was in progress counts as failed
 *
 * Without keep-alive a connection is made for each request, when it leaves, and its time is part of the service time.
 */
#include <stdlib.h>
#include <string.h>

#include "load_amqp.h"
#include "load_int.h"

#define IN_LIMIT (128 * 1024)
#define RETRY_NS 20000000 /* after a refused connection: the server is not hammered, the schedule goes on */

static void conn_open(struct load_conn *c);

static struct load_slot *current(struct load_conn *c)
{
	return &c->slots[c->first];
}

static void set_idle(struct load_conn *c, bool idle)
{
	if (c->listed == idle)
		return;
	c->listed = idle;
	if (idle)
		sd_list_add(&c->w->idle, &c->link);
	else
		sd_list_del(&c->link);
}

static void deadline(struct load_conn *c)
{
	if (c->stream)
		sd_stream_deadline(c->stream, c->count ? current(c)->sent_ns + c->w->plan->timeout_ns : SD_NEVER);
}

/* ---- sending ---- */

static void put_digits(char *to, uint64_t v)
{
	for (int i = 9; i >= 0; i--, v /= 10)
		to[i] = (char)('0' + v % 10);
}

static uint64_t digits_of(const struct load_conn *c, enum load_mark_kind kind)
{
	struct load_worker *w = c->w;
	switch (kind) {
	case LOAD_SEQ:
		return w->begun;
	case LOAD_KEY:
		return sd_rng_next(&w->rng) % w->plan->keys;
	case LOAD_OWN:
		return load_amqp_own(c);
	default:
		return sd_rng_next(&w->rng) % 10000000000u;
	}
}

static void put_request(struct load_conn *c, const struct load_request *r)
{
	char *to = sd_stream_reserve(c->stream, r->n);
	if (!to)
		return;
	memcpy(to, r->bytes, r->n);
	for (unsigned i = 0; i < r->nmarks; i++)
		put_digits(to + r->marks[i].at, digits_of(c, r->marks[i].kind));
	sd_stream_commit(c->stream, r->n);
}

static void send_one(struct load_conn *c, const struct load_slot *slot)
{
	const struct load_plan *p = c->w->plan;
	c->slots[(c->first + c->count) % p->pipeline] = *slot;
	if (c->count++ == 0) {
		c->got_first = false;
		if (c->stream)
			deadline(c);
	}
	if (!c->stream)
		conn_open(c); /* without keep-alive: the request goes out when it stands */
	if (c->stream)
		put_request(c, &p->requests[slot->request]);
	if (c->count == p->pipeline)
		set_idle(c, false);
}

void load_pump(struct load_worker *w)
{
	struct load_slot slot;
	while (!sd_list_empty(&w->idle)) {
		struct load_conn *c = sd_container(w->idle.next, struct load_conn, link);
		if (!load_next(w, c, &slot))
			return;
		/* to the back: all connections are used in turn */
		sd_list_del(&c->link);
		sd_list_add(&w->idle, &c->link);
		send_one(c, &slot);
	}
}

/* ---- ends ---- */

static void rest(struct load_conn *c, int64_t ns)
{
	struct load_worker *w = c->w;
	set_idle(c, false);
	if (!w->plan->keep_alive && ns == 0) {
		c->idle_since_ns = sd_loop_now_ns(w->loop);
		set_idle(c, true);
		return;
	}
	sd_loop_timer_set(w->loop, &c->retry, sd_loop_now_ns(w->loop) + ns);
}

void load_conn_failed(struct load_conn *c, enum load_error why)
{
	struct load_worker *w = c->w;
	int64_t now = sd_loop_now_ns(w->loop);
	bool connected = c->stream && !c->stream->connecting;
	enum load_error first = why == LOAD_RESET && (c->in_body || c->got_first) ? LOAD_SHORT : why;
	struct sd_stream *s = c->stream;
	c->stream = NULL;
	c->seen = 0;
	c->in_body = false;
	if (s) {
		s->owner = NULL;
		sd_stream_abort(s);
	}
	if (c->count == 0 && (!connected || (c->amqp && c->greetings)))
		load_failed(w, NULL, why, now); /* a connection that could not be made for nobody in particular */
	for (bool head = true; c->count > 0; head = false) {
		struct load_slot slot = *current(c);
		c->first = (c->first + 1) % w->plan->pipeline;
		c->count--;
		if (!slot.settled)
			load_failed(w, &slot, head ? first : why, now);
	}
	rest(c, connected && !c->greetings ? 0 : RETRY_NS); /* nor with a wrong password */
	load_pump(w);
}

static enum load_error error_of(enum sd_err why)
{
	switch (why) {
	case SD_EREFUSED:
		return LOAD_REFUSED;
	case SD_ERESET:
		return LOAD_RESET;
	case SD_ETIMEOUT:
		return LOAD_TIMEOUT;
	case SD_ETLS:
		return LOAD_TLS;
	case SD_ENOFILES:
	case SD_EUNREACHABLE:
		return LOAD_PORTS;
	default:
		return LOAD_OTHER;
	}
}

/* The connection counts for its first request: with keep-alive it was made ahead, without it when the request was due. */
static void note_detail(struct load_conn *c, const struct load_slot *slot, int64_t now)
{
	const struct load_worker *w = c->w;
	bool ahead = c->fresh && c->connected_ns <= slot->sent_ns;
	int64_t connect = c->fresh ? c->connected_ns - c->connect_ns : 0;
	int64_t sent = slot->sent_ns > c->connected_ns ? slot->sent_ns : c->connected_ns;
	struct load_row row = {
	    .offset_ns = slot->sent_ns - w->start_ns,
	    .total_ns = now - slot->due_ns + (ahead ? connect : 0),
	    .connect_ns = connect,
	    .wait_ns = c->first_byte_ns - sent,
	    .read_ns = now - c->first_byte_ns,
	    .status = slot->status,
	};
	c->fresh = false;
	if (!w->done && load_counts(w, slot))
		load_detail_answer(w->result->detail, &row, c->body, c->keep && w->plan->keep_alive);
}

/* The answer in front is complete. */
static void answer_done(struct load_conn *c, int status)
{
	struct load_worker *w = c->w;
	struct load_slot slot = *current(c);
	int64_t now = sd_loop_now_ns(w->loop);
	if (c->line && !w->done && load_counts(w, &slot))
		load_tally_add(w->result->tally, c->line);
	c->first = (c->first + 1) % w->plan->pipeline;
	c->count--;
	c->in_body = c->got_first = false;
	c->idle_since_ns = now;
	if (w->result->detail)
		note_detail(c, &slot, now);
	load_answered(w, &slot, status, now);
	deadline(c);
}

/* The server ends the connection after this answer, or we said we would. */
static void conn_close(struct load_conn *c)
{
	struct load_worker *w = c->w;
	struct sd_stream *s = c->stream;
	c->stream = NULL;
	c->seen = 0;
	s->owner = NULL;
	sd_stream_close(s);
	/* requests sent ahead on it get no answer */
	if (c->count > 0) {
		load_conn_failed(c, LOAD_RESET);
		return;
	}
	rest(c, 0);
	load_pump(w);
}

/* ---- reading answers ---- */

static ssize_t take_head(struct load_conn *c, const char *p, size_t n)
{
	struct load_worker *w = c->w;
	struct sd_http_head *head = &w->head;
	enum sd_http_method method = w->plan->requests[current(c)->request].method;
	ssize_t took = sd_http_parse_response(p, n, c->seen, NULL, method, head);
	if (took == SD_HTTP_INCOMPLETE) {
		c->seen = (uint32_t)n;
		return 0;
	}
	c->seen = 0;
	if (took == SD_HTTP_BAD) {
		load_conn_failed(c, LOAD_GARBAGE);
		return -1;
	}
	if (head->status >= 100 && head->status < 200)
		return took;
	c->in_body = true;
	c->body = 0;
	if (w->result->detail)
		load_detail_head(w->result->detail, head);
	c->framing = (uint8_t)head->framing;
	c->keep = head->keep_alive && head->framing != SD_HTTP_BODY_CLOSE;
	c->left = head->framing == SD_HTTP_BODY_LENGTH ? head->content_length : 0;
	memset(&c->chunked, 0, sizeof(c->chunked));
	if (c->line)
		memset(c->line, 0, sizeof(*c->line));
	current(c)->status = (uint16_t)head->status;
	return took;
}

/* How much of it is the body's, framing and all; *data are its bytes. */
static ssize_t take_body(struct load_conn *c, const char *p, size_t n, struct sd_slice *data)
{
	if (c->framing == SD_HTTP_BODY_CHUNKED) {
		ssize_t took = sd_http_chunked_decode(&c->chunked, p, n, data);
		if (took < 0)
			load_conn_failed(c, LOAD_GARBAGE);
		c->body += took < 0 ? 0 : data->n;
		return took < 0 ? -1 : took;
	}
	size_t took = c->framing == SD_HTTP_BODY_CLOSE || n < c->left ? n : (size_t)c->left;
	if (c->framing != SD_HTTP_BODY_CLOSE)
		c->left -= took;
	c->body += took;
	*data = (struct sd_slice){p, took};
	return (ssize_t)took;
}

static bool body_done(const struct load_conn *c)
{
	if (c->framing == SD_HTTP_BODY_CHUNKED)
		return c->chunked.done;
	return c->framing != SD_HTTP_BODY_CLOSE && c->left == 0;
}

static void note_first_byte(struct load_conn *c)
{
	struct load_worker *w = c->w;
	if (c->got_first)
		return;
	c->got_first = true;
	c->first_byte_ns = sd_loop_now_ns(w->loop);
	if (load_counts(w, current(c)))
		sd_hdr_record(w->result->first_byte, sd_loop_now_ns(w->loop) - current(c)->sent_ns, 1);
}

void load_conn_count(const struct load_conn *c, uint64_t n)
{
	if (c->greetings)
		return;
	struct load_result *r = c->w->result;
	if (load_counts(c->w, &c->slots[c->first]))
		r->bytes_in += n;
	if (load_in_window(c->w, sd_loop_now_ns(c->w->loop)))
		r->window.bytes_in += n;
}

/* ---- replies of a cache ---- */

static void note_text(struct load_conn *c, const struct sd_resp_token *t)
{
	if (t->depth || t->push)
		return;
	if (sd_resp_is_error(t->kind) && !c->refused) {
		c->refused = true;
		if (!c->w->done && (c->greetings || load_counts(c->w, current(c))))
			load_tally_add_word(c->w->result->refusals, t->text);
	}
	if (c->line)
		load_line_take(c->line, t->kind == SD_RESP_NULL ? sd_slice_of("(nil)") : t->text);
}

/* The reply in front is whole. False: the connection is gone. */
static bool reply_done(struct load_conn *c)
{
	struct load_worker *w = c->w;
	bool refused = c->refused;
	c->refused = false;
	if (c->greetings && refused) {
		load_conn_failed(c, LOAD_REPLY);
		return false;
	}
	if (c->greetings) {
		c->greetings--;
	} else if (refused) {
		struct load_slot slot = *current(c);
		c->first = (c->first + 1) % w->plan->pipeline;
		c->count--;
		c->got_first = false;
		c->idle_since_ns = sd_loop_now_ns(w->loop);
		load_failed(w, &slot, LOAD_REPLY, c->idle_since_ns);
		deadline(c);
	} else {
		answer_done(c, 0);
	}
	if (c->line)
		memset(c->line, 0, sizeof(*c->line));
	return true;
}

static ssize_t take_reply(struct load_conn *c, const char *p, size_t n, bool *over)
{
	struct sd_resp_token t;
	ssize_t took = sd_resp_next(c->replies, p, n, &sd_resp_reply_usual, &t);
	if (took == SD_RESP_BAD) {
		load_conn_failed(c, LOAD_GARBAGE);
		return -1;
	}
	if (took == SD_RESP_INCOMPLETE)
		return 0;
	note_text(c, &t);
	load_conn_count(c, (uint64_t)took);
	if (!t.last || t.push)
		return took;
	*over = !c->greetings;
	return reply_done(c) ? took : -1;
}

/* ---- both ---- */

/* Goes on with the next request, unless the connection ends here. */
static ssize_t next_piece(struct load_conn *c, ssize_t took)
{
	struct sd_stream *s = c->stream;
	if (!c->keep || !c->w->plan->keep_alive) {
		conn_close(c);
		return -1;
	}
	set_idle(c, true);
	load_pump(c->w);
	return s->owner == c ? took : -1;
}

bool load_conn_free(struct load_conn *c)
{
	struct sd_stream *s = c->stream;
	deadline(c);
	set_idle(c, c->count < c->w->plan->pipeline);
	load_pump(c->w);
	return s->owner == c;
}

/* Takes one piece; -1 when the connection is gone, 0 when more must come. */
static ssize_t take_piece(struct load_conn *c, const char *p, size_t n)
{
	if (c->amqp)
		return load_amqp_take(c, p, n);
	if (c->count == 0 && !c->greetings) {
		/* an answer nobody asked for */
		load_conn_failed(c, LOAD_GARBAGE);
		return -1;
	}
	if (!c->greetings)
		note_first_byte(c);
	if (c->replies) {
		bool over = false;
		ssize_t took = take_reply(c, p, n, &over);
		return over && took > 0 ? next_piece(c, took) : took;
	}
	struct sd_slice data = {p, 0};
	ssize_t took = c->in_body ? take_body(c, p, n, &data) : take_head(c, p, n);
	if (c->line && took > 0)
		load_line_take(c->line, data);
	if (took > 0)
		load_conn_count(c, (uint64_t)took);
	if (took < 0 || !c->in_body || !body_done(c))
		return took;
	answer_done(c, current(c)->status);
	return next_piece(c, took);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct load_conn *c = s->owner;
	size_t off = 0;
	while (off < n) {
		bool before = c->in_body;
		ssize_t took = take_piece(c, p + off, n - off);
		if (took < 0)
			return n;
		if (took == 0 && before == c->in_body)
			return off;
		off += (size_t)took;
	}
	return off;
}

static void on_eof(struct sd_stream *s)
{
	struct load_conn *c = s->owner;
	if (c->in_body && c->framing == SD_HTTP_BODY_CLOSE) {
		answer_done(c, current(c)->status);
		conn_close(c);
	} else if (c->count == 0 && !c->greetings) {
		conn_close(c); /* it was idle: the server may do that */
	} else {
		load_conn_failed(c, LOAD_RESET);
	}
}

static void on_timeout(struct sd_stream *s)
{
	load_conn_failed(s->owner, LOAD_TIMEOUT);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	load_conn_failed(s->owner, error_of(why));
}

static void on_connected(struct sd_stream *s)
{
	struct load_conn *c = s->owner;
	struct load_worker *w = c->w;
	int64_t now = sd_loop_now_ns(w->loop);
	w->result->connects++;
	sd_hdr_record(w->result->connect, now - c->connect_ns, 1);
	c->idle_since_ns = c->connected_ns = now;
	c->fresh = true;
	if (c->amqp)
		return; /* it is free once the broker let it in, and the deadline is for that too */
	deadline(c);
	if (w->plan->keep_alive) {
		set_idle(c, c->count < w->plan->pipeline);
		load_pump(w);
	}
}

static const struct sd_stream_events conn_events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .timeout = on_timeout,
    .closed = on_closed,
};

/* ---- connecting ---- */

/* A new connection of a cache; what is said first goes out before the first command. */
static void greet(struct load_conn *c)
{
	const struct load_plan *p = c->w->plan;
	memset(c->replies, 0, sizeof(*c->replies));
	c->greetings = p->greetings;
	c->refused = false;
	c->keep = true;
	if (p->greeting.n)
		sd_stream_write(c->stream, p->greeting.p, p->greeting.n);
}

static void conn_open(struct load_conn *c)
{
	struct load_worker *w = c->w;
	struct sd_io *io;
	struct sd_error e = {0};
	c->connect_ns = sd_loop_now_ns(w->loop);
	enum sd_err err = sd_loop_connect(w->loop, &w->plan->addr, &io, &e);
	if (!err && w->tls && !(io = sd_tls_connect(w->tls, io)))
		err = SD_ENOMEM;
	if (!err && !(c->stream = sd_stream_new(io, true, IN_LIMIT, &conn_events, c)))
		err = SD_ENOMEM;
	if (err) {
		load_conn_failed(c, error_of(err));
		return;
	}
	sd_stream_deadline(c->stream, c->connect_ns + w->plan->timeout_ns);
	if (c->replies)
		greet(c);
	if (c->amqp)
		load_amqp_greet(c);
}

static void on_retry(struct sd_timer *t)
{
	struct load_conn *c = sd_container(t, struct load_conn, retry);
	struct load_worker *w = c->w;
	if (w->done)
		return;
	if (w->plan->keep_alive) {
		conn_open(c);
		return;
	}
	c->idle_since_ns = sd_loop_now_ns(w->loop);
	set_idle(c, true);
	load_pump(w);
}

enum sd_err load_conns_make(struct load_worker *w)
{
	w->conns = calloc(w->nconns, sizeof(*w->conns));
	if (w->plan->tls && !(w->tls = sd_tls_target_new(w->plan->tls, w->plan->tls_name)))
		return SD_ENOMEM;
	for (unsigned i = 0; w->conns && i < w->nconns; i++) {
		struct load_conn *c = &w->conns[i];
		c->w = w;
		c->retry.fn = on_retry;
		sd_list_init(&c->link);
		c->slots = calloc(w->plan->pipeline, sizeof(*c->slots));
		if (w->plan->tally)
			c->line = calloc(1, sizeof(*c->line));
		if (w->plan->resp)
			c->replies = calloc(1, sizeof(*c->replies));
		if (w->plan->amqp)
			c->amqp = load_amqp_new();
		if (!c->slots || (w->plan->tally && !c->line) || (w->plan->resp && !c->replies) || (w->plan->amqp && !c->amqp))
			return SD_ENOMEM;
		/* on the worker's own thread, when it runs */
		sd_loop_timer_set(w->loop, &c->retry, sd_loop_now_ns(w->loop));
	}
	return w->conns ? SD_OK : SD_ENOMEM;
}

void load_conns_free(struct load_worker *w)
{
	for (unsigned i = 0; w->conns && i < w->nconns; i++) {
		struct load_conn *c = &w->conns[i];
		sd_loop_timer_cancel(w->loop, &c->retry);
		if (c->stream) {
			c->stream->owner = NULL;
			sd_stream_abort(c->stream);
		}
		free(c->line);
		free(c->replies);
		free(c->amqp);
		free(c->slots);
	}
	sd_tls_target_free(w->tls);
	w->tls = NULL;
	free(w->conns);
	w->conns = NULL;
}
