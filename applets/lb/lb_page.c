/* lb_page.c - the status page: one HTML page that is whole without a script, and lives with one.
 *
 * The server fills the table in; the script then asks for /-/backends each second, and follows /-/events. Nothing comes
 * from elsewhere: the Content-Security-Policy lets only this page's own style and script run, known by a nonce.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin.h"
#include "core/text.h"
#include "lb.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f24;--dim:#59636e;--line:#d8dee4;--good:#1a7f37;"
    "--bad:#c4312b;--warn:#8a5a00}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--card:#161b22;--ink:#e6edf3;--dim:#9198a1;--line:#30363d;"
    "--good:#3fb950;--bad:#f85149;--warn:#d29922}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1.25rem;background:var(--bg);color:var(--ink);"
    "font:15px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:1.5rem 0 .5rem}header{display:flex;gap:1rem;align-items:baseline;"
    "flex-wrap:wrap;margin-bottom:1rem}#note{color:var(--dim)}#note.bad{color:var(--bad)}\n"
    "table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line)}\n"
    "th,td{padding:.5rem .7rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}\n"
    "th{font-size:.8rem;font-weight:600;color:var(--dim);white-space:nowrap}tr:last-child td{border-bottom:0}\n"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td small{display:block;color:var(--dim)}\n"
    ".name{overflow-wrap:anywhere;min-width:9rem}.why{min-width:10rem}.state::before{content:\"\\25CF\";margin-right:.35em}.state{white-space:nowrap}\n"
    ".up{color:var(--good)}.down,.unresolved{color:var(--bad)}.ejected,.half-open,.drained{color:var(--warn)}\n"
    "ul{list-style:none;margin:0;padding:0}ul:empty::after{content:\"None since this page was opened.\";color:var(--dim)}li{padding:.15rem 0;overflow-wrap:anywhere}li time{color:var(--dim);margin-right:.6em;"
    "font-variant-numeric:tabular-nums}.warn{color:var(--warn)}.error{color:var(--bad)}\n"
    "footer{margin-top:1.5rem;color:var(--dim);font-size:.85rem}a{color:inherit}\n"
    "@media(max-width:60rem){body{padding:.8rem}thead{display:none}table,tbody,tr,td{display:block}table{border:0;background:none}"
    "tr{background:var(--card);border:1px solid var(--line);margin-bottom:.8rem;padding:.3rem 0}"
    "td,tr:last-child td{border:0;padding:.15rem .8rem;display:flex;justify-content:space-between;gap:1rem;text-align:right}"
    "td::before{content:attr(data-label);color:var(--dim);text-align:left}td.why:empty{display:none}td.name{font-weight:600}"
    "td.name span{overflow-wrap:anywhere}td small{font-weight:400}}\n";

/* Texts go into the page as text and never as markup. */
static const char script[] =
    "'use strict';\n"
    "const rows = document.querySelector('tbody'), note = document.querySelector('#note'), list = document.querySelector('ul');\n"
    "let before = new Map(), at = 0;\n"
    "const ms = v => v === null ? '\\u2013' : v < 10 ? v.toFixed(2) : v.toFixed(0);\n"
    "function cell(row, label, kind, text, more) {\n"
    "  const td = row.insertCell(), span = document.createElement('span');\n"
    "  td.dataset.label = label;\n"
    "  td.className = kind;\n"
    "  if (text !== '') td.append(span);\n"
    "  span.textContent = text;\n"
    "  if (more) span.append(Object.assign(document.createElement('small'), {textContent: more}));\n"
    "  return span;\n"
    "}\n"
    "function rate(b, now) {\n"
    "  const old = before.get(b.name);\n"
    "  return old === undefined || now <= at ? '\\u2013' : Math.max(0, (b.requests - old) * 1000 / (now - at)).toFixed(1);\n"
    "}\n"
    "function show(all, now) {\n"
    "  const fresh = document.createElement('tbody');\n"
    "  for (const b of all) {\n"
    "    const row = fresh.insertRow();\n"
    "    cell(row, 'Backend', 'name', (b.pool === 'default' ? '' : b.pool + '/') + b.name, b.address === b.name ? '' : b.address);\n"
    "    cell(row, 'State', '', b.state).className = 'state ' + b.state;\n"
    "    cell(row, 'Why', 'why', b.why);\n"
    "    cell(row, 'In flight', 'n', b.inflight);\n"
    "    cell(row, 'Requests/s', 'n', rate(b, now));\n"
    "    cell(row, 'Requests', 'n', b.requests);\n"
    "    cell(row, 'Errors', 'n', b.failures + b.answers_5xx);\n"
    "    cell(row, 'p50 ms', 'n', ms(b.p50_ms));\n"
    "    cell(row, 'p99 ms', 'n', ms(b.p99_ms));\n"
    "    cell(row, 'Weight', 'n', b.weight);\n"
    "  }\n"
    "  rows.replaceChildren(...fresh.rows);\n"
    "  const up = all.filter(b => b.state === 'up').length;\n"
    "  note.textContent = up + ' of ' + all.length + ' up';\n"
    "  note.className = up === all.length ? '' : 'bad';\n"
    "  before = new Map(all.map(b => [b.name, b.requests]));\n"
    "  at = now;\n"
    "}\n"
    "async function refresh() {\n"
    "  try {\n"
    "    const all = await (await fetch('/-/backends', {cache: 'no-store'})).json();\n"
    "    show(all, performance.now());\n"
    "  } catch {\n"
    "    note.textContent = 'no answer from the balancer; what you see is old';\n"
    "    note.className = 'bad';\n"
    "  }\n"
    "}\n"
    "function happened(e) {\n"
    "  const li = document.createElement('li'), time = document.createElement('time');\n"
    "  time.textContent = new Date(e.time).toLocaleTimeString();\n"
    "  li.className = e.level;\n"
    "  li.append(time, e.message);\n"
    "  list.prepend(li);\n"
    "  while (list.children.length > 50) list.lastChild.remove();\n"
    "}\n"
    "async function follow() {\n"
    "  const reader = (await fetch('/-/events')).body.pipeThrough(new TextDecoderStream()).getReader();\n"
    "  for (let text = ''; ;) {\n"
    "    const {value, done} = await reader.read();\n"
    "    if (done) return;\n"
    "    const lines = (text + value).split('\\n');\n"
    "    text = lines.pop();\n"
    "    for (const line of lines) if (line.startsWith('data: ')) happened(JSON.parse(line.slice(6)));\n"
    "  }\n"
    "}\n"
    "async function always() {\n"
    "  for (;;) {\n"
    "    try { await follow(); } catch { }\n"
    "    await new Promise(go => setTimeout(go, 2000));\n"
    "  }\n"
    "}\n"
    "setInterval(refresh, 1000);\n"
    "refresh();\n"
    "always();\n";

static void put(struct sd_text *t, const char *text)
{
	sd_text_add(t, text, strlen(text));
}

static void put_escaped(struct sd_text *t, const char *text)
{
	for (; *text; text++) {
		const char *as = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;
		if (as)
			put(t, as);
		else
			sd_text_add(t, text, 1);
	}
}

static void put_ms(struct sd_text *t, const char *label, double ns)
{
	sd_text_format(t, "<td class=\"n\" data-label=\"%s\"><span>", label);
	if (ns < 0)
		put(t, "\xe2\x80\x93");
	else
		sd_text_format(t, ns < 1e7 ? "%.2f" : "%.0f", ns / 1e6);
	put(t, "</span></td>");
}

static void put_number(struct sd_text *t, const char *label, uint64_t v)
{
	sd_text_format(t, "<td class=\"n\" data-label=\"%s\"><span>%llu</span></td>", label, (unsigned long long)v);
}

static void put_row(struct sd_text *t, const struct lb_backend *b)
{
	char why[LB_WHY];
	struct lb_cell all;
	lb_add_up(b, &all);
	put(t, "<tr><td class=\"name\" data-label=\"Backend\"><span>");
	if (strcmp(b->pool, LB_DEFAULT_POOL) != 0)
		sd_text_format(t, "%s/", b->pool); /* its letters need no escape */
	put_escaped(t, b->name);
	if (strcmp(b->name, b->address) != 0) {
		put(t, "<small>");
		put_escaped(t, b->address);
		put(t, "</small>");
	}
	sd_text_format(t, "</span></td><td data-label=\"State\"><span class=\"state %s\">%s</span></td><td class=\"why\" data-label=\"Why\">",
		       lb_state_of(b), lb_state_of(b));
	if (*lb_why_of(b, why)) {
		put(t, "<span>");
		put_escaped(t, why);
		put(t, "</span>");
	}
	put(t, "</td>");
	put_number(t, "In flight", all.inflight);
	put(t, "<td class=\"n\" data-label=\"Requests/s\"><span>\xe2\x80\x93</span></td>");
	put_number(t, "Requests", all.requests);
	put_number(t, "Errors", all.refused + all.timeouts + all.broken + all.garbage + all.codes[5]);
	put_ms(t, "p50 ms", sd_histogram_quantile(&all.latency, 0.5));
	put_ms(t, "p99 ms", sd_histogram_quantile(&all.latency, 0.99));
	put_number(t, "Weight", b->weight);
	put(t, "</tr>\n");
}

static void put_page(struct sd_text *t, const struct lb *lb, const char *nonce)
{
	unsigned up = 0, all = 0;
	put(t, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
	       "initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>");
	put_escaped(t, lb->run->name);
	sd_text_format(t, " \xe2\x80\x93 status</title>\n<style nonce=\"%s\">\n%s</style></head>\n<body><header><h1>", nonce, style);
	put_escaped(t, lb->run->name);
	for (const struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next, all++)
		up += strcmp(lb_state_of(sd_container(k, const struct lb_backend, link)), "up") == 0;
	sd_text_format(t, "</h1><span id=\"note\"%s>%u of %u up</span></header>\n<main>\n<table><thead><tr><th>Backend</th><th>State</th>"
			  "<th>Why</th><th class=\"n\">In flight</th><th class=\"n\">Requests/s</th><th class=\"n\">Requests</th>"
			  "<th class=\"n\">Errors</th><th class=\"n\">p50 ms</th><th class=\"n\">p99 ms</th><th class=\"n\">Weight</th></tr>"
			  "</thead><tbody>\n",
		       up == all ? "" : " class=\"bad\"", up, all);
	for (const struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		put_row(t, sd_container(k, const struct lb_backend, link));
	sd_text_format(t, "</tbody></table>\n<h2>Events</h2><noscript><p>Without a script this page shows what was so when it was "
			  "loaded.</p></noscript><ul></ul></main>\n<footer>Percentiles are since the start. <a href=\"/-/backends\">JSON</a>, "
			  "<a href=\"/metrics\">metrics</a>, <a href=\"/\">all endpoints</a></footer>\n<script nonce=\"%s\">\n%s</script>\n"
			  "</body></html>\n",
		       nonce, script);
}

void lb_route_status(struct sd_admin_call *c)
{
	struct lb *lb = c->run->self;
	struct sd_text t = {0};
	uint64_t random[2];
	char nonce[33], extra[512];
	size_t n = 0;
	if (c->method != SD_HTTP_GET || c->rest.n > 0) {
		sd_admin_error(c->x, c->rest.n ? 404 : 405, "expected GET /-/status");
		return;
	}
	sd_world_random(lb->run->spec.world, random, sizeof(random));
	snprintf(nonce, sizeof(nonce), "%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
	snprintf(extra, sizeof(extra),
		 "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "
		 "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
		 "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n",
		 nonce, nonce);
	put_page(&t, lb, nonce);
	char *page = sd_text_take(&t, &n);
	if (page)
		sd_http_respond(c->x, 200, extra, "text/html; charset=utf-8", page, n);
	else
		sd_admin_error(c->x, 503, "out of memory");
	free(page);
}
