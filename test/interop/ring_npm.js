// Where npm's hashring (the way of libketama) and jump-gouache (Guava's jump) put keys; a key a line.
//   ring_npm.js ketama NAME:WEIGHT... <KEYS      prints key, tab, name
//   ring_npm.js jump BUCKETS <PLACES             places as 0x and 16 digits; prints the bucket
const modules = process.env.NPM_MODULES;
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean);
const [what, ...rest] = process.argv.slice(2);
if (what === 'ketama') {
  const HashRing = require(`${modules}/hashring`);
  const servers = {};
  for (const r of rest) {
    const at = r.lastIndexOf(':');
    servers[r.slice(0, at)] = { weight: Number(r.slice(at + 1)) };
  }
  const ring = new HashRing(servers, 'md5', { 'max cache size': 10 });
  process.stdout.write(lines.map((k) => `${k}\t${ring.get(k)}\n`).join(''));
} else {
  const { jump } = require(`${modules}/jump-gouache`);
  process.stdout.write(lines.map((p) => `${jump(BigInt(p), Number(rest[0]))}\n`).join(''));
}
