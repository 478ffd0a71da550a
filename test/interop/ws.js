// WebSockets by npm's ws, through whatever is at URL.
//
//   node ws.js server                 prints its port; echoes every message; "close CODE" closes with that code; any other
//                                     request is answered with 200
//   node ws.js check URL              echo, large frames, pings, close codes; prints a line for each
//   node ws.js hold URL N             N sockets that echo over and over until a line comes on standard input; then prints
//                                     how many are open, were closed or failed, and hear one more echo
//
// The module is looked for in $NPM_MODULES.
'use strict'
const path = require('path')
const crypto = require('crypto')
const http = require('http')
const WebSocket = require(path.resolve(process.env.NPM_MODULES || 'build/npm/node_modules', 'ws'))

function server() {
  const web = http.createServer((req, res) => res.end('ws.js\n'))
  web.keepAliveTimeout = 0
  const wss = new WebSocket.Server({ server: web, maxPayload: 64 << 20 })
  web.listen(0, '127.0.0.1', () => console.log('port ' + web.address().port))
  wss.on('connection', (ws) => {
    ws.on('message', (data, binary) => {
      const text = binary ? '' : data.toString()
      if (text.startsWith('close ')) ws.close(Number(text.slice(6)), 'as you wish')
      else ws.send(data, { binary })
    })
    ws.on('error', () => {})
  })
}

const open = (url) =>
  new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { maxPayload: 64 << 20, perMessageDeflate: false })
    ws.once('open', () => resolve(ws))
    ws.once('error', reject)
  })
const next = (ws, event) => new Promise((resolve) => ws.once(event, (...args) => resolve(args)))

async function echo(ws, data) {
  ws.send(data)
  const [got] = await next(ws, 'message')
  return Buffer.compare(Buffer.from(data), got) === 0
}

async function check(url) {
  const ws = await open(url)
  console.log('echo', await echo(ws, 'hello'))
  for (const n of [125, 126, 65535, 65536, 1 << 20, 16 << 20]) console.log('frame', n, await echo(ws, crypto.randomBytes(n)))
  const pong = next(ws, 'pong')
  ws.ping('are you there')
  console.log('pong', (await pong)[0].toString())
  ws.send('close 4001')
  let [code, reason] = await next(ws, 'close')
  console.log('closed by the server', code, reason.toString())
  const mine = await open(url)
  const over = next(mine, 'close')
  mine.close(1000, 'done')
  ;[code] = await over
  console.log('closed by the client', code)
}

async function hold(url, n) {
  let closed = 0, failed = 0, heard = 0, ending = false
  const sockets = await Promise.all(Array.from({ length: n }, () => open(url)))
  const report = () => {
    const still = sockets.filter((ws) => ws.readyState === WebSocket.OPEN).length
    console.log(`${still} open, ${closed} closed, ${failed} failed, ${heard} echo`)
    process.exit(0)
  }
  for (const ws of sockets) {
    ws.on('close', () => { closed++; if (ending) report() })
    ws.on('error', () => { failed++ })
    ws.on('message', (data) => {
      if (data.toString() === 'last' && ++heard === n) report()
      if (!ending) setTimeout(() => ws.readyState === WebSocket.OPEN && ws.send(ending ? 'last' : 'again'), 5)
      else if (data.toString() !== 'last') ws.send('last')
    })
    ws.send('first')
  }
  console.log('holding ' + n)
  process.stdin.once('data', () => {
    ending = true
    if (closed) report()
  })
}

const [, , what, url, n] = process.argv
const main = { server, check: () => check(url), hold: () => hold(url, Number(n)) }[what]
Promise.resolve(main()).catch((e) => {
  console.error(String(e))
  process.exit(1)
})
