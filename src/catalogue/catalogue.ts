import { ggufTag } from '../models/checkpoint/gguf-mixes.ts'
import type { JsonObject } from '../models/config.ts'
import { type ModelFacts, unknownCheckpoint } from '../models/facts.ts'

/**
 * The embedded facts of the models that people deploy most. The file has one model a line, so that a look-up parses one
 * line: the whole would cost more time than everything else that a command does.
 */
export interface Catalogue {
  /** Facts of a model by its id or one of its aliases, in any case; null when it is not known. */
  readonly find: (id: string) => ModelFacts | null
  /** Facts of a model by its name in Ollama's library ("ollama:qwen3:8b"); null when the name is not known. */
  readonly ollama: (name: string) => ModelFacts | null
  /** Ids of all models, without aliases, in order. */
  readonly ids: () => readonly string[]
}

interface Row {
  readonly id: string
  readonly aliases?: readonly string[]
  readonly config: JsonObject
  readonly weights: { readonly bytes?: number }
}

/** A catalogue over the text that `read` gives when something is first asked. */
export function openCatalogue(read: () => string): Catalogue {
  let loaded: { text: string; lower: string } | null = null
  const open = () => {
    if (loaded === null) {
      const text = read()
      loaded = { text, lower: text.toLowerCase() }
    }
    return loaded
  }
  const find = (id: string): ModelFacts | null => {
    const { text, lower } = open()
    const row = rowOf(text, lower, id.toLowerCase())
    if (row === null) return null
    const checkpoint = { ...unknownCheckpoint, totalBytes: row.weights.bytes ?? null }
    const asOf = /"asOf":"([\d-]+)"/.exec(text)?.[1] ?? null
    return { id: row.id, revision: null, source: 'catalogue', asOf, config: row.config, checkpoint }
  }
  return {
    find,
    ollama: name => {
      const line = /^"ollama":(\{.*\}),$/m.exec(open().text)
      const known = line === null ? null : ollamaModel(JSON.parse(line[1]!) as Names, name.toLowerCase())
      const facts = known && find(known[0]!)
      return facts && known[1] ? { ...facts, id: `${facts.id}:${known[1]}` } : facts
    },
    ids: () => [...open().text.matchAll(/^\{"id":"([^"]+)"/gm)].map(match => match[1]!),
  }
}

/** Names of Ollama's library to ids with the tag of their quantisation. */
type Names = Readonly<Record<string, string>>

/**
 * "library/qwen3:8b-q8_0" as id and tag: the longest beginning of the tag that is known, `latest` without one. What the rest
 * of the tag says of the quantisation counts; formats that are no GGUF are not known.
 */
function ollamaModel(names: Names, name: string): string[] | null {
  const [, model = '', tag = 'latest'] =
    /^ollama:(?:registry\.ollama\.ai\/)?(?:library\/)?([^:/]+)(?::([^:/]+))?$/.exec(name) ?? []
  if (/mlx|mxfp8|nvfp4|int[48]|qat|cloud/.test(tag)) return null
  const words = tag.split('-')
  for (let count = words.length; count > 0; count--) {
    const key = `${model}:${words.slice(0, count).join('-')}`
    if (!Object.hasOwn(names, key)) continue
    const [id, usual] = names[key]!.split(':')
    return [id!, ggufTag(tag) ?? usual ?? '']
  }
  return null
}

/** The row whose id or alias is the name; the name may also stand in a config, so each line it is in is looked at. */
function rowOf(text: string, lower: string, name: string): Row | null {
  const quoted = `"${name}"`
  for (let at = lower.indexOf(quoted); at >= 0; at = lower.indexOf(quoted, at + 1)) {
    const start = text.lastIndexOf('\n', at) + 1
    const end = text.indexOf('\n', at)
    const line = text.slice(start, end < 0 ? undefined : end).replace(/,$/, '')
    if (!line.startsWith('{"id"')) continue
    const row = JSON.parse(line) as Row
    if ([row.id, ...(row.aliases ?? [])].some(known => known.toLowerCase() === name)) return row
    if (end < 0) break
    at = end
  }
  return null
}
