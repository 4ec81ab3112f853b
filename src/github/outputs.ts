import type { Report, ReportDeployment } from '../report/report.ts'
import { GiB } from '../units/bytes.ts'
import type { CommentResult } from './comment.ts'

/** Every output of action.yml; set on every exit path, empty where there is nothing to say. */
export const OUTPUT_NAMES = [
  'verdict',
  'passed',
  'checked-count',
  'over-limit-count',
  'warning-count',
  'unknown-count',
  'exempted-count',
  'worst-model',
  'worst-file',
  'max-gib-per-gpu',
  'max-utilization',
  'delta-gib',
  'report-path',
  'report',
  'sarif-path',
  'summary-markdown',
  'comment-id',
  'comment-url',
  'comment-status',
  'base-sha',
  'head-sha',
] as const
type OutputName = (typeof OUTPUT_NAMES)[number]
export type Outputs = Readonly<Record<OutputName, string>>

export const noOutputs: Outputs = Object.fromEntries(OUTPUT_NAMES.map(name => [name, ''])) as Outputs

/** Larger reports travel by path only: outputs end up in environments, which are small. */
const MOST_REPORT_BYTES = 256 * 1024

/** Share of the budget that a deployment needs, 0 when unknown. */
function share(row: ReportDeployment): number {
  const per = row.estimate?.perGpu
  return per && per.budgetBytes !== null && per.budgetBytes > 0 ? per.totalBytes.expected / per.budgetBytes : 0
}

export function reportOutputs(report: Report, reportText: string): Partial<Outputs> {
  const rows = report.deployments
  const estimated = rows.filter(row => row.estimate !== null)
  const worst = estimated.reduce<ReportDeployment | null>((a, b) => (a === null || share(b) > share(a) ? b : a), null)
  const most = Math.max(0, ...estimated.map(row => row.estimate!.perGpu.totalBytes.expected))
  const deltas = rows.map(row => row.baseline?.deltaBytes ?? 0)
  const delta = deltas.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0)
  return {
    verdict: report.verdict,
    passed: String(report.verdict !== 'fail' && report.verdict !== 'error'),
    'checked-count': String(report.counts.deployments - report.counts.skipped),
    'over-limit-count': String(report.counts.exceeds),
    'warning-count': String(report.counts.tight),
    'unknown-count': String(report.counts.unknown),
    'exempted-count': String(report.counts.exempted),
    'worst-model': worst?.model.id ?? '',
    'worst-file': worst ? `${worst.location.file}:${worst.location.line}` : '',
    'max-gib-per-gpu': estimated.length > 0 ? (most / GiB).toFixed(2) : '',
    'max-utilization': worst ? (100 * share(worst)).toFixed(1) : '',
    'delta-gib': rows.some(row => row.baseline) ? (delta / GiB).toFixed(2) : '',
    report: Buffer.byteLength(reportText) <= MOST_REPORT_BYTES ? reportText : '',
  }
}

export function commentOutputs(result: CommentResult): Partial<Outputs> {
  return {
    'comment-status': result.status,
    'comment-id': result.id === null ? '' : String(result.id),
    'comment-url': result.url ?? '',
  }
}
