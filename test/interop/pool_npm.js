// Plays traces of pool_trace.c through npm's generic-pool, and prints what it decided after each step, sorted.
//   pool_npm.js trace <TRACE       pool_npm.js bench ROUNDS      prints nanoseconds of processor time for a borrow and return
const modules = process.env.NPM_MODULES;
const { createPool } = require(`${modules}/generic-pool`);
const settled = () => new Promise((done) => setImmediate(() => setImmediate(done)));

async function trace() {
  for (const one of require('fs').readFileSync(0, 'utf8').split(/^(?=conf)/m)) await play(one.split('\n').filter(Boolean));
  process.exit(0);
}

async function play(lines) {
  const [, max, fifo, check, waiters] = lines.shift().split(' ').map(Number);
  process.stdout.write('\n');
  const opens = [], checks = [], lent = [];
  let opened = {}; // in this step
  let said = [], things = 0, users = 0;
  const factory = {
    create: () => new Promise((good, bad) => { said.push('open'); opens.push({ good, bad }); }),
    destroy: async (thing) => { said.push(`close ${thing.id}`); },
    // What was just opened is checked here too, but not in ours.
    validate: (thing) => thing.fresh ? Promise.resolve(true) : new Promise((tell) => {
      said.push(`check ${thing.id}`);
      checks.push(tell);
    }),
  };
  const options = { max, min: 0, fifo: !!fifo, testOnBorrow: !!check };
  if (waiters >= 0) options.maxWaitingClients = waiters;
  const pool = createPool(factory, options);
  pool.on('factoryCreateError', () => {});
  const borrow = () => {
    const user = users++;
    pool.acquire().then((thing) => {
      lent.push(thing);
      said.push(`grant ${user} ${thing.id}`);
    }, () => said.push(`refuse ${user}`));
  };
  const steps = {
    b: borrow,
    r: (k) => lent.length && pool.release(lent.splice(k % lent.length, 1)[0]),
    d: (k) => lent.length && pool.destroy(lent.splice(k % lent.length, 1)[0]),
    o: () => opens.length && opens.shift().good(opened = { id: ++things, fresh: true }),
    f: () => opens.length && opens.shift().bad(new Error('down')),
    y: () => checks.length && checks.shift()(true),
    n: () => checks.length && checks.shift()(false),
  };
  for (const line of lines) {
    const [what, k] = line.split(' ');
    steps[what](Number(k || 0));
    await settled();
    opened.fresh = false;
    // As C sorts bytes.
    process.stdout.write(said.sort((a, b) => (a < b ? -1 : 1)).join('; ') + '\n');
    said = [];
  }
}

async function bench(rounds) {
  const pool = createPool({ create: async () => ({}), destroy: async () => {} }, { max: 10 });
  for (let i = 0; i < rounds / 10; i++) await pool.release(await pool.acquire());
  const begun = process.cpuUsage();
  for (let i = 0; i < rounds; i++) await pool.release(await pool.acquire());
  const used = process.cpuUsage(begun);
  console.log((used.user + used.system) * 1000 / rounds);
  process.exit(0);
}

const [what, n] = process.argv.slice(2);
if (what === 'bench') bench(Number(n));
else trace();
