import type { Finding, Setting, SettingName, Settings } from '../../deployments/deployment.ts'
import type { EngineInput } from '../engine.ts'

/** The settings as they were given, checked one by one, and filled with what the engine makes of them. */
export interface Given {
  /** The value when it passes the test; null when it is not given, or malformed: then a finding says so. */
  readonly valid: <T>(name: SettingName, test: (value: unknown) => value is T, expected: string) => T | null
  /** A whole number of at least 1, or null as above. */
  readonly count: (name: SettingName) => number | null
  /** Records what is used where nothing (valid) was given. */
  readonly fallback: <T>(name: SettingName, value: T, note: string, from?: Setting['from']) => T
  /** Records what the engine makes of a given value, where that differs. */
  readonly effective: (name: SettingName, value: unknown) => void
  readonly filled: Settings
}

export const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
export const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
export const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
export const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
export const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
export const isLength = (value: unknown): value is number | 'auto' => value === 'auto' || isCount(value)

/** File and line of a setting, for a finding about it. */
export function placed(setting: Setting | undefined): { readonly file?: string; readonly line?: number } {
  return {
    ...(setting?.file === undefined ? {} : { file: setting.file }),
    ...(setting?.line === undefined ? {} : { line: setting.line }),
  }
}

export function givenSettings(input: EngineInput, findings: Finding[]): Given {
  const filled: { [name in SettingName]?: Setting } = { ...input.settings }
  const valid: Given['valid'] = (name, test, expected) => {
    const setting = input.settings[name] as Setting | undefined
    if (setting === undefined) return null
    const { value } = setting
    if (test(value)) return value
    const shown = (JSON.stringify(value) ?? String(value)).slice(0, 60)
    findings.push({
      ...placed(setting),
      code: 'setting-invalid',
      severity: 'error',
      message: `${name} is ${shown}, expected ${expected}`,
    })
    return null
  }
  return {
    valid,
    count: name => valid(name, isCount, 'a whole number of at least 1'),
    fallback: (name, value, note, from = 'engine-default') => {
      const given = input.settings[name]
      // a malformed value stays in the report as it was written, beside what is used instead
      filled[name] = given === undefined ? { value, from, note } : { ...given, effective: value, note }
      return value
    },
    effective: (name, value) => {
      const given = filled[name]
      if (given !== undefined && given.value !== value) filled[name] = { ...given, effective: value }
    },
    filled: filled as Settings,
  }
}
