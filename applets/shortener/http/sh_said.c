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

void sh_say_problem(struct sd_http_exchange *x, enum sh_problem p, bool page, const char *code)
{
	const struct sh_problem_row *row = &sh_problems[p];
	const char *extra = row->status == 503 ? LINES POLICY "Retry-After: 1\r\n" : LINES POLICY;
	char text[2048], detail[128];
	size_t n = 0;
	if (page) {
		n = (size_t)snprintf(text, sizeof(text), page_text, row->title, row->title, code[0] ? "Asked for: " : "", code);
		sd_http_respond(x, row->status, extra, "text/html; charset=utf-8", text, n);
		return;
	}
	snprintf(detail, sizeof(detail), "Asked for: %s", code);
	char *json = sh_json_text(sh_problem_json(p, NULL, code[0] ? detail : NULL), &n);
	sd_http_respond(x, row->status, extra, "application/problem+json", json, n);
	free(json);
}
