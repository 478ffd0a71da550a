// Holds what `sdlab load --json` wrote against its schema, with ajv, and the schema against its manual page.
//
//   node load_schema.js MANUAL SCHEMA-OF-A-RUN SCHEMA-OF-A-CURVE JSON...     the module is looked for in $NPM_MODULES
//
// The manual page and the schemas name the same fields, in the same places. Each result is valid. And so that this says
// something, each result is spoilt in every place, one at a time, and must then be refused.
'use strict'
const fs = require('fs')
const path = require('path')
const Ajv = require(path.resolve(process.env.NPM_MODULES || 'build/npm/node_modules', 'ajv/dist/2020'))

const [manualFile, runFile, curveFile, ...resultFiles] = process.argv.slice(2)

// By the format that a result names: the schema, and the section of the manual page about the whole.
const kindOf = (file, section) => {
  const schema = JSON.parse(fs.readFileSync(file, 'utf8'))
  return { schema, section, validate: new Ajv({ strict: true, allowUnionTypes: true }).compile(schema) }
}
const kinds = {
  'sdlab-load': kindOf(runFile, 'JSON'),
  'sdlab-load-curve': kindOf(curveFile, 'JSON of sweep and ramp')
}

function complain (text) {
  console.log(text)
  process.exitCode = 1
}

// ---- the manual page ----

// The names behind a macro, as in ".It Cm answers , errors"; punctuation stands alone there.
const namesOf = line => line.split(' ').filter(word => /^[a-z]/.test(word))

// "section: field" and "section: field: part" of the part about JSON. A field's parts are the names in the text below it.
function fieldsOfManual (text) {
  const fields = new Set()
  let section = null
  let field = null
  for (const line of text.slice(text.indexOf('\n.Ss JSON\n'), text.indexOf('\n.Ss CSV\n')).split('\n')) {
    const title = line.match(/^\.Ss (?:A )?(.*)/)
    if (title) section = title[1]
    else if (line.startsWith('.It Cm ')) {
      const names = namesOf(line)
      for (const name of names) fields.add(`${section}: ${name}`)
      field = names.length === 1 ? names[0] : null
    } else if (line.startsWith('.Cm ')) {
      for (const name of namesOf(line)) fields.add(`${section}: ${field}: ${name}`)
    }
  }
  return fields
}

const propertiesOf = node => Object.entries(node.properties || (node.items && node.items.properties) || {})

// The same of the schemas: their sections are the whole and each definition of an object.
function fieldsOfSchemas () {
  const fields = new Set()
  for (const kind of Object.values(kinds)) {
    for (const [section, node] of [[kind.section, kind.schema], ...Object.entries(kind.schema.$defs)]) {
      for (const [name, inner] of propertiesOf(node)) {
        fields.add(`${section}: ${name}`)
        for (const [part] of propertiesOf(inner)) fields.add(`${section}: ${name}: ${part}`)
      }
    }
  }
  return fields
}

function compareWithManual () {
  const manual = fieldsOfManual(fs.readFileSync(manualFile, 'utf8'))
  const own = fieldsOfSchemas()
  for (const field of manual) if (!own.has(field)) complain(`in the manual page, but not in the schema: ${field}`)
  for (const field of own) if (!manual.has(field)) complain(`in the schema, but not in the manual page: ${field}`)
  return own.size
}

// ---- results, and spoilt ones ----

// Every value of a kind that no field of that kind may have. A text that somebody answered may be empty.
function wrongValues (value, key) {
  if (value === null) return [true, {}]
  if (Array.isArray(value)) return [{}, null, [1]]
  switch (typeof value) {
    case 'object': return [[], 1]
    case 'string': return key === 'text' ? [1, {}] : ['', 1, {}]
    case 'number': return [-1, String(value), true]
    default: return [1, null]
  }
}

// spoil(node, try): calls try() once for each way to spoil what is in node, and puts it right again.
function spoil (node, where, attempt) {
  for (const key of Object.keys(node)) {
    const here = `${where}.${key}`
    const value = node[key]
    for (const wrong of wrongValues(value, key)) {
      node[key] = wrong
      attempt(`${here} = ${JSON.stringify(wrong)}`)
    }
    node[key] = value
    if (value !== null && typeof value === 'object') spoil(value, here, attempt)
    // An element of a list and a status may be absent.
    if (!Array.isArray(node) && where !== '.statuses') {
      delete node[key]
      attempt(`${here} left out`)
      node[key] = value
    }
  }
  if (!Array.isArray(node)) {
    node.unknown = 1
    attempt(`${where}.unknown = 1`)
    delete node.unknown
  }
}

function check (file) {
  const result = JSON.parse(fs.readFileSync(file, 'utf8'))
  const { validate } = kinds[result.format]
  let refused = 0
  if (!validate(result)) {
    complain(`${file}: ${validate.errors.map(e => `${e.instancePath || '/'} ${e.message}`).join('; ')}`)
    return refused
  }
  const attempt = how => {
    if (validate(result)) complain(`${file}: valid, although ${how}`)
    else refused++
  }
  spoil(result, '', attempt)
  if (result.loop) {
    result.loop = result.loop === 'open' ? 'closed' : 'open'
    attempt(`.loop = ${result.loop}`)
  }
  return refused
}

console.log(`${compareWithManual()} fields in the schemas, which the manual page should have too`)
for (const file of resultFiles) console.log(`${path.basename(file)}: valid; ${check(file)} spoilt ones refused`)
