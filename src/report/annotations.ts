import type { Setting } from '../deployments/deployment.ts'
import { gibText } from '../units/bytes.ts'
import { isExempted, type Report, type ReportDeployment } from './report.ts'
import { changeText } from './words.ts'

/** A message on a line of a file, as GitHub, editors and SARIF show it. */
export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice'
  readonly rule: string
  readonly file: string
  readonly line: number
  readonly column: number | null
  readonly title: string
  readonly message: string
  /** Stable identity of the finding, whatever the line. */
  readonly fingerprint: string
}

/**
 * The setting whose line causes a verdict: the one that a base comparison blames most, else the first that the file
 * says of context, concurrency, parallelism and hardware; else where the model stands.
 */
const CAUSES = [
  'maxModelLen',
  'maxNumSeqs',
  'sequenceLength',
  'microBatchSize',
  'tensorParallel',
  'memoryFraction',
  'quantization',
  'dtype',
] as const

function causingPlace(row: ReportDeployment): { file: string; line: number; column: number | null } {
  const settings = row.settings as Readonly<Record<string, Setting | undefined>>
  const blamed = [...(row.baseline?.causes ?? [])]
    .filter(cause => cause.deltaBytes > 0)
    .sort((a, b) => b.deltaBytes - a.deltaBytes)
  for (const name of [...blamed.map(cause => cause.setting), ...CAUSES]) {
    const setting = settings[name]
    if (setting?.from === 'file' && setting.file && setting.line)
      return { file: setting.file, line: setting.line, column: setting.column ?? null }
  }
  return { file: row.location.file, line: row.location.line, column: row.location.column }
}

const TITLE = { exceeds: 'Does not fit its GPU', tight: 'Barely fits its GPU', unknown: 'Cannot be judged' } as const

/** All annotations of a report, errors first, in a stable order. */
export function annotationsOf(report: Report): Annotation[] {
  const all: Annotation[] = []
  for (const row of report.deployments) {
    const { status, reasons } = row.verdict
    const exempt = isExempted(row)
    if (status === 'exceeds' || status === 'tight' || status === 'unknown') {
      const per = row.estimate?.perGpu
      const sizes =
        per && per.budgetBytes !== null
          ? ` (needs ${gibText(per.totalBytes.expected)} of ${gibText(per.budgetBytes)} GiB per GPU)`
          : ''
      const remedy = row.remedies[0]
      const fix = remedy ? ` Would fit: ${remedy.change.map(changeText).join(' ')}.` : ''
      all.push({
        // Red only where the run is: what only-new excuses is a warning.
        level: exempt ? 'notice' : status === 'exceeds' && report.verdict === 'fail' ? 'error' : 'warning',
        rule: status,
        ...causingPlace(row),
        title: TITLE[status],
        message: `${row.model.id ?? row.id}: ${reasons.map(reason => reason.message).join('; ') || status}${sizes}.${fix}`,
        fingerprint: `${row.id}:${status}`,
      })
    }
    for (const finding of row.findings)
      all.push({
        level: exempt ? 'notice' : finding.severity,
        rule: finding.code,
        file: finding.file ?? row.location.file,
        line: finding.line ?? row.location.line,
        column: null,
        title: finding.code,
        message: finding.message,
        fingerprint: `${row.id}:${finding.code}`,
      })
  }
  for (const entry of report.notUnderstood)
    all.push({
      level: 'notice',
      rule: entry.reason,
      file: entry.file,
      line: entry.line,
      column: null,
      title: 'Not understood',
      message: entry.message,
      fingerprint: `${entry.file}:${entry.reason}`,
    })
  const rank = { error: 0, warning: 1, notice: 2 }
  return all.sort(
    (a, b) =>
      rank[a.level] - rank[b.level] ||
      (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || (a.rule < b.rule ? -1 : 1)),
  )
}

/** GitHub shows ten annotations of a kind a step; the tenth says how many more there are. */
const MOST_OF_A_KIND = 10

export function cappedAnnotations(all: readonly Annotation[]): Annotation[] {
  return (['error', 'warning', 'notice'] as const).flatMap(level => {
    const kind = all.filter(annotation => annotation.level === level)
    if (kind.length <= MOST_OF_A_KIND) return kind
    const shown = kind.slice(0, MOST_OF_A_KIND - 1)
    const next = kind[MOST_OF_A_KIND - 1]!
    const rest = kind.length - shown.length
    return [
      ...shown,
      {
        ...next,
        title: `and ${rest} more`,
        message: `${rest} more of this kind; the job summary and the report list them all. First of them: ${next.message}`,
      },
    ]
  })
}
