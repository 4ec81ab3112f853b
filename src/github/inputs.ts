import { type Overrides, withOverrides } from '../policy/overrides.ts'
import { defaultPolicy } from '../policy/policy.ts'
import { bad, good, type Problem, type Result } from '../problem.ts'
import { MOST_FILES } from '../repository/selection.ts'
import { MiB, parseBytes } from '../units/bytes.ts'
import { closest } from '../units/suggest.ts'

/** The action's inputs as typed text; empty means not given. The names are those of action.yml. */
export type InputReader = (name: string) => string

export interface ActionInputs {
  readonly githubToken: string
  readonly hfToken: string
  readonly hfEndpoint: string
  readonly workingDirectory: string
  readonly files: readonly string[]
  readonly ignorePaths: readonly string[]
  readonly modelIds: readonly string[]
  readonly configFile: string | null
  readonly configSource: 'base' | 'head' | null
  readonly configToken: string
  readonly lockFile: string | null
  /** Policy keys as text, for the overrides: only those given. */
  readonly policy: Readonly<Record<string, string>>
  /** Settings to assume where a file is silent, by the report's names: only those given. */
  readonly settings: Readonly<Record<string, string>>
  readonly workload: 'serve' | 'train' | null
  readonly baseRef: string | null
  readonly headRef: string | null
  readonly comment: 'always' | 'on-change' | 'on-failure' | 'never'
  readonly commentMode: 'update' | 'recreate' | 'hide-and-recreate'
  readonly commentKey: string | null
  /** The leg of the job's matrix as the runner spells it; null outside of one. */
  readonly matrix: string | null
  readonly prNumber: number | null
  readonly collapseUnchanged: boolean
  readonly jobSummary: boolean
  readonly annotations: boolean
  readonly reportFile: string | null
  readonly sarifFile: string | null
  readonly mode: 'check' | 'comment'
  readonly offline: boolean
  readonly requestTimeoutMs: number
  readonly maxRetries: number
  readonly timeoutMs: number
  readonly maxFiles: number
  /** Bytes. */
  readonly maxFileSize: number
}

/** Policy keys that are inputs of the same name. */
const POLICY_INPUTS = [
  'target',
  'gpus-per-replica',
  'headroom',
  'min-concurrency',
  'fail-on',
  'only-new',
  'max-increase',
  'warn-at',
  'warn-only',
  'on-unknown',
  'on-empty',
  'on-network-error',
]

const SETTING_INPUTS: Readonly<Record<string, string>> = {
  dtype: 'dtype',
  'kv-cache-dtype': 'kvCacheDtype',
  'context-length': 'maxModelLen',
  'batch-size': 'maxNumSeqs',
  'lora-rank': 'maxLoraRank',
  'tensor-parallel': 'tensorParallel',
  'pipeline-parallel': 'pipelineParallel',
  'expert-parallel': 'expertParallel',
  'data-parallel': 'dataParallel',
}

/** Lines or commas, `#` comments, blanks dropped. */
export function listInput(text: string): string[] {
  return text
    .split('\n')
    .flatMap(line => line.replace(/(^|\s)#.*$/, '').split(','))
    .map(entry => entry.trim())
    .filter(entry => entry !== '')
}

/** "10s", "5m", "500ms", "2h" in milliseconds; null when malformed. */
function duration(text: string): number | null {
  const match = /^(\d+)(ms|s|m|h)$/.exec(text)
  if (!match) return null
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h']
  const value = Number(match[1]) * unit
  return value > 0 && value <= 24 * 3_600_000 ? value : null
}

/**
 * Reads and checks every input at once; all faults are reported together. Booleans follow YAML's core set; numbers are
 * whole and plain ("1e3", "0x10" and "80 GB" are faults, never silently a default).
 */
export function readInputs(
  read: InputReader,
): Result<ActionInputs> | { readonly ok: false; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  const fault = (name: string, expected: string, hint?: string) => {
    const made = bad(
      'usage',
      `input ${name} is ${JSON.stringify(read(name).slice(0, 80))}, expected ${expected}`,
      hint ? { hint } : {},
    )
    if (!made.ok) problems.push(made.problem)
  }
  const text = (name: string): string | null => read(name).trim() || null
  const flag = (name: string, otherwise: boolean): boolean => {
    const given = text(name)
    if (given === null) return otherwise
    if (/^(true|True|TRUE)$/.test(given)) return true
    if (/^(false|False|FALSE)$/.test(given)) return false
    fault(name, 'true or false')
    return otherwise
  }
  const choice = <T extends string>(name: string, values: readonly T[], otherwise: T): T => {
    const given = text(name)
    if (given === null) return otherwise
    if ((values as readonly string[]).includes(given)) return given as T
    const near = closest(given, values)
    fault(name, `one of ${values.join(', ')}`, near === null ? undefined : `did you mean ${near}?`)
    return otherwise
  }
  const whole = (name: string, otherwise: number, least: number, most: number): number => {
    const given = text(name)
    if (given === null) return otherwise
    const value = /^\d+$/.test(given) ? Number(given) : Number.NaN
    if (value >= least && value <= most) return value
    fault(name, `a whole number from ${least} to ${most}`)
    return otherwise
  }
  const time = (name: string, otherwise: number): number => {
    const given = text(name)
    if (given === null) return otherwise
    const value = duration(given)
    if (value === null) fault(name, 'a time such as 10s or 5m')
    return value ?? otherwise
  }
  const size = (name: string, otherwise: number, most: number): number => {
    const given = text(name)
    if (given === null) return otherwise
    const value = parseBytes(given)
    if (value !== null && value > 0 && value <= most) return value
    fault(name, `a size up to ${most / MiB}MiB such as 512KiB`)
    return otherwise
  }
  const given = (names: Iterable<readonly [string, string]>): Record<string, string> => {
    const out: Record<string, string> = {}
    for (const [input, key] of names) {
      const value = text(input)
      if (value !== null) out[key] = value
    }
    return out
  }
  const prNumber = whole('pr-number', 0, 1, 2 ** 31)
  const key = text('comment-key')
  if (key !== null && key.length > 200) fault('comment-key', 'at most 200 characters')
  const policy = given(POLICY_INPUTS.map(name => [name, name] as const))
  const settings = given(Object.entries(SETTING_INPUTS))
  const check = (overrides: Overrides, spelt: (key: string) => string) => {
    const checked = withOverrides(defaultPolicy, overrides, spelt)
    if (!checked.ok) problems.push(...checked.problems)
  }
  check(policy, name => `input ${name}`)
  for (const [name, setting] of Object.entries(SETTING_INPUTS))
    if (setting in settings) check({ set: [`${setting}=${settings[setting]}`] }, () => `input ${name}`)
  const inputs: ActionInputs = {
    githubToken: read('github-token').trim(),
    hfToken: read('hf-token').trim(),
    hfEndpoint: text('hf-endpoint') ?? 'https://huggingface.co',
    workingDirectory: text('working-directory') ?? '.',
    files: listInput(read('files')),
    ignorePaths: listInput(read('ignore-paths')),
    modelIds: read('model-ids')
      .split('\n')
      .map(line => line.replace(/(^|\s)#.*$/, '').trim())
      .filter(line => line !== ''),
    configFile: text('config-file'),
    configSource: text('config-source') === null ? null : choice('config-source', ['base', 'head'] as const, 'base'),
    configToken: read('config-token').trim(),
    lockFile: text('lock-file'),
    policy,
    settings,
    workload: text('workload') === null ? null : choice('workload', ['serve', 'train'] as const, 'serve'),
    baseRef: text('base-ref'),
    headRef: text('head-ref'),
    comment: choice('comment', ['always', 'on-change', 'on-failure', 'never'] as const, 'on-change'),
    commentMode: choice('comment-mode', ['update', 'recreate', 'hide-and-recreate'] as const, 'update'),
    commentKey: key,
    matrix: /^(null|\{\s*\})?$/.test(read('matrix').trim()) ? null : read('matrix').trim(),
    prNumber: prNumber === 0 ? null : prNumber,
    collapseUnchanged: flag('collapse-unchanged', true),
    jobSummary: flag('job-summary', true),
    annotations: flag('annotations', true),
    reportFile: text('report-file'),
    sarifFile: text('sarif-file'),
    mode: choice('mode', ['check', 'comment'] as const, 'check'),
    offline: flag('offline', false),
    requestTimeoutMs: time('request-timeout', 10_000),
    maxRetries: whole('max-retries', 3, 0, 10),
    timeoutMs: time('timeout', 300_000),
    maxFiles: whole('max-files', MOST_FILES, 1, MOST_FILES),
    maxFileSize: size('max-file-size', MiB, 32 * MiB),
  }
  return problems.length === 0 ? good(inputs) : { ok: false, problems }
}
