import { partText } from '../memory/parts.ts'
import { gibText } from '../units/bytes.ts'
import { code, encodedPath, prose, told } from './escape.ts'
import { isExempted, type Report, type ReportDeployment, type Status } from './report.ts'
import {
  changeText,
  countsText,
  coverageText,
  deltaText,
  exemptionText,
  isRefused,
  needText,
  plural,
  targetText,
  worstFirst,
} from './words.ts'

/** Where links of a rendering lead. */
export interface MarkdownContext {
  /** Prefix of file links up to the path, with a slash at its end; null: files are shown without links. */
  readonly files: string | null
  readonly headSha: string | null
  readonly runUrl: string | null
  /** What the reader should know first: a fork's read-only token, a first adoption. */
  readonly notices: readonly string[]
  readonly collapseUnchanged: boolean
}

export interface Budget {
  readonly limit: number
  readonly measure: (text: string) => number
  /** Where the reader finds what was cut. */
  readonly elsewhere: string
}

const WORD: Readonly<Record<Status, string>> = {
  exceeds: '❌&nbsp;exceeds',
  tight: '⚠️&nbsp;tight',
  unknown: '❓&nbsp;unknown',
  fits: '✅&nbsp;fits',
  skipped: '➖&nbsp;skipped',
}
const HEAD: Readonly<Record<Report['verdict'], string>> = {
  pass: '✅ PASS',
  warn: '⚠️ WARN',
  fail: '❌ FAIL',
  unknown: '❓ UNKNOWN',
  error: '❌ ERROR',
}

/** How much of the report a rendering shows; each step gives up the least needed. */
interface Detail {
  readonly rows: number
  /** Places named in one row or one list of remedies. */
  readonly named: number
  readonly unchanged: boolean
  readonly assumptions: boolean
  readonly remedies: number
}

/**
 * The report as GitHub markdown within a budget. When it is too large, folded parts go first, then remedies, then rows
 * (worst first stay); what was cut is said with its number. A cut never falls inside a row, fence or details block,
 * because whole parts are left out.
 */
export function reportMarkdown(report: Report, context: MarkdownContext, budget: Budget): string {
  const ordered = worstFirst(report.deployments)
  const listed = {
    headline: headline(report),
    news: groupsOf(ordered.filter(isNews)),
    quiet: groupsOf(ordered.filter(row => !isNews(row))),
  }
  const all = listed.news.length
  const least = { rows: all, named: 10, unchanged: false, assumptions: false, remedies: 0 }
  // Many rows of many places each would be scrolled past.
  const named = all > 5 ? least.named : 50
  const ladder: Detail[] = [
    { ...least, named, unchanged: true, assumptions: true, remedies: 4 },
    { ...least, named, unchanged: true, remedies: 4 },
    { ...least, remedies: 3 },
    { ...least, remedies: 1 },
    least,
  ]
  const within = (detail: Detail) => {
    const text = render(report, listed, context, detail, budget)
    return budget.measure(text) <= budget.limit ? text : null
  }
  for (const detail of ladder) {
    const text = within(detail)
    if (text !== null) return text
  }
  let fits = 0
  let tooMany = all
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1
    if (within({ ...least, rows: middle }) !== null) fits = middle
    else tooMany = middle
  }
  return render(report, listed, context, { ...least, rows: fits }, budget)
}

/** Deployments whose row says the same: one row, which names each place. */
interface Group {
  readonly rows: readonly ReportDeployment[]
  readonly cells: Cells
}

interface Listed {
  readonly headline: string
  readonly news: readonly Group[]
  readonly quiet: readonly Group[]
}

const deploymentsOf = (groups: readonly Group[]): ReportDeployment[] => groups.flatMap(group => group.rows)

function groupsOf(rows: readonly ReportDeployment[]): Group[] {
  const groups = new Map<string, { rows: ReportDeployment[]; cells: Cells }>()
  for (const row of rows) {
    const cells = cellsOf(row)
    const lineless = { ...cells, why: cells.why.replace(OWN_LINE, '') }
    const key = JSON.stringify(lineless)
    const known = groups.get(key)
    if (!known) groups.set(key, { rows: [row], cells })
    else {
      known.rows.push(row)
      if (known.cells.why !== cells.why) known.cells = lineless
    }
  }
  return [...groups.values()]
}

/** Rows that a pull request's reader must see: failed, doubtful, or changed. */
function isNews(row: ReportDeployment): boolean {
  if (row.baseline && row.baseline.change !== 'unchanged') return true
  const wrong = row.verdict.status === 'exceeds' || row.verdict.status === 'tight' || row.verdict.status === 'unknown'
  return wrong || row.findings.some(finding => finding.severity === 'error')
}

function render(report: Report, listed: Listed, context: MarkdownContext, detail: Detail, budget: Budget): string {
  const news = deploymentsOf(listed.news)
  const quiet = deploymentsOf(listed.quiet)
  const compared = report.deployments.some(row => row.baseline)
  const shown = listed.news.slice(0, detail.rows)
  const parts: string[] = [listed.headline]
  for (const notice of context.notices) parts.push(alert('NOTE', notice))
  if (report.policy?.edited) parts.push(alert('IMPORTANT', report.policy.edited.message))
  if (shown.length > 0) parts.push(table(shown, compared, context, detail.named))
  const missing = news.length - deploymentsOf(shown).length
  if (missing > 0)
    parts.push(
      `**${plural(missing, 'more deployment is', 'more deployments are')} not shown here**; see ${budget.elsewhere}.`,
    )
  if (report.removed && report.removed.length > 0) {
    const names = report.removed
      .slice(0, 20)
      .map(row => code(row.id))
      .join(', ')
    parts.push(`Removed: ${names}${report.removed.length > 20 ? ` and ${report.removed.length - 20} more` : ''}`)
  }
  const remedies = remedyText(deploymentsOf(shown), detail)
  if (remedies !== '') parts.push(remedies)
  if (quiet.length > 0) {
    const title = compared
      ? `${quiet.length} unchanged`
      : `${quiet.length} ${quiet.every(row => row.verdict.status === 'fits') ? (quiet.length === 1 ? 'fits' : 'fit') : 'without a finding'}`
    const rows = detail.unchanged ? table(listed.quiet, false, context, detail.named) : null
    if (rows === null) parts.push(`${title}: not listed here; see ${budget.elsewhere}.`)
    else parts.push(context.collapseUnchanged ? folded(title, rows) : rows)
  }
  if (detail.assumptions) {
    const assumptions = assumptionText(news.length > 0 ? listed.news : listed.quiet)
    if (assumptions !== '') parts.push(folded('Assumptions and sources', assumptions))
  }
  parts.push(...restText(report, context))
  parts.push(footer(report, context))
  return `${parts.join('\n\n')}\n`
}

/** A message as a sentence: lines of one cell are told apart by it. Ids and flags stay as they are spelled. */
const sentence = (text: string): string =>
  text.replace(/^[a-z]+(?=[ :])/, word => word[0]!.toUpperCase() + word.slice(1))

const alert = (kind: string, text: string): string => `> [!${kind}]\n> ${told(sentence(text))}`

/** Counts by verdict; then the deployment that fills most of its budget: what it needs, has, and the change. */
function headline(report: Report): string {
  let worst: ReportDeployment | null = null
  let most = Number.NEGATIVE_INFINITY
  for (const row of report.deployments) {
    if (row.estimate === null || row.verdict.status === 'skipped') continue
    // What is exempted stands behind what fails.
    const filled = (needText(row).share ?? 0) - (isExempted(row) ? 1e6 : 0)
    if (filled > most) [worst, most] = [row, filled]
  }
  const soft = report.enforced || report.verdict !== 'fail' ? '' : ' (warn-only)'
  const title = `### ${HEAD[report.verdict]}${soft}: ${countsText(report)}`
  if (!worst) return title
  const { needs, has } = needText(worst)
  const change = worst.baseline?.deltaBytes ? ` (${deltaText(worst.baseline.deltaBytes)} GiB)` : ''
  return has === '-'
    ? title
    : `${title}\n\nFullest GPU: ${code(worst.model.id ?? worst.id)} needs **${needs} GiB**${change} and has **${has} GiB**`
}

function fileLink(row: { file: string; line: number }, context: MarkdownContext): string {
  const label = code(`${row.file}:${row.line}`)
  return context.files === null ? label : `[${label}](${context.files}${encodedPath(row.file)}#L${row.line})`
}

/** "██████████░░": a bar of twelve; what is over budget does not lengthen it. */
export function bar(share: number): string {
  const cells = 12
  const full = Math.max(0, Math.min(cells, Math.round(share * cells)))
  return '█'.repeat(full) + '░'.repeat(cells - full)
}

function table(groups: readonly Group[], compared: boolean, context: MarkdownContext, named: number): string {
  const whys = groups.some(({ cells }) => cells.why !== NOTHING)
  const head = `| Verdict${compared ? ', change' : ''} | Deployment | Needs / has, GiB per GPU |${whys ? ' Why |' : ''}`
  const rows = groups.map(({ rows, cells }) => {
    const places = firstOf(
      rows.map(row => row.location),
      named,
      at => fileLink(at, context),
    )
    const deployment = [cells.model, ...places].join('<br>')
    // The change has no column of its own: four columns are what a comment has room for.
    const status = compared && cells.delta !== '' ? `${cells.status}<br>${cells.delta}` : cells.status
    const why = rows.length > 1 ? cells.why : lineLinked(cells.why, rows[0]!.location.file, context)
    return `| ${status} | ${deployment} | ${cells.memory} |${whys ? ` ${why} |` : ''}`
  })
  return [head, `| --- | --- | --- |${whys ? ' --- |' : ''}`, ...rows].join('\n')
}

/** The first so many as text, and how many more there are. */
function firstOf<T>(all: readonly T[], most: number, text: (one: T) => string): string[] {
  const more = all.length - most
  return [...all.slice(0, most).map(text), ...(more > 0 ? [`and ${more} more`] : [])]
}

/** What a row says beside the place. */
interface Cells {
  readonly status: string
  readonly model: string
  readonly memory: string
  readonly delta: string
  readonly why: string
}

function cellsOf(row: ReportDeployment): Cells {
  const { needs, has, share } = needText(row)
  const { baseline } = row
  const bytes = baseline?.deltaBytes ?? 0
  const delta = baseline?.change === 'new' ? 'new' : bytes === 0 ? '' : `${deltaText(bytes)}&nbsp;GiB`
  // A memory that suffices is no green mark for a start that the engine refuses.
  const word = row.verdict.status === 'fits' && isRefused(row) ? '⚠️&nbsp;fits, refused' : WORD[row.verdict.status]
  const status = isExempted(row) ? `${word}, exempted` : word
  const memory = [
    code(targetText(row)),
    ...(row.estimate === null ? [] : [`${needs} / ${has}`]),
    // The bar alone is one word, so that the column stays narrow and no bar breaks.
    ...(share === null ? [] : [code(bar(share)), `${Math.round(share * 100)} %`]),
  ].join('<br>')
  return { status, model: row.model.id === null ? 'no model named' : code(row.model.id), memory, delta, why: why(row) }
}

/** Causes of a change, reasons, error findings and exemption, in one cell. */
function why(row: ReportDeployment): string {
  const said = (row.baseline?.causes ?? []).map(
    cause =>
      `${deltaText(cause.deltaBytes)} GiB: ${code(cause.setting)} ${code(shown(cause.from))}&nbsp;→&nbsp;${code(shown(cause.to))}`,
  )
  if (row.verdict.status !== 'fits')
    said.push(...row.verdict.reasons.map(reason => told(own(here(reason.message, row), row), 400)))
  if (row.verdict.status === 'exceeds' && row.baseline?.status === 'exceeds')
    said.push('Already exceeds on the base branch')
  for (const finding of row.findings)
    if (finding.severity !== 'notice') said.push(`${sentence(`${finding.severity}:`)} ${told(finding.message, 300)}`)
  if (row.exemption) said.push(sentence(`${exemptionText(row.exemption)}: ${prose(row.exemption.reason, 200)}`))
  return said.join('<br>') || NOTHING
}

const NOTHING = ' '

/** A sentence, unless it begins with the model's id, which may be a word. */
const own = (message: string, row: ReportDeployment): string =>
  row.model.id !== null && message.startsWith(row.model.id) ? message : sentence(message)

/** A line of the row's own file, as the row says it: rows that differ by it alone are one group, which leaves it out. */
const OWN_LINE = / \\\(line \d+\\\)/g

/** The row names its file already: "(deploy/chat.yaml:17)" is "(line 17)" in it. */
const here = (message: string, row: ReportDeployment): string => message.replaceAll(`(${row.location.file}:`, '(line ')

/** "(line 17)" with a link to it. */
const lineLinked = (why: string, file: string, context: MarkdownContext): string =>
  context.files === null
    ? why
    : why.replace(/\\\(line (\d+)\\\)/g, `\\([line&nbsp;$1](${context.files}${encodedPath(file)}#L$1)\\)`)

function shown(value: unknown): string {
  return value === null || value === undefined ? 'unset' : typeof value === 'string' ? value : JSON.stringify(value)
}

/** What would fit, once for all deployments where it is the same: each change as text to paste, with what it gives. */
function remedyText(rows: readonly ReportDeployment[], { remedies: most, named }: Detail): string {
  if (most === 0) return ''
  const blocks = new Map<string, { model: string; files: Set<string> }>()
  for (const row of rows) {
    if (row.remedies.length === 0 || row.verdict.status === 'fits') continue
    const lines = row.remedies.slice(0, most).map(remedy => {
      // Only what can be pasted is code: a flag or an id, not "with 2 GPUs".
      const change = remedy.change
        .map(one => (one.setting === 'target' || one.setting === 'gpusPerReplica' ? prose : code)(changeText(one)))
        .join(' ')
      const status = remedy.status === 'fits' ? '' : `, ${remedy.status}`
      return `- ${change}: ${gibText(remedy.totalBytes.expected)} GiB${status}, ${told(remedy.note, 200)}`
    })
    const model = code(row.model.id ?? row.id)
    const key = [model, ...lines].join('\n')
    const block = blocks.get(key) ?? { model, files: new Set() }
    blocks.set(key, block)
    block.files.add(row.location.file)
  }
  return [...blocks]
    .map(([key, { model, files }]) => {
      const places = firstOf([...files], named, code).join(', ')
      return `**What would fit for** ${model} (${places})${key.slice(model.length)}`
    })
    .join('\n\n')
}

function folded(title: string, body: string): string {
  return `<details>\n<summary>${title}</summary>\n\n${body}\n\n</details>`
}

function assumptionText(groups: readonly Group[]): string {
  const estimated = groups.filter(({ rows }) => rows[0]!.estimate)
  return firstOf(estimated, 40, ({ rows }) => {
    const [row] = rows
    const { perGpu, assumptions } = row!.estimate!
    const parts = perGpu.parts.map(part => {
      const range =
        part.bytes.low === part.bytes.high ? '' : ` (${gibText(part.bytes.low)} to ${gibText(part.bytes.high)})`
      return `  - ${partText(part.name)} ${gibText(part.bytes.expected)} GiB${range}, ${part.basis}: ${code(part.formula)}`
    })
    const { source, asOf } = row!.model
    const facts = source === null ? '' : `; model facts: ${source}${asOf ? ` (${asOf})` : ''}`
    const more = rows.length > 1 ? ` and ${rows.length - 1} more` : ''
    return [`- ${code(row!.id)}${more}${facts}`, ...parts, ...assumptions.map(text => `  - ${prose(text, 300)}`)].join(
      '\n',
    )
  })
    .map((block, i) => (i < 40 ? block : `- ${block}`))
    .join('\n')
}

/** Unknown and skipped parts of the repository, problems of the run, messages of the policy. */
function restText(report: Report, context: MarkdownContext): string[] {
  const out: string[] = []
  const listed = report.notUnderstood.slice(0, 10).map(entry => `${fileLink(entry, context)} (${entry.reason})`)
  const more = report.notUnderstood.length - listed.length
  out.push(
    `${coverageText(report)}${listed.length > 0 ? `: ${listed.join(', ')}${more > 0 ? ` and ${more} more` : ''}` : ''}`,
  )
  for (const problem of report.problems.slice(0, 10)) {
    const place = problem.at ? `${fileLink(problem.at, context)}: ` : ''
    out.push(`- ${place}${told(problem.message)}${problem.hint ? ` (${told(problem.hint)})` : ''}`)
  }
  const untold = (report.policy?.messages ?? []).filter(message => !context.notices.includes(message.message))
  for (const message of untold) out.push(`- ${sentence(`${message.level}:`)} ${told(message.message)}`)
  return out
}

function footer(report: Report, context: MarkdownContext): string {
  const bits = [
    `hf-vram-calc ${report.tool.version}`,
    ...(context.headSha ? [`commit ${code(context.headSha.slice(0, 12))}`] : []),
    ...(context.runUrl ? [`[run](${context.runUrl})`] : []),
    'figures are GiB on the fullest GPU',
  ]
  return `<sub>${bits.join(' · ')}</sub>`
}
