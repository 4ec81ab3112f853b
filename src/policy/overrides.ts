import * as v from 'valibot'
import type { Setting, Settings } from '../deployments/deployment.ts'
import { lookUpGpu } from '../hardware/look-up.ts'
import type { Problem } from '../problem.ts'
import { closest } from '../units/suggest.ts'
import { amountOf, percent, settingNumber } from './parse.ts'
import type { Choices, Policy, Told } from './policy.ts'
import { complaintsOf } from './problems.ts'
import { choiceEntries, policySchema } from './schema.ts'
import { settingNames, settingValue } from './settings.ts'

/** Policy keys that the command line or the action's inputs may give, as text; an empty text is one not given. */
export interface Overrides {
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly 'fail-on'?: string
  readonly 'max-increase'?: string
  readonly 'warn-at'?: string
  readonly 'only-new'?: string
  readonly 'warn-only'?: string
  readonly 'on-unknown'?: string
  readonly 'on-empty'?: string
  readonly 'on-network-error'?: string
  readonly target?: string
  readonly 'gpus-per-replica'?: string
  readonly headroom?: string
  readonly 'min-concurrency'?: string
  /** "maxModelLen=8192", each one setting. */
  readonly set?: readonly string[]
}

const known = v.strictObject({ ...policySchema.entries, ...choiceEntries })
const LISTS: ReadonlySet<string> = new Set(['fail-on'])
const NUMBERS: ReadonlySet<string> = new Set(['gpus-per-replica', 'min-concurrency'])
const FLAGS: ReadonlySet<string> = new Set(['only-new', 'warn-only'])

/**
 * A policy with what the command line or the inputs say put over it: each given value wins over the file, `false` and
 * `0` too. `name` spells a key for messages ("--fail-on"). Problems (`usage`) come all at once.
 */
export function withOverrides(
  policy: Policy,
  overrides: Overrides,
  name: (key: string) => string = key => `--${key}`,
): { readonly ok: true; readonly value: Policy } | { readonly ok: false; readonly problems: readonly Problem[] } {
  const { include, exclude, set, ...texts } = overrides
  const given = Object.fromEntries(
    Object.entries(texts)
      .filter(([, text]) => text !== undefined && text.trim() !== '')
      .map(([key, text]) => [key, typed(key, text!.trim())]),
  )
  const checked = v.safeParse(v.partial(known), given, { abortPipeEarly: true })
  const problems: Problem[] = complaintsOf(checked.issues ?? []).map(({ path, message, hint }) => ({
    code: 'usage',
    message: message.replace(/^[\w-]+(\[\d+\])?/, name(String(path[0]))),
    ...(hint ? { hint } : {}),
  }))
  const settings = settingsFrom(set ?? [], name('set'), problems)
  const gpu = overrides.target?.trim() ? lookUpGpu(overrides.target.trim()) : null
  if (gpu && !gpu.ok)
    problems.push({ ...gpu.problem, code: 'usage', message: `${name('target')}: ${gpu.problem.message}` })
  if (problems.length > 0 || !checked.success) return { ok: false, problems }
  const value = checked.output
  const told = <T>(key: string, told: T): Told<T> => ({
    value: told,
    text: `${name(key)} ${overrides[key as 'target']}`,
    from: 'flag',
  })
  const choices: Choices = {
    ...(value.target === undefined ? {} : { target: told('target', value.target) }),
    ...(value['gpus-per-replica'] === undefined
      ? {}
      : { gpusPerReplica: told('gpus-per-replica', value['gpus-per-replica']) }),
    ...(value.headroom === undefined ? {} : { headroom: told('headroom', amountOf(value.headroom)) }),
    ...(value['min-concurrency'] === undefined
      ? {}
      : { minConcurrency: told('min-concurrency', value['min-concurrency']) }),
    settings,
  }
  const { gate } = policy
  return {
    ok: true,
    value: {
      ...policy,
      include: include?.length ? include : policy.include,
      exclude: [...policy.exclude, ...(exclude ?? [])],
      overrides: choices,
      gate: {
        failOn: value['fail-on'] ?? gate.failOn,
        onUnknown: value['on-unknown'] ?? gate.onUnknown,
        onEmpty: value['on-empty'] ?? gate.onEmpty,
        onNetworkError: value['on-network-error'] ?? gate.onNetworkError,
        onlyNew: value['only-new'] ?? gate.onlyNew,
        maxIncrease: value['max-increase'] === undefined ? gate.maxIncrease : amountOf(value['max-increase']),
      },
      warnAt: value['warn-at'] === undefined ? policy.warnAt : percent(value['warn-at']),
      warnOnly: value['warn-only'] ?? policy.warnOnly,
    },
  }
}

/** A text in the type its key wants; what cannot be read stays text, and the check names it. */
function typed(key: string, text: string): unknown {
  if (LISTS.has(key)) return text.split(/[\s,]+/).filter(part => part !== '')
  if (NUMBERS.has(key)) return /^-?\d+$/.test(text) ? Number(text) : text
  if (FLAGS.has(key)) return /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : text
  return text === '0' && (key === 'headroom' || key === 'max-increase') ? 0 : text
}

const plain = (name: string) => name.toLowerCase().replace(/[-_]/g, '')

function settingsFrom(pairs: readonly string[], flag: string, problems: Problem[]): Settings {
  const settings: Record<string, Setting> = {}
  for (const pair of pairs) {
    const cut = pair.indexOf('=')
    const key = (cut < 0 ? pair : pair.slice(0, cut)).trim()
    const text = pair.slice(cut + 1).trim()
    const setting = settingNames.find(candidate => plain(candidate) === plain(key))
    const fail = (message: string, hint: string) => problems.push({ code: 'usage', message, hint })
    if (cut < 0 || text === '') fail(`${flag} ${JSON.stringify(pair)} gives no value`, `write ${flag} maxModelLen=8192`)
    else if (setting === undefined) {
      const near = closest(key.slice(0, 100), settingNames)
      const hint = near === null ? `known are ${settingNames.join(', ')}` : `did you mean ${near}?`
      fail(`${flag}: unknown setting ${JSON.stringify(key.slice(0, 100))}`, hint)
    } else {
      const read = settingValue(setting, text)
      if ('expected' in read)
        fail(
          `${flag}: ${setting} is ${JSON.stringify(text.slice(0, 100))}, expected ${read.expected}`,
          'give one such value',
        )
      else settings[setting] = { value: settingNumber(setting, read.value), from: 'flag', text: `${flag} ${pair}` }
    }
  }
  return settings as Settings
}
