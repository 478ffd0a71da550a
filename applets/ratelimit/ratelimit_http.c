/* ratelimit_http.c - the way of a request.
 *
 *	request --> rules --no--> 429        (where limits are shared it waits for an answer, at most for store-timeout)
 *	              | yes
 *	              +-- a queue says when --> waits --+
 *	              |                                 v
 *	              +-----------------------------> the upstream, or 200 when there is none
 *
 * A request for the upstream is tried once more, on a new connection, when the one that was used had been idle and turns out
 * closed, nothing of an answer came, and it is idempotent and without a body (RFC 9110 section 9.2.2).
 */
#include <stdlib.h>
#include <string.h>

#include "core/http1_write.h"
#include "core/proxy_head.h"
#include "ratelimit.h"

/* One that is not answered at once. */
struct rl_request {
	struct rl_worker *w;
	struct sd_http_exchange *x;
	struct sd_link link;
	struct sd_timer timer; /* until its turn in a queue */
	struct rl_rules_asked *asked; /* where limits are shared */
	struct sd_http_call *call;
	char *head; /* for the upstream; NULL: it is answered here */
	size_t n;
	char *lines; /* what its answer tells of the limits */
	size_t nlines;
	enum sd_http_method method;
	bool chunked, complete, answering, bodyless, again;
};

static const struct sd_http_caller caller;

static void release(struct rl_request *r)
{
	sd_list_del(&r->link);
	sd_loop_timer_cancel(r->w->w->loop, &r->timer);
	free(r->head);
	free(r->lines);
	free(r);
}

static void answer(struct rl_request *r, int status, const char *text)
{
	struct sd_http_exchange *x = r->x;
	char *lines = r->lines;
	r->lines = NULL;
	release(r);
	x->user = NULL;
	sd_http_respond(x, status, lines, text[0] ? "text/plain; charset=utf-8" : NULL, text, strlen(text));
	free(lines);
}

/* ---- to the upstream ---- */

static void pass_on(struct rl_request *r, bool fresh)
{
	struct sd_error e = {0};
	r->call = sd_http_call_start(&r->w->pool, r->method, fresh, &caller, r, &e);
	if (!r->call) {
		answer(r, e.code == SD_ENOFILES || e.code == SD_ENOMEM ? 503 : 502, "the upstream is not reached\n");
		return;
	}
	sd_http_call_write(r->call, r->head, r->n);
	if (r->complete)
		sd_http_call_sent(r->call);
	sd_http_body_resume(r->x);
}

static void go(struct rl_request *r)
{
	if (r->head)
		pass_on(r, false);
	else
		answer(r, 200, "");
}

static void on_turn(struct sd_timer *t)
{
	go(sd_container(t, struct rl_request, timer));
}

static bool write_head(struct rl_request *r, const struct sd_http_head *head)
{
	const struct sd_limits *p = r->w->policy;
	struct sd_proxy_hop hop = {
	    .client = &r->x->stream->io->peer,
	    .proto = sd_slice_of(r->x->secure ? "https" : "http"),
	    .via = {"sdlab", 5},
	    .host = {"localhost", 9},
	};
	hop.trusted = sd_proxy_is_trusted(hop.client, p->trusted, p->ntrusted);
	r->head = malloc(sd_proxy_request_bound(head, &hop));
	if (r->head)
		r->n = sd_proxy_request_head(r->head, head, &hop);
	return r->head != NULL;
}

/* What is not answered at once is remembered. */
static struct rl_request *keep(struct rl_worker *w, struct sd_http_exchange *x, const struct sd_http_head *head, const char *lines,
			       size_t nlines)
{
	struct rl_request *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->w = w;
	r->x = x;
	r->timer.fn = on_turn;
	r->method = head->method;
	r->chunked = head->framing == SD_HTTP_BODY_CHUNKED;
	r->bodyless = head->framing == SD_HTTP_BODY_NONE;
	sd_list_add(&w->requests, &r->link);
	r->lines = malloc(nlines + 1);
	if (!r->lines || (w->rl->has_upstream && !write_head(r, head))) {
		release(r);
		return NULL;
	}
	memcpy(r->lines, lines, nlines + 1);
	r->nlines = nlines;
	x->user = r;
	return r;
}

/* ---- what the client says ---- */

static void refuse(struct sd_http_exchange *x, const char *lines)
{
	char extra[SD_LIMITS_LINES + 64]; /* RFC 6585 section 4: not to be stored */
	snprintf(extra, sizeof(extra), "%sCache-Control: no-store\r\n", lines);
	sd_http_respond(x, 429, extra, NULL, "", 0);
}

static bool is_for_us(struct sd_http_exchange *x, const struct sd_http_head *head, bool upstream)
{
	if (head->method == SD_HTTP_CONNECT) {
		sd_http_refuse_as(x, 405, SD_PROXY_HTTP_REQUEST_DENIED, "Allow:\r\n", "this is no forward proxy");
		return false;
	}
	if (upstream && sd_proxy_is_last_hop(head)) {
		sd_http_refuse(x, 405, "Max-Forwards ends here");
		return false;
	}
	return true;
}

static void wait_or_go(struct rl_request *r, int64_t delay_ns)
{
	if (delay_ns <= 0)
		go(r);
	else
		sd_loop_timer_set(r->w->w->loop, &r->timer, sd_loop_now_ns(r->w->w->loop) + delay_ns);
}

static void refuse_kept(struct rl_request *r, const char *lines)
{
	struct sd_http_exchange *x = r->x;
	release(r);
	x->user = NULL;
	refuse(x, lines);
}

static void on_decided(void *arg, const struct sd_limits *p, const struct sd_limits_verdict *v)
{
	struct rl_request *r = arg;
	char lines[SD_LIMITS_LINES];
	size_t n = sd_limits_fields(p, v, rl_now(r->w), lines);
	r->asked = NULL;
	if (!v->unknown && !v->allowed) {
		refuse_kept(r, lines);
		return;
	}
	if (v->unknown)
		n = (size_t)snprintf(lines, sizeof(lines), "Retry-After: 1\r\nCache-Control: no-store\r\n");
	free(r->lines);
	r->lines = strdup(lines);
	r->nlines = n;
	if (!r->lines)
		answer(r, 503, "out of memory\n");
	else if (v->unknown)
		answer(r, 503, "who keeps these limits is not reached\n");
	else
		wait_or_go(r, v->delay_ns);
}

/* The request is kept first: the answer may come before this returns, and then it is gone. */
static void ask_others(struct rl_worker *w, struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct rl_request *r = keep(w, x, head, "", 0);
	const char *why = NULL;
	if (!r) {
		sd_http_refuse(x, 503, "out of memory");
		return;
	}
	sd_http_body_pause(x);
	if (rl_decide_later(w, head, &x->stream->io->peer, on_decided, r, &r->asked, &why))
		return;
	release(r);
	x->user = NULL;
	sd_http_refuse(x, 400, why);
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct rl_worker *w = x->server->arg;
	struct sd_limits_verdict v;
	char lines[SD_LIMITS_LINES];
	const char *why = NULL;
	if (!is_for_us(x, head, w->rl->has_upstream))
		return;
	if (rl_is_shared(w)) {
		ask_others(w, x, head);
		return;
	}
	if (!rl_decide(w, head, &x->stream->io->peer, &v, &why)) {
		sd_http_refuse(x, 400, why);
		return;
	}
	size_t n = sd_limits_fields(w->policy, &v, rl_now(w), lines);
	if (!v.allowed) {
		refuse(x, lines);
		return;
	}
	if (!w->rl->has_upstream && v.delay_ns <= 0) {
		sd_http_respond(x, 200, lines, NULL, "", 0);
		return;
	}
	struct rl_request *r = keep(w, x, head, lines, n);
	if (!r) {
		sd_http_refuse(x, 503, "out of memory");
		return;
	}
	if (v.delay_ns > 0)
		sd_http_body_pause(x);
	wait_or_go(r, v.delay_ns);
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct rl_request *r = x->user;
	char size[18];
	if (!r || !r->call)
		return; /* answered here: nobody wants it */
	if (r->chunked)
		sd_http_call_write(r->call, size, sd_http_chunk_head(size, n));
	sd_http_call_write(r->call, p, n);
	if (r->chunked)
		sd_http_call_write(r->call, "\r\n", 2);
	if (sd_http_call_backlog(r->call))
		sd_http_body_pause(x);
}

static void on_end(struct sd_http_exchange *x)
{
	struct rl_request *r = x->user;
	if (!r || r->complete)
		return;
	r->complete = true;
	if (r->call && r->chunked)
		sd_http_call_write(r->call, "0\r\n\r\n", 5);
	if (r->call)
		sd_http_call_sent(r->call);
}

static void on_client_drained(struct sd_http_exchange *x)
{
	struct rl_request *r = x->user;
	if (r && r->call)
		sd_http_call_resume(r->call);
}

static void on_client_gone(struct sd_http_exchange *x)
{
	struct rl_request *r = x->user;
	if (!r)
		return;
	if (r->call)
		sd_http_call_cancel(r->call);
	rl_rules_forget(r->asked);
	release(r);
}

const struct sd_http_handler rl_http_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_client_drained,
    .gone = on_client_gone,
};

/* ---- what the upstream says ---- */

static int64_t length_of(const struct sd_http_head *head, enum sd_http_method method)
{
	if (head->framing == SD_HTTP_BODY_LENGTH || head->has_content_length)
		return (int64_t)head->content_length;
	return head->framing == SD_HTTP_BODY_NONE && method != SD_HTTP_HEAD && head->status != 304 ? 0 : SD_HTTP_UNKNOWN;
}

static void on_answer_head(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct rl_request *r = c->user;
	struct sd_http_exchange *x = r->x;
	struct sd_proxy_hop back = {.via = {"sdlab", 5}, .edit = &r->w->rl->drop, .lines = {r->lines, r->nlines}};
	if (head->status == 101) { /* nothing was offered */
		sd_http_call_cancel(c);
		r->call = NULL;
		answer(r, 502, "the upstream changed to a protocol that nobody asked for\n");
		return;
	}
	r->answering = true;
	sd_http_begin(x, head->status, head->reason);
	char *to = sd_stream_reserve(x->stream, sd_proxy_answer_bound(head, &back));
	if (to)
		sd_stream_commit(x->stream, sd_proxy_answer_fields(to, head, &back));
	if (!sd_http_find(head, SD_HTTP_F_DATE))
		sd_http_date(x);
	sd_http_head_done(x, length_of(head, x->method));
}

static void on_answer_body(struct sd_http_call *c, const char *p, size_t n)
{
	struct rl_request *r = c->user;
	sd_http_write(r->x, p, n);
	if (sd_http_backlog(r->x))
		sd_http_call_pause(c);
}

static void on_answer_end(struct sd_http_call *c)
{
	struct rl_request *r = c->user;
	struct sd_http_exchange *x = r->x;
	release(r);
	x->user = NULL;
	sd_http_finish(x);
}

static void on_answer_failed(struct sd_http_call *c, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct rl_request *r = c->user;
	struct sd_http_exchange *x = r->x;
	bool stale = c->reused && phase == SD_HTTP_SENT && why != SD_ETIMEOUT && r->bodyless && sd_http_method_idempotent(r->method);
	char line[160];
	r->call = NULL;
	if (r->answering) {
		release(r);
		x->user = NULL;
		sd_http_abort(x); /* the client is to see that something is missing */
	} else if (stale && !r->again) {
		r->again = true;
		pass_on(r, true);
	} else {
		snprintf(line, sizeof(line), "upstream: %.120s\n", text);
		answer(r, why == SD_ETIMEOUT ? 504 : 502, line);
	}
}

static void on_answer_drained(struct sd_http_call *c)
{
	struct rl_request *r = c->user;
	sd_http_body_resume(r->x);
}

static const struct sd_http_caller caller = {
    .head = on_answer_head,
    .body = on_answer_body,
    .end = on_answer_end,
    .failed = on_answer_failed,
    .drained = on_answer_drained,
};
