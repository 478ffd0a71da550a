/* The dashboard: links listed, made and changed by the API, what happens to them by /api/live, and the statistics of one of them.
 * Whatever comes from elsewhere goes into the page as text and never as markup. */

const $ = id => document.getElementById(id);
const TOKEN = document.querySelector('meta[name=token]').content;
const PER_PAGE = 20;
const SVG = 'http://www.w3.org/2000/svg';
const DAY = 86400e3;
const HOUR = 3600e3;
const whole = n => Math.round(n).toLocaleString();

function make(name, set, ...children) {
  const e = Object.assign(document.createElement(name), set);
  e.append(...children);
  return e;
}

function draw(name, set, ...children) {
  const e = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(set)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

let quiet;
function tell(text) {
  $('toast').textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => { $('toast').textContent = ''; }, 4000);
}

/* ---- the API ---- */

class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || 'The server answered ' + status + '.');
    this.member = problem.member;
    this.status = status;
  }
}

async function api(method, path, body) {
  const answer = await fetch(path, {
    method, body: body && JSON.stringify(body), credentials: 'same-origin',
    headers: {'X-Csrf-Token': TOKEN, ...(body ? {'Content-Type': 'application/json'} : {})},
  }).catch(() => { throw new Refused({detail: 'The server does not answer.'}, 0); });
  if (answer.status === 401) location.reload(); /* the session is over: the form for the password */
  const text = await answer.text();
  let json = {};
  try { json = JSON.parse(text); } catch { /* an error of something in between */ }
  if (!answer.ok) throw new Refused(json, answer.status);
  return json;
}

const path_of = (code, rest = '') => '/api/links/' + encodeURIComponent(code) + rest;

/* ---- the list ---- */

let page = 1;
let shown = new Map(); /* by code: the link, and the cell of its clicks */

function state_of(link) {
  const now = Date.now();
  if (!link.enabled) return ['off', 'disabled'];
  if (link.expires_at && Date.parse(link.expires_at) <= now) return ['off', 'expired'];
  if (link.valid_from && Date.parse(link.valid_from) > now) return ['', 'not yet'];
  return ['on', 'on'];
}

function button(text, label, fn) {
  const b = make('button', {type: 'button', textContent: text});
  b.setAttribute('aria-label', label);
  b.addEventListener('click', fn);
  return b;
}

async function copy(link) {
  try {
    await navigator.clipboard.writeText(link.short_url);
    tell('Copied ' + link.short_url);
  } catch {
    tell('The browser does not let this page copy: ' + link.short_url);
  }
}

function tags_of(link) {
  return link.tags.map(t => {
    const b = make('button', {type: 'button', className: 'tag', textContent: t});
    b.setAttribute('aria-label', 'only links with the tag ' + t);
    b.addEventListener('click', () => { choose_tag(t); load(1); });
    return b;
  });
}

function row_of(link) {
  const [kind, word] = state_of(link);
  const to = make('a', {href: link.original_url, textContent: link.title || link.original_url, rel: 'noreferrer noopener'});
  const lines = link.title ? [to, make('small', {textContent: link.original_url})] : [to];
  const clicks = make('td', {className: 'n', textContent: whole(link.clicks)});
  const created = new Date(link.created_at);
  shown.set(link.code, {link, cell: clicks});
  return make('tr', {},
    make('td', {className: 'short'}, make('a', {href: '#' + encodeURIComponent(link.code), textContent: link.code, title: 'statistics of ' + link.short_url})),
    make('td', {className: 'to'}, ...lines, make('div', {}, ...tags_of(link))),
    make('td', {className: 'state ' + kind, textContent: word}),
    clicks,
    make('td', {className: 'when'}, make('time', {dateTime: link.created_at, textContent: created.toLocaleDateString(), title: created.toLocaleString()})),
    make('td', {className: 'acts'}, button('Copy', 'copy ' + link.short_url, () => copy(link)),
      button('Edit', 'edit ' + link.code, () => open_form(link)), button('QR', 'QR code of ' + link.code, () => show_qr(link))));
}

let asked = 0;
async function load(to = page) {
  const mine = ++asked;
  const q = new URLSearchParams({page: to, per_page: PER_PAGE, order: $('order').value});
  if ($('search').value.trim()) q.set('search', $('search').value.trim());
  if ($('tag').value) q.set('tag', $('tag').value);
  let list;
  try {
    list = await api('GET', '/api/links?' + q);
  } catch (e) {
    tell(e.message);
    return;
  }
  if (mine !== asked) return; /* somebody typed on */
  const pages = Math.max(1, Math.ceil(list.total / PER_PAGE));
  if (to > pages) return load(pages);
  page = to;
  shown = new Map();
  $('links').tBodies[0].replaceChildren(...list.links.map(row_of));
  const any = q.has('search') || q.has('tag');
  $('links').hidden = list.links.length === 0;
  $('none').hidden = list.links.length !== 0;
  $('none').textContent = any ? 'No link is like that.' : 'No links yet. “New link” makes the first.';
  $('pages').hidden = pages === 1;
  $('where').textContent = `Page ${page} of ${pages}, ${whole(list.total)} links`;
  $('before').disabled = page === 1;
  $('after').disabled = page === pages;
}

function choose_tag(tag) {
  if (![...$('tag').options].some(o => o.value === tag)) $('tag').append(make('option', {value: tag, textContent: tag}));
  $('tag').value = tag;
}

async function load_tags() {
  const {tags} = await api('GET', '/api/tags').catch(() => ({tags: []}));
  const chosen = $('tag').value;
  $('tag').replaceChildren(make('option', {value: '', textContent: 'any'}), ...tags.map(t => make('option', {value: t.tag, textContent: `${t.tag} (${t.links})`})));
  if (chosen) choose_tag(chosen);
}

/* ---- making and changing ---- */

const form = $('form');
let editing = null;

/* What a datetime-local field shows, in the time of this machine. */
function local(text) {
  if (!text) return '';
  const t = new Date(text);
  return new Date(t - t.getTimezoneOffset() * 60e3).toISOString().slice(0, 19);
}
const moment = text => text ? new Date(text).toISOString().replace(/\.\d+Z$/, 'Z') : null;

function open_form(link) {
  editing = link;
  form.reset();
  for (const f of form.elements) f.removeAttribute('aria-invalid');
  $('wrong').hidden = true;
  $('edit-title').textContent = link ? 'Edit ' + link.code : 'New link';
  $('alias-label').hidden = $('delete').hidden = false;
  $(link ? 'alias-label' : 'delete').hidden = true;
  const f = form.elements;
  f.url.value = link ? link.original_url : '';
  f.title.value = link?.title ?? '';
  f.tags.value = link ? link.tags.join(', ') : '';
  f.valid_from.value = local(link?.valid_from);
  f.expires_at.value = local(link?.expires_at);
  f.max_visits.value = link?.max_visits ?? '';
  f.status.value = link?.status ?? '';
  f.enabled.checked = link ? link.enabled : true;
  f.forward_query.checked = link ? link.forward_query : false;
  $('edit').showModal();
  f.url.focus();
}

/* As the fields say it; of a link that is there only what was changed. */
function said() {
  const f = form.elements, number = v => v === '' ? null : Number(v);
  const all = {
    url: f.url.value.trim(), title: f.title.value.trim() || null, tags: f.tags.value.split(',').map(t => t.trim()).filter(t => t),
    valid_from: moment(f.valid_from.value), expires_at: moment(f.expires_at.value), max_visits: number(f.max_visits.value),
    status: number(f.status.value), enabled: f.enabled.checked, forward_query: f.forward_query.checked,
  };
  if (!editing) return f.alias.value.trim() ? {...all, alias: f.alias.value.trim()} : all;
  const was = {...editing, url: editing.original_url};
  return Object.fromEntries(Object.entries(all).filter(([k, v]) => JSON.stringify(v) !== JSON.stringify(was[k] ?? null)));
}

function complain(e) {
  const field = e.member && form.elements[e.member];
  $('wrong').textContent = e.message;
  $('wrong').hidden = false;
  for (const f of form.elements) f.removeAttribute('aria-invalid');
  if (!field) return;
  field.setAttribute('aria-invalid', 'true');
  field.focus();
}

async function save(event) {
  event.preventDefault();
  if (!form.elements.url.value.trim()) return complain(new Refused({detail: 'Where should it lead? An address is needed.', member: 'url'}));
  $('save').disabled = true;
  try {
    const link = editing ? await api('PATCH', path_of(editing.code), said()) : await api('POST', '/api/links', said());
    $('edit').close();
    tell((editing ? 'Saved ' : 'Made ') + link.short_url);
    changed(link);
  } catch (e) {
    complain(e);
  } finally {
    $('save').disabled = false;
  }
}

function changed(link) {
  if (current) show_link(link.code);
  else load(editing ? page : 1);
  load_tags();
}

async function remove() {
  const code = editing.code;
  $('sure-text').textContent = editing.short_url + ' will answer that there is no such link. Its code is never used again.';
  $('sure').returnValue = 'no';
  $('sure').showModal();
  await new Promise(done => $('sure').addEventListener('close', done, {once: true}));
  if ($('sure').returnValue !== 'yes') return;
  try {
    await api('DELETE', path_of(code));
  } catch (e) {
    complain(e);
    return;
  }
  $('edit').close();
  tell('Deleted ' + code);
  if (current) location.hash = '';
  else load();
  load_tags();
}

function show_qr(link) {
  $('qr-title').textContent = 'QR code of ' + link.code;
  $('qr-image').src = $('qr-file').href = path_of(link.code, '/qr.svg');
  $('qr-image').alt = 'QR code of ' + link.short_url;
  $('qr-text').textContent = link.short_url;
  $('qr-file').download = link.code + '.svg';
  $('qr').showModal();
}

/* ---- one link ---- */

let current = null; /* the link that is looked at */
let refresh; /* a timer: its numbers are asked for again */

function spans(stats) {
  const hours = $('span').value === 'hours', step = hours ? HOUR : DAY;
  const n = hours ? 48 : Number($('span').value), last = Math.floor(Date.now() / step) * step;
  const known = new Map((hours ? stats.hours : stats.days).map(s => [Date.parse(s.at), s]));
  const nothing = {clicks: 0, visitors: 0, bots: 0};
  return Array.from({length: n}, (_, i) => last - (n - 1 - i) * step).map(at => ({at, hours, ...(known.get(at) || nothing)}));
}

function name_of({at, hours}) {
  const o = hours ? {month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit'} : {year: 'numeric', month: 'short', day: 'numeric'};
  return new Date(at).toLocaleString(undefined, {...o, timeZone: 'UTC'});
}

/* The next of 4, 6, 10, 20, 40 ...: half of it is whole as well. */
function round_up(n) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, n)));
  return [2, 4, 6, 10].map(f => f * power).find(v => v >= n) ?? 20 * power;
}

function chart(list) {
  const W = Math.max(320, $('chart').clientWidth), H = 220, LEFT = 44, BOTTOM = 24, TOP = 14;
  const most = Math.max(...list.map(s => s.clicks)), top = round_up(Math.max(4, most)), sum = list.reduce((n, s) => n + s.clicks, 0);
  const width = (W - LEFT) / list.length, gap = width > 6 ? 2 : width > 2 ? 1 : 0, y = v => TOP + (H - TOP - BOTTOM) * (1 - v / top);
  const svg = draw('svg', {viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': `${whole(sum)} clicks from ${name_of(list[0])} to ${name_of(list.at(-1))}, at most ${whole(most)}`});
  for (const v of [0, top / 2, top]) {
    svg.append(draw('line', {x1: LEFT, x2: W, y1: y(v), y2: y(v)}), draw('text', {x: LEFT - 6, y: y(v) + 4, 'text-anchor': 'end'}, whole(v)));
  }
  list.forEach((s, i) => {
    const high = Math.max(s.clicks ? 2 : 0, y(0) - y(s.clicks));
    svg.append(draw('rect', {class: 'column', x: LEFT + i * width + gap / 2, y: y(0) - high, width: width - gap, height: high},
      draw('title', {}, `${name_of(s)}: ${whole(s.clicks)}`)));
  });
  const every = Math.ceil(list.length / Math.max(2, Math.floor(W / 140)));
  list.forEach((s, i) => {
    if (i % every || W - (LEFT + i * width) < 70) return;
    const o = s.hours ? {hour: '2-digit', minute: '2-digit', day: 'numeric', month: 'short'} : {day: 'numeric', month: 'short'};
    svg.append(draw('text', {x: LEFT + i * width, y: H - 6}, new Date(s.at).toLocaleString(undefined, {...o, timeZone: 'UTC'})));
  });
  $('chart').replaceChildren(svg);
  const number = v => v === null || v === undefined || v < 0 ? '–' : whole(v);
  $('chart-table').tBodies[0].replaceChildren(...list.filter(s => s.clicks || s.bots).reverse().map(s => make('tr', {},
    make('td', {textContent: name_of(s)}), ...[s.clicks, s.visitors, s.bots].map(v => make('td', {className: 'n', textContent: number(v)})))));
}

const regions = typeof Intl.DisplayNames === 'function' ? new Intl.DisplayNames(undefined, {type: 'region', fallback: 'code'}) : null;
function country(code) {
  if (!/^[A-Z]{2}$/.test(code)) return code || 'not known';
  return regions ? regions.of(code) : code;
}

function share(title, rows, name) {
  const section = make('section', {}, make('h3', {textContent: title})), most = Math.max(1, ...rows.map(r => r.clicks));
  const list = rows.slice(0, 10).map(r => {
    const bar = make('progress', {max: most, value: r.clicks});
    bar.setAttribute('aria-hidden', 'true');
    return make('li', {}, make('span', {textContent: name(r.name)}), make('span', {className: 'n', textContent: whole(r.clicks)}), bar);
  });
  section.append(list.length ? make('ul', {}, ...list) : make('p', {textContent: 'Nothing yet.'}));
  return section;
}

function show_stats(stats) {
  const number = v => v === null || v === undefined || v < 0 ? '–' : whole(v);
  for (const [id, v] of Object.entries({clicks: stats.clicks, visitors: stats.visitors, bots: stats.bots, previews: stats.previews, prefetches: stats.prefetches})) {
    $('s-' + id).textContent = number(v);
  }
  chart(spans(stats));
  $('shares').replaceChildren(
    share('Referrers', stats.referrers, n => n || 'none was sent'), share('Countries', stats.countries, country),
    share('Devices', stats.devices, n => n || 'not known'), share('Browsers', stats.browsers, n => n || 'not known'),
    share('Systems', stats.systems, n => n || 'not known'));
}

async function load_stats() {
  const code = current.code, hours = $('span').value === 'hours', back = hours ? 2 : Number($('span').value) - 1;
  const from = new Date(Date.now() - back * DAY).toISOString().slice(0, 10);
  try {
    const stats = await api('GET', '/api/stats/' + encodeURIComponent(code) + '?from=' + from);
    if (current?.code === code) show_stats(stats);
  } catch (e) {
    tell(e.message);
  }
}

async function show_link(code) {
  let link;
  try {
    link = await api('GET', path_of(code));
  } catch (e) {
    tell(e.message);
    location.hash = '';
    return;
  }
  const before = current?.code;
  current = link;
  const [kind, word] = state_of(link);
  $('view-list').hidden = true;
  $('view-link').hidden = false;
  document.title = link.code + ' – Links';
  $('link-title').textContent = link.title || link.code;
  $('link-url').replaceChildren(make('a', {href: link.short_url, textContent: link.short_url, rel: 'noreferrer noopener'}), ' → ', link.original_url,
    ' ', make('span', {className: 'state ' + kind, textContent: word}), ...link.tags.map(t => make('span', {className: 'tag', textContent: t})));
  if (before !== code) $('link-title').focus({preventScroll: true});
  await load_stats();
}

function show_list() {
  current = null;
  document.title = 'Links';
  $('view-link').hidden = true;
  $('view-list').hidden = false;
  load();
}

function route() {
  let code;
  try { code = decodeURIComponent(location.hash.slice(1)); } catch { code = ''; }
  if (code && code !== 'main') show_link(code);
  else if (code !== 'main' || $('view-link').hidden) show_list();
}

/* ---- live ---- */

const recent = []; /* [time, clicks] of the last minute */

function show_totals(now) {
  const t = Date.now();
  $('total-links').textContent = whole(now.links);
  $('total-clicks').textContent = whole(now.clicks);
  recent.push([t, now.clicks]);
  while (recent.length > 1 && recent[1][0] < t - 60e3) recent.shift();
  $('total-recent').textContent = whole(Math.max(0, now.clicks - recent[0][1]));
}

function on_live(now) {
  show_totals(now);
  for (const c of now.changed) {
    const row = shown.get(c.code);
    if (row && row.cell.textContent !== whole(c.clicks)) {
      row.cell.textContent = whole(c.clicks);
      row.cell.classList.remove('fresh');
      void row.cell.offsetWidth; /* so that it begins anew */
      row.cell.classList.add('fresh');
    }
    if (current?.code === c.code && !refresh) refresh = setTimeout(() => { refresh = 0; if (current) load_stats(); }, 1500);
  }
}

function live(word, kind) {
  if ($('live').textContent !== word) $('live').textContent = word;
  $('live').className = kind;
}

function listen() {
  const source = new EventSource('/api/live');
  source.onopen = () => live('live', 'on');
  source.onmessage = e => on_live(JSON.parse(e.data));
  source.onerror = () => {
    live('no answer, trying again', 'off');
    if (source.readyState !== EventSource.CLOSED) return;
    source.close();
    api('GET', '/api/links?per_page=1').catch(() => {}); /* of a session that ended: the form for the password */
    setTimeout(listen, 3000);
  };
}

/* ---- the rest ---- */

let typing;
$('search').addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => load(1), 200); });
for (const id of ['tag', 'order']) $(id).addEventListener('change', () => load(1));
$('before').addEventListener('click', () => load(page - 1));
$('after').addEventListener('click', () => load(page + 1));
$('new').addEventListener('click', () => open_form(null));
$('cancel').addEventListener('click', () => $('edit').close());
$('delete').addEventListener('click', remove);
form.addEventListener('submit', save);
$('span').addEventListener('change', load_stats);
$('link-copy').addEventListener('click', () => copy(current));
$('link-edit').addEventListener('click', () => open_form(current));
$('link-qr').addEventListener('click', () => show_qr(current));
$('theme').value = document.documentElement.dataset.theme || '';
$('theme').addEventListener('change', () => {
  const theme = $('theme').value;
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try { if (theme) localStorage.setItem('theme', theme); else localStorage.removeItem('theme'); } catch { /* not kept then */ }
});
addEventListener('hashchange', route);
let resized;
addEventListener('resize', () => { clearTimeout(resized); resized = setTimeout(() => { if (current) load_stats(); }, 300); });
route();
load_tags();
listen();
