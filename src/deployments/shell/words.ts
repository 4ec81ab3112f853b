import { Text } from '../text.ts'
import { type Budget, closing, type Lookup, parameter } from './parameters.ts'
import { wordSpans } from './parse.ts'

/** Longest value a variable may grow to; scripts that double a string in a loop stop here. */
export const MAX_VALUE = 100_000

export interface ShellVariables {
  readonly lookup: Lookup
  /** Elements of an array or of the positional parameters ("@"); undefined when nothing sets it. */
  readonly list: (name: string) => readonly Text[] | undefined
  /** Characters that all expansions of one script together may look at; words stay as written when none are left. */
  readonly budget: Budget
}

/**
 * Expands one raw word as a POSIX shell does: quotes, backslashes, `$VAR`, `${…}`, `"$@"`, `"${ARRAY[@]}"`,
 * `$((a * b))`, splitting of unquoted values at blanks. Unset variables and command substitutions stay as written, so
 * that they can be reported by name.
 */
export function expandWord(raw: Text, variables: ShellVariables): Text[] {
  const state = new Expansion(raw, variables)
  state.run()
  return state.fields
}

/** The same without splitting: for assignments and patterns. */
export function expandText(raw: Text, variables: ShellVariables): Text {
  const fields = new Expansion(raw, variables)
  fields.split = false
  fields.run()
  if (fields.fields.length === 0) return raw.slice(0, 0)
  const parts: Text[] = []
  for (const field of fields.fields) {
    if (parts.length > 0) parts.push(Text.at(field, ' '))
    parts.push(field)
  }
  const joined = Text.join(parts).slice(0, MAX_VALUE)
  variables.budget.left -= joined.value.length
  return joined
}

/** Splits a text that no shell reads (a compose command string) into words: quotes are taken off, variables stay. */
export function splitText(text: Text): Text[] {
  const nothing: ShellVariables = {
    lookup: () => undefined,
    list: () => undefined,
    budget: { left: 10 * text.value.length + 20_000 },
  }
  return wordSpans(text.value).flatMap(span => expandWord(text.slice(span.from, span.to), nothing))
}

class Expansion {
  readonly fields: Text[] = []
  split = true
  readonly #raw: Text
  readonly #variables: ShellVariables
  #parts: Text[] = []
  /** A field exists even when it is empty: something was quoted. */
  #open = false

  constructor(raw: Text, variables: ShellVariables) {
    this.#raw = raw
    this.#variables = variables
  }

  run(): void {
    const { budget } = this.#variables
    budget.left -= this.#raw.value.length
    if (budget.left <= 0) {
      this.fields.push(this.#raw)
      return
    }
    this.#scan(0, this.#raw.value.length, false)
    this.#end()
  }

  #end(): void {
    if (this.#open || this.#parts.length > 0)
      this.fields.push(this.#parts.length > 0 ? Text.join(this.#parts) : this.#raw.slice(0, 0))
    this.#parts = []
    this.#open = false
  }

  #add(part: Text): void {
    if (part.value !== '') this.#parts.push(part)
  }

  /** Walks from `from` to `to`; `quoted` inside double quotes. */
  #scan(from: number, to: number, quoted: boolean): void {
    const source = this.#raw.value
    let plain = from
    const flush = (until: number): void => {
      if (until > plain) this.#add(this.#raw.slice(plain, until))
    }
    let i = from
    while (i < to) {
      const c = source[i]!
      if (c === '\\') {
        const next = source[i + 1]
        if (next === '\n' || source.startsWith('\r\n', i + 1)) {
          flush(i)
          i = source.indexOf('\n', i) + 1
          plain = i
        } else if (!quoted || next === '"' || next === '\\' || next === '$' || next === '`') {
          flush(i)
          plain = i + 1
          i += 2
        } else i += 2
      } else if (c === "'" && !quoted) {
        flush(i)
        const end = source.indexOf("'", i + 1)
        const stop = end < 0 || end > to ? to : end
        this.#open = true
        this.#add(this.#raw.slice(i + 1, stop))
        i = stop + 1
        plain = i
      } else if (c === '"' && !quoted) {
        flush(i)
        const end = quoteEnd(source, i + 1, to, this.#variables.budget)
        this.#quoted(i + 1, end)
        i = end + 1
        plain = i
      } else if (c === '$') {
        const dollar = this.#dollar(i, to, quoted)
        if (dollar) {
          flush(i)
          dollar.emit()
          plain = dollar.end
        }
        i = dollar ? dollar.end : i + 1
      } else if (c === '`') {
        const end = source.indexOf('`', i + 1)
        i = end < 0 || end >= to ? to : end + 1
      } else i++
    }
    flush(Math.min(i, to))
  }

  #quoted(from: number, to: number): void {
    const before = this.fields.length
    const had = this.#open
    const parts = this.#parts.length
    this.#scan(from, to, true)
    const onlyList = /^\$(?:@|\{[A-Za-z_@]\w*(?:\[@\])?\})$/.test(this.#raw.value.slice(from, to))
    // "$@" and "${LIST[@]}" of nothing are no word at all; any other quoted text is one, even when empty.
    if (!(onlyList && this.#parts.length === parts && this.fields.length === before && this.#emptyList(from, to)))
      this.#open = true
    else this.#open = had
  }

  #emptyList(from: number, to: number): boolean {
    const name = /[A-Za-z_@]\w*/.exec(this.#raw.value.slice(from, to))?.[0]
    return (
      name !== undefined &&
      (name === '@' || this.#raw.value.slice(from, to).includes('[@]')) &&
      this.#variables.list(name)?.length === 0
    )
  }

  /** What a dollar at `i` begins: how to emit its value and where it ends; null when it stays as written. */
  #dollar(i: number, to: number, quoted: boolean): { emit: () => void; end: number } | null {
    const source = this.#raw.value
    const next = source[i + 1]
    const { lookup, list } = this.#variables
    if (next === '(') {
      if (source[i + 2] === '(') {
        const end = source.indexOf('))', i + 3)
        if (end < 0 || end + 2 > to) return null
        const value = arithmetic(source.slice(i + 3, end), name => lookup(name)?.value)
        return value === null
          ? null
          : { emit: () => this.#add(Text.at(this.#raw.slice(i), String(value))), end: end + 2 }
      }
      const end = closing(source, i + 2, '(', ')', this.#variables.budget)
      const stop = end < 0 || end > to ? to : end
      const loaded = end < 0 ? undefined : this.#downloaded(this.#raw.slice(i + 2, end - 1))
      return { emit: () => this.#add(loaded ?? this.#raw.slice(i, stop)), end: stop }
    }
    if (next === "'" && !quoted) return { emit: () => {}, end: i + 1 }
    let name: string | undefined
    let value: Text | undefined
    let end = i + 1
    if (next === '{') {
      end = closing(source, i + 2, '{', '}', this.#variables.budget)
      if (end < 0 || end > to) return null
      const inside = this.#raw.slice(i + 2, end - 1)
      const array = /^([A-Za-z_]\w*)\[[@*]\]$/.exec(inside.value)
      if (array) name = array[1]
      else value = parameter(inside, lookup, inner => expandText(inner, this.#variables))
    } else {
      name = /^(?:[A-Za-z_]\w*|[@*0-9#?$!])/.exec(source.slice(i + 1, i + 129))?.[0]
      if (name === undefined) return null
      end = i + 1 + name.length
      if (name !== '@' && name !== '*') {
        value = lookup(name)
        name = undefined
      }
    }
    if (name !== undefined) {
      const items = list(name)
      if (!items) return { emit: () => this.#add(this.#raw.slice(i, end)), end }
      return { emit: () => this.#emitList(items), end }
    }
    if (!value) return { emit: () => this.#add(this.#raw.slice(i, end)), end }
    // A value that holds a substitution nobody ran stays one word: what it prints is not known.
    const found = value
    const whole = quoted || !this.split || /\$\(|`/.test(found.value)
    return { emit: () => (whole ? this.#add(found) : this.#emitSplit(found)), end }
  }

  /** The repository of `$(hf download org/name file)`, whose output is the path it was stored at. */
  #downloaded(inside: Text): Text | undefined {
    if (!/(?:^|[\s/"'])(?:hf|huggingface-cli)["']?\s+download\s/.test(inside.value)) return undefined
    const words = wordSpans(inside.value).flatMap(span => expandWord(inside.slice(span.from, span.to), this.#variables))
    return words.find(word => /^[\w.-]+\/[\w.-]+$/.test(word.value))
  }

  #emitList(items: readonly Text[]): void {
    items.forEach((item, index) => {
      if (index > 0) this.#end()
      this.#add(item)
      this.#open = true
    })
  }

  #emitSplit(value: Text): void {
    let first = true
    if (/^\s/.test(value.value) && (this.#parts.length > 0 || this.#open)) this.#end()
    // Quotes in a value group words only under eval, which is what people mean who write them.
    for (const word of value.value.matchAll(/(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s"']|["'])+/g)) {
      if (!first) this.#end()
      const bare = /^(["']).*\1$/s.test(word[0]) && word[0].length > 1 ? 1 : 0
      this.#add(value.slice(word.index + bare, word.index + word[0].length - bare))
      first = false
    }
    if (/\s$/.test(value.value) && !first) this.#end()
  }
}

function quoteEnd(source: string, from: number, to: number, budget: Budget): number {
  for (let i = from; i < to; i++) {
    const c = source[i]
    if (c === '\\') i++
    else if (c === '"') return i
    else if (c === '$' && (source[i + 1] === '(' || source[i + 1] === '{')) {
      const open = source[i + 1]!
      const end = closing(source, i + 2, open, open === '(' ? ')' : '}', budget)
      if (end > 0 && end <= to) i = end - 1
    }
  }
  return to
}

/** Integer arithmetic with + - * / % and brackets; null when a name is not a number or the form is another. */
export function arithmetic(text: string, lookup: (name: string) => string | undefined): number | null {
  const tokens = text.match(/\d+|[A-Za-z_]\w*|[-+*/%()]|\S/g) ?? []
  if (tokens.length > 200) return null
  let at = 0
  const factor = (): number => {
    const token = tokens[at++]
    if (token === '(') {
      const value = sum()
      return tokens[at++] === ')' ? value : Number.NaN
    }
    if (token === '-') return -factor()
    if (token === '$') return factor()
    if (token === undefined) return Number.NaN
    const word = /^[A-Za-z_]/.test(token) ? lookup(token) : token
    return word !== undefined && /^\d+$/.test(word) ? Number(word) : Number.NaN
  }
  const product = (): number => {
    let value = factor()
    for (let operator = tokens[at]; operator === '*' || operator === '/' || operator === '%'; operator = tokens[at]) {
      at++
      const right = factor()
      value = operator === '*' ? value * right : operator === '/' ? Math.trunc(value / right) : value % right
    }
    return value
  }
  const sum = (): number => {
    let value = product()
    for (let operator = tokens[at]; operator === '+' || operator === '-'; operator = tokens[at]) {
      at++
      const right = product()
      value = operator === '+' ? value + right : value - right
    }
    return value
  }
  const value = sum()
  return at === tokens.length && Number.isSafeInteger(value) ? value : null
}
