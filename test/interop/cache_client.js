// Ordinary use of a cache with ioredis or node-redis: node cache_client.js ioredis|redis PORT. Says READY, then LOST when the
// server is gone and BACK when it answers again.
'use strict';
const assert = require('assert');
const [kind, port] = process.argv.slice(2);
const lib = require(require.resolve(kind, { paths: [process.env.NPM_MODULES] }));
let lost = false;
const onLost = () => { if (!lost) console.log('LOST'); lost = true; };

// One way of asking for both: c.ask('SET', 'a', 1).
const make = {
  async ioredis() {
    const r = new lib(Number(port), { retryStrategy: () => 20, maxRetriesPerRequest: null });
    r.on('error', () => {});
    r.on('close', onLost);
    r.ask = (...words) => r.call(...words);
    return r;
  },
  async redis() {
    const r = lib.createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: () => 20 } });
    r.on('error', () => {});
    r.on('reconnecting', onLost);
    await r.connect();
    r.ask = (...words) => r.sendCommand(words.map(String));
    return r;
  },
};

const own = {
  async ioredis(r) {
    await r.set('s', 'text', 'EX', 100);
    assert.strictEqual(await r.get('s'), 'text');
    await r.hset('h', { x: 1, y: 'two' });
    assert.deepStrictEqual(await r.hgetall('h'), { x: '1', y: 'two' });
    await r.zadd('z', 1, 'a', 2.5, 'b');
    assert.deepStrictEqual(await r.zrange('z', 0, -1, 'WITHSCORES'), ['a', '1', 'b', '2.5']);
    const all = r.pipeline();
    for (let i = 0; i < 1000; i++) all.set(`p${i}`, i);
    assert.strictEqual((await all.exec()).filter(([e, v]) => !e && v === 'OK').length, 1000);
    const keys = [];
    for await (const some of r.scanStream({ match: 'p*' })) keys.push(...some);
    assert.strictEqual(new Set(keys).size, 1000);
    assert.deepStrictEqual(await r.multi().incr('n').incr('n').exec(), [[null, 1], [null, 2]]);
    const sub = r.duplicate(), heard = new Promise((done) => sub.on('message', (c, m) => done([c, m])));
    await sub.subscribe('news');
    assert.strictEqual(await r.publish('news', 'hello'), 1);
    assert.deepStrictEqual(await heard, ['news', 'hello']);
    sub.removeAllListeners('close');
    sub.disconnect();
    const waiter = r.duplicate();
    waiter.removeAllListeners('close');
    const popped = waiter.blpop('queue', 20);
    await r.rpush('queue', 'job');
    assert.deepStrictEqual(await popped, ['queue', 'job']);
    waiter.disconnect();
    lost = false;
    await assert.rejects(r.lpush('s', 1), /^ReplyError: WRONGTYPE/);
    assert.deepStrictEqual(await r.getBuffer('s'), Buffer.from('text'));
  },
  async redis(r) {
    await r.set('s', 'text', { EX: 100 });
    assert.strictEqual(await r.get('s'), 'text');
    await r.hSet('h', { x: 1, y: 'two' });
    assert.deepStrictEqual({ ...(await r.hGetAll('h')) }, { x: '1', y: 'two' });
    await r.zAdd('z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }]);
    assert.deepStrictEqual(await r.zRangeWithScores('z', 0, -1), [{ value: 'a', score: 1 }, { value: 'b', score: 2.5 }]);
    const done = await Promise.all([...Array(1000).keys()].map((i) => r.set(`p${i}`, i)));
    assert.strictEqual(done.filter((v) => v === 'OK').length, 1000);
    const keys = new Set();
    for await (const some of r.scanIterator({ MATCH: 'p*' })) for (const k of [].concat(some)) keys.add(k);
    assert.strictEqual(keys.size, 1000);
    assert.deepStrictEqual(await r.multi().incr('n').incr('n').exec(), [1, 2]);
    const sub = r.duplicate();
    sub.on('error', () => {});
    await sub.connect();
    let say;
    const heard = new Promise((tell) => { say = tell; });
    await sub.subscribe('news', (m, c) => say([c, m]));
    assert.strictEqual(await r.publish('news', 'hello'), 1);
    assert.deepStrictEqual(await heard, ['news', 'hello']);
    await sub.close();
    const waiter = r.duplicate();
    waiter.on('error', () => {});
    await waiter.connect();
    const popped = waiter.blPop('queue', 20);
    await r.rPush('queue', 'job');
    assert.deepStrictEqual({ ...(await popped) }, { key: 'queue', element: 'job' });
    await waiter.close();
    await assert.rejects(r.lPush('s', '1'), /WRONGTYPE/);
  },
};

(async () => {
  const r = await make[kind]();
  await r.ask('FLUSHALL');
  await own[kind](r);
  console.log('READY');
  while (!lost) await r.ask('PING').catch(() => new Promise((go) => setTimeout(go, 5)));
  for (;;) {
    try {
      await r.ask('SET', 'back', 1);
      break;
    } catch {
      await new Promise((go) => setTimeout(go, 5));
    }
  }
  assert.strictEqual(await r.ask('GET', 'back'), '1');
  console.log('BACK');
  process.exit(0);
})().catch((e) => { console.error(e); process.exit(1); });
