/* http_server.c
 *
 *	IDLE --first byte--> HEAD --head complete--> BODY --complete--> WAIT --answer finished--> IDLE
 *	                                              |                                            ^
 *	                                              +-- answered early: DISCARD, if little is left
 *	                                                  and the client need not be told, else CLOSING
 *
 * CLOSING: the rest of the last answer goes out; such a connection counts, so that a drain waits for it.
 *
 * Invariants: the handler owns x from request() until it calls sd_http_finish, sd_http_abort or sd_http_take_stream, or
 * is told gone(); in_done and out_done say which half is over; the next request is looked at when both are.
 */
#include "http_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/count.h"
#include "core/http1_write.h"
#include "tls.h"

enum { IDLE, HEAD, BODY, WAIT, DISCARD, CLOSING };

#define DISCARD_MAX  (64 * 1024)  /* bytes of an unwanted body that are read to keep the connection */
#define LINGER_NS    2000000000
#define SECOND_NS    1000000000
#define IN_LIMIT     (16 * 1024)

const struct sd_http_server_conf sd_http_server_defaults = {
    .limits = {.max_head = 16 * 1024},
    .head_timeout_ns = 10ll * SECOND_NS,
    .body_timeout_ns = 30ll * SECOND_NS,
    .idle_timeout_ns = 60ll * SECOND_NS,
    .send_timeout_ns = 60ll * SECOND_NS,
};

static const struct sd_stream_events server_stream_events;

/* Does the stream still serve this exchange? When not, x may be freed, so it is only compared. */
static bool serves(const struct sd_stream *s, const struct sd_http_exchange *x)
{
	return s->owner == x && s->events == &server_stream_events;
}

static int64_t after(const struct sd_http_exchange *x, int64_t ns)
{
	return ns ? sd_loop_now_ns(x->server->loop) + ns : SD_NEVER;
}

/* A connection has one deadline while a request is in progress: for the client to take what waits for it, else to go on
 * with its body. */
static void pace(struct sd_http_exchange *x)
{
	const struct sd_http_server_conf *conf = &x->server->conf;
	int64_t ns = 0;
	if (sd_http_backlog(x))
		ns = conf->send_timeout_ns;
	else if (!x->in_done && !x->paused)
		ns = conf->body_timeout_ns;
	sd_stream_deadline(x->stream, after(x, ns));
}

/* ---- the end of connections ---- */

static bool in_exchange(const struct sd_http_exchange *x)
{
	return x->state >= BODY && !x->out_done;
}

static bool is_full(const struct sd_http_server *srv)
{
	return srv->conf.max_connections && srv->stats.active + srv->proxy_in.npending >= srv->conf.max_connections;
}

void sd_http_server_hold(struct sd_http_server *srv)
{
	sd_gauge(&srv->stats.active, 1);
}

static void set_doors(struct sd_http_server *srv)
{
	for (int i = 0; i < srv->ndoors; i++)
		sd_listener_pause(srv->doors[i].listener, srv->paused || srv->closed);
}

/* There may be room again. */
static void one_less(void *arg)
{
	struct sd_http_server *srv = arg;
	if (srv->paused && !srv->draining && !is_full(srv)) {
		srv->paused = false;
		set_doors(srv);
	}
	if (srv->idle && srv->stats.active == 0) {
		void (*idle)(struct sd_http_server *) = srv->idle;
		srv->idle = NULL;
		idle(srv);
	}
}

void sd_http_server_let_go(struct sd_http_server *srv)
{
	sd_gauge(&srv->stats.active, -1);
	one_less(srv);
}

static void release(struct sd_http_exchange *x)
{
	struct sd_http_server *srv = x->server;
	sd_list_del(&x->link);
	free(x);
	sd_http_server_let_go(srv);
}

static void count_bytes(struct sd_http_exchange *x)
{
	sd_count(&x->server->stats.bytes_in, x->stream->bytes_in);
	sd_count(&x->server->stats.bytes_out, x->stream->bytes_out);
}

/* From here on the stream is not x's: whoever is up the stack sees that owner changed. */
static struct sd_stream *leave_stream(struct sd_http_exchange *x)
{
	struct sd_stream *s = x->stream;
	if (x->state != CLOSING)
		count_bytes(x);
	s->owner = NULL;
	return s;
}

static void drop(struct sd_http_exchange *x, bool reset)
{
	bool tell = in_exchange(x);
	if (tell) {
		sd_count(&x->server->stats.aborted, 1);
		x->out_done = true;
		if (x->server->handler->gone)
			x->server->handler->gone(x);
	}
	struct sd_stream *s = leave_stream(x);
	if (reset)
		sd_stream_abort(s);
	else
		sd_stream_close(s);
	release(x);
}

static void on_finished(void *arg)
{
	release(arg);
}

/* Sends the rest and closes; linger when the client may still be sending. */
static void finish_connection(struct sd_http_exchange *x, bool linger)
{
	count_bytes(x);
	sd_count(&x->server->stats.bytes_out, sd_stream_backlog(x->stream));
	x->state = CLOSING;
	x->out_done = true;
	sd_stream_finish(x->stream, after(x, linger ? LINGER_NS : x->server->conf.send_timeout_ns), linger, on_finished, x);
}

/* Between two requests, or before a whole one came: nobody need be told, but the last answer may still be on its way. */
static void close_quietly(struct sd_http_exchange *x)
{
	if (sd_stream_backlog(x->stream) > 0)
		finish_connection(x, false);
	else
		drop(x, false);
}

/* ---- answering ---- */

static void put(struct sd_http_exchange *x, const char *p, size_t n)
{
	char *to = sd_stream_reserve(x->stream, n);
	if (!to)
		return;
	memcpy(to, p, n);
	sd_stream_commit(x->stream, n);
}

static void put_text(struct sd_http_exchange *x, const char *s)
{
	put(x, s, strlen(s));
}

static void put_status(struct sd_http_exchange *x, int status, struct sd_slice reason)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n";
	x->out_begun = true;
	x->out_body = x->method != SD_HTTP_HEAD && status != 204 && status != 304 && status >= 200;
	/* 204 carries no length; 304 and HEAD carry that of the answer they stand for. */
	x->has_length_field = status != 204 && status >= 200;
	if (status == 200 && (reason.n == 0 || sd_slice_eq(reason, "OK"))) {
		put(x, ok, sizeof(ok) - 1);
		return;
	}
	if (reason.n == 0)
		reason = sd_slice_of(sd_http_status_text(status));
	char *to = sd_stream_reserve(x->stream, reason.n + 16);
	if (!to)
		return;
	char *o = to;
	memcpy(o, "HTTP/1.1 ", 9);
	o += 9;
	*o++ = (char)('0' + status / 100 % 10);
	*o++ = (char)('0' + status / 10 % 10);
	*o++ = (char)('0' + status % 10);
	*o++ = ' ';
	memcpy(o, reason.p, reason.n);
	o += reason.n;
	*o++ = '\r';
	*o++ = '\n';
	sd_stream_commit(x->stream, (size_t)(o - to));
}

void sd_http_begin(struct sd_http_exchange *x, int status, struct sd_slice reason)
{
	/* Who begins a good answer before the body is here is going to read it, so a client that asked first is told. */
	if (x->expect && !x->defer_continue && status >= 200 && status < 300)
		sd_http_interim(x, 100, "");
	put_status(x, status, reason);
}

void sd_http_field(struct sd_http_exchange *x, struct sd_slice name, struct sd_slice value)
{
	if (sd_head_edit_drops(x->edit, name))
		return;
	char *to = sd_stream_reserve(x->stream, name.n + value.n + 4);
	if (!to)
		return;
	memcpy(to, name.p, name.n);
	memcpy(to + name.n, ": ", 2);
	if (value.n)
		memcpy(to + name.n + 2, value.p, value.n);
	memcpy(to + name.n + 2 + value.n, "\r\n", 2);
	sd_stream_commit(x->stream, name.n + value.n + 4);
}

void sd_http_field_text(struct sd_http_exchange *x, const char *name, const char *value)
{
	sd_http_field(x, sd_slice_of(name), sd_slice_of(value));
}

void sd_http_date(struct sd_http_exchange *x)
{
	struct sd_http_server *srv = x->server;
	int64_t second = sd_loop_now_ns(srv->loop) / SECOND_NS;
	if (second != srv->date_second) {
		srv->date_second = second;
		sd_http_write_date(srv->date, sd_world_wall_ns(sd_loop_world(srv->loop)));
	}
	sd_http_field(x, (struct sd_slice){"Date", 4}, (struct sd_slice){srv->date, 29});
}

static void put_length(struct sd_http_exchange *x, uint64_t length)
{
	char *to = sd_stream_reserve(x->stream, 48);
	if (!to)
		return;
	memcpy(to, "Content-Length: ", 16);
	size_t n = 16 + sd_u64_dec(to + 16, length);
	memcpy(to + n, "\r\n", 2);
	sd_stream_commit(x->stream, n + 2);
}

void sd_http_head_done(struct sd_http_exchange *x, int64_t length)
{
	if (x->lines.n)
		put(x, x->lines.p, x->lines.n);
	x->edit = NULL;
	x->lines = (struct sd_slice){0};
	x->out_known = length >= 0;
	x->out_left = x->out_known && x->out_body ? (uint64_t)length : 0;
	x->out_chunked = false;
	if (length >= 0 && x->has_length_field) {
		put_length(x, (uint64_t)length);
	} else if (length < 0 && x->out_body && x->minor == 1) {
		x->out_chunked = true;
		put_text(x, "Transfer-Encoding: chunked\r\n");
	} else if (length < 0 && x->out_body) {
		x->keep_alive = false;
	}
	if (x->server->draining || (x->stream->got_eof && x->stream->in_len == 0))
		x->keep_alive = false;
	if (!x->keep_alive)
		put_text(x, "Connection: close\r\n\r\n");
	else if (x->minor == 0)
		put_text(x, "Connection: keep-alive\r\n\r\n");
	else
		put(x, "\r\n", 2);
}

void sd_http_write(struct sd_http_exchange *x, const void *p, size_t n)
{
	if (!x->out_body || n == 0)
		return;
	if (x->out_chunked) {
		char size[18];
		size_t k = sd_http_chunk_head(size, n);
		put(x, size, k);
		sd_stream_write(x->stream, p, n);
		put(x, "\r\n", 2);
	} else {
		/* Never more than was promised: the rest would be taken for the next answer. */
		if (x->out_known && n > x->out_left)
			n = (size_t)x->out_left;
		if (x->out_known)
			x->out_left -= n;
		sd_stream_write(x->stream, p, n);
	}
	if (sd_http_backlog(x))
		pace(x);
}

ssize_t sd_http_send_file(struct sd_http_exchange *x, struct sd_file *f, uint64_t off, size_t n)
{
	if (!x->out_body || !x->out_known)
		return -SD_EUNSUPPORTED;
	ssize_t went = sd_stream_send_file(x->stream, f, off, n < x->out_left ? n : (size_t)x->out_left);
	if (went > 0)
		x->out_left -= (uint64_t)went;
	if (sd_http_backlog(x))
		pace(x);
	return went;
}

void sd_http_yield(struct sd_http_exchange *x)
{
	sd_stream_yield(x->stream);
	pace(x);
}

/* Both halves are over. */
static void next_request(struct sd_http_exchange *x)
{
	x->state = IDLE;
	x->user = NULL;
	if (!x->keep_alive || x->server->draining) {
		finish_connection(x, x->stream->in_len > 0);
		return;
	}
	sd_stream_deadline(x->stream, after(x, x->server->conf.idle_timeout_ns));
	if (x->in_data)
		return;
	if (x->stream->in_len > 0)
		sd_stream_resume(x->stream);
	else if (x->stream->got_eof)
		close_quietly(x);
}

/* Is so little of an unwanted body to come that reading it is cheaper than a new connection? */
static bool little_left(const struct sd_http_exchange *x)
{
	return x->framing == SD_HTTP_BODY_LENGTH && x->in_left <= DISCARD_MAX && !x->expect;
}

void sd_http_finish(struct sd_http_exchange *x)
{
	if (x->out_chunked)
		put(x, "0\r\n\r\n", 5);
	if (x->out_left > 0) {
		sd_http_abort(x); /* promised more than came */
		return;
	}
	x->out_done = true;
	if (x->in_done) {
		next_request(x);
		return;
	}
	/* Answered before the body was here. */
	if (!x->keep_alive || !little_left(x)) {
		finish_connection(x, true);
		return;
	}
	x->state = DISCARD;
	if (x->paused)
		sd_http_body_resume(x);
}

void sd_http_abort(struct sd_http_exchange *x)
{
	x->out_done = true;
	drop(x, true);
}

void sd_http_interim(struct sd_http_exchange *x, int status, const char *fields)
{
	char line[64];
	if (x->minor == 0)
		return;
	snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", status, sd_http_status_text(status));
	put_text(x, line);
	put_text(x, fields);
	put(x, "\r\n", 2);
	if (status == 100)
		x->expect = false;
}

/* Lines of a head, but those that a rule drops. */
static void put_lines(struct sd_http_exchange *x, const char *lines)
{
	while (*lines) {
		size_t n = strcspn(lines, "\n");
		n += lines[n] == '\n';
		if (!sd_head_edit_drops(x->edit, (struct sd_slice){lines, strcspn(lines, ":\n")}))
			put(x, lines, n);
		lines += n;
	}
}

void sd_http_say(struct sd_http_exchange *x, int status, const char *extra, const char *content_type, const void *body,
		 size_t n)
{
	if (!x->in_done && !little_left(x))
		x->keep_alive = false;
	put_status(x, status, (struct sd_slice){NULL, 0});
	sd_http_date(x);
	if (content_type)
		sd_http_field_text(x, "Content-Type", content_type);
	if (extra)
		put_lines(x, extra);
	sd_http_head_done(x, (int64_t)n);
	sd_http_write(x, body, n);
}

void sd_http_respond(struct sd_http_exchange *x, int status, const char *extra, const char *content_type,
		     const void *body, size_t n)
{
	sd_http_say(x, status, extra, content_type, body, n);
	sd_http_finish(x);
}

void sd_http_respond_text(struct sd_http_exchange *x, int status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	sd_http_respond(x, status, NULL, "text/plain; charset=utf-8", text, (size_t)n);
}

void sd_http_refuse_as(struct sd_http_exchange *x, int status, enum sd_proxy_error error, const char *fields, const char *why)
{
	char text[512], extra[SD_PROXY_STATUS + 128];
	int n = snprintf(text, sizeof(text), "%d %s: %.440s\n", status, sd_http_status_text(status), why);
	size_t used = sd_proxy_status_write(extra, error, why);
	snprintf(extra + used, sizeof(extra) - used, "%s", fields);
	x->keep_alive = false;
	sd_http_respond(x, status, extra[0] ? extra : NULL, "text/plain; charset=utf-8", text, (size_t)n);
}

void sd_http_refuse(struct sd_http_exchange *x, int status, const char *why)
{
	sd_http_refuse_as(x, status, x->server->proxy ? SD_PROXY_HTTP_REQUEST_ERROR : SD_PROXY_OK, "", why);
}

/* ---- reading requests ---- */

static void turn_away(struct sd_http_exchange *x, const struct sd_http_head *head, struct sd_slice raw, int status, const char *why)
{
	struct sd_http_server *srv = x->server;
	x->keep_alive = false;
	if (srv->handler->turn_away)
		srv->handler->turn_away(x, head, raw, status, why);
	else if (status == 429)
		sd_http_refuse_as(x, status, srv->proxy ? SD_PROXY_HTTP_REQUEST_DENIED : SD_PROXY_OK, "Retry-After: 1\r\n", why);
	else
		sd_http_refuse(x, status, why);
}

/* Refuses what never became a request. */
static void refuse_early(struct sd_http_exchange *x, struct sd_slice raw, int status, const char *why)
{
	sd_count(&x->server->stats.refused, 1);
	x->state = WAIT;
	x->method = SD_HTTP_GET;
	x->minor = 1;
	x->in_done = false;
	x->framing = SD_HTTP_BODY_NONE;
	x->out_begun = x->out_done = false;
	if (x->server->handler->refused)
		x->server->handler->refused(x, NULL, status, why);
	turn_away(x, NULL, raw, status, why);
}

static void begin_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct sd_http_server *srv = x->server;
	sd_count(&srv->stats.requests, 1);
	x->nrequests++;
	x->state = BODY;
	x->method = (uint8_t)head->method;
	x->minor = (uint8_t)head->minor;
	x->framing = (uint8_t)head->framing;
	x->keep_alive = head->keep_alive;
	x->in_left = head->framing == SD_HTTP_BODY_LENGTH ? head->content_length : 0;
	x->in_done = head->framing == SD_HTTP_BODY_NONE || (head->framing == SD_HTTP_BODY_LENGTH && !x->in_left);
	x->expect = head->expect_continue && !x->in_done;
	x->out_begun = x->out_done = x->paused = x->out_chunked = x->defer_continue = false;
	x->out_left = 0;
	x->refused_status = 0;
	x->edit = NULL;
	x->lines = (struct sd_slice){0};
	x->user = NULL;
	if (head->framing == SD_HTTP_BODY_CHUNKED)
		memset(&x->chunked, 0, sizeof(x->chunked));
	if (x->in_done)
		x->state = WAIT;
}

static void request_complete(struct sd_http_exchange *x)
{
	x->in_done = true;
	x->state = WAIT;
	pace(x);
	if (x->server->handler->end)
		x->server->handler->end(x);
}

/* Not before it asked: an answer that nobody waits for yet confuses clients. */
static void refuse_over(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	static const char why[] = "too many connections from this address (max-connections-per-client)";
	struct sd_http_server *srv = x->server;
	sd_count(&srv->stats.refused, 1);
	if (srv->handler->refused)
		srv->handler->refused(x, head, 429, why);
	turn_away(x, head, (struct sd_slice){0}, 429, why);
}

/* Returns false when the connection is gone. */
static bool hand_request(struct sd_http_exchange *x, struct sd_http_head *head)
{
	struct sd_http_server *srv = x->server;
	struct sd_stream *s = x->stream;
	begin_request(x, head);
	uint32_t serial = x->nrequests;
	x->max_body = srv->conf.max_body;
	if (x->over) {
		refuse_over(x, head);
		return false;
	}
	if (srv->conf.max_body && x->in_left > srv->conf.max_body) {
		sd_count(&srv->stats.refused, 1);
		if (srv->handler->refused)
			srv->handler->refused(x, head, 413, "the body is larger than this server takes (max-body)");
		turn_away(x, head, (struct sd_slice){0}, 413, "the body is larger than this server takes (max-body)");
		return false;
	}
	pace(x);
	srv->handler->request(x, head);
	if (!serves(s, x))
		return false;
	if (x->state == WAIT && !x->out_done && x->nrequests == serial && srv->handler->end) {
		srv->handler->end(x);
		return serves(s, x);
	}
	if (x->state == BODY && x->expect && !x->out_begun && !x->paused && !x->defer_continue)
		sd_http_interim(x, 100, "");
	return true;
}

/* Parses one head; returns what it took, and whether to go on in *more. */
static size_t take_head(struct sd_http_exchange *x, const char *p, size_t n, bool *more)
{
	struct sd_http_server *srv = x->server;
	struct sd_http_head *head = &srv->head;
	ssize_t took = sd_http_parse_request(p, n, x->seen, &srv->conf.limits, head);
	if (took == SD_HTTP_INCOMPLETE) {
		if (x->state == IDLE) {
			x->state = HEAD;
			if (!x->over)
				sd_stream_deadline(x->stream, after(x, srv->conf.head_timeout_ns));
		}
		x->seen = (uint32_t)n;
		*more = false;
		return 0;
	}
	x->seen = 0;
	if (took == SD_HTTP_BAD) {
		refuse_early(x, (struct sd_slice){p, n}, head->error_status, head->error_reason);
		*more = false;
		return n;
	}
	*more = hand_request(x, head);
	return (size_t)took;
}

/* The body broke a rule: the handler hears gone(), the client the status while it can. */
static void refuse_body(struct sd_http_exchange *x, int status, const char *why)
{
	bool begun = x->out_begun;
	sd_count(&x->server->stats.refused, 1);
	x->refused_status = (uint16_t)status;
	x->refused_why = why;
	if (x->state == BODY && !x->out_done && x->server->handler->gone)
		x->server->handler->gone(x);
	x->out_done = true;
	if (begun)
		drop(x, true);
	else
		turn_away(x, NULL, (struct sd_slice){0}, status, why);
}

/* Decodes one run of chunked body; -1 after a refusal. */
static ssize_t decode_chunked(struct sd_http_exchange *x, const char *p, size_t n, struct sd_slice *data, bool *done)
{
	uint64_t max = x->max_body;
	ssize_t took = sd_http_chunked_decode(&x->chunked, p, n, data);
	if (took < 0) {
		refuse_body(x, 400, x->chunked.error);
		return -1;
	}
	*done = x->chunked.done;
	x->in_left += data->n; /* counts up here: for the limit */
	if (max && x->in_left > max) {
		refuse_body(x, 413, "the body is larger than this server takes (max-body)");
		return -1;
	}
	return took;
}

static void body_over(struct sd_http_exchange *x)
{
	if (x->state == BODY) {
		request_complete(x);
	} else if (x->state == DISCARD) {
		x->in_done = true;
		next_request(x);
	}
}

/* One run of body bytes; returns what it took, and whether to go on in *more. */
static size_t take_body(struct sd_http_exchange *x, const char *p, size_t n, bool *more)
{
	struct sd_stream *s = x->stream;
	struct sd_slice data = {p, n < x->in_left ? n : (size_t)x->in_left};
	ssize_t took = (ssize_t)data.n;
	bool done = false;
	if (x->framing == SD_HTTP_BODY_CHUNKED) {
		took = decode_chunked(x, p, n, &data, &done);
		if (took < 0) {
			*more = false;
			return n;
		}
	} else {
		x->in_left -= data.n;
		done = x->in_left == 0;
	}
	if (x->state == BODY) {
		pace(x);
		if (data.n && x->server->handler->body)
			x->server->handler->body(x, data.p, data.n);
	}
	if (serves(s, x) && done)
		body_over(x);
	*more = serves(s, x);
	return (size_t)took;
}

static size_t take(struct sd_http_exchange *x, const char *p, size_t n)
{
	size_t off = 0;
	bool more = true;
	while (more && off < n) {
		if (x->state == IDLE || x->state == HEAD) {
			off += take_head(x, p + off, n - off, &more);
		} else if (x->state == WAIT || (x->paused && x->state == BODY)) {
			return off;
		} else {
			off += take_body(x, p + off, n - off, &more);
		}
	}
	return off;
}

/* ---- what the stream says ---- */

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_http_exchange *x = s->owner;
	x->in_data = true;
	size_t took = take(x, p, n);
	if (!serves(s, x))
		return took;
	x->in_data = false;
	if (s->got_eof && x->state <= HEAD)
		close_quietly(x);
	else if (s->got_eof && took == n && !x->in_done)
		drop(x, false); /* the end came while the body was paused */
	return took;
}

/* What is kept of a paused body is not all that was announced, and the rest will not come: nobody waits for an answer. */
static bool lacks_body(const struct sd_http_exchange *x)
{
	return x->paused && x->state == BODY && x->framing == SD_HTTP_BODY_LENGTH && x->stream->in_len < x->in_left;
}

static void on_eof(struct sd_stream *s)
{
	struct sd_http_exchange *x = s->owner;
	/* Between requests it is the end; while one is answered the client may only have shut its sending side. */
	if (x->state == WAIT || (s->in_len > 0 && !lacks_body(x) && (x->paused || x->state == DISCARD)))
		return;
	if (x->state <= HEAD)
		close_quietly(x);
	else
		drop(x, false);
}

static void on_drained(struct sd_stream *s)
{
	struct sd_http_exchange *x = s->owner;
	if (!in_exchange(x))
		return;
	pace(x);
	if (x->server->handler->drained)
		x->server->handler->drained(x);
}

static void on_timeout(struct sd_stream *s)
{
	struct sd_http_exchange *x = s->owner;
	struct sd_http_server *srv = x->server;
	if (x->state == IDLE) {
		close_quietly(x);
		return;
	}
	sd_count(&srv->stats.timeouts, 1);
	if (x->state == HEAD) {
		refuse_early(x, (struct sd_slice){0}, 408, "the request head took too long (head-timeout)");
	} else if (x->state == BODY && !x->out_begun && !x->paused) {
		refuse_body(x, 408, "the request body took too long (body-timeout)");
	} else {
		drop(x, true);
	}
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	drop(s->owner, false);
}

static const struct sd_stream_events server_stream_events = {
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .closed = on_closed,
};

void sd_http_body_pause(struct sd_http_exchange *x)
{
	x->paused = true;
	if (!x->in_done)
		pace(x);
}

void sd_http_body_resume(struct sd_http_exchange *x)
{
	if (!x->paused)
		return;
	x->paused = false;
	if (x->in_done)
		return;
	if (x->expect && !x->out_begun && !x->defer_continue)
		sd_http_interim(x, 100, "");
	pace(x);
	if (!x->in_data)
		sd_stream_resume(x->stream);
}

struct sd_stream *sd_http_take_stream(struct sd_http_exchange *x)
{
	struct sd_stream *s = leave_stream(x);
	sd_stream_deadline(s, SD_NEVER);
	release(x);
	return s;
}

/* ---- the server ---- */

static void pause_when_full(struct sd_http_server *srv)
{
	if (srv->paused || !is_full(srv))
		return;
	srv->paused = true;
	set_doors(srv);
}

void sd_http_server_close_doors(struct sd_http_server *srv, bool closed)
{
	srv->closed = closed;
	set_doors(srv);
}

/* NULL: out of memory, and io is closed. */
static struct sd_http_exchange *exchange_new(struct sd_http_server *srv, struct sd_io *io)
{
	struct sd_http_exchange *x = calloc(1, sizeof(*x));
	if (!x) {
		io->ops->close(io, true);
		return NULL;
	}
	x->server = srv;
	/* A whole head must fit: it is kept until it is complete. */
	size_t head = srv->conf.limits.max_head ? srv->conf.limits.max_head : 32 * 1024;
	x->stream =
	    sd_stream_new(io, false, head > IN_LIMIT ? (uint32_t)head : IN_LIMIT, &server_stream_events, x);
	if (!x->stream) {
		free(x);
		return NULL;
	}
	return x;
}

/* A handshake is to be as quick as a head; who has one connection too many may not keep it by saying nothing. */
static int64_t patience(const struct sd_http_exchange *x)
{
	const struct sd_http_server_conf *conf = &x->server->conf;
	if (x->over)
		return conf->head_timeout_ns && conf->head_timeout_ns < LINGER_NS ? conf->head_timeout_ns : LINGER_NS;
	return x->secure ? conf->head_timeout_ns : conf->idle_timeout_ns;
}

void sd_http_server_adopt(struct sd_http_server *srv, struct sd_io *io)
{
	bool secure = sd_http_is_secure(srv, &io->peer);
	struct sd_client_pass pass = {0};
	bool over = srv->gate && !sd_client_gate_enter(srv->gate, &io->peer, &pass);
	struct sd_http_exchange *x = NULL;
	if (over && secure)
		io->ops->close(io, true); /* before the handshake, which is what would cost most */
	else if (!secure || (io = sd_tls_accept(srv->tls, io)))
		x = exchange_new(srv, io);
	if (!x) {
		sd_client_pass_end(&pass);
		one_less(srv); /* it may have been the one that filled the server while its PROXY header was read */
		return;
	}
	x->secure = secure;
	x->over = over;
	x->stream->pass = pass;
	sd_list_add(&srv->connections, &x->link);
	sd_count(&srv->stats.accepted, 1);
	sd_gauge(&srv->stats.active, 1);
	sd_stream_deadline(x->stream, after(x, patience(x)));
	pause_when_full(srv);
}

/* Its PROXY header was read, where there is one. */
static void after_proxy(void *arg, struct sd_io *io)
{
	sd_http_server_adopt(arg, io);
}

static void on_accepted(void *arg, struct sd_io *io)
{
	const struct sd_http_door *door = arg;
	io->peer.door = door->number;
	sd_proxy_in_take(&door->srv->proxy_in, io);
	pause_when_full(door->srv);
}

static void on_starved(void *arg, bool paused)
{
	struct sd_http_server *srv = ((struct sd_http_door *)arg)->srv;
	sd_count(&srv->stats.starved, paused);
	if (srv->starved)
		srv->starved(srv, paused);
}

void sd_http_server_init(struct sd_http_server *srv, struct sd_loop *loop, const struct sd_http_server_conf *conf,
			 const struct sd_http_handler *handler, void *arg)
{
	*srv = (struct sd_http_server){.loop = loop, .conf = *conf, .handler = handler, .arg = arg, .date_second = -1};
	sd_list_init(&srv->connections);
	sd_proxy_in_init(&srv->proxy_in, loop, &conf->proxy, after_proxy, srv);
	srv->proxy_in.ended = one_less;
}

enum sd_err sd_http_server_listen(struct sd_http_server *srv, struct sd_addr *addr, bool shared, struct sd_error *e)
{
	return sd_http_server_listen_at(srv, addr, 0, shared, e);
}

enum sd_err sd_http_server_listen_at(struct sd_http_server *srv, struct sd_addr *addr, uint8_t number, bool shared,
				     struct sd_error *e)
{
	if (srv->ndoors == SD_HTTP_MAX_DOORS)
		return sd_fail(e, SD_ERANGE, "a service listens on at most %d addresses", SD_HTTP_MAX_DOORS);
	struct sd_http_door *door = &srv->doors[srv->ndoors];
	*door = (struct sd_http_door){.srv = srv, .number = number};
	struct sd_listener_events events = {.accepted = on_accepted, .starved = on_starved, .arg = door};
	enum sd_err err = sd_loop_listen(srv->loop, addr, shared, &events, &door->listener, e);
	if (!err)
		srv->ndoors++;
	return err;
}

static void close_listeners(struct sd_http_server *srv)
{
	while (srv->ndoors > 0)
		sd_listener_close(srv->doors[--srv->ndoors].listener);
}

void sd_http_server_drain(struct sd_http_server *srv, void (*idle)(struct sd_http_server *srv))
{
	srv->draining = true;
	close_listeners(srv);
	sd_proxy_in_close(&srv->proxy_in);
	for (struct sd_link *k = srv->connections.next, *next; k != &srv->connections; k = next) {
		struct sd_http_exchange *x = sd_container(k, struct sd_http_exchange, link);
		next = k->next;
		if (x->state == IDLE)
			close_quietly(x);
	}
	srv->idle = idle;
	if (srv->stats.active == 0 && srv->idle) {
		srv->idle = NULL;
		idle(srv);
	}
}

void sd_http_server_stop(struct sd_http_server *srv)
{
	srv->draining = true;
	srv->idle = NULL;
	close_listeners(srv);
	sd_proxy_in_close(&srv->proxy_in);
	while (!sd_list_empty(&srv->connections))
		drop(sd_container(srv->connections.next, struct sd_http_exchange, link), true);
}
