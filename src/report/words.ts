import { gibText } from '../units/bytes.ts'
import type { Remedy, Report, ReportDeployment, Status } from './report.ts'

/** Wording that every report format shares. */

/** "deploy/a.yaml:12" */
export const placeText = (at: { readonly file: string; readonly line: number }): string => `${at.file}:${at.line}`

/** "H100 80GB x 2", "2 nodes x 8 H200 141GB", "-" when unknown. */
export function targetText(deployment: ReportDeployment): string {
  const { target } = deployment
  if (!target) return '-'
  const name = (target.gpu ?? 'unknown GPU').replace(/^NVIDIA /, '')
  const count = target.gpusPerReplica
  return count === null || count === 1 ? name : count === 0 ? 'no GPU' : `${name} x ${count}`
}

/** "exempted until 2027-03-31", "exemption expired on 2026-01-01". */
export function exemptionText({ until, expired }: NonNullable<ReportDeployment['exemption']>): string {
  if (expired) return `exemption expired${until === null ? '' : ` on ${until}`}`
  return `exempted${until === null ? '' : ` until ${until}`}`
}

/** Needed and available GiB of the fullest GPU, with the part of the budget it takes. */
export function needText(deployment: ReportDeployment): { needs: string; has: string; share: number | null } {
  const per = deployment.estimate?.perGpu
  if (!per) return { needs: '-', has: '-', share: null }
  const budget = per.budgetBytes
  return {
    needs: gibText(per.totalBytes.expected),
    has: budget === null ? '-' : gibText(budget),
    share: budget === null || budget <= 0 ? null : per.totalBytes.expected / budget,
  }
}

/** "+4.00", "-1.20", "0.00": GiB with a sign. */
export function deltaText(bytes: number): string {
  const text = gibText(Math.abs(bytes))
  return text === '0.00' ? '0.00' : `${bytes > 0 ? '+' : '-'}${text}`
}

const STATUS_ORDER: readonly Status[] = ['exceeds', 'tight', 'unknown', 'fits', 'skipped']

/** Worst first, and what the engine refuses before what starts; then as found: by file and line. */
export function worstFirst(deployments: readonly ReportDeployment[]): ReportDeployment[] {
  const rank = (d: ReportDeployment) => 2 * STATUS_ORDER.indexOf(d.verdict.status) - (isRefused(d) ? 1 : 0)
  return [...deployments].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      (a.location.file < b.location.file
        ? -1
        : a.location.file > b.location.file
          ? 1
          : a.location.line - b.location.line),
  )
}

/** "1 deployment", "4 deployments". */
export const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`

/** "37 files read, 9 deployments, 2 not understood (1 helm-template, 1 yaml-invalid)". */
export function coverageText(report: Report): string {
  const reasons = new Map<string, number>()
  for (const entry of report.notUnderstood) reasons.set(entry.reason, (reasons.get(entry.reason) ?? 0) + 1)
  const skipped = [...reasons].sort().map(([reason, count]) => `${count} ${reason}`)
  return [
    `${plural(report.counts.filesRead, 'file')} read`,
    plural(report.counts.deployments, 'deployment'),
    ...(report.notUnderstood.length > 0
      ? [`${report.notUnderstood.length} not understood (${skipped.join(', ')})`]
      : []),
  ].join(', ')
}

/** Whether the engine would refuse to start whatever the memory: the deployment has a finding that is an error. */
export const isRefused = (row: ReportDeployment): boolean => row.findings.some(finding => finding.severity === 'error')

/** "3 deployments exceed their GPUs, 1 unknown, 2 fit; the engine refuses 2": the first count says what is counted. */
export function countsText(report: Report): string {
  const { counts } = report
  const kinds = (['exceeds', 'tight', 'unknown', 'exempted', 'fits', 'skipped'] as const).filter(
    kind => counts[kind] > 0,
  )
  if (kinds.length === 0) return 'no deployment of a model was found'
  const said = kinds.map((kind, i) => {
    const count = counts[kind]
    const verbs = { exceeds: ['exceeds its GPU', 'exceed their GPUs'], fits: ['fits', 'fit'] }[kind as 'fits']
    const verb = verbs?.[count === 1 ? 0 : 1]
    return i > 0
      ? `${count} ${verb ?? kind}`
      : `${plural(count, 'deployment')} ${verb ?? `${count === 1 ? 'is' : 'are'} ${kind}`}`
  })
  const refused = report.deployments.filter(isRefused).length
  return `${said.join(', ')}${refused === 0 ? '' : `; the engine refuses ${refused}`}`
}

/** One line for the whole run: "FAIL 1 deployment exceeds its GPU, 2 fit". */
export function verdictLine(report: Report): string {
  const soft = report.enforced || report.verdict === 'pass' ? '' : ' (warn-only: the job does not fail)'
  return `${report.verdict.toUpperCase()} ${countsText(report)}${soft}`
}

/** One change of a remedy as text to use: the flag, "on NVIDIA A100 40GB", "with 2 GPUs". */
export function changeText(change: Remedy['change'][number]): string {
  if (change.flag !== null) return change.flag
  const to = typeof change.to === 'string' ? change.to : JSON.stringify(change.to)
  if (change.setting === 'target') return `on ${to}`
  if (change.setting === 'gpusPerReplica') return `with ${to} GPU${to === '1' ? '' : 's'}`
  return `${change.setting} ${to}`
}
