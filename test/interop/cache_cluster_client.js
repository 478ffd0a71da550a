// Ordinary use of three nodes of a cache: node cache_cluster_client.js ioredis|redis PORT...
// node-redis says READY and ends: version 5 asks for the map again when it is told MOVED, and for nothing else.
// ioredis says READY; then, when a node is gone, LOST, and SURVIVED once it reads and writes all keys again; BACK when it works with three again.
'use strict';
const assert = require('assert');
const [kind, ...ports] = process.argv.slice(2);
const lib = require(require.resolve(kind, { paths: [process.env.NPM_MODULES] }));
const N = 300, all = [...Array(N).keys()];
const pause = () => new Promise((go) => setTimeout(go, 20));

// What both can: get, set, the addresses of the nodes they know.
const make = {
  async ioredis() {
    const r = new lib.Cluster(ports.map((p) => ({ host: '127.0.0.1', port: +p })), {
      clusterRetryStrategy: () => 20, slotsRefreshInterval: 200, retryDelayOnFailover: 20, retryDelayOnClusterDown: 20,
    });
    r.on('error', () => {});
    r.names = () => r.nodes('master').map((n) => n.options.port);
    return r;
  },
  async redis() {
    const r = lib.createCluster({
      rootNodes: ports.map((p) => ({ url: `redis://127.0.0.1:${p}` })),
      defaults: { socket: { reconnectStrategy: () => 20, connectTimeout: 1000 }, disableOfflineQueue: true },
    });
    r.on('error', () => {});
    await r.connect();
    r.names = () => r.masters.map((n) => n.port);
    return r;
  },
};

const own = {
  async ioredis(r) {
    for (const n of r.nodes('master')) await n.flushall();
    await Promise.all(all.map((i) => r.set(`k${i}`, i)));
    assert.deepStrictEqual(await Promise.all(all.map((i) => r.get(`k${i}`))), all.map(String));
    await r.hset('h', { x: 1 });
    assert.deepStrictEqual(await r.hgetall('h'), { x: '1' });
    const same = r.pipeline(); // ioredis wants the keys of a pipeline at one node
    for (let i = 0; i < 500; i++) same.incr(`{tag}${i % 5}`);
    assert.strictEqual((await same.exec())[499][1], 100);
    assert.deepStrictEqual(await r.multi().set('{t}a', 1).incr('{t}a').exec(), [[null, 'OK'], [null, 2]]);
    await assert.rejects(r.sinter('k1', 'k2', 'k3', 'k4'), /CROSSSLOT/);
    assert.strictEqual(await r.rpush('l', 'x'), 1);
    assert.deepStrictEqual(await r.blpop('l', 5), ['l', 'x']);
    const heard = new Promise((done) => r.on('message', (c, m) => done([c, m])));
    await r.subscribe('news');
    while (await r.publish('news', 'hello') === 0) await pause(); // counts those at the node asked
    assert.deepStrictEqual(await heard, ['news', 'hello']);
    await r.unsubscribe('news');
  },
  async redis(r) {
    for (const m of r.masters) await (await r.nodeClient(m)).flushAll();
    await Promise.all(all.map((i) => r.set(`k${i}`, String(i))));
    assert.deepStrictEqual(await Promise.all(all.map((i) => r.get(`k${i}`))), all.map(String));
    await r.hSet('h', { x: 1 });
    assert.deepStrictEqual({ ...(await r.hGetAll('h')) }, { x: '1' });
    assert.deepStrictEqual(await r.multi().set('{t}a', '1').incr('{t}a').exec(), ['OK', 2]);
    await assert.rejects(r.sInter(['k1', 'k2', 'k3', 'k4']), /CROSSSLOT/);
    assert.strictEqual(await r.rPush('l', 'x'), 1);
    assert.deepStrictEqual({ ...(await r.blPop('l', 5)) }, { key: 'l', element: 'x' });
    let say;
    const heard = new Promise((tell) => { say = tell; });
    await r.subscribe('news', (m, c) => say([c, m]));
    await r.publish('news', 'hello');
    assert.deepStrictEqual(await heard, ['news', 'hello']);
    await r.unsubscribe('news');
  },
};

let round = 0;
const works = async (r) => {
  round++; // writes other keys each time: some of them have moved
  const got = await Promise.allSettled(all.map((i) => r.get(`k${i}`)));
  got.forEach((g, i) => { if (g.status === 'fulfilled') assert.strictEqual(g.value, String(i)); });
  const set = await Promise.allSettled(all.map((i) => r.set(`n${round % 50}:${i}`, String(i))));
  return [...got, ...set].every((g) => g.status === 'fulfilled');
};

(async () => {
  const r = await make[kind](), nodes = Number(process.env.NODES || 3);
  while (r.names().length !== nodes) await pause();
  await own[kind](r);
  const first = r.names();
  console.log('READY');
  if (kind === 'redis') process.exit(0);
  // A client that asks for the map by itself may lose nothing; it has then fewer nodes.
  while (await works(r) && r.names().length === 3) await pause();
  console.log('LOST');
  while (!(await works(r))) await pause();
  console.log('SURVIVED');
  while (!(r.names().length === 3 && r.names().some((n) => !first.includes(n)) && await works(r))) await pause();
  console.log('BACK');
  process.exit(0);
})().catch((e) => { console.error(e); process.exit(1); });
