import { isAlias, isMap, isScalar, isSeq, type Node as ParsedNode, parseAllDocuments } from 'yaml'
import { Text } from './text.ts'
import { type Entry, ListNode, MapNode, type Node, ScalarNode } from './tree.ts'

/** One document of a YAML stream. Broken ones keep what could be read. */
export interface YamlDocument {
  readonly root: Node | null
  readonly errors: readonly { readonly message: string; readonly line: number }[]
  /** Keys given twice in one mapping: the last one wins, as in most consumers. */
  readonly duplicates: readonly Text[]
}

/** Nodes one file may expand to, merges included; more is an alias bomb or no manifest. */
const MAX_NODES = 200_000
const MAX_DEPTH = 200

/**
 * Reads every document of a YAML (or JSON) text: aliases are shared, merge keys applied, duplicate keys resolved to the
 * last. Never throws; a text that is nested too deeply or expands too far gives one document with an error.
 */
export function parseYaml(source: Text): YamlDocument[] {
  const whole = parseAll(source)
  if (whole.every(document => document.errors.length === 0)) return whole
  // A broken document must not swallow the ones after it: each is read by itself.
  const parts = separated(source)
  return parts.length === 1 ? repaired(source, whole) : parts.flatMap(part => repaired(part, parseAll(part)))
}

/** The documents of a stream as texts, cut at their `---` lines. */
function separated(source: Text): Text[] {
  const parts: Text[] = []
  let from = 0
  for (const match of source.value.matchAll(/^---(?:\s|$)/gm)) {
    if (source.value.slice(from, match.index).trim() !== '') parts.push(source.slice(from, match.index))
    from = match.index
  }
  parts.push(source.slice(from))
  return parts
}

/**
 * A manifest copied with the indentation of the page it stood in, all but its first line: read as if the rest were
 * moved left. The errors stay.
 */
function repaired(source: Text, documents: YamlDocument[]): YamlDocument[] {
  const errors = documents.flatMap(document => document.errors)
  const lines = source.value.split('\n')
  const first = lines.findIndex(line => /^[A-Za-z]/.test(line))
  const indent = /^ +/.exec(lines.slice(first + 1).find(line => /\S/.test(line)) ?? '')?.[0].length ?? 0
  if (errors.length === 0 || first < 0 || indent === 0) return documents
  if (lines.some((line, index) => index > first && /^ *[^\s#]/.test(line) && line.search(/\S/) < indent))
    return documents
  const parts: Text[] = []
  let from = 0
  for (const [index, line] of lines.entries()) {
    parts.push(
      source.slice(
        from + (index > first ? Math.min(indent, Math.max(0, line.search(/\S|$/))) : 0),
        from + line.length + 1,
      ),
    )
    from += line.length + 1
  }
  const again = parseAll(Text.join(parts))
  if (again.flatMap(document => document.errors).length >= errors.length) return documents
  return again.map((document, index) => (index === 0 ? { ...document, errors } : document))
}

function parseAll(source: Text): YamlDocument[] {
  if (tooDeep(source.value)) return [broken(source, `nested deeper than ${MAX_DEPTH} levels`)]
  try {
    const parsed = parseAllDocuments(source.value, {
      uniqueKeys: false,
      merge: false,
      logLevel: 'silent',
      prettyErrors: false,
      keepSourceTokens: false,
    })
    return [...parsed].map(document => {
      const build = new Builder(source)
      const root = document.contents ? build.node(document.contents as ParsedNode, 0) : null
      const errors = document.errors.map(error => ({
        message: error.message.split('\n')[0]!,
        line: source.placeAt(error.pos[0]).line,
      }))
      if (build.overflow) errors.push({ message: build.overflow, line: source.place.line })
      return { root, errors, duplicates: build.duplicates }
    })
  } catch (error) {
    if (error instanceof RangeError) return [broken(source, 'nested too deeply')]
    return [broken(source, error instanceof Error ? error.message.split('\n')[0]! : 'not YAML')]
  }
}

function broken(source: Text, message: string): YamlDocument {
  return { root: null, errors: [{ message, line: source.place.line }], duplicates: [] }
}

/** Brackets nested too far would overflow the parser's stack; a cheap count finds them first. */
function tooDeep(text: string): boolean {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 91 || code === 123) {
      if (++depth > MAX_DEPTH) return true
    } else if ((code === 93 || code === 125) && depth > 0) depth--
    else if (code === 10 && depth > 0 && text.charCodeAt(i + 1) === 45 && text.startsWith('---', i + 1)) depth = 0
  }
  return deepIndent(text)
}

type ParsedPairs = readonly { readonly key: unknown; readonly value: unknown }[]

/** Block nesting: lines indented ever further, and `- - -` or `? ? ?` on one line. */
function deepIndent(text: string): boolean {
  const indents: number[] = []
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf('\n', from)
    const stop = end < 0 ? text.length : end
    let at = from
    let markers = 0
    while (at < stop && ' -?:&'.includes(text[at]!)) {
      if (text[at] !== ' ') markers++
      at++
    }
    if (markers > MAX_DEPTH && !/^[-=]+$/.test(text.slice(from, at))) return true
    if (at < stop) {
      const indent = at - from
      while (indents.length > 0 && indents.at(-1)! >= indent) indents.pop()
      indents.push(indent)
      if (indents.length > MAX_DEPTH) return true
    }
    from = stop + 1
  }
  return false
}

class Builder {
  readonly #source: Text
  readonly #anchors = new Map<string, Node>()
  readonly duplicates: Text[] = []
  overflow: string | null = null
  #count = 0

  constructor(source: Text) {
    this.#source = source
  }

  node(parsed: ParsedNode, depth: number): Node | null {
    if (++this.#count > MAX_NODES) {
      this.overflow = `more than ${MAX_NODES} nodes`
      return null
    }
    if (depth > MAX_DEPTH) {
      this.overflow = `nested deeper than ${MAX_DEPTH} levels`
      return null
    }
    if (isAlias(parsed)) return this.#anchors.get(parsed.source) ?? null
    const start = parsed.range?.[0] ?? 0
    const end = parsed.range?.[1] ?? start
    if (isScalar(parsed)) {
      const text = scalarText(parsed.value, parsed.source, this.#source, start, end)
      const node = new ScalarNode(plain(parsed.value), text, parsed.type === 'PLAIN')
      if (parsed.anchor) this.#anchors.set(parsed.anchor, node)
      return node
    }
    if (isSeq(parsed)) {
      const items: Node[] = []
      const node = new ListNode(items, this.#source.slice(start, start))
      if (parsed.anchor) this.#anchors.set(parsed.anchor, node)
      for (const item of parsed.items) {
        const child = this.node(item as ParsedNode, depth + 1)
        if (child) items.push(child)
      }
      return node
    }
    if (isMap(parsed)) {
      const entries: Entry[] = []
      const node = new MapNode(entries, this.#source.slice(start, start))
      if (parsed.anchor) this.#anchors.set(parsed.anchor, node)
      this.#fill(entries, parsed.items, depth)
      return node
    }
    return null
  }

  #fill(entries: Entry[], pairs: ParsedPairs, depth: number): void {
    const own = new Map<string, number>()
    const merged: Entry[] = []
    for (const entry of this.#pairs(pairs, depth)) {
      if (entry.key.value === '<<' && entry.value.kind !== 'scalar') {
        const sources = entry.value.kind === 'list' ? entry.value.items : [entry.value]
        for (const from of sources) if (from.kind === 'map') merged.push(...from.entries)
        this.#count += merged.length
        continue
      }
      const seen = own.get(entry.key.value)
      if (seen === undefined) {
        own.set(entry.key.value, entries.length)
        entries.push(entry)
      } else {
        this.duplicates.push(entry.key)
        entries[seen] = entry
      }
    }
    for (const entry of merged) {
      if (own.has(entry.key.value)) continue
      own.set(entry.key.value, entries.length)
      entries.push(entry)
    }
  }

  *#pairs(pairs: ParsedPairs, depth: number): Generator<Entry> {
    for (const pair of pairs) {
      const key = pair.key as ParsedNode | null
      if (key === null) continue
      const start = key.range?.[0] ?? 0
      const end = key.range?.[1] ?? start
      const name = isScalar(key)
        ? scalarText(key.value, key.source, this.#source, start, end)
        : this.#source.slice(start, end)
      const value = pair.value ? this.node(pair.value as ParsedNode, depth + 1) : null
      yield { key: name, value: value ?? new ScalarNode(null, Text.at(name, ''), true) }
    }
  }
}

/** A scalar as text: what a string says, and for numbers, booleans and null the way they were written. */
function scalarText(value: unknown, raw: string | undefined, source: Text, start: number, end: number): Text {
  const written = typeof value === 'string' ? value : (raw ?? source.value.slice(start, end))
  return Text.decoded(written, source, start, end)
}

function plain(value: unknown): string | number | boolean | null {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  return value === null || value === undefined ? null : String(value)
}
