import { createHash } from 'node:crypto'
import { join, relative, resolve } from 'node:path'
import { type Problem, problemText } from '../problem.ts'
import { annotationsOf } from '../report/annotations.ts'
import { plainStyle } from '../report/grid.ts'
import { reportJson } from '../report/json.ts'
import { type MarkdownContext, reportMarkdown } from '../report/markdown.ts'
import type { Report } from '../report/report.ts'
import { reportSarif } from '../report/sarif.ts'
import { reportTable } from '../report/table.ts'
import { writeText } from '../repository/write-text.ts'
import type { ActionWorld, Surroundings } from './around.ts'
import { bodyLimit, type CommentResult, type Marker, putComment } from './comment.ts'
import type { ActionInputs } from './inputs.ts'
import { commentOutputs, type Outputs, reportOutputs } from './outputs.ts'
import type { Runner } from './runner.ts'

const SUMMARY_LIMIT = 900 * 1024

/** 1 report and SARIF files, 2 outputs, 3 summary, 4 annotations, 5 comment, 6 exit code. */
export async function tell(
  report: Report,
  inputs: ActionInputs,
  around: Surroundings,
  world: ActionWorld,
  given: Outputs,
): Promise<number> {
  const { runner, env } = world
  const text = world.scrub(reportJson(report))
  const written = (path: string, content: string): string | null => {
    const hindered = writeText(path, content)
    if (hindered === null) return path
    runner.warn(`${path} could not be written: ${hindered}`)
    return null
  }
  const temporary = join(env['RUNNER_TEMP'] || join(around.root, '.hf-vram-calc'), 'hf-vram-calc')
  const reportPath =
    inputs.reportFile === null
      ? env['RUNNER_TEMP']
        ? written(join(temporary, 'report.json'), text)
        : null
      : written(resolve(around.root, inputs.reportFile), text)
  const prefix = relative(around.root, around.folder).replaceAll('\\', '/')
  const rooted = rootedAt(report, prefix)
  const sarifPath =
    inputs.sarifFile === null ? null : written(resolve(around.root, inputs.sarifFile), world.scrub(reportSarif(rooted)))
  runner.log(reportTable(report, plainStyle))

  const context = markdownContext(report, around, inputs)
  const marker = markerOf(inputs, around, env)
  const forComment = reportMarkdown(rooted, context, {
    limit: bodyLimit(marker),
    measure: body => body.length,
    elsewhere: context.runUrl === null ? 'the job summary' : `the [job summary](${context.runUrl})`,
  })
  let outputs: Outputs = {
    ...given,
    ...reportOutputs(report, text),
    'report-path': reportPath ?? '',
    'sarif-path': sarifPath ?? '',
    'summary-markdown': forComment,
  }
  runner.outputs(outputs)
  if (inputs.jobSummary) {
    const summary = reportMarkdown(
      rooted,
      { ...context, files: context.files === null ? null : `../../blob/${around.event.headSha}/` },
      { limit: SUMMARY_LIMIT, measure: body => Buffer.byteLength(body), elsewhere: 'the JSON report' },
    )
    await runner.summary(summary)
  }
  if (inputs.annotations) runner.annotate(annotationsOf(report), prefix === '' ? '' : `${prefix}/`)
  const comment = await commentOn(report, inputs, around, marker, world.scrub(forComment))
  if (comment.warning !== null) runner.warn(comment.warning)
  outputs = { ...outputs, ...commentOutputs(comment) }
  runner.outputs(outputs)
  return report.verdict === 'fail' && report.enforced ? 1 : report.verdict === 'error' ? 2 : 0
}

/** The report with files as the repository has them, where a folder of it was checked. */
export function rootedAt(report: Report, folder: string): Report {
  if (folder === '' || folder === '.') return report
  const prefix = `${folder.replace(/\/+$/, '')}/`
  const at = <T extends { readonly file: string }>(place: T): T => ({ ...place, file: prefix + place.file })
  return {
    ...report,
    deployments: report.deployments.map(row => ({
      ...row,
      location: at(row.location),
      findings: row.findings.map(finding =>
        finding.file === undefined ? finding : { ...finding, file: prefix + finding.file },
      ),
      settings: Object.fromEntries(
        Object.entries(row.settings).map(([name, setting]) => [
          name,
          setting.file === undefined ? setting : { ...setting, file: prefix + setting.file },
        ]),
      ),
    })),
    notUnderstood: report.notUnderstood.map(at),
    problems: report.problems.map(problem => (problem.at ? { ...problem, at: at(problem.at) } : problem)),
  }
}

function markdownContext(report: Report, around: Surroundings, inputs: ActionInputs): MarkdownContext {
  const { event } = around
  const notices: string[] = []
  if (event.fromFork)
    notices.push(
      'this pull request comes from a fork or from Dependabot: its token cannot comment, the verdict is the same',
    )
  for (const message of report.policy?.messages ?? []) if (message.level === 'notice') notices.push(message.message)
  return {
    files:
      event.headSha === null || around.owner === ''
        ? null
        : `${around.serverUrl}/${around.owner}/${around.repo}/blob/${event.headSha}/`,
    headSha: event.headSha,
    runUrl: around.runUrl,
    notices,
    collapseUnchanged: inputs.collapseUnchanged,
  }
}

function markerOf(inputs: ActionInputs, { event }: Surroundings, env: ActionWorld['env']): Marker {
  // A leg may be long and of any form.
  const leg = inputs.matrix === null ? null : createHash('sha256').update(inputs.matrix).digest('hex').slice(0, 12)
  return {
    key: inputs.commentKey ?? [env['GITHUB_WORKFLOW'], env['GITHUB_JOB'], leg].filter(Boolean).join('/'),
    headSha: event.headSha ?? '',
    runNumber: Number(env['GITHUB_RUN_NUMBER']) || 0,
    runId: Number(env['GITHUB_RUN_ID']) || 0,
    attempt: Number(env['GITHUB_RUN_ATTEMPT']) || 1,
  }
}

/** Is a first comment worth writing: does the report have something that the reader was not told before? */
export function worthComment(report: Report, when: ActionInputs['comment']): boolean {
  if (when === 'always' || when === 'never') return when === 'always'
  return (
    report.verdict === 'fail' ||
    (when === 'on-change' &&
      ((report.removed ?? []).length > 0 ||
        report.policy?.edited != null ||
        report.deployments.some(row => row.baseline === null || row.baseline.change !== 'unchanged')))
  )
}

async function commentOn(
  report: Report,
  inputs: ActionInputs,
  around: Surroundings,
  marker: Marker,
  body: string,
): Promise<CommentResult> {
  const nothing = { id: null, url: null }
  const { event, api } = around
  if (event.pullRequest === null || event.name === 'merge_group')
    return { status: 'skipped-no-pr', ...nothing, warning: null }
  if (inputs.comment === 'never') return { status: 'unchanged', ...nothing, warning: null }
  if (api === null)
    return { status: 'skipped-read-only', ...nothing, warning: 'no github-token: no comment is written' }
  return putComment(
    api,
    { owner: around.owner, repo: around.repo, pullRequest: event.pullRequest },
    { mode: inputs.commentMode, body, marker, createWhenNone: worthComment(report, inputs.comment) },
  )
}

/** The job summary of a gate that could not run. */
export async function refusalSummary(
  inputs: ActionInputs,
  runner: Runner,
  problems: readonly Problem[],
): Promise<void> {
  if (!inputs.jobSummary) return
  const lines = problems.map(problem => `- ${problemText(problem).replaceAll('<', '&lt;').replaceAll('@', '@\u200b')}`)
  await runner.summary(`### ❌ ERROR: the gate's configuration is wrong\n\n${lines.join('\n')}\n`)
}
