// What clients of npm make of a rate limiter: ioredis of CL.THROTTLE, ratelimit-header-parser and structured-headers of its fields.
//   node ratelimit_clients.js MODULES RESP-PORT DRAFT=URL...
'use strict';
const assert = require('assert');
const http = require('http');
const [modules, port, ...urls] = process.argv.slice(2);
const Redis = require(`${modules}/ioredis`);
const { parseRateLimit } = require(`${modules}/ratelimit-header-parser`);

const get = (url) =>
  new Promise((resolve, reject) => http.get(url, (res) => res.resume().on('end', () => resolve(res))).on('error', reject));
const between = (low, v, high, what) => assert.ok(v >= low && v <= high, `${what}: ${v}, expected ${low} to ${high}`);

async function throttle() {
  const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0 });
  assert.deepStrictEqual(await redis.call('CL.THROTTLE', 'user123', 15, 30, 60), [0, 16, 15, -1, 2]);
  const many = await Promise.all(Array.from({ length: 40 }, () => redis.call('CL.THROTTLE', 'many', 9, 1, 3600)));
  assert.strictEqual(many.filter((r) => r[0] === 0).length, 10);
  assert.strictEqual(many[39][0], 1);
  const piped = await redis.pipeline().call('CL.THROTTLE', 'many', 9, 1, 3600, -3).ping().call('CL.THROTTLE', 'many', 9, 1, 3600, 0).exec();
  assert.deepStrictEqual(piped.map(([err, r]) => (err ? String(err) : typeof r === 'string' ? r : r.slice(0, 3))), [[0, 10, 3], 'PONG', [0, 10, 3]]);
  await assert.rejects(redis.call('CL.THROTTLE', 'k', 1, 0, 1), /not an integer/);
  await redis.quit();
}

async function fields(parseList, draft, url) {
  const first = await get(url);
  assert.strictEqual(first.statusCode, 200);
  if (draft === 'draft8') {
    const [[name, state]] = parseList(first.headers.ratelimit);
    const [[policy, limit]] = parseList(first.headers['ratelimit-policy']);
    assert.deepStrictEqual([name, policy], ['default', 'default']);
    assert.deepStrictEqual([state.get('r'), limit.get('q'), limit.get('w')], [4, 5, 3600]);
    between(710, state.get('t'), 720, 'seconds until one more');
    return;
  }
  const info = parseRateLimit(first, { reset: draft === 'x' ? 'unix' : 'seconds' });
  assert.deepStrictEqual([info.limit, info.remaining, info.used], [5, 4, 1], draft);
  between(700, (info.reset.getTime() - Date.now()) / 1000, 721, `${draft}: reset`);
  for (let i = 0; i < 4; i++) await get(url);
  const last = await get(url);
  assert.strictEqual(last.statusCode, 429);
  assert.strictEqual(parseRateLimit(last).remaining, 0);
  between(710, Number(last.headers['retry-after']), 720, 'Retry-After');
}

(async () => {
  await throttle();
  const { parseList } = await import(`file://${modules}/structured-headers/dist/index.js`);
  for (const one of urls) await fields(parseList, ...one.split('='));
  console.log('ok');
})().catch((err) => {
  console.error(err);
  process.exit(1);
});
