// Reads /openapi.json and holds the service to it: for each operation valid and invalid requests are made out of what the document
// says of its parameters and body, and each answer must be one that the document has: status, type, and schema.
//
//   node shortener_openapi.js URL CODE [PASSWORD]     CODE is a link that is there; modules are looked for in $NPM_MODULES
//
// With PASSWORD, that of the dashboard, only the operations of the dashboard are tried: with it, without it, and with a wrong one.
'use strict'
const path = require('path')
const http = require('http')
const Ajv = require(path.resolve(process.env.NPM_MODULES || 'build/npm/node_modules', 'ajv/dist/2020'))

const [base, code, password] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true })

function ask (method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(base + target, { method, agent, headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers } }, answer => {
      const parts = []
      answer.on('data', part => parts.push(part))
      answer.on('end', () => resolve({ status: answer.statusCode, type: (answer.headers['content-type'] || '').split(';')[0], headers: answer.headers, text: Buffer.concat(parts).toString() }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

let complaints = 0
function complain (text) {
  console.log(text)
  complaints++
  process.exitCode = 1
}

// ---- what the document says of an answer ----

const ajv = new Ajv({ strict: true, allowUnionTypes: true })
const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/
ajv.addFormat('date-time', text => date.test(text) && !Number.isNaN(Date.parse(text)))
ajv.addFormat('date', /^\d{4}-\d\d-\d\d$/)
ajv.addFormat('uri', text => URL.canParse(text))
ajv.addFormat('uri-reference', text => URL.canParse(text, base))

function check (where, answer, operation) {
  const wanted = operation.responses[answer.status] || operation.responses[`${Math.floor(answer.status / 100)}XX`]
  if (!wanted) return complain(`${where}: ${answer.status} is not in the document: ${answer.text.slice(0, 200)}`)
  if (!wanted.content) return answer.text === '' || complain(`${where}: ${answer.status} has a body that the document does not know`)
  const content = Object.entries(wanted.content).find(([type]) => type.split(';')[0] === answer.type)
  if (!content) return complain(`${where}: ${answer.status} is ${answer.type}, which is not in the document`)
  if (!content[1].schema || !content[1].schema.$ref) return
  const validate = ajv.getSchema('doc' + content[1].schema.$ref)
  const tree = JSON.parse(answer.text)
  if (!validate(tree)) complain(`${where}: ${answer.status}: ${validate.errors.map(e => `${e.instancePath} ${e.message}`).join('; ')} in ${answer.text.slice(0, 300)}`)
  if (answer.type === 'application/problem+json' && tree.status !== answer.status) complain(`${where}: the problem says ${tree.status}, the head ${answer.status}`)
}

// ---- values out of a schema ----

const first = type => Array.isArray(type) ? type[0] : type
const mayBeNull = schema => Array.isArray(schema.type) && schema.type.includes('null')

function good (name, schema) {
  if (name === 'url') return ['https://example.com/' + name, 'http://xn--bcher-kva.example/?a=1#b']
  if (name === 'alias') return ['abc-' + ++made, 'Z_' + ++made]
  if (name === 'color' || name === 'background') return ['abc', '00ff00']
  if (schema.enum) return schema.enum.filter(v => v !== null)
  switch (first(schema.type)) {
    case 'boolean': return [true, false]
    case 'integer': return [...new Set([schema.minimum ?? 1, (schema.minimum ?? 1) + 1, schema.maximum ?? 7])]
    case 'array': return [[], ['one'], Array.from({ length: schema.maxItems ?? 3 }, (_, i) => 'tag ' + i)]
    default:
      if (schema.format === 'date-time') return ['2040-01-31T12:00:00Z', '2040-02-01T00:00:00.250+01:00']
      if (schema.format === 'date') return ['2020-01-31', '2040-12-01']
      return ['text', 'ü'.repeat(Math.floor((schema.maxLength ?? 20) / 2))]
  }
}
let made = 0

// Values that the schema does not have; text: as they stand in a query, where all is text.
function bad (schema, text) {
  const list = text ? ['%01', 'x'.repeat(1500)] : [{}, [[1]], ...(mayBeNull(schema) ? [] : [null])]
  if (schema.enum) return [...list, text ? 'nonsense' : 99999]
  switch (first(schema.type)) {
    case 'boolean': return [...list, 1, 'true']
    case 'integer': return [...list, text ? 'x' : 1.5, text ? '1.5' : '1', (schema.minimum ?? 1) - 1, ...(schema.maximum ? [schema.maximum + 1] : [])]
    case 'array': return [...list, [1], ['\u0001'], Array.from({ length: (schema.maxItems ?? 3) + 1 }, () => 'x'), [''], ['x'.repeat((schema.items.maxLength ?? 20) + 1)]]
    default:
      if (schema.format) return [...list, 'soon', '2026-13-01T00:00:00Z', '2026-02-30']
      return [...list, ...(text ? [] : [1, 'a\nb']), 'x'.repeat((schema.maxLength ?? 100) + 1)]
  }
}

// ---- requests out of an operation ----

const fill = target => target.replace('{code}', code).replace('{name}', target.startsWith('/dashboard') ? 'page.css' : 'expired')
let requests = 0

// want: 'good' for 2xx, 'bad' for 400 or 422.
async function hold (where, want, method, target, body, operation) {
  const answer = await ask(method, target, body)
  requests++
  check(where, answer, operation)
  const isGood = answer.status >= 200 && answer.status < 400
  if (want === 'good' && !isGood) complain(`${where}: ${answer.status} for what the document allows: ${answer.text.slice(0, 300)}`)
  if (want === 'bad' && ![400, 422].includes(answer.status)) complain(`${where}: ${answer.status} for what the document does not allow`)
}

async function queries (where, method, target, operation) {
  for (const p of (operation.parameters || []).filter(p => p.in === 'query')) {
    for (const v of good(p.name, p.schema)) await hold(`${where}?${p.name}=${v}`, 'good', method, `${target}?${p.name}=${encodeURIComponent(v)}`, undefined, operation)
    for (const v of bad(p.schema, true)) await hold(`${where}?${p.name}=${v}`.slice(0, 100), 'bad', method, `${target}?${p.name}=${v}`, undefined, operation)
  }
  if ((operation.parameters || []).some(p => p.in === 'query')) await hold(`${where}?nonsense=1`, 'bad', method, target + '?nonsense=1', undefined, operation)
}

async function bodies (where, method, target, operation) {
  const schema = operation.requestBody.content['application/json'].schema
  const plain = Object.fromEntries(schema.required.map(name => [name, good(name, schema.properties[name])[0]]))
  const send = (what, want, tree) => hold(`${where} ${what}`.slice(0, 160), want, method, target, typeof tree === 'string' ? tree : JSON.stringify(tree), operation)
  await send('the least', 'good', plain)
  for (const [name, member] of Object.entries(schema.properties)) {
    for (const v of [...good(name, member), ...(mayBeNull(member) ? [null] : [])]) await send(`${name}: ${JSON.stringify(v)}`, 'good', { ...plain, [name]: v })
    for (const v of bad(member, false)) await send(`${name}: ${JSON.stringify(v)}`, 'bad', { ...plain, [name]: v })
  }
  for (const name of schema.required) await send(`without ${name}`, 'bad', { ...plain, [name]: undefined })
  for (const text of ['', 'x', '[]', '"x"', 'null', '{', '{"url":', '{"url":"https://a.example/"} x', '\u0000', '{"nonsense":1}', '[['.repeat(900)]) await send(JSON.stringify(text), 'bad', text)
}

// A form as a page sends it.
async function form (where, want, target, fields, operation, headers = {}) {
  const answer = await ask('POST', target, new URLSearchParams(fields).toString(), { 'content-type': 'application/x-www-form-urlencoded', ...headers })
  requests++
  check(where, answer, operation)
  if (answer.status !== want) complain(`${where}: ${answer.status} instead of ${want}: ${answer.text.slice(0, 200)}`)
  return answer
}

// The first event of a stream, which is left then.
function firstEvent (target, headers) {
  return new Promise((resolve, reject) => {
    const request = http.get(base + target, { headers }, answer => {
      let text = ''
      answer.on('data', part => {
        text += part
        const event = /^data: (.*)\n\n/m.exec(text)
        if (!event) return
        resolve({ status: answer.statusCode, type: answer.headers['content-type'].split(';')[0], data: event[1] })
        request.destroy()
      })
      answer.on('end', () => reject(new Error(`${target} ended: ${answer.statusCode} ${text}`)))
    })
    request.on('error', reject)
  })
}

async function stream (where, target, operation, headers = {}) {
  const event = await firstEvent(target, headers)
  const content = operation.responses[event.status].content[event.type]
  requests++
  if (!content) return complain(`${where}: ${event.type} is not in the document`)
  const validate = ajv.getSchema('doc' + content.schema.$ref)
  if (!validate(JSON.parse(event.data))) complain(`${where}: ${validate.errors.map(e => `${e.instancePath} ${e.message}`).join('; ')} in ${event.data}`)
}

// What breaks a rule of HTTP is told in the same form as all else, as a page to who wants one.
async function rules (where, method, target, operation) {
  const long = target + (target.includes('?') ? '&' : '?') + 'x'.repeat(12000)
  for (const [accept, type] of [['*/*', 'application/problem+json'], ['text/html,*/*;q=0.8', 'text/html']]) {
    const answer = await ask(method, long, undefined, { accept, connection: 'close' })
    requests++
    if (answer.status !== 414 || answer.type !== type || !operation.responses.default.content[type]) complain(`${where}, too long, ${accept}: ${answer.status} ${answer.type}`)
    check(where + ', too long', answer, { responses: { 414: operation.responses.default } })
  }
}

async function operationOf (target, method, operation) {
  const where = `${method.toUpperCase()} ${target}`
  const at = fill(target)
  const answers = Object.values(operation.responses).flatMap(r => Object.keys(r.content || {}))
  await rules(where, method.toUpperCase(), at, operation)
  if (answers.includes('text/event-stream')) return stream(where, at, operation)
  if (operation.requestBody && operation.requestBody.content['application/x-www-form-urlencoded']) return form(where, 303, at, { password: 'x', token: 'x' }, operation)
  if (method === 'delete') {
    const link = JSON.parse((await ask('POST', '/api/links', '{"url":"https://gone.example/"}')).text)
    await hold(where, 'good', 'DELETE', target.replace('{code}', link.code), undefined, operation)
    await hold(where + ' again', 'any', 'DELETE', target.replace('{code}', link.code), undefined, operation)
  } else if (operation.requestBody) {
    const link = JSON.parse((await ask('POST', '/api/links', '{"url":"https://changed.example/"}')).text)
    await bodies(where, method.toUpperCase(), target.replace('{code}', link.code), operation)
  } else {
    await hold(where, 'good', method.toUpperCase(), at, undefined, operation)
    await queries(where, method.toUpperCase(), at, operation)
  }
  if (target.includes('{code}')) await hold(`${where} of no link`, 'any', method.toUpperCase(), target.replace('{code}', 'no-such-link'), operation.requestBody && '{}', operation)
}

// The dashboard behind its password.
async function dashboard (document) {
  const of = (target, method) => document.paths[target][method]
  const page = async (where, cookie, marks) => {
    const answer = await ask('GET', '/dashboard', undefined, cookie ? { cookie } : {})
    requests++
    check(where, answer, of('/dashboard', 'get'))
    if (answer.status !== 200 || !answer.text.includes(marks)) complain(`${where}: ${answer.status}, without ${marks}`)
    return answer.text
  }
  await page('the form', '', 'name="password"')
  await hold('GET /api/live without a session', 'any', 'GET', '/api/live', undefined, of('/api/live', 'get'))
  await form('no password', 403, '/dashboard/login', {}, of('/dashboard/login', 'post'))
  const cookie = (await form('the password', 303, '/dashboard/login', { password }, of('/dashboard/login', 'post'))).headers['set-cookie'][0].split(';')[0]
  const token = /name="token" value="([0-9a-f]+)"/.exec(await page('the page', cookie, 'name="token"'))[1]
  await stream('GET /api/live with a session', '/api/live', of('/api/live', 'get'), { cookie })
  for (let i = 0; i < 9; i++) await form('a wrong password', 403, '/dashboard/login', { password: 'wrong' }, of('/dashboard/login', 'post'))
  await form('too many tries', 429, '/dashboard/login', { password }, of('/dashboard/login', 'post'))
  await form('out everywhere, with another token', 303, '/dashboard/logout-everywhere', { token: '0' }, of('/dashboard/logout-everywhere', 'post'), { cookie })
  await form('out everywhere', 303, '/dashboard/logout-everywhere', { token }, of('/dashboard/logout-everywhere', 'post'), { cookie })
  await page('the form again', cookie, 'name="password"')
  await form('out', 303, '/dashboard/logout', { token }, of('/dashboard/logout', 'post'), { cookie })
}

async function main () {
  const document = JSON.parse((await ask('GET', '/openapi.json')).text)
  if (!/^3\.1\./.test(document.openapi)) complain(`OpenAPI ${document.openapi}`)
  ajv.addVocabulary(['openapi', 'info', 'paths', 'components'])
  ajv.addSchema({ $id: 'doc', components: document.components })
  if (password) {
    await dashboard(document)
    console.log(`${requests} requests, ${complaints} complaints`)
    agent.destroy()
    return
  }
  const ids = new Set()
  let operations = 0
  for (const [target, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (ids.has(operation.operationId)) complain(`two operations are called ${operation.operationId}`)
      ids.add(operation.operationId)
      operations++
      await operationOf(target, method, operation)
    }
    // what the document has no row for is not there
    for (const method of ['PUT', 'POST', 'PATCH', 'DELETE']) {
      if (methods[method.toLowerCase()] || target === '/{code}') continue
      const answer = await ask(method, fill(target), '{}')
      if (answer.status !== 405 || answer.type !== 'application/problem+json' || !answer.headers.allow) complain(`${method} ${target}: ${answer.status} ${answer.type}`)
      requests++
    }
  }
  console.log(`${operations} operations, ${requests} requests, ${complaints} complaints`)
  agent.destroy()
}

main().catch(e => { console.log(e.stack); process.exitCode = 1 })
