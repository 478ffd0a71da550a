/* http_client.c
 *
 *	CONNECTING --> HEAD --head()--> BODY --end()--> IDLE (in the pool) --next call--> HEAD
 *	     |           |                |               |
 *	     +--failed---+-----failed-----+               +-- server closed, or sent a byte: closed, no callback
 */
#include "http_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "connect.h"

enum { HEAD, BODY, IDLE };

#define SECOND_NS 1000000000ll
#define MAX_INTERIMS 100 /* 1xx before an answer; without end they would fill the client's buffer */
#define IN_LIMIT  (64 * 1024)

const struct sd_http_pool_conf sd_http_pool_defaults = {
    .limits = {.max_head = 64 * 1024},
    .max_idle = 64,
    .idle_timeout_ns = 30 * SECOND_NS,
    .connect_timeout_ns = 2 * SECOND_NS,
    .answer_timeout_ns = 30 * SECOND_NS,
};

void sd_http_pool_init(struct sd_http_pool *p, struct sd_loop *l, const struct sd_addr *addr,
		       const struct sd_http_pool_conf *conf, struct sd_http_head *head)
{
	*p = (struct sd_http_pool){.loop = l, .addr = *addr, .conf = *conf, .head = head};
}

/* ---- the pool; what it lends are calls, each with its connection ---- */

/* The loop hears of most ends while a connection is idle, but not of one that came since it last waited. */
static bool is_quiet(void *arg, void *resource)
{
	const struct sd_http_call *c = resource;
	(void)arg;
	return sd_stream_quiet(c->stream);
}

/* Who calls says how many at once, and retries what turns out to be dead after all. */
static struct sd_pool_conf lending(const struct sd_http_pool_conf *conf)
{
	return (struct sd_pool_conf){
	    .max_size = SD_POOL_NO_LIMIT,
	    .max_idle = conf->max_idle,
	    .max_opening = SD_POOL_NO_LIMIT,
	    .idle_timeout_ns = conf->idle_timeout_ns,
	    .max_lifetime_ns = SD_POOL_NEVER,
	    .check_after_ns = SD_POOL_NEVER,
	    .leak_ns = SD_POOL_NEVER,
	    .reclaim_ns = SD_POOL_NEVER,
	    .quiet = is_quiet,
	};
}

static void close_call(void *arg, void *resource, enum sd_pool_why why)
{
	struct sd_http_call *c = resource;
	struct sd_stream *s = c->stream;
	(void)arg;
	(void)why;
	s->owner = NULL;
	if (c->state == IDLE)
		sd_stream_close(s);
	else
		sd_stream_abort(s);
	free(c);
}

static const struct sd_pool_loop_events pool_events = {.close = close_call};

static enum sd_err begin_lending(struct sd_http_pool *p, struct sd_error *e)
{
	struct sd_pool_conf conf = lending(&p->conf);
	return p->lent.pool ? SD_OK : sd_pool_loop_init(&p->lent, p->loop, &conf, 0, &pool_events, p, e);
}

void sd_http_pool_configure(struct sd_http_pool *p, const struct sd_http_pool_conf *conf)
{
	struct sd_pool_conf lent = lending(conf);
	p->conf = *conf;
	if (!p->lent.pool)
		return;
	sd_pool_configure(p->lent.pool, &lent, sd_loop_now_ns(p->loop), NULL);
	sd_pool_loop_run(&p->lent);
}

void sd_http_pool_stats(const struct sd_http_pool *p, struct sd_pool_stats *out)
{
	if (p->lent.pool)
		sd_pool_stats(p->lent.pool, out);
	else
		*out = (struct sd_pool_stats){0};
}

static void unlink_call(struct sd_http_call *c)
{
	struct sd_http_pool *p = c->pool;
	if (c->state == IDLE)
		sd_pool_lost(p->lent.pool, sd_loop_now_ns(p->loop), c->lease.slot);
	else
		sd_pool_take_out(p->lent.pool, sd_loop_now_ns(p->loop), &c->lease);
}

static const struct sd_stream_events client_stream_events;

/* Does the stream still serve this call? When not, c may be freed, so it is only compared. */
static bool serves(const struct sd_stream *s, const struct sd_http_call *c)
{
	return s->owner == c && s->events == &client_stream_events;
}

/* The stream is not the call's any more; whoever is up the stack sees that its owner changed. */
static struct sd_stream *leave_stream(struct sd_http_call *c)
{
	struct sd_stream *s = c->stream;
	s->owner = NULL;
	unlink_call(c);
	free(c);
	return s;
}

void sd_http_call_cancel(struct sd_http_call *c)
{
	sd_stream_abort(leave_stream(c));
}

static void fail(struct sd_http_call *c, enum sd_err why, const char *text)
{
	enum sd_http_phase phase = c->stream->connecting ? SD_HTTP_CONNECTING
				   : c->got_bytes	  ? SD_HTTP_ANSWERING
							  : SD_HTTP_SENT;
	struct sd_stream *s = c->stream;
	char said[256];
	snprintf(said, sizeof(said), "%s", text ? text : sd_err_text(why)); /* it may be the stream's */
	s->owner = NULL;
	unlink_call(c);
	sd_stream_close(s);
	c->caller->failed(c, phase, why, said);
	free(c);
}

static void to_idle(struct sd_http_call *c)
{
	struct sd_http_pool *p = c->pool;
	c->state = IDLE;
	c->caller = NULL;
	c->user = NULL;
	sd_stream_deadline(c->stream, SD_NEVER);
	sd_pool_put(p->lent.pool, sd_loop_now_ns(p->loop), &c->lease, false);
	/* Is it one too many? Then it is closed before the caller hears. Else its time ends after that of all others. */
	if (sd_pool_pending(p->lent.pool))
		sd_pool_loop_run(&p->lent);
	else if (p->lent.armed_ns == SD_NEVER)
		sd_pool_loop_settle(&p->lent);
}

/* The answer is complete. Bytes behind it would be taken for the next answer: such a connection is closed. */
static void complete(struct sd_http_call *c, bool surplus)
{
	struct sd_http_pool *p = c->pool;
	bool keep = c->keep_alive && c->sent && !surplus && !c->stream->got_eof && c->framing != SD_HTTP_BODY_CLOSE && c->stream->out_len == 0;
	const struct sd_http_caller *caller = c->caller;
	p->dirty += surplus;
	if (!keep) {
		struct sd_stream *s = c->stream;
		s->owner = NULL;
		unlink_call(c);
		sd_stream_close(s);
		caller->end(c);
		free(c);
		return;
	}
	/* The connection is in the pool before the caller hears, so that what it starts next can use it; a copy
	 * stands in for the call meanwhile. */
	struct sd_http_call over = *c;
	to_idle(c);
	caller->end(&over);
}

static void answer_deadline(struct sd_http_call *c)
{
	int64_t ns = c->pool->conf.answer_timeout_ns;
	sd_stream_deadline(c->stream, ns ? sd_loop_now_ns(c->pool->loop) + ns : SD_NEVER);
}

/* What came with the head is looked at before it is handed on: then the caller can still answer something else. */
static const char *wrong_chunk(const struct sd_http_call *c, const char *p, size_t n)
{
	struct sd_http_chunked chunked = {0};
	struct sd_slice data;
	ssize_t took = 0;
	if (c->framing != SD_HTTP_BODY_CHUNKED)
		return NULL;
	for (size_t off = 0; took >= 0 && off < n && !chunked.done; off += took > 0 ? (size_t)took : 0)
		took = sd_http_chunked_decode(&chunked, p + off, n - off, &data);
	return took < 0 ? chunked.error : NULL;
}

/* Parses a head; returns what it took, 0 when it is not complete or was refused. */
static size_t take_head(struct sd_http_call *c, const char *p, size_t n)
{
	struct sd_http_head *head = c->pool->head;
	ssize_t took =
	    sd_http_parse_response(p, n, c->seen, &c->pool->conf.limits, (enum sd_http_method)c->method, head);
	if (took == SD_HTTP_INCOMPLETE) {
		c->seen = (uint32_t)n;
		return 0;
	}
	if (took == SD_HTTP_BAD) {
		fail(c, SD_EPROTO, head->error_reason);
		return 0;
	}
	c->seen = 0;
	if (head->status >= 100 && head->status < 200 && head->status != 101) {
		if (c->interims++ == MAX_INTERIMS) {
			fail(c, SD_EPROTO, "more than 100 interim answers (1xx)");
			return 0;
		}
		if (c->caller->interim)
			c->caller->interim(c, head);
		return (size_t)took;
	}
	c->state = BODY;
	c->framing = (uint8_t)head->framing;
	c->keep_alive = head->keep_alive && head->framing != SD_HTTP_BODY_CLOSE;
	c->left = head->framing == SD_HTTP_BODY_LENGTH ? head->content_length : 0;
	memset(&c->chunked, 0, sizeof(c->chunked));
	const char *wrong = wrong_chunk(c, p + took, n - (size_t)took);
	if (wrong) {
		fail(c, SD_EPROTO, wrong);
		return 0;
	}
	c->caller->head(c, head);
	return (size_t)took;
}

static bool body_done(const struct sd_http_call *c)
{
	if (c->framing == SD_HTTP_BODY_CHUNKED)
		return c->chunked.done;
	return c->framing != SD_HTTP_BODY_CLOSE && c->left == 0;
}

static size_t take_body(struct sd_http_call *c, const char *p, size_t n)
{
	struct sd_slice data = {p, n};
	ssize_t took = (ssize_t)n;
	if (c->framing == SD_HTTP_BODY_CHUNKED) {
		took = sd_http_chunked_decode(&c->chunked, p, n, &data);
		if (took < 0) {
			fail(c, SD_EPROTO, c->chunked.error);
			return 0;
		}
	} else if (c->framing == SD_HTTP_BODY_LENGTH) {
		if (data.n > c->left)
			data.n = (size_t)c->left;
		took = (ssize_t)data.n;
		c->left -= data.n;
	}
	if (data.n)
		c->caller->body(c, data.p, data.n);
	return (size_t)took;
}

static size_t take(struct sd_http_call *c, const char *p, size_t n)
{
	struct sd_stream *s = c->stream;
	size_t off = 0;
	for (;;) {
		if (c->state == BODY && body_done(c)) {
			complete(c, off < n);
			return n;
		}
		if (off == n || c->paused)
			return off;
		size_t took = c->state == HEAD ? take_head(c, p + off, n - off) : take_body(c, p + off, n - off);
		off += took;
		if (took == 0 || !serves(s, c))
			return off;
	}
}

/* ---- what the stream says ---- */

static void on_eof(struct sd_stream *s);

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_http_call *c = s->owner;
	if (c->state == IDLE) {
		c->pool->dirty++;
		sd_http_call_cancel(c);
		return n;
	}
	c->got_bytes = true;
	if (c->sent || sd_http_call_backlog(c))
		answer_deadline(c);
	c->in_data = true;
	size_t took = take(c, p, n);
	if (!serves(s, c))
		return took;
	c->in_data = false;
	if (s->got_eof && took == n)
		on_eof(s); /* it came while the call was paused */
	return took;
}

static void on_eof(struct sd_stream *s)
{
	struct sd_http_call *c = s->owner;
	if (c->state == IDLE) {
		sd_stream_close(leave_stream(c));
	} else if (c->paused && s->in_len > 0) {
		return; /* resumed later: see sd_http_call_resume */
	} else if (c->state == BODY && c->framing == SD_HTTP_BODY_CLOSE) {
		complete(c, false);
	} else {
		fail(c, SD_ERESET, c->got_bytes ? "the server closed in the middle of its answer"
						: "the server closed without an answer");
	}
}

static void on_drained(struct sd_stream *s)
{
	struct sd_http_call *c = s->owner;
	if (c->state == IDLE)
		return;
	if (!c->sent)
		sd_stream_deadline(s, SD_NEVER);
	if (c->caller->drained)
		c->caller->drained(c);
}

static void on_timeout(struct sd_stream *s)
{
	struct sd_http_call *c = s->owner;
	if (c->state != IDLE) /* the pool has its own time for those */
		fail(c, SD_ETIMEOUT, s->connecting ? "could not connect in time" : "no answer in time");
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	struct sd_http_call *c = s->owner;
	if (c->state == IDLE)
		sd_stream_close(leave_stream(c));
	else
		fail(c, why, sd_stream_why(s, why));
}

static void on_connected(struct sd_stream *s)
{
	struct sd_http_call *c = s->owner;
	c->connected_ns = sd_loop_now_ns(c->pool->loop);
	if (c->sent || sd_http_call_backlog(c))
		answer_deadline(c);
	else
		sd_stream_deadline(s, SD_NEVER);
}

static const struct sd_stream_events client_stream_events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .closed = on_closed,
};

/* ---- calls ---- */

static const struct sd_pool_holder nobody;

/* NULL: none is idle. */
static struct sd_http_call *reuse(struct sd_http_pool *p)
{
	struct sd_pool_lease lease;
	if (!p->lent.pool)
		return NULL;
	enum sd_err err = sd_pool_take(p->lent.pool, sd_loop_now_ns(p->loop), &nobody, &lease);
	if (sd_pool_pending(p->lent.pool)) /* those that were not fit to be lent */
		sd_pool_loop_run(&p->lent);
	if (err)
		return NULL;
	struct sd_http_call *c = lease.resource;
	c->lease = lease;
	c->reused = true;
	return c;
}

static struct sd_http_call *connect_new(struct sd_http_pool *p, struct sd_slice first, struct sd_error *e)
{
	/* A whole head must fit: it is kept until it is complete. */
	size_t head = p->conf.limits.max_head;
	struct sd_connect how = {
	    .addr = &p->addr, .tls = p->tls, .first = first, .in_limit = head > IN_LIMIT ? (uint32_t)head : IN_LIMIT};
	if (begin_lending(p, e))
		return NULL;
	struct sd_http_call *c = calloc(1, sizeof(*c));
	if (!c) {
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	if (sd_stream_connect(p->loop, &how, &client_stream_events, c, &c->stream, e)) {
		free(c);
		return NULL;
	}
	if (sd_pool_add(p->lent.pool, sd_loop_now_ns(p->loop), c, &nobody, &c->lease)) {
		sd_fail(e, SD_ENOMEM, "out of memory");
		c->stream->owner = NULL;
		sd_stream_abort(c->stream);
		free(c);
		return NULL;
	}
	c->pool = p;
	int64_t ns = p->conf.connect_timeout_ns;
	sd_stream_deadline(c->stream, ns ? sd_loop_now_ns(p->loop) + ns : SD_NEVER);
	return c;
}

static struct sd_http_call *begin(struct sd_http_call *c, enum sd_http_method method, const struct sd_http_caller *caller,
				  void *user)
{
	if (!c)
		return NULL;
	c->caller = caller;
	c->user = user;
	c->state = HEAD;
	c->method = (uint8_t)method;
	c->seen = 0;
	c->interims = 0;
	c->sent = c->paused = c->got_bytes = c->keep_alive = false;
	return c;
}

struct sd_http_call *sd_http_call_start(struct sd_http_pool *p, enum sd_http_method method, bool fresh,
					const struct sd_http_caller *caller, void *user, struct sd_error *e)
{
	struct sd_http_call *c = fresh ? NULL : reuse(p);
	return begin(c ? c : connect_new(p, (struct sd_slice){0}, e), method, caller, user);
}

struct sd_http_call *sd_http_call_start_with(struct sd_http_pool *p, enum sd_http_method method, struct sd_slice first,
					     const struct sd_http_caller *caller, void *user, struct sd_error *e)
{
	return begin(connect_new(p, first, e), method, caller, user);
}

void sd_http_call_write(struct sd_http_call *c, const void *p, size_t n)
{
	sd_stream_write(c->stream, p, n);
	/* A server that takes nothing must not be waited for either. */
	if (!c->stream->connecting && !c->paused && sd_http_call_backlog(c))
		answer_deadline(c);
}

void sd_http_call_sent(struct sd_http_call *c)
{
	c->sent = true;
	if (!c->stream->connecting)
		answer_deadline(c);
}

void sd_http_call_pause(struct sd_http_call *c)
{
	c->paused = true;
	sd_stream_deadline(c->stream, SD_NEVER);
}

void sd_http_call_resume(struct sd_http_call *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	if (c->sent)
		answer_deadline(c);
	if (!c->in_data)
		sd_stream_resume(c->stream);
}

struct sd_stream *sd_http_call_take_stream(struct sd_http_call *c)
{
	struct sd_stream *s = leave_stream(c);
	sd_stream_deadline(s, SD_NEVER);
	return s;
}

void sd_http_pool_close_idle(struct sd_http_pool *p)
{
	if (!p->lent.pool)
		return;
	sd_pool_trim(p->lent.pool, sd_loop_now_ns(p->loop));
	sd_pool_loop_run(&p->lent);
}

void sd_http_pool_free(struct sd_http_pool *p)
{
	sd_pool_loop_free(&p->lent);
}
