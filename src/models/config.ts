import type { Problem } from '../problem.ts'

/** A parsed config.json (or a nested text_config). Values are untrusted. */
export type JsonObject = { readonly [key: string]: unknown }

/** Thrown by Config and caught once, in `shapeOf`: a field the family needs is missing or malformed. */
export class FieldProblem extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.message)
    this.problem = problem
  }
}

const LARGEST_FIELD = 2 ** 40

/** Sees each field as it is read, for readers that compare how well several classes fit a file. */
export type FieldWatch = (field: string, from: 'file' | 'default' | 'nowhere', value: unknown) => void

/**
 * Typed reading of a config with the class's defaults behind it. A key that is present wins over a default, also when
 * it is null (Mistral's `sliding_window: null` means no window). Aliases are other names transformers accepts for a
 * field. Where a file has both, the alias wins: a class fills its declared fields first and then sets what is left, and
 * an alias writes the field anew. Malformed values (strings for numbers, zero, negative or absurd sizes) are problems
 * that name the field, never silently replaced.
 */
export class Config {
  readonly json: JsonObject
  readonly defaults: JsonObject
  private readonly aliases: Readonly<Record<string, readonly string[]>>
  /** Path prefix for messages: "text_config.". */
  readonly path: string
  /** Told of every field that is read: from the file, a class's default, or nowhere. */
  private readonly watch: FieldWatch | undefined

  constructor(
    json: JsonObject,
    defaults: JsonObject = {},
    aliases: Readonly<Record<string, readonly string[]>> = {},
    path = '',
    watch?: FieldWatch,
  ) {
    this.json = json
    this.defaults = defaults
    this.aliases = aliases
    this.path = path
    this.watch = watch
  }

  /** The same config with (more) defaults and aliases of a class. */
  with(defaults: JsonObject, aliases: Readonly<Record<string, readonly string[]>> = {}): Config {
    return new Config(
      this.json,
      { ...this.defaults, ...defaults },
      { ...this.aliases, ...aliases },
      this.path,
      this.watch,
    )
  }

  /** Is the key (or an alias) in the file itself, whatever its value? */
  has(name: string): boolean {
    return this.nameInFile(name) !== null
  }

  private nameInFile(name: string): string | null {
    for (const alias of this.aliases[name] ?? []) if (alias in this.json) return alias
    return name in this.json ? name : null
  }

  /** The value as it stands: from the file, else the default, else undefined. */
  raw(name: string): unknown {
    const own = this.nameInFile(name)
    const value = own !== null ? this.json[own] : this.defaults[name]
    this.watch?.(
      `${this.path}${own ?? name}`,
      own !== null ? 'file' : value === undefined ? 'nowhere' : 'default',
      value,
    )
    return value
  }

  private fail(code: 'field-missing' | 'field-invalid', name: string, what: string): never {
    const field = `${this.path}${this.nameInFile(name) ?? name}`
    throw new FieldProblem({ code, message: `config.json: ${field} ${what}`, hint: `give ${field} a valid value` })
  }

  /** A whole number >= 1; missing, null or malformed is a problem. */
  size(name: string): number {
    const value = this.raw(name)
    if (value === undefined || value === null) return this.fail('field-missing', name, 'is missing')
    return this.checked(name, value, 1)
  }

  /** A whole number >= 1, or null when absent or null. */
  sizeOrNull(name: string): number | null {
    const value = this.raw(name)
    return value === undefined || value === null ? null : this.checked(name, value, 1)
  }

  /** A whole number >= 0; absent or null gives `otherwise`. */
  count(name: string, otherwise = 0): number {
    const value = this.raw(name)
    return value === undefined || value === null ? otherwise : this.checked(name, value, 0)
  }

  private checked(name: string, value: unknown, least: number): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > LARGEST_FIELD)
      return this.fail('field-invalid', name, `is ${printed(value)}, expected a whole number of at least ${least}`)
    return value
  }

  /** A number, also fractional; absent or null gives null. */
  number(name: string): number | null {
    const value = this.raw(name)
    if (value === undefined || value === null) return null
    if (typeof value !== 'number' || !Number.isFinite(value))
      return this.fail('field-invalid', name, `is ${printed(value)}, expected a number`)
    return value
  }

  /** `width` times the ratio of a field (4 when absent or null), cut to a whole number from 1 to 2^40. */
  multiple(name: string, width: number): number {
    const ratio = this.number(name) ?? 4
    const product = Math.trunc(width * ratio)
    return product >= 1 && product <= 2 ** 40
      ? product
      : this.fail('field-invalid', name, `is ${ratio}, which makes no width of ${width}`)
  }

  /** true or false; absent or null gives `otherwise`. */
  flag(name: string, otherwise = false): boolean {
    const value = this.raw(name)
    if (value === undefined || value === null) return otherwise
    if (typeof value !== 'boolean')
      return this.fail('field-invalid', name, `is ${printed(value)}, expected true or false`)
    return value
  }

  /** A string; absent or null gives null. */
  text(name: string): string | null {
    const value = this.raw(name)
    if (value === undefined || value === null) return null
    if (typeof value !== 'string') return this.fail('field-invalid', name, `is ${printed(value)}, expected text`)
    return value
  }

  /** A list of strings or numbers; absent or null gives null. */
  list(name: string): readonly unknown[] | null {
    const value = this.raw(name)
    if (value === undefined || value === null) return null
    if (!Array.isArray(value)) return this.fail('field-invalid', name, `is ${printed(value)}, expected a list`)
    if (value.length > 100_000) return this.fail('field-invalid', name, 'is a list of more than 100,000 entries')
    return value
  }

  /** A nested object as a Config of its own; absent or null gives null. */
  nested(name: string): Config | null {
    const value = this.raw(name)
    if (value === undefined || value === null) return null
    if (typeof value !== 'object' || Array.isArray(value))
      return this.fail('field-invalid', name, `is ${printed(value)}, expected an object`)
    return new Config(value as JsonObject, {}, {}, `${this.path}${name}.`, this.watch)
  }

  /** A problem about a field's meaning, for rules that the readers above cannot know. */
  invalid(name: string, what: string): never {
    return this.fail('field-invalid', name, what)
  }
}

function printed(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/**
 * Parses config.json text. Accepts the bare Infinity, -Infinity and NaN that Python writes (Nemotron-H has them).
 * Throws SyntaxError with the JSON parser's message for anything else.
 */
export function parseConfigText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const replaced = text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, token =>
      token.startsWith('"') ? token : token === 'NaN' ? 'null' : token.startsWith('-') ? '-1e999' : '1e999',
    )
    if (replaced === text) throw error
    return JSON.parse(replaced)
  }
}
