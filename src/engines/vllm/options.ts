import type { Finding, Option } from '../../deployments/deployment.ts'

/** Options by their long dashed names. Malformed values are findings and read as not given. */
export interface OptionReader {
  readonly text: (name: string) => string | null
  /** True or false; `--no-NAME` arrives as false under NAME. */
  readonly flag: (name: string) => boolean | null
  readonly count: (name: string) => number | null
  readonly has: (name: string) => boolean
}

export function readOptions(options: Readonly<Record<string, Option>>, findings: Finding[]): OptionReader {
  const malformed = (name: string, expected: string): null => {
    const option = options[name]!
    findings.push({
      code: 'setting-invalid',
      severity: 'error',
      message: `${option.text || name}: expected ${expected}`,
      file: option.at.file,
      line: option.at.line,
    })
    return null
  }
  const text = (name: string): string | null => {
    const value = options[name]?.value
    if (value === undefined || typeof value === 'boolean') return null
    return typeof value === 'string' ? value : (value.at(-1) ?? null)
  }
  const flag = (name: string): boolean | null => {
    const value = options[name]?.value
    if (value === undefined) return null
    if (typeof value === 'boolean') return value
    const word = String(typeof value === 'string' ? value : value.at(-1)).toLowerCase()
    if (word === 'true' || word === '1' || word === '') return true
    if (word === 'false' || word === '0') return false
    return malformed(name, 'true or false')
  }
  const count = (name: string): number | null => {
    const value = text(name)
    if (value === null) return null
    const number = Number(value)
    return Number.isSafeInteger(number) && number >= 1 ? number : malformed(name, 'a whole number of at least 1')
  }
  return {
    text,
    flag,
    count,
    has: name => options[name] !== undefined,
  }
}
