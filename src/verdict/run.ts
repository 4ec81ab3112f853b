import type { Finding, NotUnderstood } from '../deployments/deployment.ts'
import type { Problem } from '../problem.ts'
import { isExempted, type Report, type ReportDeployment } from '../report/report.ts'
import { sizeText } from '../units/bytes.ts'

/** What the policy and the command line say about failing; all resolved, nothing optional. */
export interface Gate {
  readonly failOn: readonly FailReason[]
  readonly onUnknown: Strictness
  readonly onEmpty: Strictness
  readonly onNetworkError: Strictness
  readonly onlyNew: boolean
  readonly maxIncrease: { readonly bytes: number } | { readonly fraction: number } | null
}
type Strictness = 'fail' | 'warn' | 'ignore'
export type FailReason = 'exceeds' | 'tight' | 'increase' | 'unknown' | 'finding'

/** Is this deployment's unknown caused by the network, not by the repository? */
function isNetwork(deployment: ReportDeployment): boolean {
  return deployment.verdict.reasons.some(reason => reason.code === 'network' || reason.code === 'rate-limited')
}

/** Has the deployment grown beyond what the policy allows? Exactly at the limit passes. */
export function increasedTooMuch(deployment: ReportDeployment, limit: Gate['maxIncrease']): boolean {
  const { baseline } = deployment
  if (limit === null || !baseline || baseline.deltaBytes === null || baseline.totalBytes === null) return false
  if (baseline.deltaBytes <= 0) return false
  return 'bytes' in limit
    ? baseline.deltaBytes > limit.bytes
    : baseline.deltaBytes > limit.fraction * baseline.totalBytes.expected
}

/** What is said of a deployment that has grown too much; null when it has not. */
export function increaseFinding(deployment: ReportDeployment, gate: Gate): Finding | null {
  const { maxIncrease } = gate
  if (maxIncrease === null || !increasedTooMuch(deployment, maxIncrease)) return null
  const grown = sizeText(deployment.baseline?.deltaBytes ?? 0)
  const allowed =
    'bytes' in maxIncrease ? sizeText(maxIncrease.bytes) : `${Number((100 * maxIncrease.fraction).toFixed(2))} %`
  const { file, line } = deployment.location
  return {
    code: 'increase',
    severity: 'warning',
    message: `needs ${grown} more per GPU than in the base; max-increase allows ${allowed}`,
    file,
    line,
  }
}

const CAUSE: Readonly<Record<Exclude<FailReason, 'exceeds'>, string>> = {
  tight: 'fails because fail-on names tight',
  increase: 'fails because of max-increase',
  finding: 'fails because fail-on names finding, and there is one of severity error',
  unknown: 'fails because of on-unknown, on-network-error or fail-on',
}
const NAMED = 3

/**
 * What makes the run fail beside models that exceed their GPUs, for each reason one text with the deployments; and
 * which exceed them without failing it.
 */
export function failureTexts(deployments: readonly ReportDeployment[], gate: Gate): string[] {
  const told = (text: string, matches: (row: ReportDeployment, why: readonly FailReason[]) => boolean) => {
    const ids = deployments.filter(row => matches(row, failures(row, gate))).map(row => row.id)
    if (ids.length === 0) return []
    const more = ids.length > NAMED ? ` and ${ids.length - NAMED} more` : ''
    return [`${text}: ${ids.slice(0, NAMED).join(', ')}${more}`]
  }
  return [
    ...(Object.keys(CAUSE) as (keyof typeof CAUSE)[]).flatMap(reason =>
      told(CAUSE[reason], (_row, why) => why.includes(reason)),
    ),
    ...told(
      'not a failure, because only-new is set and the base branch exceeds as much',
      (row, why) =>
        gate.onlyNew &&
        gate.failOn.includes('exceeds') &&
        row.verdict.status === 'exceeds' &&
        !isExempted(row) &&
        why.length === 0,
    ),
  ]
}

/** Why a deployment fails the gate; empty when it does not. */
export function failures(deployment: ReportDeployment, gate: Gate): FailReason[] {
  const { status } = deployment.verdict
  if (status === 'skipped' || isExempted(deployment)) return []
  const on = new Set(gate.failOn)
  if (gate.maxIncrease !== null) on.add('increase')
  const why: FailReason[] = []
  const grown = increasedTooMuch(deployment, gate.maxIncrease)
  const worse =
    !gate.onlyNew ||
    !deployment.baseline ||
    deployment.baseline.change === 'new' ||
    (deployment.baseline.deltaBytes ?? 0) > 0
  const before = deployment.baseline?.status
  const old = (reason: boolean) => !worse && reason
  if (status === 'exceeds' && on.has('exceeds') && !old(before === 'exceeds')) why.push('exceeds')
  if (status === 'tight' && on.has('tight') && !old(before === 'tight' || before === 'exceeds')) why.push('tight')
  if (grown && on.has('increase')) why.push('increase')
  if (
    deployment.findings.some(finding => finding.severity === 'error') &&
    on.has('finding') &&
    !(gate.onlyNew && deployment.baseline?.change === 'unchanged')
  )
    why.push('finding')
  if (status === 'unknown') {
    const strictness = isNetwork(deployment) ? gate.onNetworkError : gate.onUnknown
    const failing = strictness === 'fail' || (strictness === 'warn' && on.has('unknown'))
    if (failing && !old(before === 'unknown')) why.push('unknown')
  }
  return why
}

/**
 * The run's verdict after the policy (design section 6): `fail` when something that fails happened; else `unknown` when
 * nothing at all could be judged; else `warn` when something is tight, unknown, found by an error finding, or nothing
 * was found; else `pass`. Problems with configuration codes are not judged here: the caller reports `error`.
 */
export function runVerdict(
  deployments: readonly ReportDeployment[],
  notUnderstood: readonly NotUnderstood[],
  problems: readonly Problem[],
  gate: Gate,
): Report['verdict'] {
  const counted = deployments.filter(
    d =>
      d.verdict.status !== 'skipped' &&
      !isExempted(d) &&
      !(d.verdict.status === 'unknown' && (isNetwork(d) ? gate.onNetworkError : gate.onUnknown) === 'ignore'),
  )
  if (counted.some(d => failures(d, gate).length > 0)) return 'fail'
  const unread = notUnderstood.length + problems.length > 0
  if (unread && (gate.onUnknown === 'fail' || (gate.onUnknown === 'warn' && gate.failOn.includes('unknown'))))
    return 'fail'
  if (deployments.length === 0 && !unread)
    return gate.onEmpty === 'fail' ? 'fail' : gate.onEmpty === 'warn' ? 'warn' : 'pass'
  if (counted.length > 0 && counted.every(d => d.verdict.status === 'unknown')) return 'unknown'
  if (deployments.length === 0 && unread && gate.onUnknown !== 'ignore') return 'unknown'
  const warned = counted.some(
    d =>
      d.verdict.status === 'tight' ||
      d.verdict.status === 'exceeds' ||
      d.verdict.status === 'unknown' ||
      d.findings.some(finding => finding.severity === 'error') ||
      (d.exemption?.expired ?? false),
  )
  return warned || (unread && gate.onUnknown !== 'ignore') ? 'warn' : 'pass'
}
