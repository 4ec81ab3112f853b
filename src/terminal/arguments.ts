import { parseArgs } from 'node:util'
import { bad, good, type Result } from '../problem.ts'
import { wrap } from '../report/grid.ts'
import { closest } from '../units/suggest.ts'

/** One flag of a command: what parses it, checks it and prints its help line. */
export interface Flag {
  /** Long name with dashes; underscores are accepted for them everywhere. */
  readonly name: string
  /** boolean: `--x`, `--x=false`; text: one value, the last wins; list: repeatable, and comma lists where said. */
  readonly type: 'boolean' | 'text' | 'list'
  /** The allowed values of a text flag; anything else is refused with a suggestion. */
  readonly values?: readonly string[]
  /** What stands for the value in help: "GPU[xN]". */
  readonly shows?: string
  readonly help: string
  readonly short?: string
  /** An empty value means: not given. */
  readonly optional?: boolean
}

export interface Parsed {
  readonly positionals: readonly string[]
  readonly text: Readonly<Record<string, string>>
  readonly list: Readonly<Record<string, readonly string[]>>
  readonly on: Readonly<Record<string, boolean>>
}

export const helpFlag: Flag = { name: 'help', type: 'boolean', short: 'h', help: 'show this help' }

/**
 * Reads a command's arguments by its table of flags. Every fault is a usage problem: unknown flags (with the nearest
 * known one), missing or empty values, values outside the list, booleans that are neither true nor false.
 */
export function readArguments(argv: readonly string[], flags: readonly Flag[]): Result<Parsed> {
  const byName = new Map(flags.map(flag => [flag.name, flag]))
  const normal = argv.map((word, i) =>
    word.startsWith('--') && word !== '--' && !argv.slice(0, i).includes('--')
      ? word.replace(/^--[^=]*/, name => `--${name.slice(2).replaceAll('_', '-')}`)
      : word,
  )
  const { tokens } = parseArgs({
    args: normal,
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      flags.map(flag => [
        flag.name,
        { type: flag.type === 'boolean' ? 'boolean' : 'string', ...(flag.short ? { short: flag.short } : {}) } as const,
      ]),
    ),
  })
  const positionals: string[] = []
  const text: Record<string, string> = {}
  const list: Record<string, string[]> = {}
  const on: Record<string, boolean> = {}
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue
    if (token.kind === 'positional') {
      positionals.push(token.value)
      continue
    }
    const flag = byName.get(token.name)
    if (!flag) {
      const parts = flags.filter(({ name }) => name.includes(token.name))
      const near = closest(token.name, byName.keys()) ?? (parts.length === 1 ? parts[0]!.name : null)
      return bad('usage', `unknown flag ${token.rawName}`, {
        hint: near === null ? 'see --help' : `did you mean --${near}?`,
      })
    }
    if (flag.type === 'boolean') {
      if (token.value === undefined) on[flag.name] = true
      else if (token.value === 'true' || token.value === 'false') on[flag.name] = token.value === 'true'
      else return bad('usage', `--${flag.name} is ${JSON.stringify(token.value)}, expected true or false`)
      continue
    }
    if (token.value === '' && flag.optional) continue
    // What looks like another flag is one, unless it is joined by "=".
    if (token.value === undefined || token.value === '' || (!token.inlineValue && token.value.startsWith('--')))
      return bad('usage', `--${flag.name} needs a value${flag.shows ? `: --${flag.name} ${flag.shows}` : ''}`)
    if (flag.values && !flag.values.includes(token.value)) {
      const near = closest(token.value, flag.values)
      return bad(
        'usage',
        `--${flag.name} is ${JSON.stringify(token.value)}, expected one of ${flag.values.join(', ')}`,
        {
          ...(near === null ? {} : { hint: `did you mean ${near}?` }),
        },
      )
    }
    if (flag.type === 'list') list[flag.name] = [...(list[flag.name] ?? []), token.value]
    else text[flag.name] = token.value
  }
  return good({ positionals, text, list, on })
}

/** The help text of a command: usage line, what it does, its flags in two columns. */
export function helpText(usage: string, about: string, flags: readonly Flag[], after = ''): string {
  const left = flags.map(flag => {
    const value = flag.type === 'boolean' ? '' : ` ${flag.shows ?? (flag.values ? flag.values.join('|') : 'TEXT')}`
    return `  --${flag.name}${value}`
  })
  const width = Math.min(34, Math.max(...left.map(text => text.length)) + 2)
  const lines = flags.map((flag, i) =>
    left[i]!.length < width ? `${left[i]!.padEnd(width)}${flag.help}` : `${left[i]}\n${' '.repeat(width)}${flag.help}`,
  )
  return `Usage: ${usage}\n\n${about}\n\n${lines.join('\n')}\n${after ? `\n${after}\n` : ''}`
}

/** A help text inside `width` columns: what is too long continues under the start of its explanation. */
export function wrapHelp(text: string, width: number): string {
  return text
    .split('\n')
    .flatMap(line => {
      const left = /^ *(?:\S.*?\S {2,})?/.exec(line)![0].slice(0, 40)
      const [first, ...more] = wrap(line.slice(left.length), width - left.length)
      return [left + first, ...more.map(rest => ' '.repeat(left.length) + rest)]
    })
    .join('\n')
}
