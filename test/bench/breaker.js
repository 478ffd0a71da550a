// What a call through opossum and cockatiel of npm costs: lines of what, threads, CPU nanoseconds a call. With the share within a window,
// as the breaker beside it; the call itself is an async function that does nothing, whose cost is taken off.
'use strict'
const modules = process.env.NPM_MODULES
const seconds = Number(process.argv[2] || 0.5)
const nothing = async () => 1

async function cost(call) {
  const begun = process.cpuUsage()
  let n = 0
  let took
  do {
    for (let i = 0; i < 1000; i++) await call()
    n += 1000
    const used = process.cpuUsage(begun)
    took = (used.user + used.system) * 1000
  } while (took < seconds * 1e9)
  return took / n
}

async function main() {
  const c = require(modules + '/cockatiel')
  const policy = c.circuitBreaker(c.handleAll, {
    halfOpenAfter: 5000, breaker: new c.CountBreaker({ threshold: 0.5, size: 100, minimumNumberOfCalls: 10 })
  })
  const Opossum = require(modules + '/opossum')
  const opossum = new Opossum(nothing, { timeout: false, rollingPercentilesEnabled: false })
  await cost(nothing)
  const bare = await cost(nothing)
  console.log(`cockatiel of 100 calls,1,${(await cost(() => policy.execute(nothing)) - bare).toFixed(1)}`)
  console.log(`opossum of 10 s,1,${(await cost(() => opossum.fire()) - bare).toFixed(1)}`)
}
main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1) })
