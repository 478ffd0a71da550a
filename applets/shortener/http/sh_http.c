/* sh_http.c - the way of a request: redirected by this worker, or handed to the control loop as a call. */
#include "sh_http.h"

#include "sh_call.h"
#include "sh_redirect.h"
#include "sh_said.h"

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct sh_worker *w = x->server->arg;
	struct sd_slice code;
	bool asks = head->method == SD_HTTP_GET || head->method == SD_HTTP_HEAD;
	if (asks && sh_redirect_is_code(head->path, &code)) {
		sh_redirect(w, x, head, code);
		return;
	}
	struct sh_call *c = sh_call_new(w, x, head);
	sd_count(&w->calls, 1);
	if (!c)
		sh_say_status(x, 503, false, "out of memory");
	else if (c->too_large)
		sh_call_send(c); /* what is wrong is told before it all comes */
}

static struct sh_waiter *waiter(struct sd_http_exchange *x)
{
	return x->user;
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct sh_waiter *q = waiter(x);
	if (q && q->body)
		q->body(x, p, n);
}

static void on_end(struct sd_http_exchange *x)
{
	struct sh_waiter *q = waiter(x);
	if (q && q->end)
		q->end(x);
}

static void on_drained(struct sd_http_exchange *x)
{
	struct sh_waiter *q = waiter(x);
	if (q && q->drained)
		q->drained(x);
}

static void on_gone(struct sd_http_exchange *x)
{
	struct sh_waiter *q = waiter(x);
	if (q && q->gone)
		q->gone(x);
}

static void on_turn_away(struct sd_http_exchange *x, const struct sd_http_head *head, struct sd_slice raw, int status, const char *why)
{
	const struct sd_http_field *f = head ? sd_http_find_name(head, "accept") : NULL;
	sh_say_status(x, status, sh_wants_page(f ? f->value : sh_raw_accept(raw)), why);
}

const struct sd_http_handler sh_http_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
    .turn_away = on_turn_away,
};
