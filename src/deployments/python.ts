import { Text } from './text.ts'
import { type Entry, ListNode, MapNode, type Node, ScalarNode } from './tree.ts'

const MAX_DEPTH = 12
const TOKEN =
  /(?:\s|#[^\n]*(?:\n|$))*(?:[rbuf]?"([^"\n]{0,2000})"|[rbuf]?'([^'\n]{0,2000})'|([A-Za-z_][\w.]{0,200})|(-?[\d][\w.]{0,40})|([^\s#]))/y

/**
 * The arguments of a Python call as data, from behind its bracket on: keywords, `dict(…)` and `Name(…)` are mappings,
 * `{…}` and `[…]` as they are, constants by name, other names as placeholders. Null for anything that has to be run.
 */
export function callArguments(text: Text, from: number, constants: ReadonlyMap<string, Text>): MapNode | null {
  return new Reader(text, from, constants).map(')', 0)
}

interface Token {
  /** A literal's or name's characters, or the sign. */
  readonly text: Text
  readonly kind: 'string' | 'name' | 'number' | 'sign'
}

class Reader {
  readonly #text: Text
  readonly #constants: ReadonlyMap<string, Text>
  #at: number

  constructor(text: Text, from: number, constants: ReadonlyMap<string, Text>) {
    this.#text = text
    this.#at = from
    this.#constants = constants
  }

  #next(): Token | null {
    TOKEN.lastIndex = this.#at
    const match = TOKEN.exec(this.#text.value)
    if (!match) return null
    const group = match.findIndex((part, index) => index > 0 && part !== undefined)
    const end = match.index + match[0].length
    const kind = group < 3 ? 'string' : group === 3 ? 'name' : group === 4 ? 'number' : 'sign'
    const stop = kind === 'string' ? end - 1 : end
    this.#at = end
    return { kind, text: this.#text.slice(stop - match[group]!.length, stop) }
  }

  #sign(): string {
    const token = this.#next()
    return token?.kind === 'sign' ? token.text.value : ''
  }

  map(close: ')' | '}', depth: number): MapNode | null {
    const start = this.#text.slice(this.#at, this.#at)
    const entries: Entry[] = []
    for (;;) {
      const key = this.#next()
      if (key?.text.value === close && key.kind === 'sign') return new MapNode(entries, start)
      if (!key || key.kind !== (close === ')' ? 'name' : 'string')) return null
      if (this.#sign() !== (close === ')' ? '=' : ':')) return null
      const value = this.#value(depth + 1)
      if (!value) return null
      entries.push({ key: key.text, value })
      const end = this.#sign()
      if (end === close) return new MapNode(entries, start)
      if (end !== ',') return null
    }
  }

  #value(depth: number): Node | null {
    const token = this.#next()
    if (!token || depth > MAX_DEPTH) return null
    const { text, kind } = token
    if (kind === 'string') return new ScalarNode(text.value, text, false)
    if (kind === 'number') return new ScalarNode(text.value, text, true)
    if (kind === 'sign')
      return text.value === '{' ? this.map('}', depth) : text.value === '[' ? this.#list(depth) : null
    if (this.#text.value[this.#at] === '(') {
      this.#at++
      if (/^(?:int|float|str)$/.test(text.value)) return this.#closed(this.#value(depth + 1))
      if (/^os\.(?:getenv|environ\.get)$/.test(text.value)) return this.#variable(depth)
      return this.map(')', depth)
    }
    if (/^(?:True|False|None)$/.test(text.value))
      return new ScalarNode(text.value === 'None' ? null : text.value === 'True', text, true)
    const known =
      this.#constants.get(text.value.replace('self.', '')) ?? Text.at(text, `\${${text.value.replaceAll('.', '_')}}`)
    return new ScalarNode(known.value, known, true)
  }

  #closed(value: Node | null): Node | null {
    return this.#sign() === ')' ? value : null
  }

  /** The default of `os.environ.get("NAME", default)`; without one the variable as a placeholder. */
  #variable(depth: number): Node | null {
    const name = this.#next()
    if (name?.kind !== 'string') return null
    const end = this.#sign()
    if (end === ',') return this.#closed(this.#value(depth + 1))
    return end === ')' ? new ScalarNode(null, Text.at(name.text, `\${${name.text.value}}`), true) : null
  }

  #list(depth: number): ListNode | null {
    const start = this.#text.slice(this.#at, this.#at)
    const items: Node[] = []
    for (;;) {
      const before = this.#at
      if (this.#sign() === ']') return new ListNode(items, start)
      this.#at = before
      const value = this.#value(depth + 1)
      if (!value) return null
      items.push(value)
      const end = this.#sign()
      if (end === ']') return new ListNode(items, start)
      if (end !== ',') return null
    }
  }
}

/** `NAME = "text"`, `NAME = 2` and the default of `NAME = int(os.environ.get("NAME", 2))` at the start of a line, or in a class. */
export function constantsOf(text: Text): Map<string, Text> {
  const constants = new Map<string, Text>()
  for (const match of text.value.matchAll(
    /^([ \t]{0,8})(?:self\.)?([A-Za-z_]\w*)\s{0,9}(?::\s{0,9}\w{1,30}\s{0,9})?=\s{0,9}(?:(?:int|float|str)\()?(?:os\.(?:getenv|environ\.get)\(\s{0,9}["']\w{1,60}["'],\s{0,9})?(?:"([^"\n]{0,500})"|'([^'\n]{0,500})'|(\d{1,15}(?:\.\d{1,9})?)|([A-Za-z_]\w{0,60})\){0,2}[ \t]{0,9}(?=#|\r?$))/gm,
  )) {
    const [, indent, name, double, single, number, other] = match
    // What a class or a function sets does not change what the file said before.
    if (indent !== '' && constants.has(name!)) continue
    const known = constants.get(other ?? '')
    if (known) constants.set(name!, known)
    if (other) continue
    const value = double ?? single ?? number ?? ''
    const from = match.index + match[0].lastIndexOf(value)
    constants.set(name!, text.slice(from, from + value.length))
  }
  return constants
}
