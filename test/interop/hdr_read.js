// Reads a histogram log with hdr-histogram-js, with no help of ours, and holds what it finds there against the JSON of
// the same run: counts, extremes, mean and every percentile.
//
//   node hdr_read.js LOG JSON        the module is looked for in $NPM_MODULES
'use strict'
const fs = require('fs')
const path = require('path')
const { HistogramLogReader, decodeFromCompressedBase64 } =
  require(path.resolve(process.env.NPM_MODULES || 'build/npm/node_modules', 'hdr-histogram-js'))

const [logFile, jsonFile] = process.argv.slice(2)
const result = JSON.parse(fs.readFileSync(jsonFile, 'utf8'))
const latency = result.latency
const WITHIN_MS = 1e-6 // the JSON has whole nanoseconds
let compared = 0

function complain (text) {
  console.log(text)
  process.exitCode = 1
}

function same (what, read, told, within) {
  compared++
  if (!(Math.abs(read - told) <= within)) complain(`${what}: read as ${read}, the JSON has ${told}`)
}

// Values are nanoseconds; the JSON has milliseconds. Its maxValue is a unit too high when the lowest value is above 1, the
// value at 100 per cent is not.
function compare (name, histogram, told) {
  const at = p => histogram.getValueAtPercentile(p)
  const figures = { min: at(0), max: at(100), mean: histogram.mean }
  same(`${name}: count`, histogram.totalCount, told.count, 0)
  for (const key of Object.keys(figures)) same(`${name}: ${key}`, figures[key] / 1e6, told[key], WITHIN_MS)
  for (const [key, value] of Object.entries(told.percentiles)) {
    same(`${name}: ${key}`, at(Number(key.slice(1))) / 1e6, value, WITHIN_MS)
  }
}

function readLog () {
  const reader = new HistogramLogReader(fs.readFileSync(logFile, 'utf8'), 64)
  const found = {}
  for (let h = reader.nextIntervalHistogram(); h; h = reader.nextIntervalHistogram()) found[h.tag] = h
  return found
}

// The interval without a tag is what a user saw; an open loop has its service time under a tag.
const want = { 'NO TAG': latency.response || latency.service }
if (latency.response) want.service = latency.service
const found = readLog()
if (Object.keys(found).sort().join() !== Object.keys(want).sort().join()) {
  complain(`intervals in the log: ${Object.keys(found)}; expected: ${Object.keys(want)}`)
}
for (const tag of Object.keys(want)) if (found[tag]) compare(`log, ${tag}`, found[tag], want[tag])
for (const name of ['service', 'response']) {
  if (result.hdr[name]) compare(`JSON, ${name}`, decodeFromCompressedBase64(result.hdr[name], 64), latency[name])
}
console.log(`${compared} figures compared`)
