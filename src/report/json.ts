import type { Report } from './report.ts'

/** Report version 1 as JSON text: two spaces, a newline at the end. Non-finite numbers are a bug and throw. */
export function reportJson(report: Report): string {
  const text = JSON.stringify(
    report,
    (key, value: unknown) => {
      if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`report field ${key} is ${value}`)
      return value
    },
    2,
  )
  return `${text}\n`
}
