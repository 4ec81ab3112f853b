import type { BaseIssue, GenericSchema } from 'valibot'
import { closest } from '../units/suggest.ts'

/** Path of keys and list positions from the root of a value. */
export type KeyPath = readonly (string | number)[]

/** One thing wrong in a value, before it is given a place. */
export interface Complaint {
  readonly path: KeyPath
  /** True where the path's last part is a key that should not be there: its own place, not its value's. */
  readonly aboutKey: boolean
  readonly message: string
  readonly hint?: string
}

/** "rules[0].headroom": a path as people write it. */
export function pathText(path: KeyPath): string {
  return path.map((part, i) => (typeof part === 'number' ? `[${part}]` : plainKey(part, i))).join('')
}

function plainKey(key: string, position: number): string {
  if (!/^[\w-]+$/.test(key)) return `[${shown(key)}]`
  return position === 0 ? key : `.${key}`
}

/** A value of the file for a message: short, on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  const text = typeof value === 'number' ? String(value) : jsonText(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** A value may hold itself through a YAML alias. */
function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return 'a value that holds itself'
  }
}

/** What is wrong by the checks of a schema; unknown keys are found by `unknownKeys` instead. */
export function complaintsOf(issues: readonly BaseIssue<unknown>[]): Complaint[] {
  return issues.flatMap(issue => {
    const path = (issue.path ?? []).map(item => item.key as string | number)
    if (issue.type === 'strict_object' && issue.expected === 'never') return []
    const missing = issue.type === 'strict_object' && issue.path?.at(-1)?.origin === 'key'
    if (missing)
      return [
        { path: path.slice(0, -1), aboutKey: false, message: `${pathText(path)} is missing`, hint: hintFor(path) },
      ]
    const choices =
      issue.type === 'picklist' ? [...(issue.expected ?? '').matchAll(/"([^"]*)"/g)].map(m => m[1]!) : null
    const what = choices === null ? issue.message : `one of ${choices.join(', ')}`
    const near = choices !== null && typeof issue.input === 'string' ? closest(issue.input, choices) : null
    const message = `${pathText(path) || 'the policy'} is ${shown(issue.input)}, expected ${what}`
    return [
      near === null
        ? { path, aboutKey: false, message }
        : { path, aboutKey: false, message, hint: `did you mean ${near}?` },
    ]
  })
}

function hintFor(path: KeyPath): string {
  const key = String(path.at(-1))
  if (key === 'version') return 'start the file with version: 1'
  if (key === 'reason') return 'say why the failure is accepted'
  return `add ${key}`
}

/** Keys of a value that its schema does not know, at every depth, with the key that was most likely meant. */
export function unknownKeys(schema: GenericSchema, value: unknown, path: KeyPath = []): Complaint[] {
  const form = schema as Form
  if (form.type === 'optional') return unknownKeys(form.wrapped!, value, path)
  if (form.type === 'array' && Array.isArray(value))
    return value.flatMap((item, i) => unknownKeys(form.item!, item, [...path, i]))
  if (typeof value !== 'object' || value === null) return []
  if (Array.isArray(value)) {
    // valibot takes a list for an object whose keys are its positions.
    if (form.type !== 'record' && form.type !== 'strict_object') return []
    return [{ path, aboutKey: false, message: `${pathText(path)} is ${shown(value)}, expected a map of keys` }]
  }
  if (form.type === 'record')
    return Object.entries(value).flatMap(([key, inner]) => unknownKeys(form.value!, inner, [...path, key]))
  if (form.type !== 'strict_object') return []
  const known = form.entries!
  return Object.entries(value).flatMap(([key, inner]): Complaint[] => {
    const at = [...path, key]
    if (Object.hasOwn(known, key)) return unknownKeys(known[key]!, inner, at)
    const near = closest(key.slice(0, 100), Object.keys(known))
    const where = path.length === 0 ? '' : ` in ${pathText(path)}`
    const hint = near === null ? `known keys are ${Object.keys(known).join(', ')}` : `did you mean ${near}?`
    return [{ path: at, aboutKey: true, message: `unknown key ${shown(key)}${where}`, hint }]
  })
}

/** The parts of valibot's schemas that nest others. */
interface Form {
  readonly type: string
  readonly wrapped?: GenericSchema
  readonly item?: GenericSchema
  readonly value?: GenericSchema
  readonly entries?: Readonly<Record<string, GenericSchema>>
}
