import { Text } from '../text.ts'
import { arrayWords, parseScript, type Span, type Statement } from './parse.ts'
import { expandText, expandWord, MAX_VALUE, type ShellVariables } from './words.ts'

/** A simple command that a script runs, after expansion. */
export interface ShellCommand {
  readonly argv: readonly Text[]
  /** What the command sees: the given environment, exports so far, its own prefix assignments. */
  readonly env: ReadonlyMap<string, Text>
  /** Files the script wrote before, by path (here-documents redirected to a file). */
  readonly files: ReadonlyMap<string, Text>
  /** It stands in a branch whose condition is not known: an alternative to others. */
  readonly maybe: boolean
}

export interface ShellInput {
  readonly env: ReadonlyMap<string, Text>
  /** `$1 $2 …`; null when nobody knows them. */
  readonly arguments: readonly Text[] | null
  /** Files that `source` and `.` may read, by path as the script writes it. */
  readonly sources?: ReadonlyMap<string, Text>
}

const MAX_STEPS = 20_000
const MAX_CALLS = 8
const MAX_LOOP = 16
const MAX_EXPANDED = 4_000_000
const MAX_LIST = 500
const MAX_COMMANDS = 2_000
const BUILTINS = new Set([
  'set',
  'shopt',
  'echo',
  'printf',
  'cd',
  'exit',
  'return',
  'true',
  'false',
  ':',
  '[',
  '[[',
  'test',
  'shift',
  'unset',
  'trap',
  'wait',
  'umask',
  'ulimit',
])

/**
 * Follows a script far enough to see what it starts: assignments, exports, arrays, defaults, functions, conditions that
 * can be decided from known values. A condition that cannot be decided makes its branches alternatives.
 */
export function runScript(script: Text, input: ShellInput): ShellCommand[] {
  const run = new Run(input)
  run.block(script, parseScript(script.value), false, 0)
  return run.commands
}

class Run {
  readonly commands: ShellCommand[] = []
  readonly #sources: ReadonlyMap<string, Text>
  readonly #variables: Map<string, Text>
  readonly #lists = new Map<string, Text[]>()
  readonly #functions = new Map<string, { script: Text; body: readonly Statement[] }>()
  readonly #files = new Map<string, Text>()
  #exported: Map<string, Text>
  /** A command holds the exported map: the next export copies it. */
  #captured = false
  #exportAll = false
  #arguments: readonly Text[] | null
  #steps = 0
  #calls = 0

  constructor(input: ShellInput) {
    this.#variables = new Map(input.env)
    this.#exported = new Map(input.env)
    this.#arguments = input.arguments
    this.#sources = input.sources ?? new Map()
  }

  readonly #budget = { left: MAX_EXPANDED }

  #scope(): ShellVariables {
    return {
      budget: this.#budget,
      lookup: name => {
        const element = /^(\w+)\[(\d+)\]$/.exec(name)
        if (element) return this.#lists.get(element[1]!)?.[Number(element[2])]
        if (/^[1-9]$/.test(name)) return this.#arguments?.[Number(name) - 1]
        return this.#variables.get(name) ?? this.#lists.get(name)?.[0]
      },
      list: name => (name === '@' || name === '*' ? (this.#arguments ?? undefined) : this.#lists.get(name)),
    }
  }

  /** Runs statements; true when an `exec` ended the script for certain. */
  block(script: Text, statements: readonly Statement[], maybe: boolean, depth: number): boolean {
    for (const statement of statements) {
      if (++this.#steps > MAX_STEPS || this.commands.length >= MAX_COMMANDS) return true
      if (this.#statement(script, statement, maybe, depth)) return true
    }
    return false
  }

  #statement(script: Text, statement: Statement, maybe: boolean, depth: number): boolean {
    switch (statement.kind) {
      case 'simple':
        return this.#simple(script, statement, maybe || statement.maybe, depth)
      case 'group':
        return this.block(script, statement.body, maybe, depth)
      case 'function':
        this.#functions.set(statement.name, { script, body: statement.body })
        return false
      case 'loop':
        return this.#loop(script, statement, maybe, depth)
      case 'case':
        return this.#case(script, statement, maybe, depth)
      case 'if': {
        let undecided = false
        for (const branch of statement.branches) {
          const holds = this.#holds(script, branch.test)
          if (holds === false) continue
          if (holds === null) this.block(script, branch.test, maybe || undecided, depth)
          const ended = this.block(script, branch.body, maybe || undecided || holds === null, depth)
          if (holds) return ended && !undecided
          undecided = true
        }
        return this.block(script, statement.otherwise, maybe || undecided, depth) && !undecided
      }
    }
  }

  #loop(script: Text, statement: Statement & { kind: 'loop' }, maybe: boolean, depth: number): boolean {
    const items = statement.items
      .flatMap(span => expandWord(script.slice(span.from, span.to), this.#scope()))
      .slice(0, MAX_LOOP)
    if (statement.variable === null || items.length === 0)
      return this.block(script, statement.body, true, depth) && false
    for (const item of items) {
      this.#variables.set(statement.variable, item)
      this.block(script, statement.body, maybe, depth)
    }
    return false
  }

  #case(script: Text, statement: Statement & { kind: 'case' }, maybe: boolean, depth: number): boolean {
    const subject = expandText(script.slice(statement.subject.from, statement.subject.to), this.#scope()).value
    const known = !subject.includes('$') && !subject.includes('`')
    for (const arm of statement.arms) {
      const patterns = script.value.slice(arm.patterns.from, arm.patterns.to).split('|')
      if (!known) this.block(script, arm.body, true, depth)
      else if (patterns.some(pattern => matches(subject, pattern.trim())))
        return this.block(script, arm.body, maybe, depth)
    }
    return false
  }

  /** Truth of a test list, where it is one `[ … ]` of known words; null otherwise. */
  #holds(script: Text, test: readonly Statement[]): boolean | null {
    const only = test.length === 1 ? test[0] : undefined
    if (only?.kind !== 'simple') return null
    const raw = only.words.map(span => script.slice(span.from, span.to))
    if (!['[', '[[', 'test'].includes(raw[0]?.value ?? '')) return null
    const words = raw.slice(1).map(word => expandText(word, this.#scope()).value)
    if (words.at(-1) === ']' || words.at(-1) === ']]') words.pop()
    return decide(words)
  }

  #simple(script: Text, statement: Statement & { kind: 'simple' }, maybe: boolean, depth: number): boolean {
    const scope = this.#scope()
    const own = new Map<string, Text>()
    let first = 0
    for (; first < statement.words.length; first++) {
      const assignment = this.#assignment(script, statement.words[first]!)
      if (!assignment) break
      if (assignment.list) this.#setList(assignment.name, assignment.list, assignment.append)
      else own.set(assignment.name, assignment.value)
    }
    if (first === statement.words.length) {
      for (const [name, value] of own) this.#set(name, value, maybe)
    }
    const argv = statement.words.slice(first).flatMap(span => expandWord(script.slice(span.from, span.to), scope))
    if (argv[0]?.value === '!') argv.shift()
    const name = argv[0]?.value
    for (const redirect of statement.redirects) {
      if (redirect.body) this.#heredoc(script, statement, redirect.body, argv)
    }
    if (name === undefined) return false
    if (name === ':') return false
    if (['export', 'declare', 'local', 'readonly', 'typeset'].includes(name)) {
      for (const span of statement.words.slice(first + 1)) this.#declare(script, span, name === 'export', maybe)
      return false
    }
    if (name === 'set' && argv.some(word => /^-[a-z]*a/.test(word.value))) this.#exportAll = true
    if (name === 'set' && argv[1]?.value === '--' && (!maybe || this.#arguments === null))
      this.#arguments = argv.slice(2)
    if (name === 'source' || name === '.') {
      const file = this.#sources.get(argv[1]?.value ?? '')
      if (file && this.#calls < MAX_CALLS) {
        this.#calls++
        this.block(file, parseScript(file.value), maybe, depth)
        this.#calls--
      }
      return false
    }
    const called = this.#functions.get(name)
    if (called && this.#calls < MAX_CALLS) {
      const before = this.#arguments
      this.#arguments = argv.slice(1)
      this.#calls++
      this.block(called.script, called.body, maybe, depth + 1)
      this.#calls--
      this.#arguments = before
      return false
    }
    if (BUILTINS.has(name) || (name === 'command' && /^-v/i.test(argv[1]?.value ?? ''))) return false
    this.#captured = true
    const env = own.size === 0 ? this.#exported : new Map([...this.#exported, ...own])
    this.commands.push({ argv, env, files: this.#files, maybe })
    return name === 'exec' && argv.length > 1 && !maybe
  }

  /** `cat <<EOF > file`, `tee file <<EOF`: the body becomes the file's text. */
  #heredoc(script: Text, statement: Statement & { kind: 'simple' }, body: Span, argv: readonly Text[]): void {
    const out = statement.redirects.find(redirect => redirect.operator === '>' || redirect.operator === '>>')
    const path = out
      ? expandText(script.slice(out.target.from, out.target.to), this.#scope())
      : argv[0]?.value === 'tee'
        ? argv.at(-1)
        : undefined
    if (path && this.#files.size < 50) this.#files.set(path.value, script.slice(body.from, body.to))
  }

  #assignment(script: Text, span: Span): { name: string; value: Text; list: Text[] | null; append: boolean } | null {
    const raw = script.slice(span.from, span.to)
    const match = /^([A-Za-z_]\w*)(\+?)=(\(?)/.exec(raw.value)
    if (!match) return null
    const from = match[0].length
    if (match[3] === '(') {
      const items = arrayWords(raw.value, from, raw.value.length - 1).slice(0, MAX_LIST)
      const list = items.flatMap(item => expandWord(raw.slice(item.from, item.to), this.#scope()))
      return { name: match[1]!, value: raw.slice(0, 0), list, append: match[2] === '+' }
    }
    let value = expandText(raw.slice(from), this.#scope())
    const before = match[2] === '+' ? this.#variables.get(match[1]!) : undefined
    if (before) value = Text.join([before, value]).slice(0, MAX_VALUE)
    return { name: match[1]!, value, list: null, append: match[2] === '+' }
  }

  #declare(script: Text, span: Span, exported: boolean, maybe: boolean): void {
    const assignment = this.#assignment(script, span)
    const raw = script.value.slice(span.from, span.to)
    if (assignment?.list) this.#setList(assignment.name, assignment.list, assignment.append)
    else if (assignment) this.#set(assignment.name, assignment.value, maybe)
    const name = assignment?.name ?? raw
    const value = this.#variables.get(name)
    if (exported && value) this.#export(name, value)
  }

  #set(name: string, value: Text, maybe: boolean): void {
    // An argument that nobody gave has no value to keep.
    if (maybe && this.#variables.has(name) && !/^\$\{?[1-9]\}?$/.test(this.#variables.get(name)!.value)) return
    this.#variables.set(name, value)
    if (this.#exportAll || this.#exported.has(name)) this.#export(name, value)
  }

  #export(name: string, value: Text): void {
    if (this.#captured) this.#exported = new Map(this.#exported)
    this.#captured = false
    this.#exported.set(name, value)
  }

  #setList(name: string, list: readonly Text[], append: boolean): void {
    this.#lists.set(
      name,
      append ? [...(this.#lists.get(name) ?? []), ...list].slice(0, MAX_LIST) : list.slice(0, MAX_LIST),
    )
  }
}

/** `[ … ]` on expanded words; null when a word is unknown or the test asks the machine. */
function decide(words: readonly string[]): boolean | null {
  const [a = '', b = '', c = ''] = words
  const unknown = (word: string): boolean => /[$`]/.test(word)
  if (words.length === 2 && (a === '-z' || a === '-n')) {
    // A placeholder that is still there is a variable that nothing sets: it may come from outside.
    if (unknown(b)) return null
    return (a === '-z') === (b === '')
  }
  if (words.length !== 3 || unknown(a) || unknown(c)) return null
  switch (b) {
    case '=':
    case '==':
      return matches(a, c)
    case '!=':
      return !matches(a, c)
  }
  const [left, right] = [Number(a), Number(c)]
  if (a === '' || c === '' || !Number.isFinite(left) || !Number.isFinite(right)) return null
  switch (b) {
    case '-eq':
      return left === right
    case '-ne':
      return left !== right
    case '-gt':
      return left > right
    case '-ge':
      return left >= right
    case '-lt':
      return left < right
    case '-le':
      return left <= right
    default:
      return null
  }
}

/** A shell pattern of literals, `*` at its ends, and `[!0-9]` inside; other patterns match only themselves. */
function matches(subject: string, pattern: string): boolean {
  const plain = pattern.replace(/^(["'])(.*)\1$/s, '$2')
  if (plain === '*') return true
  if (plain === '*[!0-9]*') return /[^0-9]/.test(subject)
  const front = plain.startsWith('*')
  const back = plain.endsWith('*')
  const literal = plain.slice(front ? 1 : 0, back ? -1 : undefined)
  if (front && back) return subject.includes(literal)
  if (front) return subject.endsWith(literal)
  return back ? subject.startsWith(literal) : subject === plain
}
