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
#include "core/proxy_head.h"
#include "lb.h"

struct lb_request {
	struct lb_waiter waiter;
	struct lb_worker *w;
	struct sd_http_exchange *x;
	struct sd_http_call *call; /* CALLING and ANSWERING */
	struct lb_peer *peer;      /* with call */
	struct lb_snapshot *snap;  /* what `tried` counts in */
	char *sent;                /* head and body as they go to a backend, while `replay` */
	size_t n, cap;
	int64_t begun_ns;
	uint32_t tries;
	uint8_t method;
	bool replay, idempotent, complete, chunked, answering, counted, refreshed;
	uint64_t tried[SD_BALANCE_MAX / 64];
};

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
	memset(r->tried, 0, (w->snap->n + 63) / 64 * 8);
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

static char *sent_reserve(struct lb_request *r, size_t more)
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
		char *to = r->n + n <= r->snap->retry_buffer + SD_LOOP_BLOCK ? sent_reserve(r, n) : NULL;
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
		lb_worker_give_back(r->w, peer, r->counted);
}

static void answer_error(struct lb_request *r, int status, const char *text)
{
	struct sd_http_exchange *x = r->x;
	char extra[64] = "";
	if (status == 503)
		snprintf(extra, sizeof(extra), "Retry-After: %d\r\n", (int)r->snap->retry_after_s);
	lb_worker_dequeue(r->w, &r->waiter);
	request_free(r);
	x->user = NULL;
	char body[256];
	int n = snprintf(body, sizeof(body), "%d %s: %.180s\n", status, sd_http_status_text(status), text);
	sd_http_respond(x, status, extra[0] ? extra : NULL, "text/plain; charset=utf-8", body, (size_t)n);
}

/* ---- picking and calling ---- */

static bool call(struct lb_request *r, struct lb_peer *peer, bool fresh, struct sd_error *e)
{
	r->call = sd_http_call_start(&peer->pool, (enum sd_http_method)r->method, fresh, &caller, r, e);
	if (!r->call)
		return false;
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

/* Indices in `tried` are those of the request's own snapshot: when another one came meanwhile it begins anew. */
static void follow_snapshot(struct lb_request *r)
{
	if (r->snap == r->w->snap)
		return;
	lb_snapshot_release(r->snap);
	r->snap = r->w->snap;
	__atomic_add_fetch(&r->snap->refs, 1, __ATOMIC_RELAXED);
	memset(r->tried, 0, (r->snap->n + 63) / 64 * 8);
}

static void mark_tried(struct lb_request *r, const struct lb_peer *peer)
{
	follow_snapshot(r);
	if (peer->index != SIZE_MAX)
		r->tried[peer->index / 64] |= 1ull << (peer->index % 64);
}

static void go(struct lb_waiter *self)
{
	struct lb_request *r = sd_container(self, struct lb_request, waiter);
	sd_http_body_resume(r->x);
	pick_and_call(r);
}

static void give_up(struct lb_waiter *self, bool timeout)
{
	struct lb_request *r = sd_container(self, struct lb_request, waiter);
	answer_error(r, 503, timeout ? "waited too long for a backend with a free connection" : "no backend is left");
}

static void wait_for_one(struct lb_request *r)
{
	r->waiter.go = go;
	r->waiter.give_up = give_up;
	if (!lb_worker_enqueue(r->w, &r->waiter)) {
		answer_error(r, 503, "every backend is busy and the queue is full");
		return;
	}
	if (!r->x->in_done)
		sd_http_body_pause(r->x);
}

/* Counts against the retries; false when none is left. */
static bool again(struct lb_request *r, const struct lb_peer *peer)
{
	if (!r->replay || r->tries >= r->snap->retries)
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
		int i = lb_worker_take(w, r->tried, &r->counted);
		if (i == LB_FULL) {
			wait_for_one(r);
			return;
		}
		if (i == LB_NONE) {
			if (r->tries > 0) {
				answer_error(r, 502, "the backend failed and no other is left");
				return;
			}
			sd_count(&w->unavailable, 1);
			answer_error(r, 503, "no backend is available");
			return;
		}
		r->peer = w->peers[i];
		if (call(r, r->peer, false, &e))
			return;
		/* refused at once (UNIX and in-process), or out of descriptors, which is not the backend's fault */
		struct lb_peer *peer = r->peer;
		bool ours = e.code == SD_ENOFILES || e.code == SD_ENOMEM;
		if (!ours)
			lb_worker_failed(w, peer, e.code);
		sd_count(&peer->cell->codes[0], 1);
		bool more = !ours && again(r, peer);
		let_go(r);
		if (!more) {
			answer_error(r, ours ? 503 : 502, ours ? "out of descriptors" : "the backend refused the connection");
			return;
		}
	}
}

/* ---- what the client says ---- */

static bool is_trusted(const struct lb_snapshot *s, const struct sd_peer *peer)
{
	if (peer->kind != SD_ADDR_INET)
		return true; /* on this machine, by a path or name that it was given */
	for (size_t i = 0; i < s->ntrusted; i++)
		if (sd_cidr_has(&s->trusted[i], peer->ip, peer->v6))
			return true;
	return false;
}

static bool write_head(struct lb_request *r, const struct sd_http_head *head)
{
	struct sd_proxy_hop hop = {
	    .client = &r->x->stream->io->peer,
	    .proto = {"http", 4},
	    .via = {"sdlab", 5},
	    .host = {"localhost", 9},
	};
	hop.trusted = is_trusted(r->snap, hop.client);
	char *to = sent_reserve(r, sd_proxy_request_bound(head, &hop));
	if (!to)
		return false;
	r->n = sd_proxy_request_head(to, head, &hop);
	return true;
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct lb_worker *w = x->server->arg;
	if (head->method == SD_HTTP_CONNECT) {
		sd_http_refuse(x, 405, "this is not a forward proxy");
		return;
	}
	struct lb_request *r = request_new(w, x);
	if (!r || !write_head(r, head)) {
		if (r)
			request_free(r);
		sd_http_refuse(x, 503, "out of memory");
		return;
	}
	x->user = r;
	x->defer_continue = head->expect_continue;
	r->method = (uint8_t)head->method;
	r->idempotent = sd_http_method_idempotent(head->method);
	r->chunked = head->framing == SD_HTTP_BODY_CHUNKED;
	r->complete = x->in_done;
	r->replay = true;
	r->begun_ns = sd_loop_now_ns(w->loop);
	pick_and_call(r);
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct lb_request *r = x->user;
	if (!r)
		return;
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
	if (r && r->call)
		sd_http_call_resume(r->call);
}

static void on_client_gone(struct sd_http_exchange *x)
{
	struct lb_request *r = x->user;
	if (!r)
		return;
	lb_worker_dequeue(r->w, &r->waiter);
	if (r->call)
		sd_http_call_cancel(r->call);
	let_go(r);
	request_free(r);
}

const struct sd_http_handler lb_http_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_client_drained,
    .gone = on_client_gone,
};

/* ---- what the backend says ---- */

static const struct sd_proxy_hop back = {.via = {"sdlab", 5}};

/* 100 goes on when the client asked for it, the others always (RFC 9110 section 15.2). */
static void on_answer_interim(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct lb_request *r = c->user;
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

static void on_answer_head(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct lb_request *r = c->user;
	struct sd_http_exchange *x = r->x;
	if (head->status == 101) {
		sd_http_call_cancel(c);
		call_failed(r, SD_HTTP_ANSWERING, SD_EPROTO, "the backend changed to a protocol that nobody asked for");
		return;
	}
	struct lb_cell *cell = r->peer->cell;
	int64_t length = SD_HTTP_UNKNOWN;
	r->answering = true;
	r->replay = false;
	drop_sent(r);
	lb_worker_succeeded(r->w, r->peer);
	sd_count(&cell->codes[head->status / 100 % 6], 1);
	sd_histogram_add(&cell->latency, sd_loop_now_ns(r->w->loop) - r->begun_ns);
	sd_http_begin(x, head->status, head->reason);
	char *to = sd_stream_reserve(x->stream, sd_proxy_answer_bound(head, &back));
	if (to)
		sd_stream_commit(x->stream, sd_proxy_answer_fields(to, head, &back));
	if (!sd_http_find(head, SD_HTTP_F_DATE))
		sd_http_date(x); /* RFC 9110 section 6.6.1 */
	if (head->framing == SD_HTTP_BODY_LENGTH || head->has_content_length)
		length = (int64_t)head->content_length;
	else if (head->framing == SD_HTTP_BODY_NONE && x->method != SD_HTTP_HEAD && head->status != 304)
		length = 0;
	sd_http_head_done(x, length);
}

static void on_answer_body(struct sd_http_call *c, const char *p, size_t n)
{
	struct lb_request *r = c->user;
	sd_http_write(r->x, p, n);
	if (sd_http_backlog(r->x))
		sd_http_call_pause(c);
}

static void on_answer_end(struct sd_http_call *c)
{
	struct lb_request *r = c->user;
	struct sd_http_exchange *x = r->x;
	struct lb_worker *w = r->w;
	struct lb_peer *peer = r->peer;
	bool counted = r->counted;
	x->user = NULL;
	request_free(r);
	sd_http_finish(x);
	lb_worker_give_back(w, peer, counted);
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
	lb_worker_failed(r->w, peer, why);
	sd_count(&peer->cell->codes[0], 1);
	if (r->answering) {
		struct sd_http_exchange *x = r->x;
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
		answer_error(r, status_of(why), text);
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
