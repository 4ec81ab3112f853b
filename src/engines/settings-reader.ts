import type { Finding, Setting, SettingName, Settings } from '../deployments/deployment.ts'
import type { EngineInput } from './engine.ts'

/**
 * Reads the shared settings of one deployment for an engine: malformed values become findings, defaults are filled in
 * with their note, and what the engine makes of a value is kept beside it.
 */
export interface SettingsReader {
  readonly findings: Finding[]
  /** The given settings with what was filled in. */
  readonly settings: () => Settings
  /** A whole number of at least 1; null when it is not given or malformed. */
  readonly count: (name: SettingName) => number | null
  /** The same, or the engine's default, noted in the settings. */
  readonly countOr: (name: SettingName, value: number, note: string, from?: Setting['from']) => number
  /** A number above 0 and at most 1. */
  readonly fraction: (name: SettingName, flag: string) => number | null
  readonly text: (name: SettingName) => string | null
  readonly flag: (name: SettingName) => boolean | null
  /** Bytes of at least 0. */
  readonly size: (name: SettingName) => number | null
  /** A length in tokens, or 'auto'. */
  readonly length: (name: SettingName) => number | 'auto' | null
  /** Notes a default, or what the engine makes of a given value. */
  readonly fill: (name: SettingName, value: unknown, note: string, from?: Setting['from']) => void
  readonly say: (code: string, severity: Finding['severity'], message: string, at?: Setting) => void
}

export function readSettings(input: EngineInput): SettingsReader {
  const findings: Finding[] = []
  const filled: Record<string, Setting> = { ...(input.settings as Record<string, Setting>) }
  const say: SettingsReader['say'] = (code, severity, message, at) => {
    findings.push({
      code,
      severity,
      message,
      ...(at?.file === undefined ? {} : { file: at.file }),
      ...(at?.line === undefined ? {} : { line: at.line }),
    })
  }
  const valid = <T>(name: SettingName, test: (value: unknown) => value is T, what: string): T | null => {
    const setting = input.settings[name] as Setting | undefined
    if (setting === undefined) return null
    if (test(setting.value)) return setting.value
    const shown = (JSON.stringify(setting.value) ?? String(setting.value)).slice(0, 60)
    say('setting-invalid', 'error', `${name} is ${shown}, expected ${what}`, setting)
    return null
  }
  const fill: SettingsReader['fill'] = (name, value, note, from = 'engine-default') => {
    const given = input.settings[name] as Setting | undefined
    if (given === undefined) filled[name] = { value, from, note }
    else if (given.value !== value) filled[name] = { ...given, effective: value, note }
  }
  const count = (name: SettingName): number | null => valid(name, isCount, 'a whole number of at least 1')
  return {
    findings,
    settings: () => filled as Settings,
    count,
    countOr: (name, value, note, from) => {
      const given = count(name)
      if (given === null) fill(name, value, note, from)
      return given ?? value
    },
    fraction: (name, flag) => {
      const value = valid(name, isNumber, 'a number above 0 and at most 1')
      if (value === null || (value > 0 && value <= 1)) return value
      say(
        'fraction-out-of-range',
        'error',
        `${flag} is ${value}: more than 0 and at most 1 is expected`,
        input.settings[name],
      )
      return null
    },
    text: name => valid(name, isText, 'a name'),
    flag: name => valid(name, isFlag, 'true or false'),
    size: name => valid(name, isSize, 'bytes of at least 0'),
    length: name => valid(name, isLength, 'a whole number of at least 1, or auto'),
    fill,
    say,
  }
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const isLength = (value: unknown): value is number | 'auto' => value === 'auto' || isCount(value)
