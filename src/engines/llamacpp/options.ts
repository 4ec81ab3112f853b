import type { Option } from '../../deployments/deployment.ts'
import { type GgmlType, ggmlTypeNamed } from '../../models/checkpoint/ggml-types.ts'

/** The options of a command line, read with types; a malformed value says so and counts as not given. */
export interface OptionReader {
  readonly text: (name: string) => string | null
  readonly flag: (name: string) => boolean | null
  readonly count: (name: string) => number | null
  /** "3,1" or "3/1": shares of devices. */
  readonly shares: (name: string) => readonly number[]
  readonly type: (name: string, value: string | null) => GgmlType
  readonly has: (name: string) => boolean
}

export function readOptions(
  options: Readonly<Record<string, Option>>,
  say: (message: string, option: Option) => void,
): OptionReader {
  const text = (name: string): string | null => {
    const value = options[name]?.value
    if (value === undefined || typeof value === 'boolean') return null
    return typeof value === 'string' ? value.trim() : (value[value.length - 1]?.trim() ?? null)
  }
  const wrong = (name: string, what: string): null => {
    say(`--${name} is ${JSON.stringify(options[name]?.value).slice(0, 60)}, expected ${what}`, options[name]!)
    return null
  }
  return {
    text,
    has: name => options[name] !== undefined,
    flag: name => {
      const value = options[name]?.value
      if (typeof value === 'boolean') return value
      if (value === undefined) return null
      const word = (text(name) ?? '').toLowerCase()
      if (['on', 'true', '1', 'enabled', ''].includes(word)) return true
      return ['off', 'false', '0', 'disabled'].includes(word) ? false : wrong(name, 'on or off')
    },
    count: name => {
      const value = text(name)
      if (value === null) return null
      return /^\d{1,12}$/.test(value) ? Number(value) : wrong(name, 'a whole number')
    },
    shares: name => {
      const value = text(name)
      if (value === null) return []
      const parts = value.split(/[,/]/).map(part => Number(part.trim() || '0'))
      if (parts.length <= 128 && parts.every(part => Number.isFinite(part) && part >= 0)) return parts
      wrong(name, 'shares such as 3,1')
      return []
    },
    type: (name, value) => {
      const type = value === null ? null : ggmlTypeNamed(value)
      if (type) return type
      if (value !== null && options[name]) wrong(name, 'a cache type such as f16 or q8_0')
      return ggmlTypeNamed('F16')!
    },
  }
}
