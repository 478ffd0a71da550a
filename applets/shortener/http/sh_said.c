/* sh_said.c - what a visitor is told where there is no redirect. */
#include "sh_said.h"

#include <stdio.h>
#include <stdlib.h>

/* What of 1000 this range of Accept has: its q; 1000 when none is said. */
static unsigned weight(struct sd_slice item)
{
	const char *q = memmem(item.p, item.n, "q=", 2);
	unsigned n = 0, scale = 1000;
	if (!q)
		return 1000;
	for (q += 2; q < item.p + item.n && scale; q++) {
		if (*q >= '0' && *q <= '9') {
			n += (unsigned)(*q - '0') * scale;
			scale /= 10;
		} else if (*q != '.') {
			break;
		}
	}
	return n;
}

bool sh_wants_page(struct sd_slice accept)
{
	unsigned html = 0, json = 0;
	struct sd_slice item;
	while (sd_http_list_next(&accept, &item)) {
		if (sd_slice_starts(item, "text/html") || sd_slice_starts(item, "application/xhtml"))
			html = weight(item) > html ? weight(item) : html;
		else if (sd_slice_starts(item, "application/json") || sd_slice_starts(item, "application/problem+json"))
			json = weight(item) > json ? weight(item) : json;
	}
	return html > json;
}

#define POLICY "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " \
	       "frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"
#define LINES  "Cache-Control: no-store\r\nVary: Accept\r\nX-Content-Type-Options: nosniff\r\n"

static const char page_text[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    "<meta name=\"robots\" content=\"noindex\"><title>%s</title>\n<style>:root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,"
    "sans-serif;max-width:36rem;margin:15vh auto;padding:0 1.5rem}h1{font-size:1.6rem}code{font-size:1em}</style></head>\n"
    "<body><main><h1>%s</h1><p>%s<code>%s</code></p></main></body></html>\n";

static void say_page(struct sd_http_exchange *x, int status, const char *extra, const char *title, const char *label, const char *value)
{
	char text[2048];
	int n = snprintf(text, sizeof(text), page_text, title, title, label, value);
	sd_http_respond(x, status, extra, "text/html; charset=utf-8", text, (size_t)n);
}

static void say_json(struct sd_http_exchange *x, int status, const char *extra, cJSON *tree)
{
	size_t n = 0;
	char *json = sh_json_text(tree, &n);
	sd_http_respond(x, status, extra, "application/problem+json", json, n);
	free(json);
}

static const char *lines_of(int status)
{
	return status == 503 || status == 429 ? LINES POLICY "Retry-After: 1\r\n" : LINES POLICY;
}

void sh_say_problem(struct sd_http_exchange *x, enum sh_problem p, bool page, const char *code)
{
	const struct sh_problem_row *row = &sh_problems[p];
	const char *extra = lines_of(row->status);
	char detail[128];
	snprintf(detail, sizeof(detail), "Asked for: %s", code);
	if (page)
		say_page(x, row->status, extra, row->title, code[0] ? "Asked for: " : "", code);
	else
		say_json(x, row->status, extra, sh_problem_json(p, NULL, code[0] ? detail : NULL));
}

void sh_say_status(struct sd_http_exchange *x, int status, bool page, const char *why)
{
	const char *title = sd_http_status_text(status);
	cJSON *o;
	if (page) {
		say_page(x, status, lines_of(status), title, "", why);
		return;
	}
	o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "type", "about:blank");
	cJSON_AddStringToObject(o, "title", title);
	cJSON_AddNumberToObject(o, "status", status);
	cJSON_AddStringToObject(o, "detail", why);
	say_json(x, status, lines_of(status), o);
}

struct sd_slice sh_raw_accept(struct sd_slice raw)
{
	while (raw.n) {
		const char *end = memchr(raw.p, '\n', raw.n);
		size_t n = end ? (size_t)(end - raw.p) : raw.n;
		if (end && n > 7 && strncasecmp(raw.p, "Accept:", 7) == 0)
			return (struct sd_slice){raw.p + 7, n - 7};
		raw.p += n + (end != NULL);
		raw.n -= n + (end != NULL);
	}
	return raw;
}
