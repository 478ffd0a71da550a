// Plays a trace to opossum and cockatiel of npm under a clock that is set by hand, and prints what `breaker replay --states` does:
// "called" or "rejected", and the state after it.
//
//   breaker_npm.js consecutive|count|opossum|opossum-any FILE THRESHOLD OPEN_MS
'use strict'
const fs = require('fs')
const modules = process.env.NPM_MODULES
const [what, file, threshold, openMs] = process.argv.slice(2)

// One clock for both: Date.now, and timers that run when it passes them.
let now = 1e12
let timers = []
const realImmediate = setImmediate
Date.now = () => now
performance.now = () => now - 1e12
const set = (every) => (fn, ms = 0, ...args) => {
  const t = { at: now + ms, fn: () => fn(...args), every: every ? ms : 0, unref: () => t, ref: () => t, hasRef: () => false }
  timers.push(t)
  return t
}
global.setTimeout = set(false)
global.setInterval = set(true)
global.clearTimeout = global.clearInterval = (t) => { timers = timers.filter((x) => x !== t) }
const settle = () => new Promise((resolve) => realImmediate(resolve))
async function goTo(ms) {
  for (;;) {
    const t = timers.filter((x) => x.at <= ms).sort((a, b) => a.at - b.at)[0]
    if (!t) break
    now = t.at
    if (t.every) t.at += t.every
    else timers = timers.filter((x) => x !== t)
    t.fn()
    await settle()
  }
  now = ms
}

function ofCockatiel() {
  const c = require(modules + '/cockatiel')
  const breaker = what === 'consecutive'
    ? new c.ConsecutiveBreaker(Number(threshold))
    : new c.CountBreaker({ threshold: Number(threshold), size: 10, minimumNumberOfCalls: 1 })
  const policy = c.circuitBreaker(c.handleAll, { halfOpenAfter: Number(openMs), breaker })
  const names = { [c.CircuitState.Closed]: 'CLOSED', [c.CircuitState.Open]: 'OPEN', [c.CircuitState.HalfOpen]: 'HALF-OPEN' }
  return { run: (fn) => policy.execute(fn), refused: (e) => e instanceof c.BrokenCircuitError, state: () => names[policy.state] }
}

function ofOpossum() {
  const Opossum = require(modules + '/opossum')
  const b = new Opossum((fn) => fn(), {
    timeout: false, errorThresholdPercentage: Number(threshold), resetTimeout: Number(openMs), volumeThreshold: 1,
    rollingCountTimeout: 10000, rollingCountBuckets: 10, rollingPercentilesEnabled: false
  })
  return {
    run: (fn) => b.fire(fn),
    refused: (e) => e.code === 'EOPENBREAKER',
    state: () => (b.opened ? 'OPEN' : b.halfOpen || b.pendingClose ? 'HALF-OPEN' : 'CLOSED')
  }
}

async function main() {
  const peer = what.startsWith('opossum') ? ofOpossum() : ofCockatiel()
  for (const line of fs.readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const [at, how] = line.split(' ')
    await goTo(1e12 + parseInt(at, 10))
    let called = true
    try {
      await peer.run(async () => { if (how !== 'ok') throw new Error(how) })
    } catch (e) {
      called = !peer.refused(e)
    }
    await settle()
    console.log((called ? 'called ' : 'rejected ') + peer.state())
  }
}
main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1) })
