// Draws QR codes of the shortener and reads them with jsQR, which is somebody else's: the SVG of the API, and what a terminal shows.
//
//   node shortener_qr.js URL CODE TERMINAL     CODE's short URL is to be in all; TERMINAL is a file with the drawing of `qr --invert`
'use strict'
const fs = require('fs')
const path = require('path')
const jsQR = require(path.resolve(process.env.NPM_MODULES || 'build/npm/node_modules', 'jsqr'))

const [base, code, terminal] = process.argv.slice(2)
const wanted = `${base}/${code}`
let read = 0

// dark[y][x] to a picture of so many pixels a module.
function decode (dark, what) {
  const scale = 4
  const side = dark.length * scale
  const pixels = new Uint8ClampedArray(side * side * 4)
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) pixels.fill(dark[Math.floor(y / scale)][Math.floor(x / scale)] ? 0 : 255, (y * side + x) * 4, (y * side + x) * 4 + 3)
  }
  const found = jsQR(pixels, side, side)
  if (!found || found.data !== wanted) {
    console.log(`${what}: expected ${wanted}, found ${found && found.data}`)
    process.exitCode = 1
  } else read++
}

function modulesOf (svg) {
  const side = Number(svg.match(/viewBox="0 0 (\d+) \1"/)[1])
  const dark = Array.from({ length: side }, () => Array(side).fill(false))
  const drawn = [...svg.matchAll(/<path fill="#[0-9a-f]+" d="([^"]*)"/g)].at(-1)[1]
  for (const [, x, y, n, back] of drawn.matchAll(/M(\d+) (\d+)h(\d+)v1h-(\d+)z/g)) {
    if (n !== back) throw new Error(`a rectangle of ${n} and ${back}`)
    dark[y].fill(true, Number(x), Number(x) + Number(n))
  }
  return dark
}

function modulesOfTerminal (text) {
  const dark = []
  for (const line of text.split('\n').filter(line => /^[ \u2580\u2584\u2588]+$/.test(line))) {
    dark.push([...line].map(c => '\u2580\u2588'.includes(c)), [...line].map(c => '\u2584\u2588'.includes(c)))
  }
  const side = Math.max(dark.length, dark[0].length)
  return Array.from({ length: side }, (_, y) => Array.from({ length: side }, (_, x) => Boolean(dark[y] && dark[y][x])))
}

async function main () {
  for (const query of ['', '?margin=2', '?level=L', '?level=Q', '?level=H&size=1000', '?color=1a2b3c&background=transparent']) {
    decode(modulesOf(await (await fetch(`${base}/api/links/${code}/qr.svg${query}`)).text()), 'SVG' + query)
  }
  decode(modulesOfTerminal(fs.readFileSync(terminal, 'utf8')), 'the terminal')
  console.log(`${read} QR codes read`)
}

main().catch(e => { console.log(e.stack); process.exitCode = 1 })
