// Cuts GitHub's OpenAPI description (npm package @octokit/openapi, generated/api.github.com.json) down to the operations
// that the action uses and that its tests' server answers:
//   node scripts/trim-openapi.mjs api.github.com.json > __tests__/fixtures/github-openapi-23.0.2.json
import { readFileSync } from 'node:fs'

const OPERATIONS = new Set([
  'issues/list-comments',
  'issues/create-comment',
  'issues/get-comment',
  'issues/update-comment',
  'issues/delete-comment',
  'pulls/get',
  'pulls/list',
  'pulls/list-files',
  'repos/get-content',
  'repos/compare-commits-with-basehead',
  'git/get-tree',
  'git/get-blob',
])

const whole = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const paths = {}
for (const [path, item] of Object.entries(whole.paths))
  for (const [method, operation] of Object.entries(item))
    if (OPERATIONS.has(operation?.operationId)) {
      paths[path] ??= item.parameters ? { parameters: item.parameters } : {}
      paths[path][method] = operation
    }

const components = {}
const queue = [paths]
const plain = value => {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const out = {}
  for (const [key, inner] of Object.entries(value)) {
    if (
      ['description', 'example', 'examples', 'summary', 'externalDocs', 'x-github', 'tags', 'servers'].includes(key) &&
      !isSchemaName(value, key)
    )
      continue
    if (key === '$ref') {
      const [, , kind, name] = inner.split('/')
      components[kind] ??= {}
      if (!(name in components[kind])) {
        components[kind][name] = null
        queue.push({ kind, name })
      }
    }
    out[key] = plain(inner)
  }
  return out
}
/** Inside `properties` those words are names of fields, not annotations. */
function isSchemaName(holder, key) {
  const value = holder[key]
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    ('type' in value || '$ref' in value || 'anyOf' in value || 'oneOf' in value || 'allOf' in value)
  )
}

const trimmed = {
  openapi: whole.openapi,
  info: { title: 'GitHub, the operations used', version: whole.info.version },
  paths: plain(paths),
}
queue.shift()
while (queue.length > 0) {
  const { kind, name } = queue.shift()
  components[kind][name] = plain(whole.components[kind][name])
}
process.stdout.write(`${JSON.stringify({ ...trimmed, components })}\n`)
