/* mq_page.c - the page of the broker: its queues, moving. One page, its own style and script, nothing from elsewhere.
 *
 * The script follows /api/live, which tells every second what each queue has and how fast it goes in and out. Each queue has
 * its last two minutes as a line: how many wait. Without a script the page names the path that has the same as JSON.
 */
#include <stdlib.h>

#include "core/text.h"
#include "mq_http.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f24;--dim:#59636e;--line:#d8dee4;--in:#0969da;--out:#1a7f37;--bad:#c4312b}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--card:#161b22;--ink:#e6edf3;--dim:#9198a1;--line:#30363d;--in:#4493f8;"
    "--out:#3fb950;--bad:#f85149}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1.25rem;background:var(--bg);color:var(--ink);"
    "font:15px/1.45 system-ui,sans-serif}\n"
    "header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap;margin-bottom:1rem}h1{font-size:1.25rem;margin:0}"
    "#note{color:var(--dim)}#note.bad{color:var(--bad)}\n"
    "dl{display:flex;gap:1rem;flex-wrap:wrap;margin:0 0 1rem}dl div{background:var(--card);border:1px solid var(--line);padding:.5rem .9rem;"
    "min-width:8rem}dt{color:var(--dim);font-size:.8rem}dd{margin:0;font-size:1.35rem;font-variant-numeric:tabular-nums}\n"
    "table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line)}th,td{padding:.45rem .7rem;text-align:left;"
    "border-bottom:1px solid var(--line)}th{font-size:.8rem;color:var(--dim);white-space:nowrap}tr:last-child td{border-bottom:0}\n"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.name{overflow-wrap:anywhere;min-width:9rem;font-weight:600}"
    ".name small{display:block;color:var(--dim);font-weight:400}.in{color:var(--in)}.out{color:var(--out)}.idle{color:var(--bad)}\n"
    "svg{display:block;width:11rem;height:2rem}polyline{fill:none;stroke:var(--in);stroke-width:1.5;vector-effect:non-scaling-stroke}\n"
    "footer{margin-top:1.5rem;color:var(--dim);font-size:.85rem}a{color:inherit}\n"
    "@media(max-width:52rem){thead{display:none}table,tbody,tr,td{display:block}table{border:0;background:none}tr{background:var(--card);"
    "border:1px solid var(--line);margin-bottom:.8rem;padding:.3rem 0}td,tr:last-child td{border:0;padding:.15rem .8rem;display:flex;"
    "justify-content:space-between;gap:1rem;text-align:right}td::before{content:attr(data-label);color:var(--dim);font-weight:400;text-align:left}}\n";

/* Names go into the page as text and never as markup. */
static const char script[] =
    "'use strict';\n"
    "const rows = document.querySelector('tbody'), note = document.querySelector('#note'), past = new Map(), KEEP = 120;\n"
    "const SVG = 'http://www.w3.org/2000/svg';\n"
    "const whole = v => Math.round(v).toLocaleString();\n"
    "const rate = v => v === 0 ? '0' : v < 10 ? v.toFixed(1) : whole(v);\n"
    "const size = v => { let u = 0; while (v >= 1024 && u < 4) { v /= 1024; u++; } return (u ? v.toFixed(1) : v) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][u]; };\n"
    "function cell(row, label, kind, text) {\n"
    "  const td = row.insertCell();\n"
    "  td.dataset.label = label;\n"
    "  td.className = kind;\n"
    "  td.append(Object.assign(document.createElement('span'), {textContent: text}));\n"
    "  return td;\n"
    "}\n"
    "function line(values) {\n"
    "  const svg = document.createElementNS(SVG, 'svg'), l = document.createElementNS(SVG, 'polyline'), top = Math.max(1, ...values);\n"
    "  svg.setAttribute('viewBox', '0 0 ' + (KEEP - 1) + ' 100');\n"
    "  svg.setAttribute('preserveAspectRatio', 'none');\n"
    "  svg.setAttribute('role', 'img');\n"
    "  svg.setAttribute('aria-label', 'waiting over the last ' + values.length + ' seconds, at most ' + whole(top));\n"
    "  l.setAttribute('points', values.map((v, i) => (KEEP - values.length + i) + ',' + (97 - 94 * v / top).toFixed(1)).join(' '));\n"
    "  svg.append(l);\n"
    "  return svg;\n"
    "}\n"
    "function show(now) {\n"
    "  const fresh = document.createElement('tbody'), seen = new Set();\n"
    "  for (const q of now.queues) {\n"
    "    const id = q.vhost + ' ' + q.name, values = past.get(id) || [], row = fresh.insertRow();\n"
    "    values.push(q.ready);\n"
    "    if (values.length > KEEP) values.shift();\n"
    "    past.set(id, values);\n"
    "    seen.add(id);\n"
    "    const name = cell(row, 'Queue', 'name', q.name);\n"
    "    if (q.vhost !== '/') name.append(Object.assign(document.createElement('small'), {textContent: q.vhost}));\n"
    "    if (q.groups) name.append(Object.assign(document.createElement('small'), {textContent: ['stream',\n"
    "      ...q.groups.map(g => g.name + ': ' + (g.lag ? whole(g.lag) + ' behind' : 'at the end'))].join(', ')}));\n"
    "    const td = cell(row, 'Two minutes', '', '');\n"
    "    td.replaceChildren(line(values));\n"
    "    cell(row, 'Waiting', 'n', whole(q.ready));\n"
    "    cell(row, 'Unacknowledged', 'n', whole(q.unacked));\n"
    "    cell(row, 'Delayed', 'n', whole(q.delayed));\n"
    "    cell(row, 'In/s', 'n in', rate(q.in));\n"
    "    cell(row, 'Out/s', 'n out', rate(q.out));\n"
    "    cell(row, 'Consumers', q.consumers === 0 && q.ready > 0 && !q.groups ? 'n idle' : 'n', whole(q.consumers));\n"
    "    cell(row, 'Size', 'n', size(q.bytes));\n"
    "  }\n"
    "  for (const id of past.keys()) if (!seen.has(id)) past.delete(id);\n"
    "  if (now.queues.length === 0) {\n"
    "    const td = fresh.insertRow().insertCell();\n"
    "    td.colSpan = 9;\n"
    "    td.textContent = 'No queue yet. Try: sdlab mq publish orders hello';\n"
    "  }\n"
    "  rows.replaceChildren(...fresh.rows);\n"
    "  for (const [id, text] of [['ready', whole(now.messages_ready)], ['unacked', whole(now.messages_unacknowledged)], ['in', rate(now.in)],\n"
    "                            ['out', rate(now.out)], ['acks', rate(now.acks)]]) document.getElementById(id).textContent = text;\n"
    "  note.className = '';\n"
    "  note.textContent = now.all + (now.all === 1 ? ' queue' : ' queues') + (now.all > now.queues.length ? ', the first ' + now.queues.length + ' are shown' : '');\n"
    "}\n"
    "const source = new EventSource('/api/live');\n"
    "source.onmessage = e => show(JSON.parse(e.data));\n"
    "source.onerror = () => { note.className = 'bad'; note.textContent = 'no answer from the broker; trying again'; };\n";

static void put(struct sd_text *t, const char *s)
{
	sd_text_add(t, s, strlen(s));
}

static void put_escaped(struct sd_text *t, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '<': put(t, "&lt;"); break;
		case '>': put(t, "&gt;"); break;
		case '&': put(t, "&amp;"); break;
		case '"': put(t, "&quot;"); break;
		default: sd_text_add(t, s, 1);
		}
}

char *mq_page(const char *name, const char *nonce, size_t *n)
{
	struct sd_text t = {0};
	put(&t, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
		"initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>");
	put_escaped(&t, name);
	sd_text_format(&t, " \xe2\x80\x93 queues</title>\n<style nonce=\"%s\">\n%s</style></head>\n<body><header><h1>", nonce, style);
	put_escaped(&t, name);
	sd_text_format(&t, "</h1><span id=\"note\" role=\"status\">\xe2\x80\xa6</span></header>\n<main>\n<dl><div><dt>Waiting</dt><dd id=\"ready\">\xe2\x80\x93</dd></div>"
			   "<div><dt>Unacknowledged</dt><dd id=\"unacked\">\xe2\x80\x93</dd></div><div><dt>In a second</dt><dd id=\"in\" class=\"in\">\xe2\x80\x93</dd></div>"
			   "<div><dt>Out a second</dt><dd id=\"out\" class=\"out\">\xe2\x80\x93</dd></div><div><dt>Acknowledged a second</dt><dd id=\"acks\">\xe2\x80\x93</dd></div></dl>\n"
			   "<table><thead><tr><th>Queue</th><th>Two minutes</th><th class=\"n\">Waiting</th><th class=\"n\">Unacknowledged</th>"
			   "<th class=\"n\">Delayed</th><th class=\"n\">In/s</th><th class=\"n\">Out/s</th><th class=\"n\">Consumers</th><th class=\"n\">Size</th></tr></thead>"
			   "<tbody></tbody></table>\n<noscript><p>This page needs a script; <a href=\"/api/queues\">/api/queues</a> has the same as JSON.</p></noscript></main>\n"
			   "<footer>What waits without a consumer is red. <a href=\"/api/overview\">overview</a>, <a href=\"/api/queues\">queues</a>, "
			   "<a href=\"/api/exchanges\">exchanges</a>, <a href=\"/api/bindings\">bindings</a> as JSON</footer>\n<script nonce=\"%s\">\n%s</script>\n</body></html>\n",
		       nonce, script);
	return sd_text_take(&t, n);
}
