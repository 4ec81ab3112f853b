import { type Budget, closing } from './parameters.ts'

/** A span of the script, from inclusive, to exclusive. */
export interface Span {
  readonly from: number
  readonly to: number
}

interface Redirect {
  readonly operator: string
  readonly target: Span
  /** Body of a here-document, its delimiter line excluded. */
  readonly body?: Span
}

export type Statement =
  | {
      readonly kind: 'simple'
      readonly words: readonly Span[]
      readonly redirects: readonly Redirect[]
      readonly maybe: boolean
    }
  | {
      readonly kind: 'if'
      readonly branches: readonly { readonly test: readonly Statement[]; readonly body: readonly Statement[] }[]
      readonly otherwise: readonly Statement[]
    }
  | {
      readonly kind: 'case'
      readonly subject: Span
      readonly arms: readonly { readonly patterns: Span; readonly body: readonly Statement[] }[]
    }
  | {
      readonly kind: 'loop'
      readonly variable: string | null
      readonly items: readonly Span[]
      readonly body: readonly Statement[]
    }
  | { readonly kind: 'group'; readonly body: readonly Statement[] }
  | { readonly kind: 'function'; readonly name: string; readonly body: readonly Statement[] }

interface Token extends Span {
  readonly operator: boolean
  body?: Span
}

const OPERATORS = [
  '<<<',
  '<<-',
  '&>>',
  ';;&',
  '<<',
  '>>',
  '>&',
  '<&',
  '&>',
  '>|',
  '&&',
  '||',
  '|&',
  ';;',
  ';&',
  ';',
  '&',
  '|',
  '(',
  ')',
  '<',
  '>',
  '\n',
]
const MAX_TOKENS = 60_000
const MAX_DEPTH = 60

/** Splits a script into words and operators; comments are dropped, here-documents attached to their operator. */
function tokens(text: string): Token[] {
  const found: Token[] = []
  const budget = budgetFor(text)
  const heredocs: { token: Token; delimiter: string; tabs: boolean }[] = []
  let i = 0
  while (i < text.length && found.length < MAX_TOKENS) {
    const c = text[i]!
    if (c === ' ' || c === '\t' || c === '\r') i++
    else if (c === '\\' && text[i + 1] === '\n') i += 2
    else if (c === '\\' && text[i + 1] === '\r' && text[i + 2] === '\n') i += 3
    else if (c === '#') {
      const end = text.indexOf('\n', i)
      i = end < 0 ? text.length : end
    } else {
      const operator = OPERATORS.find(candidate => text.startsWith(candidate, i))
      if (operator) {
        // No command begins with a dash: such a line goes on with the one before, its backslash forgotten or folded away.
        if (
          operator === '\n' &&
          found.at(-1)?.operator === false &&
          heredocs.length === 0 &&
          /^\s*--?[A-Za-z]/.test(text.slice(i, i + 200))
        ) {
          i++
          continue
        }
        const token: Token = { from: i, to: i + operator.length, operator: true }
        found.push(token)
        i += operator.length
        if (operator === '<<' || operator === '<<-') {
          const delimiter = /^[ \t]*(['"\\]?)([^\s'"<>|;&()]+)\1/.exec(text.slice(i, i + 200))
          if (delimiter) heredocs.push({ token, delimiter: delimiter[2]!, tabs: operator === '<<-' })
        }
        if (operator === '\n' && heredocs.length > 0) {
          for (const heredoc of heredocs) i = body(text, i, heredoc)
          heredocs.length = 0
        }
      } else {
        const end = wordEnd(text, i, budget)
        found.push({ from: i, to: end, operator: false })
        i = end
      }
    }
  }
  return found
}

function body(text: string, from: number, heredoc: { token: Token; delimiter: string; tabs: boolean }): number {
  let line = from
  while (line < text.length) {
    const end = text.indexOf('\n', line)
    const stop = end < 0 ? text.length : end
    const content = text.slice(line, stop).trimEnd()
    if ((heredoc.tabs ? content.trimStart() : content) === heredoc.delimiter || content.trim() === heredoc.delimiter) {
      heredoc.token.body = { from, to: line }
      return stop
    }
    if (end < 0) break
    line = end + 1
  }
  heredoc.token.body = { from, to: text.length }
  return text.length
}

const budgetFor = (text: string): Budget => ({ left: 20_000 + 20 * text.length })

function wordEnd(text: string, from: number, budget: Budget): number {
  let i = from
  while (i < text.length) {
    const c = text[i]!
    if (c === '\\') i += 2
    else if (c === "'") {
      const end = text.indexOf("'", i + 1)
      i = end < 0 ? text.length : end + 1
    } else if (c === '"') {
      i = stringEnd(text, i + 1, budget)
    } else if (c === '`') {
      const end = text.indexOf('`', i + 1)
      i = end < 0 ? text.length : end + 1
    } else if (c === '$' && (text[i + 1] === '(' || text[i + 1] === '{')) {
      const open = text[i + 1]!
      const end = closing(text, i + 2, open, open === '(' ? ')' : '}', budget)
      i = end < 0 ? i + 2 : end
    } else if (c === '=' && text[i + 1] === '(' && /^[A-Za-z_]\w*\+?$/.test(text.slice(Math.max(from, i - 80), i))) {
      const end = arrayEnd(text, i + 2, budget)
      i = end
    } else if (' \t\r\n;&|()<>'.includes(c)) break
    else i++
  }
  return Math.max(Math.min(i, text.length), from + 1)
}

function stringEnd(text: string, from: number, budget: Budget): number {
  for (let i = from; i < text.length; i++) {
    const c = text[i]
    if (c === '\\') i++
    else if (c === '"') return i + 1
    else if (c === '$' && (text[i + 1] === '(' || text[i + 1] === '{')) {
      const open = text[i + 1]!
      const end = closing(text, i + 2, open, open === '(' ? ')' : '}', budget)
      if (end > 0) i = end - 1
    }
  }
  return text.length
}

function arrayEnd(text: string, from: number, budget: Budget): number {
  let i = from
  while (i < text.length) {
    const c = text[i]!
    if (c === ')') return i + 1
    if (c === '#' && /\s/.test(text[i - 1] ?? ' ')) {
      const end = text.indexOf('\n', i)
      i = end < 0 ? text.length : end
    } else if (/[\s;&|(<>]/.test(c)) i++
    else i = wordEnd(text, i, budget)
  }
  return text.length
}

/** The words of a text that no shell reads: split at blanks, quotes respected. */
export function wordSpans(text: string): Span[] {
  const spans: Span[] = []
  const budget = budgetFor(text)
  for (let i = 0; i < text.length && spans.length < MAX_TOKENS; ) {
    if (/\s/.test(text[i]!)) i++
    else if (text[i] === '\\' && text[i + 1] === '\n') i += 2
    else if (';&|()<>'.includes(text[i]!)) {
      const end = plainEnd(text, i)
      spans.push({ from: i, to: end })
      i = end
    } else {
      const from = i
      for (i = wordEnd(text, i, budget); i < text.length && !/\s/.test(text[i]!); )
        i = ';&|()<>'.includes(text[i]!) ? i + 1 : wordEnd(text, i, budget)
      spans.push({ from, to: i })
    }
  }
  return spans
}

function plainEnd(text: string, from: number): number {
  let i = from
  while (i < text.length && !/\s/.test(text[i]!)) i++
  return i
}

/** The words of an array assignment's inside, "a b (comment lines left out)", as spans of the script. */
export function arrayWords(text: string, from: number, to: number): Span[] {
  return tokens(text.slice(from, to))
    .filter(token => !token.operator)
    .map(token => ({ from: from + token.from, to: from + token.to }))
}

/** Parses a script. Never fails: what does not fit the grammar is read as simple commands. */
export function parseScript(text: string): Statement[] {
  return new Parser(text, tokens(text)).list(new Set(), 0)
}

class Parser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(text: string, all: readonly Token[]) {
    this.#text = text
    this.#tokens = all
  }

  #word(index = this.#at): string | null {
    const token = this.#tokens[index]
    return token && !token.operator ? this.#text.slice(token.from, token.to) : null
  }

  #operator(index = this.#at): string | null {
    const token = this.#tokens[index]
    return token?.operator ? this.#text.slice(token.from, token.to) : null
  }

  list(until: ReadonlySet<string>, depth: number): Statement[] {
    const statements: Statement[] = []
    let maybe = false
    while (this.#at < this.#tokens.length) {
      const operator = this.#operator()
      const word = this.#word()
      if (word !== null && until.has(word)) break
      if (operator !== null && until.has(operator)) break
      if (operator !== null && operator !== '(' && !/[<>]/.test(operator)) {
        maybe = operator === '||'
        this.#at++
        continue
      }
      const before = this.#at
      const statement = this.#statement(depth, maybe)
      if (statement) statements.push(statement)
      if (this.#at === before) this.#at++
    }
    return statements
  }

  #statement(depth: number, maybe: boolean): Statement | null {
    const word = this.#word()
    if (depth < MAX_DEPTH) {
      if (word === 'if') return this.#if(depth)
      if (word === 'case') return this.#case(depth)
      if (word === 'for' || word === 'select') return this.#for(depth)
      if (word === 'while' || word === 'until') return this.#while(depth)
      if (word === '{' || this.#operator() === '(') return this.#group(depth)
      if (word === 'function' || (this.#operator(this.#at + 1) === '(' && this.#operator(this.#at + 2) === ')'))
        return this.#function(depth)
    }
    return this.#simple(maybe)
  }

  #if(depth: number): Statement {
    const branches: { test: Statement[]; body: Statement[] }[] = []
    let otherwise: Statement[] = []
    this.#at++
    for (;;) {
      const test = this.list(new Set(['then', 'fi']), depth + 1)
      if (this.#word() === 'then') this.#at++
      branches.push({ test, body: this.list(new Set(['elif', 'else', 'fi']), depth + 1) })
      if (this.#word() !== 'elif') break
      this.#at++
    }
    if (this.#word() === 'else') {
      this.#at++
      otherwise = this.list(new Set(['fi']), depth + 1)
    }
    if (this.#word() === 'fi') this.#at++
    return { kind: 'if', branches, otherwise }
  }

  #case(depth: number): Statement {
    this.#at++
    const subject = this.#tokens[this.#at++] ?? { from: this.#text.length, to: this.#text.length }
    while (this.#operator() === '\n') this.#at++
    if (this.#word() === 'in') this.#at++
    const arms: { patterns: Span; body: Statement[] }[] = []
    while (this.#at < this.#tokens.length && this.#word() !== 'esac') {
      if (this.#operator() === '\n' || this.#operator() === '(' || this.#operator()?.startsWith(';')) {
        this.#at++
        continue
      }
      const from = this.#tokens[this.#at]!.from
      while (this.#at < this.#tokens.length && this.#operator() !== ')') this.#at++
      const to = this.#tokens[this.#at]?.from ?? this.#text.length
      this.#at++
      arms.push({ patterns: { from, to }, body: this.list(new Set([';;', ';&', ';;&', 'esac']), depth + 1) })
    }
    this.#at++
    return { kind: 'case', subject, arms }
  }

  #for(depth: number): Statement {
    this.#at++
    const variable = this.#word()
    this.#at++
    const items: Span[] = []
    while (this.#at < this.#tokens.length && this.#word() !== 'do') {
      if (this.#word() !== null && this.#word() !== 'in') items.push(this.#tokens[this.#at]!)
      this.#at++
    }
    return { kind: 'loop', variable, items, body: this.#do(depth) }
  }

  #while(depth: number): Statement {
    this.#at++
    this.list(new Set(['do', 'done']), depth + 1)
    return { kind: 'loop', variable: null, items: [], body: this.#do(depth) }
  }

  #do(depth: number): Statement[] {
    if (this.#word() === 'do') this.#at++
    const inside = this.list(new Set(['done']), depth + 1)
    if (this.#word() === 'done') this.#at++
    return inside
  }

  #group(depth: number): Statement {
    const close = this.#operator() === '(' ? ')' : '}'
    this.#at++
    const inside = this.list(new Set([close]), depth + 1)
    this.#at++
    return { kind: 'group', body: inside }
  }

  #function(depth: number): Statement {
    if (this.#word() === 'function') this.#at++
    const name = this.#word() ?? ''
    this.#at++
    while (this.#operator() === '(' || this.#operator() === ')' || this.#operator() === '\n') this.#at++
    const inside = this.#statement(depth + 1, false)
    return { kind: 'function', name, body: inside ? [inside] : [] }
  }

  #simple(maybe: boolean): Statement | null {
    const words: Span[] = []
    const redirects: Redirect[] = []
    while (this.#at < this.#tokens.length) {
      const token = this.#tokens[this.#at]!
      const operator = this.#operator()
      if (operator === null) {
        const next = this.#tokens[this.#at + 1]
        const glued = next?.operator && next.from === token.to && /[<>]/.test(this.#text[next.from]!)
        if (!(glued && /^\d+$/.test(this.#word()!))) words.push(token)
        this.#at++
      } else if (/[<>]/.test(operator)) {
        const target = this.#tokens[this.#at + 1]
        if (target && !target.operator)
          redirects.push({ operator, target, ...(token.body ? { body: token.body } : {}) })
        this.#at += target && !target.operator ? 2 : 1
      } else break
    }
    return words.length === 0 && redirects.length === 0 ? null : { kind: 'simple', words, redirects, maybe }
  }
}
