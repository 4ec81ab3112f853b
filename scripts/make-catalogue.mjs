// Makes src/catalogue/catalogue.json: checks and normalises its rows, and takes over the rows of the facts files given.
//   node scripts/make-catalogue.mjs [FACTS.json ...]
// A facts file is a list of { id, aliases, config, weights: { parameters, stored, bytes, source }, by, unconfirmed }, or
// { models: [...], ollama: {...} }. A row with the id of one that is there replaces it. `ollama` maps names of Ollama's
// library to ids with the tag of their quantisation; a short tag is the long one with which it shares its digest. One model
// a line, sorted, so that one model is found without parsing the rest and a change reads well in review.
import { readFileSync, writeFileSync } from 'node:fs'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'

const target = new URL('../src/catalogue/catalogue.json', import.meta.url)
/** Month of the facts; raise it with the rows. */
const AS_OF = '2026-11'
const LARGEST = 800_000

const DTYPE_BYTES = { float32: 4, float16: 2, bfloat16: 2 }

/** The one form of a row; keys in order, what is empty left out. Throws an Error that names the row and the fault. */
export function catalogueRow(row) {
  const fault = text => new Error(`${row.id}: ${text}`)
  if (!/^[\w.-]+(\/[\w.-]+)?$/.test(row.id ?? '')) throw fault('is no model id')
  if (typeof row.config?.model_type !== 'string') throw fault('config has no model_type')
  const { parameters = null, stored = null, source } = row.weights
  for (const count of [parameters, stored])
    if (count !== null && !(Number.isSafeInteger(count) && count > 0))
      throw fault(`count ${count} is no positive integer`)
  if (!source) throw fault('weights have no source')
  const bytes = exactBytes(row)
  const aliases = [...new Set(row.aliases ?? [])].filter(alias => alias.toLowerCase() !== row.id.toLowerCase()).sort()
  return {
    id: row.id,
    ...(aliases.length > 0 ? { aliases } : {}),
    config: row.config,
    weights: { parameters, stored, ...bytes, source },
    ...(row.by?.length ? { by: row.by } : {}),
    ...(row.unconfirmed?.length ? { unconfirmed: row.unconfirmed } : {}),
  }
}

/**
 * Bytes count as exact when their source is an index of the model in the form it is published in; a figure rounded to
 * 0.01 GiB is kept apart, and one from a copy in another data type (bytes far from elements x size) is left out.
 */
function exactBytes({ config, weights: { stored, bytes, roundedBytes, source } }) {
  if (roundedBytes) return { roundedBytes }
  if (!bytes) return {}
  if (/rounded/.test(source)) return { roundedBytes: bytes }
  const size = config.quantization_config ? null : DTYPE_BYTES[config.torch_dtype ?? config.dtype]
  return size && stored && Math.abs(bytes / (stored * size) - 1) > 0.01 ? {} : { bytes }
}

function catalogueText(rows, ollama) {
  const byId = new Map(rows.map(row => [row.id.toLowerCase(), catalogueRow(row)]))
  const sorted = [...byId.values()].sort((a, b) => (a.id.toLowerCase() < b.id.toLowerCase() ? -1 : 1))
  const names = sorted.flatMap(row => [row.id, ...(row.aliases ?? [])].map(name => name.toLowerCase()))
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice) throw new Error(`${twice} stands for two models`)
  for (const [name, id] of Object.entries(ollama))
    if (!names.includes(id.split(':')[0].toLowerCase()))
      throw new Error(`${name} stands for ${id}, which is no model here`)
  const library = JSON.stringify(Object.fromEntries(Object.entries(ollama).sort(([a], [b]) => (a < b ? -1 : 1))))
  const text = `{"asOf":"${AS_OF}",\n"ollama":${library},\n"models":[\n${sorted.map(row => JSON.stringify(row)).join(',\n')}\n]}\n`
  if (/[^\n\x20-\x7e]/.test(text)) throw new Error('the catalogue holds letters beyond ASCII')
  if (text.length > LARGEST) throw new Error(`the catalogue has ${text.length} bytes, more than ${LARGEST}`)
  return { text, count: sorted.length }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const files = [target, ...argv.slice(2)].map(readJson)
  const rows = files.flatMap(json => (Array.isArray(json) ? json : (json?.models ?? [])))
  const { text, count } = catalogueText(rows, Object.assign({}, ...files.map(json => json?.ollama ?? {})))
  writeFileSync(target, text)
  console.log(`${count} models, ${text.length} bytes`)
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if (file === target && error.code === 'ENOENT') return null
    throw error
  }
}
