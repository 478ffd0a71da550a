/* answers.c - what each path answers. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "core/units.h"

#define MAX_BYTES (1ll << 30)
#define PIECE     16384
#define TURN      (4 * PIECE) /* sent to one client, however much it takes; then others have their turn */

/* ---- answers ---- */

static void answer_text(struct request *r)
{
	sd_http_respond(r->x, r->status, NULL, r->type, r->text, r->n);
	backend_release(r);
}

static void answer_home(struct request *r)
{
	struct worker *w = r->w;
	sd_http_respond(r->x, 200, NULL, "text/plain; charset=utf-8", w->home, w->home_n);
	backend_release(r);
}

void backend_answer_status(struct request *r)
{
	sd_http_respond_text(r->x, r->status, "%d %s from %s\n", r->status, sd_http_status_text(r->status),
			     r->w->b->name);
	backend_release(r);
}

#define LINE "The quick brown fox jumps over the lazy dog; 64 bytes to a line\n"
#define X4(s)  s s s s
static const char filler[] = X4(X4(X4(X4(LINE))));
_Static_assert(sizeof(filler) - 1 == PIECE, "a piece is 256 lines of 64 bytes");

void backend_send_bytes(struct request *r)
{
	for (size_t sent = 0; r->left > 0 && sent < TURN && !sd_http_backlog(r->x); sent += PIECE) {
		size_t n = r->left < PIECE ? (size_t)r->left : PIECE;
		sd_http_write(r->x, filler, n);
		r->left -= (int64_t)n;
	}
	if (r->left > 0) {
		if (!sd_http_backlog(r->x))
			sd_http_yield(r->x);
		return; /* goes on when drained */
	}
	sd_http_finish(r->x);
	backend_release(r);
}

static void answer_bytes(struct request *r)
{
	sd_http_begin(r->x, 200, (struct sd_slice){0});
	sd_http_date(r->x);
	sd_http_field_text(r->x, "Content-Type", "application/octet-stream");
	sd_http_head_done(r->x, r->left);
	if (r->x->method == SD_HTTP_HEAD)
		r->left = 0;
	backend_send_bytes(r);
}

static void sse_tick(struct sd_timer *t)
{
	struct request *r = sd_container(t, struct request, timer);
	char text[128];
	int n = snprintf(text, sizeof(text), "event: tick\ndata: {\"from\":\"%.60s\",\"n\":%d}\n\n", r->w->b->name, r->ticks++);
	if (!sd_http_backlog(r->x))
		sd_http_write(r->x, text, (size_t)n);
	sd_loop_timer_set(r->w->w->loop, &r->timer, sd_loop_now_ns(r->w->w->loop) + 1000000000);
}

static void answer_sse(struct request *r)
{
	sd_http_begin(r->x, 200, (struct sd_slice){0});
	sd_http_field_text(r->x, "Content-Type", "text/event-stream");
	sd_http_field_text(r->x, "Cache-Control", "no-store");
	sd_http_head_done(r->x, SD_HTTP_UNKNOWN);
	r->timer.fn = sse_tick;
	r->endless = true;
	sse_tick(&r->timer);
}

static void answer_echo(struct request *r)
{
	sd_http_respond(r->x, 200, NULL, r->type[0] ? r->type : "application/octet-stream", r->text, r->n);
	backend_release(r);
}

/* ---- routes: what a path asks for ---- */

static bool ask_home(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = answer_home;
	return rest.n == 0;
}

static bool ask_health(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = answer_text;
	r->text = strdup("ok\n");
	r->n = 3;
	snprintf(r->type, sizeof(r->type), "text/plain; charset=utf-8");
	r->wait_ns = -1; /* health is answered at once, and never with an error */
	return rest.n == 0;
}

static bool json_answer(struct request *r, cJSON *o)
{
	r->answer = answer_text;
	r->text = cJSON_Print(o);
	cJSON_Delete(o);
	if (!r->text)
		return false;
	r->n = strlen(r->text);
	r->text[r->n++] = '\n';
	snprintf(r->type, sizeof(r->type), "application/json");
	return true;
}

static bool ask_json(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	struct sd_world *world = sd_loop_world(r->w->w->loop);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "status", "ok");
	cJSON_AddStringToObject(o, "server", r->w->b->name);
	cJSON_AddNumberToObject(o, "timestamp", (double)sd_world_wall_ns(world) / 1e9);
	return json_answer(r, o) && rest.n == 0;
}

static bool ask_headers(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	char name[256], value[8192];
	cJSON *o = cJSON_CreateObject(), *fields = cJSON_AddObjectToObject(o, "headers");
	snprintf(value, sizeof(value), "%.*s", (int)head->method_text.n, head->method_text.p);
	cJSON_AddStringToObject(o, "method", value);
	snprintf(value, sizeof(value), "%.*s", (int)head->target.n, head->target.p);
	cJSON_AddStringToObject(o, "target", value);
	cJSON_AddStringToObject(o, "server", r->w->b->name);
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		snprintf(name, sizeof(name), "%.*s", (int)f->name.n, f->name.p);
		snprintf(value, sizeof(value), "%.*s", (int)f->value.n, f->value.p);
		cJSON_AddStringToObject(fields, name, value);
	}
	return json_answer(r, o) && rest.n == 0;
}

static bool ask_delay(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	char text[32];
	(void)head;
	snprintf(text, sizeof(text), "%.*s", (int)rest.n, rest.p);
	r->answer = answer_home;
	return rest.n < sizeof(text) && sd_parse_duration(text, &r->wait_ns) == SD_OK && r->wait_ns >= 0 &&
	       r->wait_ns <= 3600ll * 1000000000;
}

static bool ask_status(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = backend_answer_status;
	if (rest.n != 3 || rest.p[0] < '2' || rest.p[0] > '5')
		return false;
	r->status = 0;
	for (size_t i = 0; i < 3; i++) {
		if (rest.p[i] < '0' || rest.p[i] > '9')
			return false;
		r->status = r->status * 10 + (rest.p[i] - '0');
	}
	return true;
}

static bool ask_bytes(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	char text[32];
	(void)head;
	snprintf(text, sizeof(text), "%.*s", (int)rest.n, rest.p);
	r->answer = answer_bytes;
	return rest.n < sizeof(text) && sd_parse_size(text, &r->left) == SD_OK && r->left >= 0 && r->left <= MAX_BYTES;
}

static bool ask_sse(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = answer_sse;
	return rest.n == 0;
}

/* The body is sent back as it was; in one piece when the length is known beforehand, chunked otherwise. */
static bool ask_echo(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	const struct sd_http_field *type = sd_http_find(head, SD_HTTP_F_CONTENT_TYPE);
	if (type)
		snprintf(r->type, sizeof(r->type), "%.*s", (int)type->value.n, type->value.p);
	r->echo = true;
	r->left = head->framing == SD_HTTP_BODY_LENGTH ? (int64_t)head->content_length
		  : head->framing == SD_HTTP_BODY_NONE ? 0
						       : SD_HTTP_UNKNOWN;
	r->answer = answer_echo;
	return rest.n == 0;
}

static const struct {
	const char *path; /* ends in '/': the rest is an argument */
	bool (*ask)(struct request *r, struct sd_slice rest, const struct sd_http_head *head);
	const char *expected;
} routes[] = {
    {"/", ask_home, NULL},
    {"/health", ask_health, NULL},
    {"/json", ask_json, NULL},
    {"/headers", ask_headers, NULL},
    {"/echo", ask_echo, NULL},
    {"/sse", ask_sse, NULL},
    {"/delay/", ask_delay, "expected /delay/DURATION up to 1h, such as /delay/250ms\n"},
    {"/status/", ask_status, "expected /status/CODE from 200 to 599, such as /status/503\n"},
    {"/bytes/", ask_bytes, "expected /bytes/SIZE up to 1GiB, such as /bytes/64KiB\n"},
};

bool backend_find(struct request *r, const struct sd_http_head *head, const char **error)
{
	*error = "not found; try / /health /json /headers /echo /sse /delay/250ms /status/503 /bytes/64KiB\n";
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		size_t n = strlen(routes[i].path);
		bool open_ended = n > 1 && routes[i].path[n - 1] == '/';
		if (head->path.n < n || memcmp(head->path.p, routes[i].path, n) != 0 || (!open_ended && head->path.n != n))
			continue;
		struct sd_slice rest = {head->path.p + n, head->path.n - n};
		if (routes[i].expected)
			*error = routes[i].expected;
		return routes[i].ask(r, rest, head);
	}
	return false;
}
