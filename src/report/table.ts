import { problemText } from '../problem.ts'
import { type Cell, grid, type TextStyle, type Tone, wrap } from './grid.ts'
import { isExempted, type Report, type ReportDeployment, type Status } from './report.ts'
import {
  changeText,
  coverageText,
  deltaText,
  exemptionText,
  isRefused,
  needText,
  placeText,
  targetText,
  verdictLine,
  worstFirst,
} from './words.ts'

/** The report as people read it on a terminal: a table, then what is wrong and what would fit. */

const TONE: Readonly<Record<Status, Tone>> = {
  fits: 'good',
  tight: 'warn',
  exceeds: 'bad',
  unknown: 'warn',
  skipped: 'dim',
}

const VERDICT_TONE: Readonly<Record<Report['verdict'], Tone>> = {
  pass: 'good',
  warn: 'warn',
  fail: 'bad',
  unknown: 'warn',
  error: 'bad',
}

const shownRemedies = 4

export function reportTable(report: Report, style: TextStyle): string {
  const rows = worstFirst(report.deployments)
  const compared = rows.some(row => row.baseline)
  const out: string[] = []
  if (rows.length > 0) {
    out.push(
      grid(
        [
          { title: 'Verdict' },
          { title: 'Deployment', flexible: true },
          { title: 'Model', flexible: true },
          { title: 'GPU', flexible: true },
          { title: 'Needs', align: 'right' },
          { title: 'Has', align: 'right' },
          { title: 'Used', align: 'right' },
          ...(compared ? [{ title: 'Change', align: 'right' as const }] : []),
        ],
        rows.map(row => cellsOf(row, compared)),
        style,
      ).trimEnd(),
      'GiB per GPU, on the fullest one',
    )
  }
  for (const [text, alike] of sameDetails(rows, style)) {
    const [first] = alike
    out.push('')
    for (const { id, verdict } of alike)
      out.push(`${style.paint(TONE[verdict.status], verdict.status)} ${style.paint('strong', id)}`)
    out.push(text)
    if (first!.remedies.length > shownRemedies)
      out.push(`    and ${first!.remedies.length - shownRemedies} more: hf-vram-calc explain '${first!.id}'`)
  }
  const removed = report.removed ?? []
  if (removed.length > 0) out.push('', ...wrap(`Removed: ${removed.map(row => row.id).join(', ')}`, style.width))
  if (report.notUnderstood.length > 0) {
    out.push('', style.paint('strong', 'Not understood'))
    for (const entry of report.notUnderstood)
      out.push(...indented(`${placeText(entry)} ${entry.reason}: ${entry.message}`, style))
  }
  for (const problem of report.problems) out.push('', ...wrap(problemText(problem), style.width))
  for (const message of report.policy?.messages ?? [])
    out.push('', ...wrap(`${message.level}: ${message.message}`, style.width))
  if (report.policy?.edited) out.push('', ...wrap(report.policy.edited.message, style.width))
  const say = (tone: Tone, text: string) => out.push(...wrap(text, style.width).map(line => style.paint(tone, line)))
  out.push('')
  say(VERDICT_TONE[report.verdict], verdictLine(report))
  say('dim', coverageText(report))
  return `${out.join('\n').replace(/^\n+/, '')}\n`
}

function cellsOf(row: ReportDeployment, compared: boolean): Cell[] {
  const { needs, has, share } = needText(row)
  const status = row.verdict.status
  const refused = status === 'fits' && isRefused(row)
  const word = refused ? 'fits (refused)' : status
  const delta =
    row.baseline?.change === 'new' ? 'new' : row.baseline?.deltaBytes == null ? '-' : deltaText(row.baseline.deltaBytes)
  return [
    {
      text: isExempted(row) ? `${word} (exempt)` : word,
      tone: refused ? TONE.tight : TONE[status],
    },
    placeText(row.location),
    row.model.id ?? '-',
    targetText(row),
    needs,
    has,
    share === null ? '-' : `${Math.round(100 * share)} %`,
    ...(compared ? [delta] : []),
  ]
}

function indented(text: string, style: TextStyle, by = '  '): string[] {
  return wrap(text, style.width - by.length).map(line => `${by}${line}`)
}

/** Deployments by what is to say of them, so that many with one cause say it once. */
function sameDetails(rows: readonly ReportDeployment[], style: TextStyle): Map<string, ReportDeployment[]> {
  const groups = new Map<string, ReportDeployment[]>()
  for (const row of rows) {
    const text = detailLines(row, style).join('\n')
    if (text === '') continue
    const known = groups.get(text)
    if (known) known.push(row)
    else groups.set(text, [row])
  }
  return groups
}

/** Reasons, findings, remedies of one deployment; nothing for one that simply fits. */
function detailLines(row: ReportDeployment, style: TextStyle): string[] {
  const quiet = row.verdict.status === 'fits' && row.findings.every(finding => finding.severity === 'notice')
  if (quiet) return []
  const lines: string[] = []
  for (const reason of row.verdict.reasons) lines.push(...indented(reason.message, style))
  for (const finding of row.findings) {
    if (finding.severity === 'notice') continue
    const where = finding.file && finding.line ? `${finding.file}:${finding.line}: ` : ''
    lines.push(...indented(`${finding.severity}: ${where}${finding.message}`, style))
  }
  if (row.exemption) lines.push(...indented(`${exemptionText(row.exemption)}: ${row.exemption.reason}`, style))
  for (const cause of row.baseline?.causes ?? [])
    lines.push(
      ...indented(
        `${deltaText(cause.deltaBytes)} GiB by ${cause.setting} ${String(cause.from ?? 'unset')} -> ${String(cause.to ?? 'unset')}`,
        style,
      ),
    )
  if (row.remedies.length > 0) {
    lines.push('  What would fit:')
    for (const remedy of row.remedies.slice(0, shownRemedies)) {
      const flags = remedy.change.map(changeText).join(' ')
      lines.push(
        ...indented(
          `${flags}  (${remedy.note}; ${(remedy.totalBytes.expected / 2 ** 30).toFixed(2)} GiB, ${remedy.status})`,
          style,
          '    ',
        ),
      )
    }
  }
  return lines
}
