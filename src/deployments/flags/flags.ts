import { closest } from '../../units/suggest.ts'
import { placeholders, shown, withoutPlaceholders } from '../command.ts'
import type { Option } from '../deployment.ts'
import { splitText } from '../shell/words.ts'
import { Text } from '../text.ts'
import { type MapNode, plainValue } from '../tree.ts'
import { type Collector, vllmInteger, type Written } from '../values.ts'

/** 0: switch, 1: one value, 2: two, '?': at most one, '+': until the next flag. */
type Arity = 0 | 1 | 2 | '?' | '+'

interface Flag {
  readonly name: string
  readonly arity: Arity
  /** The spelling switches it off. */
  readonly negated: boolean
}

export interface FlagTable {
  /** By spelling without leading dashes for long names, with them for short ones. */
  readonly spelled: ReadonlyMap<string, Flag>
  readonly current: readonly string[]
}

interface Groups {
  readonly one?: string
  readonly switches?: string
  readonly many?: string
  readonly optional?: string
  readonly two?: string
}

/**
 * Builds a table from groups of names: `name` or `name=alias,alias`. Aliases carry their dashes; every switch also has
 * `no-name`, and `enable-x` its `disable-x`. Retired flags are accepted, but do not make a prefix ambiguous.
 */
export function flagTable(groups: Groups & { readonly negations?: string; readonly retired?: Groups }): FlagTable {
  const spelled = new Map<string, Flag>()
  addAll(spelled, groups)
  const current = [...spelled.keys()].filter(name => !name.startsWith('-'))
  for (const word of words(groups.negations)) {
    const [name, alias] = word.split('=') as [string, string]
    spelled.set(bare(alias), { name, arity: 0, negated: true })
  }
  if (groups.retired) addAll(spelled, groups.retired)
  return { spelled, current }
}

const words = (text: string | undefined): string[] => text?.split(/\s+/).filter(Boolean) ?? []
const bare = (spelling: string): string => (spelling.startsWith('--') ? spelling.slice(2) : spelling)

function addAll(spelled: Map<string, Flag>, groups: Groups): void {
  const add = (text: string | undefined, arity: Arity): void => {
    for (const word of words(text)) {
      const [name, aliases = ''] = word.split('=') as [string, string?]
      const flag = { name, arity, negated: false }
      for (const spelling of [name, ...aliases.split(',').filter(Boolean).map(bare)]) {
        if (!spelled.has(spelling)) spelled.set(spelling, flag)
        if (arity === 0 && !spelling.startsWith('-')) addNegations(spelled, name, spelling)
      }
    }
  }
  add(groups.one, 1)
  add(groups.switches, 0)
  add(groups.many, '+')
  add(groups.optional, '?')
  add(groups.two, 2)
}

function addNegations(spelled: Map<string, Flag>, name: string, spelling: string): void {
  const off = { name, arity: 0 as const, negated: true }
  const opposite = spelling.startsWith('enable-')
    ? `disable-${spelling.slice(7)}`
    : spelling.startsWith('disable-')
      ? `enable-${spelling.slice(8)}`
      : null
  for (const other of [`no-${spelling}`, ...(opposite ? [opposite] : [])])
    if (!spelled.has(other)) spelled.set(other, off)
}

/** One use of a flag on a command line. */
export interface FlagUse {
  /** Canonical name without dashes; for an unknown flag the name as written. */
  readonly name: string
  readonly known: boolean
  /** "a.b" of `--name.a.b`. */
  readonly path: string | null
  readonly values: readonly Text[]
  /** False for `--no-name` and `--name=false`. */
  readonly on: boolean
  /** The flag's own word, or the key. */
  readonly flag: Text
  /** The whole evidence: "--max-model-len 8k", "max-model-len: 8k". */
  readonly text: string
}

export interface Walked {
  readonly uses: readonly FlagUse[]
  readonly positionals: readonly Text[]
  /** Words that are nothing but placeholders: more arguments may hide in them. */
  readonly holes: readonly Text[]
}

/** How an engine's parser spells flags. */
export interface FlagStyle {
  /** `-` and `_` are one in long names. */
  readonly underscores: boolean
  /** A unique prefix of a long name is accepted (argparse). */
  readonly prefixes: boolean
  /** `--name.key value` sets a key of a JSON flag. */
  readonly dotted: boolean
}

/**
 * Walks an argument list by the engine's flag table. An unknown flag takes the next word as its value unless that is a
 * flag itself; a known one takes what its arity says. Order is kept, so that the last use wins.
 */
export function walkFlags(argv: readonly Text[], table: FlagTable, style: FlagStyle): Walked {
  const args = argv.flatMap(splitGlued)
  const uses: FlagUse[] = []
  const positionals: Text[] = []
  const holes: Text[] = []
  let i = 0
  const takesNext = (): boolean => i < args.length && !isFlag(args[i]!.value)
  while (i < args.length) {
    const word = args[i++]!
    if (word.value === '--') {
      positionals.push(...args.slice(i))
      break
    }
    if (!isFlag(word.value)) {
      if (word.value === '') continue
      if (placeholders(word.value).length > 0 && withoutPlaceholders(word.value) === '') holes.push(word)
      positionals.push(word)
      continue
    }
    const { name, path, inline } = parts(word, style)
    const flag = find(name, table, style)
    const values: Text[] = inline ? [inline] : []
    const glued = /^-[A-Za-z]\d/.test(name)
    const arity = path !== null ? 1 : (flag?.arity ?? (glued ? 0 : '?'))
    if (!inline) {
      if (arity === 0) {
        if (i < args.length && /^(true|false)$/i.test(args[i]!.value)) values.push(args[i++]!)
      } else if (arity === '+') while (takesNext()) values.push(args[i++]!)
      else for (let n = arity === 2 ? 2 : 1; n > 0 && takesNext(); n--) values.push(args[i++]!)
    }
    const said = arity !== 0 || !/^(false|0|no)$/i.test(values[0]?.value ?? '')
    const text = inline ? word.value : [word, ...values].map(part => part.value).join(' ')
    uses.push({
      name: flag?.name ?? name.replace(/^-+/, ''),
      known: flag !== undefined,
      path,
      values,
      on: said !== (flag?.negated ?? false),
      flag: word,
      text,
    })
  }
  return { uses, positionals, holes }
}

/** A word that a parser takes for a flag: not a negative number, no blank in its name. */
function isFlag(word: string): boolean {
  return /^--?[A-Za-z]/.test(word) && !/^-[^\s=]*\s/.test(word)
}

/** A list item that holds flag and value, "--port 8000", as people write it by mistake; a wrapper that joins them accepts it. */
function splitGlued(word: Text): Text[] {
  if (!/^--?[A-Za-z][\w.-]*\s/.test(word.value)) return [word]
  return splitText(word)
}

function parts(word: Text, style: FlagStyle): { name: string; path: string | null; inline: Text | null } {
  const equals = word.value.indexOf('=')
  const spelled = equals < 0 ? word.value : word.value.slice(0, equals)
  const inline = equals < 0 ? null : word.slice(equals + 1)
  if (!spelled.startsWith('--')) return { name: spelled, path: null, inline }
  const dot = style.dotted ? spelled.indexOf('.') : -1
  const long = spelled.slice(2, dot < 0 ? undefined : dot)
  return {
    name: style.underscores ? long.replaceAll('_', '-') : long,
    path: dot < 0 ? null : spelled.slice(dot + 1),
    inline,
  }
}

function find(name: string, table: FlagTable, style: FlagStyle): Flag | undefined {
  const exact = table.spelled.get(name)
  if (exact || !style.prefixes || name.startsWith('-') || name.length < 2) return exact
  const candidates = new Set(
    table.current.filter(spelling => spelling.startsWith(name)).map(spelling => table.spelled.get(spelling)!),
  )
  const names = new Set([...candidates].filter(flag => !flag.negated).map(flag => flag.name))
  return names.size === 1 ? [...candidates].find(flag => !flag.negated) : undefined
}

/**
 * The keys of a mapping as uses of flags, as engines read their YAML or JSON options: true is a bare switch, a list
 * repeated values, a mapping a JSON value, null nothing.
 */
export function keyUses(map: MapNode, table: FlagTable, style: FlagStyle): FlagUse[] {
  return map.entries.flatMap(({ key, value }) => {
    const written = key.value.replace(/^--/, '')
    const name = style.underscores ? written.replaceAll('_', '-') : written
    const flag = find(name, table, style)
    const use = { name: flag?.name ?? name, known: flag !== undefined, path: null, flag: key }
    if (value.kind === 'scalar') {
      if (value.value === null) return []
      const text = `${key.value}: ${value.text.value}`
      const off = value.value === false || (flag?.arity === 0 && /^(false|no|off|0)$/i.test(value.text.value))
      const switched = flag ? flag.arity === 0 : typeof value.value === 'boolean'
      if (switched) return [{ ...use, values: [], on: !off !== (flag?.negated ?? false), flag: value.text, text }]
      return [{ ...use, values: [value.text], on: !off, text }]
    }
    if (value.kind === 'list') {
      const values = value.items.map(item =>
        item.kind === 'scalar' ? item.text : Text.at(key, JSON.stringify(plainValue(item))),
      )
      return [{ ...use, values, on: true, text: `${key.value}: ${values.map(item => item.value).join(' ')}` }]
    }
    const json = JSON.stringify(plainValue(value))
    return [{ ...use, values: [Text.at(key, json)], on: true, text: `${key.value}: ${json}` }]
  })
}

/** The last use of a flag; undefined when there is none. */
export function lastUse(uses: readonly FlagUse[], ...names: readonly string[]): FlagUse | undefined {
  return uses.findLast(use => use.path === null && names.includes(use.name))
}

/** The last use's value; undefined when there is none or it stands alone. */
export function lastValue(uses: readonly FlagUse[], ...names: readonly string[]): Written | undefined {
  const use = lastUse(uses, ...names)
  const value = use?.values[0]
  return use && value ? { value, text: use.text } : undefined
}

/** A JSON flag and its dotted uses merged, the later ones winning; undefined without any, null when malformed. */
export function jsonValue(
  uses: readonly FlagUse[],
  name: string,
): { readonly object: Record<string, unknown>; readonly use: FlagUse } | null | undefined {
  const all = uses.filter(use => use.name === name && (use.values.length > 0 || use.path !== null))
  const use = all.at(-1)
  if (!use) return undefined
  let object: Record<string, unknown> = {}
  for (const one of all) {
    const value = one.values[0]?.value ?? ''
    if (one.path !== null) setPath(object, one.path.replace(/\+$/, '').split('.').slice(0, 8), scalarValue(value))
    else {
      const parsed = parseJson(value)
      if (parsed === undefined) return null
      object = { ...parsed }
    }
  }
  return { object, use }
}

function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function scalarValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return vllmInteger(text) ?? text
  }
}

function setPath(object: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let current = object
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(current, key) ? current[key] : undefined
    if (typeof next === 'object' && next !== null && !Array.isArray(next)) current = next as Record<string, unknown>
    else current = define(current, key, {})
  }
  define(current, path.at(-1) ?? '', value)
}

/** Sets an own property whatever its name ("__proto__" is data here). */
function define<T>(object: Record<string, unknown>, key: string, value: T): T {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
  return value
}

/** Every flag as the report's options: the last use; dotted uses as `name.path`. */
export function optionsOf(uses: readonly FlagUse[]): Record<string, Option> {
  const options: Record<string, Option> = {}
  for (const use of uses.slice(-MAX_OPTIONS)) {
    const key = (use.path === null ? use.name : `${use.name}.${use.path}`).slice(0, 100)
    const [first] = use.values
    const value =
      first === undefined
        ? use.on
        : use.values.length === 1
          ? shown(first.value)
          : use.values.map(part => shown(part.value))
    if (SECRET.test(key)) continue
    define(options as Record<string, unknown>, key, { value, at: use.flag.place, text: shown(use.text).slice(0, 300) })
  }
  return options
}

/** More options than any command line has: a bound for hostile text. */
const MAX_OPTIONS = 500

const SECRET = /api-key|token$|password|secret/

/**
 * Reports flags that the engine does not know but that are near to one it knows: their value is not read, and the engine
 * would refuse them. Flags that resemble nothing may be newer than the table and are left alone.
 */
export function misspelt(uses: readonly FlagUse[], table: FlagTable, collector: Collector): void {
  for (const use of uses.filter(one => !one.known).slice(0, 20)) {
    if (use.name.length > 60 || !use.flag.value.startsWith('-')) continue
    const glued = /^(tp|pp|dp)(\d+)$/.exec(use.name)
    const near = glued ? `-${glued[1]} ${glued[2]}` : closest(use.name, table.current)
    if (near === null || (!glued && !nearly(use.name, near))) continue
    const meant = glued ? near : `--${near}`
    collector.note(
      'flag-unknown',
      'warning',
      `${shown(use.flag.value).slice(0, 80)} is no known option; did you mean ${meant}?`,
      use.flag,
    )
  }
}

/** At most two letters more, fewer or other: a slip of the finger, not another option. */
function nearly(a: string, b: string): boolean {
  const left = new Map<string, number>()
  for (const letter of a) left.set(letter, (left.get(letter) ?? 0) + 1)
  for (const letter of b) left.set(letter, (left.get(letter) ?? 0) - 1)
  return a.length >= 6 && [...left.values()].reduce((sum, count) => sum + Math.abs(count), 0) <= 2
}
