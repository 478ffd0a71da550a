/* mq_http.c - requests gathered, answers written, and the live view of the page as server-sent events. */
#include "mq_http.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base64.h"
#include "world/loop.h"
#include "world/world.h"

#define SAMPLE_NS 1000000000
#define BODY_EXTRA 65536 /* of a publication's JSON, besides its payload */
#define LOGIN_MAX  512

struct mq_http {
	struct mq_http_conf conf;
	struct sd_http_server server;
	struct mq_api *api;
	struct sd_timer timer;
	struct sd_link watchers;
};

/* One request, until it is answered. */
struct asking {
	struct mq_api_wait wait;
	struct mq_http *http;
	struct sd_http_exchange *x;
	struct sd_link watching; /* of http->watchers: it follows the live view */
	bool follows, behind, asked;
	enum sd_http_method method;
	struct sd_text body;
	size_t path_n, query_n, user_n;
	char bytes[]; /* path, query, user and a 0 */
};

static void free_asking(struct asking *a)
{
	if (a->follows)
		sd_list_del(&a->watching);
	a->x->user = NULL;
	free(a->body.p);
	free(a);
}

static void on_answer(struct mq_api_wait *w, int status, cJSON *tree)
{
	struct asking *a = sd_container(w, struct asking, wait);
	struct sd_http_exchange *x = a->x;
	char *text = tree ? cJSON_PrintUnformatted(tree) : NULL;
	bool lost = tree && !text;
	cJSON_Delete(tree);
	free_asking(a);
	if (lost)
		sd_http_respond_text(x, 503, "out of memory\n");
	else
		sd_http_respond(x, status, "Cache-Control: no-cache\r\n", text ? "application/json" : NULL, text, text ? strlen(text) : 0);
	free(text);
}

/* ---- who asks ---- */

struct login {
	char text[LOGIN_MAX];
	struct sd_slice user, password;
};

/* "Basic dXNlcjpwYXNz" */
static bool read_login(const struct sd_http_head *head, struct login *l)
{
	const struct sd_http_field *f = sd_http_find_name(head, "authorization");
	uint8_t *bytes = (uint8_t *)l->text;
	size_t n;
	if (!f || f->value.n < 6 || strncasecmp(f->value.p, "Basic ", 6) != 0 || f->value.n - 6 > LOGIN_MAX / 3 * 4 - 4 ||
	    !sd_base64_read(bytes, (struct sd_slice){f->value.p + 6, f->value.n - 6}, &n))
		return false;
	char *colon = memchr(l->text, ':', n);
	if (!colon)
		return false;
	l->user = (struct sd_slice){l->text, (size_t)(colon - l->text)};
	l->password = (struct sd_slice){colon + 1, n - l->user.n - 1};
	return true;
}

static bool may(struct mq_http *h, struct sd_http_exchange *x, const struct sd_http_head *head, struct login *l)
{
	if (!h->conf.login)
		return true;
	return read_login(head, l) && h->conf.login(h->conf.arg, l->user, l->password, &x->stream->io->peer);
}

/* A page in somebody's browser, which sends a login that it was once given by itself, must not change anything. */
static bool from_a_page(const struct sd_http_head *head)
{
	return head->method != SD_HTTP_GET && head->method != SD_HTTP_HEAD && sd_http_find_name(head, "origin");
}

/* ---- the page ---- */

static void send_page(struct mq_http *h, struct sd_http_exchange *x)
{
	uint64_t random[2];
	char nonce[33], extra[512];
	size_t n = 0;
	sd_world_random(h->conf.world, random, sizeof(random));
	snprintf(nonce, sizeof(nonce), "%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
	snprintf(extra, sizeof(extra),
		 "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "
		 "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
		 "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n",
		 nonce, nonce);
	char *page = mq_page(h->conf.name, nonce, &n);
	if (page)
		sd_http_respond(x, 200, extra, "text/html; charset=utf-8", page, n);
	else
		sd_http_respond_text(x, 503, "out of memory\n");
	free(page);
}

static void send_live(struct asking *a, const char *text)
{
	sd_http_write(a->x, "data: ", 6);
	sd_http_write(a->x, text, strlen(text));
	sd_http_write(a->x, "\n\n", 2);
	a->behind = sd_http_backlog(a->x);
}

static void follow(struct asking *a)
{
	sd_http_begin(a->x, 200, (struct sd_slice){0});
	sd_http_field_text(a->x, "Content-Type", "text/event-stream");
	sd_http_field_text(a->x, "Cache-Control", "no-store");
	sd_http_head_done(a->x, SD_HTTP_UNKNOWN);
	a->follows = true;
	sd_list_add(&a->http->watchers, &a->watching);
	char *text = mq_api_live(a->http->api);
	if (text)
		send_live(a, text);
	free(text);
}

static void on_timer(struct sd_timer *t)
{
	struct mq_http *h = sd_container(t, struct mq_http, timer);
	mq_api_sample(h->api);
	char *text = sd_list_empty(&h->watchers) ? NULL : mq_api_live(h->api);
	for (struct sd_link *l = h->watchers.next; text && l != &h->watchers; l = l->next) {
		struct asking *a = sd_container(l, struct asking, watching);
		if (!a->behind)
			send_live(a, text);
	}
	free(text);
	sd_loop_timer_set(h->conf.loop, &h->timer, sd_loop_now_ns(h->conf.loop) + SAMPLE_NS);
}

/* ---- requests ---- */

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct mq_http *h = x->server->arg;
	struct login l = {0};
	if (from_a_page(head)) {
		sd_http_respond_text(x, 403, "not from a web page\n");
		return;
	}
	if (!may(h, x, head, &l)) {
		sd_http_respond(x, 401, "WWW-Authenticate: Basic realm=\"sdlab mq\", charset=\"UTF-8\"\r\n", "application/json",
				"{\"error\":\"not_authorised\",\"reason\":\"Login failed\"}", 51);
		return;
	}
	if (sd_slice_eq(head->path, "/") && (head->method == SD_HTTP_GET || head->method == SD_HTTP_HEAD)) {
		send_page(h, x);
		return;
	}
	struct asking *a = calloc(1, sizeof(*a) + head->path.n + head->query.n + l.user.n + 1);
	if (!a) {
		sd_http_respond_text(x, 503, "out of memory\n");
		return;
	}
	*a = (struct asking){.wait.answer = on_answer, .http = h, .x = x, .method = head->method, .path_n = head->path.n,
			     .query_n = head->query.n, .user_n = l.user.n};
	memcpy(a->bytes, head->path.p, head->path.n);
	if (head->query.n)
		memcpy(a->bytes + a->path_n, head->query.p, head->query.n);
	if (l.user.n)
		memcpy(a->bytes + a->path_n + a->query_n, l.user.p, l.user.n);
	x->user = a;
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct asking *a = x->user;
	if (a && !a->asked)
		sd_text_add(&a->body, p, n); /* max_body bounds it */
}

static void on_end(struct sd_http_exchange *x)
{
	struct asking *a = x->user;
	if (!a || a->asked)
		return;
	struct mq_http *h = a->http;
	struct mq_api_request r = {.method = a->method, .path = {a->bytes, a->path_n}, .query = {a->bytes + a->path_n, a->query_n},
				   .body = {a->body.p, a->body.n}, .user = a->bytes + a->path_n + a->query_n};
	a->asked = true;
	if (a->body.full) {
		free_asking(a);
		sd_http_respond_text(x, 503, "out of memory\n");
	} else if (sd_slice_eq(r.path, "/api/live") && a->method == SD_HTTP_GET) {
		follow(a);
	} else {
		mq_api_ask(h->api, &r, &a->wait);
		if (h->conf.asked)
			h->conf.asked(h->conf.arg);
	}
}

static void on_drained(struct sd_http_exchange *x)
{
	struct asking *a = x->user;
	if (a)
		a->behind = false;
}

static void on_gone(struct sd_http_exchange *x)
{
	struct asking *a = x->user;
	if (!a)
		return;
	mq_api_forget(&a->wait);
	free_asking(a);
}

static const struct sd_http_handler handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
};

/* ---- life ---- */

enum sd_err mq_http_start(const struct mq_http_conf *conf, struct sd_addr *addr, struct mq_http **out, struct sd_error *e)
{
	struct sd_http_server_conf limits = sd_http_server_defaults;
	struct mq_http *h = calloc(1, sizeof(*h));
	if (!h)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	h->conf = *conf;
	sd_list_init(&h->watchers);
	h->api = mq_api_new(&conf->api);
	if (!h->api) {
		free(h);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	limits.max_body = (uint64_t)conf->api.mq->conf.message_max / 3 * 4 + BODY_EXTRA;
	limits.max_connections = 256;
	sd_http_server_init(&h->server, conf->loop, &limits, &handler, h);
	h->server.tls = conf->tls;
	enum sd_err err = sd_http_server_listen(&h->server, addr, false, e);
	if (err) {
		mq_api_free(h->api);
		free(h);
		return err;
	}
	h->timer.fn = on_timer;
	sd_loop_timer_set(conf->loop, &h->timer, sd_loop_now_ns(conf->loop) + SAMPLE_NS);
	*out = h;
	return SD_OK;
}

void mq_http_stop(struct mq_http *h)
{
	if (!h)
		return;
	sd_loop_timer_cancel(h->conf.loop, &h->timer);
	sd_http_server_stop(&h->server);
	mq_api_free(h->api);
	free(h);
}
