// The dashboard in the hands of a person: shortener_page.js URL PASSWORD FOLDER. Pictures go to the folder.
'use strict';
const assert = require('assert');
const http = require('http');
const { chromium } = require('playwright-core');

const [url, password, folder] = process.argv.slice(2);
const complaints = [];
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

function watch(page) {
  page.setDefaultTimeout(45000);
  page.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') complaints.push(`${m.text()} (${m.location().url})`); });
  page.on('pageerror', e => complaints.push(e.message));
  page.on('request', r => { if (!r.url().startsWith(url) && !r.url().startsWith('data:')) complaints.push('asked elsewhere: ' + r.url()); });
  return page;
}

// What a visitor does, with a browser's name: a click of a person.
function visit(code, agent = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0') {
  return new Promise((done, failed) => http.get(url + '/' + code,
    { agent: false, headers: { 'User-Agent': agent, Referer: 'https://news.example.org/a' } }, r => { r.resume(); done(r.statusCode); }).on('error', failed));
}

const row = (page, code) => page.locator('#links tbody tr', { has: page.getByRole('link', { name: code, exact: true }) });

const field = (page, name) => page.locator(`#form [name=${name}]`);

async function log_in(page) {
  await page.goto(url + '/dashboard');
  await page.getByLabel('Password').fill('not it');
  const wrong = page.waitForResponse(r => r.url().endsWith('/login'));
  await page.keyboard.press('Enter');
  assert.equal((await wrong).status(), 403);
  await page.getByText('That is not the password.').waitFor();
  complaints.length = 0; // a browser tells of the 403
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#live.on').waitFor();
}

async function create(page) {
  await page.getByText('No links yet').waitFor();
  await page.getByRole('button', { name: 'New link' }).click();
  await field(page, 'url').fill('javascript:alert(1)');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('#wrong').getByText(/\w+/).waitFor();
  assert.equal(await field(page, 'url').getAttribute('aria-invalid'), 'true');
  complaints.length = 0; // a browser tells of the 422
  await field(page, 'url').fill('https://example.com/spring?a=1');
  await field(page, 'alias').fill('spring');
  await field(page, 'title').fill('The <b>spring</b> letter');
  await field(page, 'tags').fill('letters, spring');
  await field(page, 'expires_at').fill('2099-01-02T03:04:05');
  await field(page, 'status').selectOption('302');
  await page.getByRole('button', { name: 'Save' }).click();
  await row(page, 'spring').getByText('The <b>spring</b> letter').waitFor();
  assert.equal(await visit('spring'), 302);
}

// Nothing but keys, from the page's beginning.
async function create_with_keys(page) {
  await page.goto(url + '/dashboard');
  await row(page, 'spring').waitFor();
  const until = async (test, what) => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(test)) return;
    }
    assert.fail('Tab does not lead to ' + what);
  };
  await page.keyboard.press('Tab');
  assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip/);
  await until(() => document.activeElement.id === 'new', 'the button for a new link');
  await page.keyboard.press('Enter');
  await page.keyboard.type('https://example.com/by/keys');
  await page.keyboard.press('Tab');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await row(page, 'keys').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'new', 'focus after the form is closed');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.locator('#edit').waitFor({ state: 'hidden' });
  await until(() => document.activeElement.textContent === 'keys', 'the link');
  await page.keyboard.press('Enter');
  await page.locator('#chart svg').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'link-title', 'focus on the page of a link');
  await page.goto(url + '/dashboard');
}

async function edit(page) {
  await row(page, 'spring').getByRole('button', { name: 'edit spring' }).click();
  assert.equal(await field(page, 'expires_at').inputValue(), '2099-01-02T03:04:05');
  assert.equal(await field(page, 'tags').inputValue(), 'letters, spring');
  await field(page, 'title').fill('The letter');
  await field(page, 'expires_at').fill('');
  await page.getByRole('button', { name: 'Save' }).click();
  await row(page, 'spring').getByText('The letter', { exact: true }).waitFor();
}

async function live(page) {
  const cell = row(page, 'spring').locator('td.n');
  const is = async n => page.waitForFunction(([e, want]) => Number(e.textContent) === want, [await cell.elementHandle(), n]);
  await is(1); // of create()
  for (let i = 0; i < 3; i++) assert.equal(await visit('spring'), 302);
  assert.equal(await visit('spring', 'Googlebot/2.1 (+http://www.google.com/bot.html)'), 302);
  await is(4); // and not the bot
  await page.waitForFunction(() => document.getElementById('total-clicks').textContent === '4');
  return 4;
}

async function statistics(page, clicks) {
  await row(page, 'spring').getByRole('link', { name: 'spring', exact: true }).click();
  await page.locator('#chart svg').waitFor();
  await page.waitForFunction(n => Number(document.getElementById('s-clicks').textContent) === n, clicks);
  assert.equal(await page.locator('#s-bots').textContent(), '1');
  assert.equal(await page.locator('#s-visitors').textContent(), '1');
  assert.equal(await page.locator('#chart .column').count(), 30);
  await page.getByText('news.example.org').waitFor();
  await page.getByText('Firefox').waitFor();
  await page.locator('#span').selectOption('hours');
  await page.waitForFunction(() => document.querySelectorAll('#chart .column').length === 48);
  assert.match(await page.locator('#chart svg').getAttribute('aria-label'), new RegExp(`^${clicks} clicks`));
  // The numbers of the page of a link move as well.
  await visit('spring');
  await page.waitForFunction(n => Number(document.getElementById('s-clicks').textContent) === n, clicks + 1);
  await page.getByRole('button', { name: 'QR code' }).click();
  await page.waitForFunction(() => { const i = document.getElementById('qr-image'); return i.complete && i.naturalWidth > 0; });
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'All links' }).click();
}

async function search(page) {
  await page.locator('#search').fill('by/keys');
  await row(page, 'spring').waitFor({ state: 'detached' });
  assert.equal(await row(page, 'keys').count(), 1);
  await page.locator('#search').fill('');
  await row(page, 'spring').getByRole('button', { name: 'only links with the tag letters' }).click();
  await row(page, 'keys').waitFor({ state: 'detached' });
  await page.locator('#tag').selectOption('');
  await row(page, 'keys').waitFor();
}

async function disable_and_delete(page) {
  await row(page, 'keys').getByRole('button', { name: 'edit keys' }).click();
  await field(page, 'enabled').uncheck();
  await page.getByRole('button', { name: 'Save' }).click();
  await row(page, 'keys').getByText('disabled').waitFor();
  assert.equal(await visit('keys'), 410);
  await row(page, 'keys').getByRole('button', { name: 'edit keys' }).click();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Keep it' }).click();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.locator('#sure').getByRole('button', { name: 'Delete' }).click();
  await row(page, 'keys').waitFor({ state: 'detached' });
  assert.equal(await visit('keys'), 404);
}

// More than one page of them.
async function pages(page) {
  await page.evaluate(async () => {
    const token = document.querySelector('meta[name=token]').content;
    for (let i = 0; i < 24; i++) {
      const r = await fetch('/api/links', { method: 'POST', headers: { 'X-Csrf-Token': token },
        body: JSON.stringify({ url: 'https://example.com/articles/' + i + '/a-path-that-is-rather-long-for-one-line', tags: i % 3 ? [] : ['articles'], title: i % 2 ? 'Article ' + i : null }) });
      if (r.status !== 201) throw new Error(await r.text());
    }
  });
  await page.goto(url + '/dashboard');
  await page.getByText('Page 1 of 2, 25 links').waitFor();
  assert.equal(await page.locator('#links tbody tr').count(), 20);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('Page 2 of 2').waitFor();
  assert.equal(await page.locator('#links tbody tr').count(), 5);
}

// Every control has a name that a screen reader says.
async function names(page) {
  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, a, input, select, img, svg')].filter(e => e.type !== 'hidden' &&
    !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length || e.id === 'qr-image')).map(e => e.outerHTML));
  assert.deepEqual(nameless, [], 'controls without a name');
}

async function pictures(browser, state) {
  for (const [name, scheme, width] of [['light', 'light', 1200], ['dark', 'dark', 1200], ['narrow', 'light', 390]]) {
    const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 800 }, storageState: state });
    const page = watch(await context.newPage());
    await page.goto(url + '/dashboard');
    await row(page, 'spring').or(page.getByText('Page 1 of 2')).first().waitFor();
    await page.screenshot({ path: `${folder}/list-${name}.png` });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name + ': wider than the window');
    await page.getByRole('button', { name: 'New link' }).click();
    await page.screenshot({ path: `${folder}/form-${name}.png` });
    await page.keyboard.press('Escape');
    await page.goto(url + '/dashboard#spring');
    await page.locator('#chart svg').waitFor();
    await page.screenshot({ path: `${folder}/link-${name}.png`, fullPage: true });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name + ': wider than the window');
    await page.getByRole('button', { name: 'QR code' }).click();
    await page.waitForFunction(() => { const i = document.getElementById('qr-image'); return i.complete && i.naturalWidth > 0; });
    await page.screenshot({ path: `${folder}/qr-${name}.png` });
    await context.close();
  }
}

async function theme(page) {
  const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.locator('#theme').selectOption('light');
  const light = await colour();
  await page.locator('#theme').selectOption('dark');
  assert.notEqual(await colour(), light, 'the theme that was chosen');
  await page.reload();
  assert.notEqual(await colour(), light, 'the theme after a reload');
  await page.locator('#theme').selectOption('');
}

// With keys alone, in one of two browsers: both see the form.
async function log_out_everywhere(browser, page) {
  const context = await browser.newContext();
  const other = watch(await context.newPage());
  await other.goto(url + '/dashboard');
  await other.getByLabel('Password').fill(password);
  await other.keyboard.press('Enter');
  await other.locator('#live.on').waitFor();
  await page.goto(url + '/dashboard');
  await page.locator('#live.on').waitFor();
  for (let i = 0; i < 10 && await page.evaluate(() => document.activeElement.textContent) !== 'Sign out everywhere'; i++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByLabel('Password').waitFor();
  await other.getByLabel('Password').waitFor();
  assert.equal(await other.evaluate(async () => (await fetch('/api/links')).status), 401);
  await context.close();
  complaints.length = 0; // browsers tell of the 401
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
  await page.locator('#live.on').waitFor();
}

async function log_out(page) {
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByLabel('Password').waitFor();
  assert.equal(await page.evaluate(async () => (await fetch('/api/links')).status), 401);
  complaints.length = 0; // a browser tells of the 401
}

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS });
  try {
    const context = await browser.newContext({ colorScheme: 'light', viewport: { width: 1200, height: 800 } });
    const page = watch(await context.newPage());
    await log_in(page);
    await create(page);
    await create_with_keys(page);
    await edit(page);
    const clicks = await live(page);
    await statistics(page, clicks);
    await search(page);
    await disable_and_delete(page);
    await pages(page);
    await names(page);
    await theme(page);
    await pictures(browser, await context.storageState());
    assert.deepEqual(complaints, [], 'what the browser complained of');
    await log_out_everywhere(browser, page);
    await log_out(page);
    assert.deepEqual(complaints, [], 'what the browser complained of');
  } finally {
    await browser.close();
  }
})().catch(e => { console.error(e.message, complaints); process.exit(1); });
