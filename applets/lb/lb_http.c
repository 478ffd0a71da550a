/* lb_http.c - the way of an HTTP request through the balancer.
 *
 *	request --> PICK --backend--> CALLING --head--> ANSWERING --end--> over
 *	             | all full          | failed            | failed: the client's connection is cut, so that
 *	             v                   v                   |         it sees that something is missing
 *	           QUEUED             again? --no--> 502/504 v
 *	             | timeout           | yes              over
 *	             v                   +--> PICK
 *	            503
 *
 * A request is tried again when no byte of an answer went to the client, what it sent is still at hand, and either
 * nothing reached a backend (connecting failed) or the method is idempotent (RFC 9110 section 9.2.2). A connection that
 * was idle and turns out closed is replaced by a fresh one to the same backend, which does not count as a retry.
 */
#include <stdlib.h>
#include <string.h>

#include "core/http1_write.h"
#include "lb_files.h"
#include "lb_http.h"

static const struct sd_http_caller caller;
static void pick_and_call(struct lb_request *r);

/* ---- requests and their bytes ---- */

static struct lb_request *request_new(struct lb_worker *w, struct sd_http_exchange *x)
{
	struct lb_request *r = w->free_requests;
	if (r)
		memcpy(&w->free_requests, r, sizeof(void *));
	else
		r = malloc(sizeof(*r));
	if (!r)
		return NULL;
	memset(r, 0, offsetof(struct lb_request, tried));
	r->w = w;
	r->x = x;
	r->snap = w->snap;
	__atomic_add_fetch(&r->snap->refs, 1, __ATOMIC_RELAXED);
	return r;
}

static void drop_sent(struct lb_request *r)
{
	if (r->cap == SD_LOOP_BLOCK)
		sd_loop_block_free(r->w->loop, r->sent);
	else
		free(r->sent);
	r->sent = NULL;
	r->n = r->cap = 0;
}

static void request_free(struct lb_request *r)
{
	struct lb_worker *w = r->w;
	drop_sent(r);
	if (r->log)
		lb_log_end(&w->log, r->log);
	free(r->why);
	sd_http_encode_free(r->encode);
	lb_routes_release(r->routes);
	lb_snapshot_release(r->snap);
	memcpy(r, &w->free_requests, sizeof(void *));
	w->free_requests = r;
}

void lb_http_free(struct lb_worker *w)
{
	while (w->free_requests) {
		void *r = w->free_requests;
		memcpy(&w->free_requests, r, sizeof(void *));
		free(r);
	}
}

char *lb_request_reserve(struct lb_request *r, size_t more)
{
	if (r->n + more <= r->cap)
		return r->sent + r->n;
	size_t cap = SD_LOOP_BLOCK;
	while (cap < r->n + more)
		cap *= 2;
	char *p = cap == SD_LOOP_BLOCK ? sd_loop_block(r->w->loop) : malloc(cap);
	if (!p)
		return NULL;
	size_t n = r->n;
	if (n)
		memcpy(p, r->sent, n);
	drop_sent(r);
	r->sent = p;
	r->n = n;
	r->cap = cap;
	return p + n;
}

/* Bytes for the backend: sent now when there is a call, and kept as long as they may be needed again. */
static void emit(struct lb_request *r, const char *p, size_t n)
{
	if (r->replay) {
		char *to = r->n + n <= r->snap->retry_buffer + SD_LOOP_BLOCK ? lb_request_reserve(r, n) : NULL;
		if (to) {
			memcpy(to, p, n);
			r->n += n;
		} else {
			r->replay = false;
		}
	}
	if (r->call)
		sd_http_call_write(r->call, p, n);
	if (!r->replay && r->call && r->sent)
		drop_sent(r);
}

/* ---- ends ---- */

static void let_go(struct lb_request *r)
{
	struct lb_peer *peer = r->peer;
	r->call = NULL;
	r->peer = NULL;
	if (peer)
		lb_worker_give_back(r->w, peer, &r->hold);
}

/* How it ended, for the access log; for an answer made here, with its status and reason. */
static void log_end(struct lb_request *r, enum sd_access_end end, int status, const char *why)
{
	if (!r->log)
		return;
	r->log->line.end = end;
	if (status)
		r->log->line.status = status;
	if (why)
		r->log->line.why = sd_slice_of(why);
	r->log->line.retries = r->tries;
	r->log->line.queue_ns = r->waited_ns;
}

/* What the client wants to know, as a field of its answer. */
static void say_why(const struct lb_request *r, const char *backend)
{
	char *line = r->why ? lb_why_line(r->why, backend, r->tries) : NULL;
	if (line)
		sd_stream_write(r->x->stream, line, strlen(line));
	free(line);
}

static void answer_fields(struct lb_request *r, int status, const char *fields, const char *text)
{
	struct sd_http_exchange *x = r->x;
	lb_worker_dequeue(r->w, &r->waiter);
	log_end(r, SD_ACCESS_LOCAL, status, text);
	char body[256], *why = r->why ? lb_why_line(r->why, "none", r->tries) : NULL;
	int n = snprintf(body, sizeof(body), "%d %s: %.180s\n", status, sd_http_status_text(status), text);
	if (r->log)
		r->log->line.bytes_out = x->method == SD_HTTP_HEAD ? 0 : (uint64_t)n;
	request_free(r);
	x->user = NULL;
	x->lines = sd_slice_of(why ? why : "");
	sd_http_respond(x, status, fields[0] ? fields : NULL, "text/plain; charset=utf-8", body, (size_t)n);
	free(why);
}

static void answer_with(struct lb_request *r, int status, enum sd_proxy_error error, const char *text)
{
	char extra[SD_PROXY_STATUS + 64];
	size_t used = sd_proxy_status_write(extra, error, text);
	if (status == 503)
		snprintf(extra + used, sizeof(extra) - used, "Retry-After: %d\r\n", (int)r->snap->retry_after_s);
	answer_fields(r, status, extra, text);
}

static void answer_error(struct lb_request *r, enum lb_reason reason)
{
	const struct lb_answer *a = &lb_answers[reason];
	answer_with(r, a->status, a->error, a->text);
}

/* ---- picking and calling ---- */

/* A copy, since the backend may be gone before the request is. */
static void log_backend(struct lb_request *r, const struct lb_backend *b)
{
	struct lb_log_entry *log = r->log;
	if (!log)
		return;
	snprintf(log->backend, sizeof(log->backend), "%s", b->name);
	log->line.backend = sd_slice_of(log->backend);
}

/* On a connection that begins with a PROXY header, and is not used again for another client. */
static struct sd_http_call *start_with_proxy(struct lb_request *r, struct lb_peer *peer, struct sd_error *e)
{
	char header[SD_PP_WRITE_MAX];
	struct sd_slice first = {header, lb_proxy_write(header, peer->send_proxy, r->x->stream->io, NULL)};
	return sd_http_call_start_with(&peer->pool, (enum sd_http_method)r->method, first, &caller, r, e);
}

static bool call(struct lb_request *r, struct lb_peer *peer, bool fresh, struct sd_error *e)
{
	r->call = peer->send_proxy ? start_with_proxy(r, peer, e)
				   : sd_http_call_start(&peer->pool, (enum sd_http_method)r->method, fresh, &caller, r, e);
	if (!r->call)
		return false;
	r->called_ns = sd_loop_now_ns(r->w->loop);
	sd_http_call_write(r->call, r->sent, r->n);
	if (r->complete)
		sd_http_call_sent(r->call);
	if (!r->replay)
		drop_sent(r);
	/* It may have been paused for a backend that failed; who takes everything at once will not say so later. */
	if (!sd_http_call_backlog(r->call))
		sd_http_body_resume(r->x);
	return true;
}

static void none_tried(struct lb_request *r)
{
	if (r->pool != LB_NO_POOL)
		memset(r->tried, 0, (r->snap->pools[r->pool].n + 63) / 64 * 8);
}

/* Indices in `tried` are those of the request's own snapshot: when another one came meanwhile it begins anew. */
static void follow_snapshot(struct lb_request *r)
{
	if (r->snap == r->w->snap)
		return;
	r->pool = lb_pool_follow(r->snap, r->pool, r->w->snap);
	lb_snapshot_release(r->snap);
	r->snap = r->w->snap;
	__atomic_add_fetch(&r->snap->refs, 1, __ATOMIC_RELAXED);
	none_tried(r);
}

static void mark_tried(struct lb_request *r, const struct lb_peer *peer)
{
	follow_snapshot(r);
	if (peer->index == SIZE_MAX || peer->in_pool != r->pool)
		return;
	size_t i = peer->index - r->snap->pools[r->pool].first;
	r->tried[i / 64] |= 1ull << (i % 64);
}

/* It waited in the queue until now. */
static void note_wait(struct lb_request *r)
{
	int64_t ns = sd_loop_now_ns(r->w->loop) - r->queued_ns;
	r->waited_ns += ns;
	sd_histogram_add(&r->w->queued, ns);
}

static void go(struct lb_waiter *self)
{
	struct lb_request *r = sd_container(self, struct lb_request, waiter);
	note_wait(r);
	sd_http_body_resume(r->x);
	pick_and_call(r);
}

static void give_up(struct lb_waiter *self, bool timeout)
{
	struct lb_request *r = sd_container(self, struct lb_request, waiter);
	note_wait(r);
	answer_error(r, timeout ? LB_QUEUE_TIMEOUT : LB_QUEUE_LEFT);
}

static void wait_for_one(struct lb_request *r)
{
	r->waiter.go = go;
	r->waiter.give_up = give_up;
	r->waiter.picky = lb_affinity_pinned(r->snap, r->pool, &r->want, r->tried) >= 0;
	if (!lb_worker_enqueue(r->w, r->pool, &r->waiter)) {
		answer_error(r, LB_QUEUE_FULL);
		return;
	}
	r->queued_ns = sd_loop_now_ns(r->w->loop);
	if (!r->x->in_done)
		sd_http_body_pause(r->x);
}

/* Counts against the retries; false when none is left. */
static bool again(struct lb_request *r, const struct lb_peer *peer)
{
	uint32_t most = r->pool == LB_NO_POOL ? 0 : r->snap->pools[r->pool].retries;
	if (!r->replay || r->tries >= most || !lb_worker_may_retry(r->w))
		return false;
	mark_tried(r, peer);
	r->tries++;
	sd_count(&r->w->retries, 1);
	sd_count(&peer->cell->retried, 1);
	return true;
}

static void pick_and_call(struct lb_request *r)
{
	struct lb_worker *w = r->w;
	struct sd_error e = {0};
	for (;;) {
		follow_snapshot(r);
		int i = lb_worker_take(w, r->pool, r->tried, &r->want, &r->hold);
		if (i == LB_FULL) {
			wait_for_one(r);
			return;
		}
		if (i == LB_NONE) {
			if (r->tries > 0) {
				answer_error(r, LB_NONE_LEFT);
				return;
			}
			sd_count(&w->unavailable, 1);
			answer_error(r, LB_NO_BACKEND);
			return;
		}
		r->peer = w->peers[i];
		log_backend(r, r->peer->backend);
		if (call(r, r->peer, false, &e))
			return;
		/* refused at once (UNIX and in-process), or out of descriptors, which is not the backend's fault */
		struct lb_peer *peer = r->peer;
		bool ours = e.code == SD_ENOFILES || e.code == SD_ENOMEM;
		if (!ours)
			lb_worker_failed(w, peer, &r->hold, e.code);
		sd_count(&peer->cell->codes[0], 1);
		bool more = !ours && again(r, peer);
		let_go(r);
		if (!more) {
			answer_error(r, ours ? LB_NO_ROOM : LB_BACKEND_REFUSED);
			return;
		}
	}
}

/* ---- what the client says ---- */

/* Never becomes a request to a backend. */
static void turn_away(struct sd_http_exchange *x, const struct sd_http_head *head, enum lb_reason reason)
{
	const struct lb_answer *a = &lb_answers[reason];
	lb_head_refused(x, head, a->status, a->text);
	/* RFC 9110 sections 15.5.6 and 10.2.1: what else might be asked of an authority? Nothing. */
	sd_http_refuse_as(x, a->status, a->error, a->status == 405 ? "Allow:\r\n" : "", a->text);
}

/* The request is not wanted, body and all. */
static void refuse(struct lb_request *r, int status, enum sd_proxy_error error, const char *text)
{
	struct sd_http_exchange *x = r->x;
	log_end(r, SD_ACCESS_LOCAL, status, text);
	request_free(r);
	sd_http_refuse_as(x, status, error, "", text);
}

/* A redirect, or words of the configuration. */
static void answer_by_route(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told)
{
	struct sd_http_exchange *x = r->x;
	const struct lb_route *route = r->route;
	char *fields = lb_head_of_answer(r, head, told), line[LB_ROUTE_NAME + 64];
	if (!fields) {
		refuse(r, 503, SD_PROXY_INTERNAL_ERROR, lb_answers[LB_NO_MEMORY].text);
		return;
	}
	snprintf(line, sizeof(line), "%d %s: route %s\n", route->status, sd_http_status_text(route->status), route->name);
	const char *body = route->action == LB_SAY && route->text ? route->text : line;
	size_t n = route->status == 204 || route->status == 304 ? 0 : strlen(body);
	x->user = NULL;
	log_end(r, SD_ACCESS_LOCAL, route->status, route->name);
	sd_http_say(x, route->status, fields, "text/plain; charset=utf-8", body, n);
	if (r->log)
		r->log->line.bytes_out = x->out_body ? n : 0;
	free(fields);
	request_free(r);
	sd_http_finish(x);
}

static void file_over(void *arg, struct sd_http_exchange *x, int status, bool cut, uint64_t bytes)
{
	struct lb_request *r = arg;
	if (r->log)
		r->log->line.bytes_out = bytes;
	log_end(r, SD_ACCESS_LOCAL, status, cut ? "the file became shorter" : r->route->name);
	x->edit = NULL; /* they go with the request */
	x->lines = (struct sd_slice){0};
	request_free(r);
	x->user = NULL;
}

/* Without a backend. */
static void answer_here(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told)
{
	r->x->edit = &r->route->edits.answer;
	r->x->lines = (struct sd_slice){r->route->edits.lines, r->route->edits.nlines};
	if (r->route->action == LB_FILES)
		lb_files_answer(r, head, told, file_over);
	else
		answer_by_route(r, head, told);
}

/* Within what the route takes? */
static bool limit_body(struct lb_request *r, const struct sd_http_head *head)
{
	uint64_t max = r->route ? r->route->max_body : r->routes ? r->routes->max_body_default : r->x->max_body;
	r->x->max_body = max;
	return !max || head->framing != SD_HTTP_BODY_LENGTH || head->content_length <= max;
}

static void begin(struct lb_request *r, const struct sd_http_head *head)
{
	struct sd_http_exchange *x = r->x;
	x->user = r;
	x->defer_continue = head->expect_continue;
	r->method = (uint8_t)head->method;
	r->idempotent = sd_http_method_idempotent(head->method);
	r->chunked = head->framing == SD_HTTP_BODY_CHUNKED;
	r->complete = x->in_done;
	r->replay = true;
	r->begun_ns = sd_loop_now_ns(r->w->loop);
	none_tried(r);
	lb_encode_ask(r, head);
	lb_affinity_of(r->w, r->pool, head, &x->stream->io->peer, x->secure, &r->want);
	if (lb_head_wants_why(r, head) && r->pool != LB_NO_POOL)
		r->why = lb_why_candidates(r->w, r->pool, &r->want);
	lb_worker_asked(r->w);
}

/* To a backend, unless something speaks against it. */
static void send_on(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told)
{
	if (!limit_body(r, head)) {
		refuse(r, 413, lb_answers[LB_TOO_LARGE].error, lb_answers[LB_TOO_LARGE].text);
		return;
	}
	if (!lb_head_write(r, head, told)) {
		refuse(r, 503, SD_PROXY_INTERNAL_ERROR, lb_answers[LB_NO_MEMORY].text);
		return;
	}
	begin(r, head);
	if (sd_proxy_is_last_hop(head))
		answer_error(r, head->method == SD_HTTP_TRACE ? LB_NO_TRACE : LB_LAST_HOP);
	else if (r->pool == LB_NO_POOL)
		answer_error(r, LB_NO_ROUTE);
	else
		pick_and_call(r);
}

/* True: it was answered, since a limit says no. */
static bool is_over(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told)
{
	struct sd_limits_verdict v;
	char fields[LB_LIMIT_FIELDS], why[LB_LIMIT_TEXT];
	const char *bad = lb_limits_ask(r, head, told, &v);
	if (bad) {
		refuse(r, 400, SD_PROXY_HTTP_REQUEST_ERROR, bad);
		return true;
	}
	if (v.allowed)
		return false;
	lb_limits_refusal(r, &v, fields, why);
	answer_fields(r, 429, fields, why);
	return true;
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct lb_worker *w = x->server->arg;
	struct lb_told told;
	if (head->method == SD_HTTP_CONNECT) {
		turn_away(x, head, LB_FORWARD_PROXY);
		return;
	}
	struct lb_request *r = request_new(w, x);
	if (!r) {
		turn_away(x, head, LB_NO_MEMORY);
		return;
	}
	lb_head_read(r, x->stream->io->peer.door, head, &told);
	if (told.choice.bad)
		refuse(r, 400, SD_PROXY_HTTP_REQUEST_ERROR, told.choice.bad);
	else if (r->snap->limits && is_over(r, head, &told))
		return;
	else if (r->route && r->route->action != LB_TO_POOL)
		answer_here(r, head, &told);
	else
		send_on(r, head, &told);
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct lb_request *r = x->user;
	if (!r)
		return;
	if (r->log)
		r->log->line.bytes_in += n;
	if (r->chunked) {
		char size[18];
		size_t k = sd_http_chunk_head(size, n);
		emit(r, size, k);
		emit(r, p, n);
		emit(r, "\r\n", 2);
	} else {
		emit(r, p, n);
	}
	if (r->call && sd_http_call_backlog(r->call))
		sd_http_body_pause(x);
}

static void on_end(struct sd_http_exchange *x)
{
	struct lb_request *r = x->user;
	if (!r || r->complete)
		return;
	if (r->chunked)
		emit(r, "0\r\n\r\n", 5);
	r->complete = true;
	if (r->call)
		sd_http_call_sent(r->call);
}

static void on_client_drained(struct sd_http_exchange *x)
{
	struct lb_request *r = x->user;
	if (r && r->file)
		sd_http_files_drained(r->file);
	else if (r && r->call)
		sd_http_call_resume(r->call);
}

static void on_client_gone(struct sd_http_exchange *x)
{
	struct lb_request *r = x->user;
	if (!r)
		return;
	lb_worker_dequeue(r->w, &r->waiter);
	if (r->file)
		sd_http_files_gone(r->file);
	if (r->call)
		sd_http_call_cancel(r->call);
	if (x->refused_status)
		log_end(r, SD_ACCESS_REFUSED, x->refused_status, x->refused_why);
	else
		log_end(r, SD_ACCESS_CLIENT_GONE, 0, NULL);
	let_go(r);
	request_free(r);
}

const struct sd_http_handler lb_http_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_client_drained,
    .gone = on_client_gone,
    .refused = lb_head_refused,
};

/* ---- what the backend says ---- */

/* 100 goes on when the client asked for it, the others always (RFC 9110 section 15.2). */
static void on_answer_interim(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct lb_request *r = c->user;
	static const struct sd_proxy_hop back = {.via = {"sdlab", 5}};
	if (head->status == 100) {
		if (r->x->expect)
			sd_http_interim(r->x, 100, "");
		return;
	}
	char *fields = malloc(sd_proxy_answer_bound(head, &back) + 1);
	if (!fields)
		return; /* it says nothing that the final answer will not */
	fields[sd_proxy_answer_fields(fields, head, &back)] = '\0';
	sd_http_interim(r->x, head->status, fields);
	free(fields);
}

static void call_failed(struct lb_request *r, enum sd_http_phase phase, enum sd_err why, const char *text);

/* Where the time went, once an answer begins. */
static void note_times(struct lb_request *r, const struct sd_http_call *c, int status)
{
	int64_t connect = c->reused || !c->connected_ns ? 0 : c->connected_ns - r->called_ns;
	if (!c->reused)
		sd_histogram_add(&r->peer->cell->connect, connect);
	if (!r->log)
		return;
	r->log->line.connect_ns = connect;
	r->log->line.first_byte_ns = sd_loop_now_ns(r->w->loop) - r->called_ns - connect;
	r->log->line.status = status;
}

/* The request's pool as the worker sees it now. */
static uint32_t affinity_pool(const struct lb_request *r)
{
	return r->snap == r->w->snap ? r->pool : lb_pool_follow(r->snap, r->pool, r->w->snap);
}

/* The head of 101 as the client gets it. */
static void write_change(struct lb_request *r, const struct sd_http_head *head)
{
	struct sd_stream *s = r->x->stream;
	struct sd_proxy_hop back = lb_head_back(r);
	sd_http_begin(r->x, 101, head->reason);
	char *to = sd_stream_reserve(s, sd_proxy_answer_bound(head, &back));
	if (to)
		sd_stream_commit(s, sd_proxy_answer_fields(to, head, &back));
	lb_affinity_answer(r->w, affinity_pool(r), r->x, &r->want, r->peer->backend);
	sd_http_field_text(r->x, "Connection", "Upgrade");
	sd_http_field_text(r->x, "Upgrade", r->upgrade);
	sd_stream_write(s, "\r\n", 2);
}

/* 101: only to what was offered on behalf of the client, and what the backend named. */
static void change_protocol(struct lb_request *r, struct sd_http_call *c, const struct sd_http_head *head)
{
	struct lb_worker *w = r->w;
	struct lb_peer *peer = r->peer;
	struct sd_http_exchange *x = r->x;
	if (!r->upgrade[0] || !head->connection_upgrade || !sd_slice_ieq(head->upgrade, r->upgrade)) {
		sd_http_call_cancel(c);
		call_failed(r, SD_HTTP_ANSWERING, SD_EPROTO, "the backend changed to a protocol that nobody asked for");
		return;
	}
	lb_worker_succeeded(w, peer, &r->hold);
	struct lb_hold hold = r->hold;
	lb_worker_took(w, peer, sd_loop_now_ns(w->loop) - r->called_ns, true);
	sd_count(&peer->cell->codes[1], 1);
	sd_histogram_add(&peer->cell->latency, sd_loop_now_ns(w->loop) - r->begun_ns);
	note_times(r, c, 101);
	write_change(r, head);
	struct sd_stream *backend = sd_http_call_take_stream(c);
	x->user = NULL;
	log_end(r, SD_ACCESS_DONE, 0, NULL);
	request_free(r);
	lb_tunnel_begin(w, x, backend, peer, &hold);
}

static void on_answer_head(struct sd_http_call *c, const struct sd_http_head *said)
{
	struct sd_http_head left;
	const struct sd_http_head *head = said;
	struct lb_request *r = c->user;
	struct sd_http_exchange *x = r->x;
	if (head->status == 101) {
		change_protocol(r, c, head);
		return;
	}
	struct lb_cell *cell = r->peer->cell;
	struct sd_proxy_hop back = lb_head_back(r);
	int64_t length = SD_HTTP_UNKNOWN;
	r->answering = true;
	r->replay = false;
	drop_sent(r);
	lb_worker_answered(r->w, r->peer, &r->hold, head);
	lb_worker_took(r->w, r->peer, sd_loop_now_ns(r->w->loop) - r->called_ns, head->status < 500);
	sd_count(&cell->codes[head->status / 100 % 6], 1);
	sd_histogram_add(&cell->latency, sd_loop_now_ns(r->w->loop) - r->begun_ns);
	note_times(r, c, head->status);
	sd_http_begin(x, head->status, head->reason);
	head = lb_encode_begin(r, said, &left);
	char *to = sd_stream_reserve(x->stream, sd_proxy_answer_bound(head, &back));
	if (to)
		sd_stream_commit(x->stream, sd_proxy_answer_fields(to, head, &back));
	lb_affinity_answer(r->w, affinity_pool(r), x, &r->want, r->peer->backend);
	say_why(r, r->peer->backend->name);
	if (!sd_http_find(head, SD_HTTP_F_DATE))
		sd_http_date(x); /* RFC 9110 section 6.6.1 */
	if (r->encoded)
		length = SD_HTTP_UNKNOWN;
	else if (head->framing == SD_HTTP_BODY_LENGTH || head->has_content_length)
		length = (int64_t)head->content_length;
	else if (head->framing == SD_HTTP_BODY_NONE && x->method != SD_HTTP_HEAD && head->status != 304)
		length = 0;
	sd_http_head_done(x, length);
}

static void on_answer_body(struct sd_http_call *c, const char *p, size_t n)
{
	struct lb_request *r = c->user;
	if (!r->encode) {
		sd_http_write(r->x, p, n);
	} else if (!sd_http_encode_write(r->encode, p, n)) {
		sd_http_call_cancel(c);
		call_failed(r, SD_HTTP_ANSWERING, SD_ENOMEM, "out of memory");
		return;
	}
	if (r->log)
		r->log->line.bytes_out += n;
	if (sd_http_backlog(r->x))
		sd_http_call_pause(c);
}

static void on_answer_end(struct sd_http_call *c)
{
	struct lb_request *r = c->user;
	struct sd_http_exchange *x = r->x;
	struct lb_worker *w = r->w;
	struct lb_peer *peer = r->peer;
	struct lb_hold hold = r->hold;
	bool whole = !r->encode || sd_http_encode_end(r->encode);
	x->user = NULL;
	log_end(r, SD_ACCESS_DONE, 0, NULL);
	request_free(r);
	if (whole)
		sd_http_finish(x);
	else
		sd_http_abort(x);
	lb_worker_give_back(w, peer, &hold);
}

static int status_of(enum sd_err why)
{
	return why == SD_ETIMEOUT ? 504 : 502;
}

/* The connection had been idle and was closed under us: the same backend, once, on a new one. */
static bool refresh(struct lb_request *r, const struct sd_http_call *c, enum sd_http_phase phase, enum sd_err why)
{
	if (!c->reused || phase != SD_HTTP_SENT || why == SD_ETIMEOUT || !r->replay || !r->idempotent || r->refreshed)
		return false;
	r->refreshed = true;
	sd_count(&r->w->stale, 1);
	return call(r, r->peer, true, NULL);
}

static void call_failed(struct lb_request *r, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct lb_peer *peer = r->peer;
	r->call = NULL;
	lb_worker_failed(r->w, peer, &r->hold, why);
	sd_count(&peer->cell->codes[0], 1);
	if (r->answering) {
		struct sd_http_exchange *x = r->x;
		log_end(r, SD_ACCESS_BACKEND_FAILED, 0, text);
		let_go(r);
		request_free(r);
		x->user = NULL;
		sd_http_abort(x);
		return;
	}
	/* One that took too long is not tried again: it may be what keeps the backends busy. */
	bool safe = phase == SD_HTTP_CONNECTING || (r->idempotent && why != SD_ETIMEOUT);
	bool more = safe && again(r, peer);
	let_go(r);
	if (more)
		pick_and_call(r);
	else
		answer_with(r, status_of(why), sd_proxy_error_of(why, phase == SD_HTTP_CONNECTING), text);
}

static void on_answer_failed(struct sd_http_call *c, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct lb_request *r = c->user;
	r->call = NULL;
	if (!refresh(r, c, phase, why))
		call_failed(r, phase, why, text);
}

static void on_answer_drained(struct sd_http_call *c)
{
	struct lb_request *r = c->user;
	sd_http_body_resume(r->x);
}

static const struct sd_http_caller caller = {
    .head = on_answer_head,
    .interim = on_answer_interim,
    .body = on_answer_body,
    .end = on_answer_end,
    .failed = on_answer_failed,
    .drained = on_answer_drained,
};
