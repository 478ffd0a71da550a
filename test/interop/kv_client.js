// Ordinary use of a kv server with ioredis: kv_client.js PORT write|read. ioredis is in $NPM_MODULES.
'use strict';
const assert = require('assert');
const path = require('path');
const Redis = require(path.join(process.env.NPM_MODULES, 'ioredis'));

const r = new Redis({ port: Number(process.argv[2]), host: '127.0.0.1' });

async function write() {
  await r.flushall();
  assert.strictEqual(await r.set('s', 'text', 'PX', 100000), 'OK');
  assert.strictEqual(await r.set('s', 'x', 'NX'), null);
  assert.strictEqual(await r.incrby('n', 7), 7);
  assert.strictEqual(await r.append('s', '!'), 5);
  const done = await Promise.all(Array.from({ length: 2000 }, (_, i) => r.set('p' + i, i)));
  assert(done.every((d) => d === 'OK'));
  assert.deepStrictEqual(await r.multi().incr('n').get('n').exec(), [[null, 8], [null, '8']]);
  await assert.rejects(r.incr('s'), /not an integer/);
  assert.deepStrictEqual(await r.mget('n', 'nothing'), ['8', null]);
}

async function read() {
  const keys = new Set();
  let cursor = '0';
  do {
    const [next, part] = await r.scan(cursor, 'MATCH', 'p*', 'COUNT', 300);
    part.forEach((k) => keys.add(k));
    cursor = next;
  } while (cursor !== '0');
  assert.strictEqual(keys.size, 2000);
  assert.strictEqual(await r.get('s'), 'text!');
  assert((await r.pttl('s')) > 0);
  assert.strictEqual(await r.get('n'), '8');
}

(async () => {
  if (process.argv[3] === 'write') await write();
  await read();
  r.disconnect();
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
