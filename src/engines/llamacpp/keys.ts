/** The metadata of a GGUF file without its `<arch>.` prefix, read with types; what is not a number is absent. */
export class Keys {
  readonly architecture: string
  private readonly values: Readonly<Record<string, unknown>>

  constructor(architecture: string, values: Readonly<Record<string, unknown>>) {
    this.architecture = architecture
    this.values = values
  }

  /** A number >= 0, also the first of a list; null when absent. */
  number(name: string): number | null {
    const value = this.values[name]
    const first = Array.isArray(value) ? value[0] : value
    return sane(first) ? first : null
  }

  /** The value of one layer: a list's entry, or the one number for all; null when absent. */
  at(name: string, layer: number): number | null {
    const value = this.values[name]
    if (!Array.isArray(value)) return sane(value) ? value : null
    const own = value[layer]
    if (typeof own === 'boolean') return own ? 1 : 0
    return sane(own) ? own : null
  }

  isList(name: string): boolean {
    return Array.isArray(this.values[name])
  }

  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null
  }

  flag(name: string): boolean | null {
    const value = this.values[name]
    return typeof value === 'boolean' ? value : null
  }
}

const sane = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= 2 ** 40
