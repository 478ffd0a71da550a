/* sh_call.c - a call of the API: gathered on the worker, run on the control loop, answered on the worker.
 *
 * A call that a client leaves behind goes its way all the same and is freed when it comes back: whoever runs it need not know.
 */
#include "sh_call.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/proxy_head.h"
#include "core/url_text.h"

static void free_call(struct sh_call *c)
{
	if (c->x)
		c->x->user = NULL;
	free(c->body.p);
	free(c->extra.p);
	free(c->out);
	free(c->bytes);
	free(c);
}

/* ---- on the worker: answered ---- */

static void on_answered(struct sd_task *t)
{
	struct sh_call *c = sd_container(t, struct sh_call, task);
	struct sd_http_exchange *x = c->x;
	if (!x) {
		free_call(c);
		return;
	}
	if (c->then) {
		x->user = NULL;
		c->x = NULL;
		c->then(c, x);
		free_call(c);
		return;
	}
	char *out = c->out, *extra = sd_text_take(&c->extra, NULL);
	size_t n = c->out_n;
	int status = c->status;
	const char *type = c->type;
	c->out = NULL;
	if (c->too_large)
		x->keep_alive = false;
	free_call(c);
	sd_http_respond(x, status, extra, type, out, n);
	free(extra);
	free(out);
}

static void send_back(struct sh_call *c)
{
	struct sh *sh = c->sh;
	c->task = (struct sd_task){.fn = on_answered};
	if (sh->closing)
		free_call(c); /* no worker runs any more, and all clients were told */
	else
		sd_loop_post(c->w->w->loop, &c->task);
}

/* ---- on the control loop ---- */

void sh_answer_field(struct sh_call *c, const char *name, const char *format, ...)
{
	char value[512];
	va_list args;
	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	sd_text_format(&c->extra, "%s: %s\r\n", name, value);
}

void sh_answer(struct sh_call *c, int status, const char *type, char *out, size_t n)
{
	static const char oom[] = "{\"type\": \"about:blank\", \"title\": \"Out of memory\", \"status\": 503}\n";
	if (type && !out) {
		status = 503;
		type = "application/problem+json";
		out = strdup(oom);
		n = out ? sizeof(oom) - 1 : 0;
	}
	c->status = status;
	c->type = type;
	c->out = out;
	c->out_n = n;
	if (!c->extra.p || !strstr(c->extra.p, "Cache-Control:"))
		sh_answer_field(c, "Cache-Control", "no-store");
	sh_answer_field(c, "X-Content-Type-Options", "nosniff");
	send_back(c);
}

void sh_answer_json(struct sh_call *c, int status, cJSON *tree)
{
	size_t n = 0;
	char *text = sh_json_text(tree, &n);
	sh_answer(c, status, "application/json", text, n);
}

void sh_answer_there(struct sh_call *c, void (*fn)(struct sh_call *c, struct sd_http_exchange *x))
{
	c->then = fn;
	send_back(c);
}

static void on_run(struct sd_task *t)
{
	struct sh_call *c = sd_container(t, struct sh_call, task);
	sh_call_run(c);
}

/* ---- on the worker: gathered ---- */

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct sh_call *c = sd_container(x->user, struct sh_call, waiter);
	if (c->body.n + n > SH_BODY_MAX)
		c->too_large = true;
	if (c->too_large && !c->asked)
		sh_call_send(c);
	else if (!c->asked)
		sd_text_add(&c->body, p, n);
}

static void on_end(struct sd_http_exchange *x)
{
	struct sh_call *c = sd_container(x->user, struct sh_call, waiter);
	if (!c->asked)
		sh_call_send(c);
}

static void on_gone(struct sd_http_exchange *x)
{
	struct sh_call *c = sd_container(x->user, struct sh_call, waiter);
	x->user = NULL;
	c->x = NULL;
	if (!c->asked)
		free_call(c);
}

void sh_call_send(struct sh_call *c)
{
	c->asked = true;
	c->task = (struct sd_task){.fn = on_run};
	sd_loop_post(c->sh->control, &c->task);
}

/* ---- on the worker: made ---- */

struct copy {
	char *to;
};

static struct sd_slice keep(struct copy *copy, struct sd_slice s)
{
	struct sd_slice kept = {copy->to, s.n};
	if (s.n)
		memcpy(copy->to, s.p, s.n);
	copy->to += s.n;
	return kept;
}

static struct sd_slice value_of(const struct sd_http_head *head, const char *name)
{
	const struct sd_http_field *f = sd_http_find_name(head, name);
	return f ? f->value : (struct sd_slice){"", 0};
}

static struct sd_slice key_of(const struct sd_http_head *head)
{
	struct sd_slice key = value_of(head, "x-api-key");
	if (key.n)
		return key;
	key = value_of(head, "authorization");
	if (key.n < 7 || strncasecmp(key.p, "Bearer ", 7) != 0)
		return (struct sd_slice){"", 0};
	return (struct sd_slice){key.p + 7, key.n - 7};
}

/* Behind a proxy that says so, what the client spoke. */
static bool is_secure(const struct sd_http_exchange *x, const struct sd_http_head *head)
{
	const struct sd_http_field *f = sd_http_find(head, SD_HTTP_F_X_FORWARDED_PROTO);
	return x->secure || (f && sd_slice_ieq(f->value, "https"));
}

struct sh_call *sh_call_new(struct sh_worker *w, struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct sd_slice accept = value_of(head, "accept"), cookie = value_of(head, "cookie"), origin = value_of(head, "origin");
	struct sd_slice key = key_of(head), agent = value_of(head, "user-agent"), csrf = value_of(head, "x-csrf-token");
	struct sd_slice forwarded = value_of(head, "x-forwarded-for");
	struct sh_call *c = calloc(1, sizeof(*c));
	size_t room = head->path.n + head->query.n + head->host.n + accept.n + cookie.n + origin.n + key.n + agent.n + csrf.n + forwarded.n;
	struct copy copy = {c ? malloc(room + 1) : NULL};
	if (!copy.to) {
		free(c);
		return NULL;
	}
	*c = (struct sh_call){.waiter = {.body = on_body, .end = on_end, .gone = on_gone},
			      .x = x,
			      .w = w,
			      .sh = w->sh,
			      .method = head->method,
			      .peer = sd_proxy_client(head, &x->stream->io->peer, w->sh->trusted, w->sh->ntrusted),
			      .secure = is_secure(x, head),
			      .bytes = copy.to};
	c->path = keep(&copy, head->path);
	c->query = keep(&copy, head->query);
	c->host = keep(&copy, head->host);
	c->accept = keep(&copy, accept);
	c->cookie = keep(&copy, cookie);
	c->origin = keep(&copy, origin);
	c->key = keep(&copy, key);
	c->user_agent = keep(&copy, agent);
	c->csrf = keep(&copy, csrf);
	c->forwarded = keep(&copy, forwarded);
	c->too_large = head->framing == SD_HTTP_BODY_LENGTH && head->content_length > SH_BODY_MAX;
	x->user = &c->waiter;
	return c;
}

/* ---- what was asked ---- */

char *sh_query_get(struct sd_slice query, const char *name, char *out, size_t room)
{
	size_t n = strlen(name);
	while (query.n) {
		const char *end = memchr(query.p, '&', query.n);
		size_t length = end ? (size_t)(end - query.p) : query.n;
		if (length > n && query.p[n] == '=' && memcmp(query.p, name, n) == 0)
			return sh_query_value((struct sd_slice){query.p + n + 1, length - n - 1}, out, room) ? out : NULL;
		query.p += length + (end != NULL);
		query.n -= length + (end != NULL);
	}
	return NULL;
}

bool sh_query_value(struct sd_slice raw, char *out, size_t room)
{
	if (!sd_url_unescape(raw, out, room))
		return false;
	/* a plus that was written as itself is a blank, one written %2B is not */
	for (size_t i = 0, at = 0; i < raw.n; i++, at++) {
		bool coded = raw.p[i] == '%' && raw.n - i > 2 && isxdigit((unsigned char)raw.p[i + 1]) &&
			     isxdigit((unsigned char)raw.p[i + 2]);
		if (raw.p[i] == '+')
			out[at] = ' ';
		i += coded ? 2 : 0;
	}
	return true;
}
