import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { type CheckOutcome, check } from '../check.ts'
import { directDeployments } from '../deployments/direct.ts'
import type { ModelPorts } from '../find-model.ts'
import { loadPolicy } from '../policy/load.ts'
import { withOverrides } from '../policy/overrides.ts'
import type { Policy } from '../policy/policy.ts'
import { type Problem, problemText, type Result } from '../problem.ts'
import { annotationsOf } from '../report/annotations.ts'
import { plainStyle } from '../report/grid.ts'
import { reportJson } from '../report/json.ts'
import { type MarkdownContext, reportMarkdown } from '../report/markdown.ts'
import type { Report } from '../report/report.ts'
import { reportSarif } from '../report/sarif.ts'
import { reportTable } from '../report/table.ts'
import type { Repository } from '../repository/repository.ts'
import { workingTree } from '../repository/working-tree.ts'
import { baseTree, type CommitTree, headTree } from './base.ts'
import { type GitHubApi, gitHubApi, type RetryPolicy } from './client.ts'
import { type CommentResult, type Marker, putComment } from './comment.ts'
import { type EventFacts, readEvent } from './events.ts'
import type { ActionInputs } from './inputs.ts'
import { commentOutputs, noOutputs, type Outputs, reportOutputs } from './outputs.ts'
import { loadRemotePolicy, remotePolicyOf } from './remote-policy.ts'
import type { Runner } from './runner.ts'
import { basePolicyOf, type Decision, decide } from './whose-policy.ts'

/** What surrounds the action, read once by the door. */
export interface ActionWorld {
  readonly env: NodeJS.ProcessEnv
  readonly runner: Runner
  readonly scrub: (text: string) => string
  readonly now: () => Date
  readonly sleep: (ms: number) => Promise<void>
  /** How models are found for a root and its policy: repository paths, lock file, catalogue, Hub. */
  readonly findModel: (root: Repository, policy: Policy, mayWriteCache: boolean) => Promise<Result<ModelPorts>>
}

const COMMENT_LIMIT = 60_000
const SUMMARY_LIMIT = 900 * 1024

interface Surroundings {
  readonly owner: string
  readonly repo: string
  readonly serverUrl: string
  readonly runUrl: string | null
  readonly event: EventFacts
  readonly api: GitHubApi | null
  readonly root: string
  readonly folder: string
}

/** Runs the gate for the event and says the result in the order of the contract; gives the exit code. */
export async function runAction(inputs: ActionInputs, world: ActionWorld): Promise<number> {
  const { runner } = world
  let outputs: Outputs = { ...noOutputs, verdict: 'error', passed: 'false', 'comment-status': 'skipped-no-pr' }
  const refuse = (problems: readonly Problem[]): number => {
    for (const problem of problems) runner.fail(problemText(problem))
    runner.outputs(outputs)
    return 2
  }
  const placed = surroundings(inputs, world)
  if (!placed.ok) return refuse([placed.problem])
  const around = placed.value
  const { event } = around
  for (const message of event.messages) runner.warn(message)
  outputs = { ...outputs, 'head-sha': event.headSha ?? '' }

  let base: CommitTree | null = null
  let head: CommitTree | null = null
  try {
    const tree = await treesOf(inputs, around, world)
    if (!tree.ok) return refuse([tree.problem])
    head = tree.value.headTree
    base = tree.value.base
    const { messages } = tree.value
    outputs = { ...outputs, 'base-sha': base?.sha ?? '' }
    const judged = await judge(inputs, around, world, tree.value)
    if (!judged.ok) {
      await refusalSummary(inputs, runner, judged.problems)
      return refuse(judged.problems)
    }
    const { report } = judged.value
    for (const message of messages) runner.warn(message)
    return await tell(report, inputs, around, world, outputs)
  } finally {
    await base?.close()
    await head?.close()
  }
}

function surroundings(inputs: ActionInputs, world: ActionWorld): Result<Surroundings> {
  const { env } = world
  const workspace = resolve(env['GITHUB_WORKSPACE'] || '.')
  const folder = resolve(workspace, inputs.workingDirectory)
  const inside = relative(workspace, folder)
  if (inside.startsWith('..') || isAbsolute(inside))
    return {
      ok: false,
      problem: {
        code: 'usage',
        message: `input working-directory ${JSON.stringify(inputs.workingDirectory)} leaves the workspace`,
        hint: 'give a folder inside it',
      },
    }
  const [owner = '', repo = ''] = (env['GITHUB_REPOSITORY'] ?? '').split('/')
  const serverUrl = (env['GITHUB_SERVER_URL'] || 'https://github.com').replace(/\/+$/, '')
  const runId = env['GITHUB_RUN_ID']
  let payload: unknown = null
  let trouble: string | null = null
  const path = env['GITHUB_EVENT_PATH']
  if (!path) trouble = 'GITHUB_EVENT_PATH is not set'
  else
    try {
      payload = JSON.parse(readFileSync(path, 'utf8'))
    } catch (error) {
      trouble = `the event file cannot be read: ${error instanceof Error ? error.message : String(error)}`
    }
  const event = readEvent(
    env['GITHUB_EVENT_NAME'] || 'unknown',
    payload,
    env['GITHUB_ACTOR'] ?? '',
    env['GITHUB_SHA'] ?? null,
  )
  const told: EventFacts =
    trouble === null
      ? event
      : {
          ...readEvent('unknown', null, '', env['GITHUB_SHA'] ?? null),
          messages: [`${trouble}: only the checked-out files are checked, without a comparison`],
        }
  const api = inputs.githubToken === '' || owner === '' ? null : apiOf(inputs.githubToken, inputs, world)
  return {
    ok: true,
    value: {
      owner,
      repo,
      serverUrl,
      runUrl: runId && owner ? `${serverUrl}/${owner}/${repo}/actions/runs/${runId}` : null,
      event: { ...told, ...(inputs.prNumber === null ? {} : { pullRequest: inputs.prNumber }) },
      api,
      root: workspace,
      folder,
    },
  }
}

function apiOf(token: string, inputs: ActionInputs, world: ActionWorld): GitHubApi {
  const policy: RetryPolicy = {
    retries: inputs.maxRetries,
    requestTimeoutMs: inputs.requestTimeoutMs,
    deadline: world.now().getTime() + inputs.timeoutMs,
    now: () => world.now().getTime(),
    sleep: world.sleep,
  }
  return gitHubApi(token, world.env['GITHUB_API_URL'] || 'https://api.github.com', policy)
}

interface Trees {
  readonly head: Repository
  readonly headTree: CommitTree | null
  readonly base: CommitTree | null
  readonly messages: readonly string[]
}

/** The files of the head and of the base, each as data; without a base only a message. */
async function treesOf(inputs: ActionInputs, around: Surroundings, world: ActionWorld): Promise<Result<Trees>> {
  const { event } = around
  const messages: string[] = []
  const question = {
    root: around.root,
    owner: around.owner,
    repo: around.repo,
    token: inputs.githubToken,
    serverUrl: around.serverUrl,
  }
  let headTreeFound: CommitTree | null = null
  let head: Repository = workingTree(around.folder)
  if (event.headAsData && event.headSha !== null && event.pullRequest !== null) {
    const found = await headTree({ ...question, sha: event.headSha, pullRequest: event.pullRequest }, around.api)
    if (!found.ok) return found
    headTreeFound = found.value
    const repository = await found.value.repository({}, relative(around.root, around.folder))
    if (!repository.ok) return repository
    head = repository.value
  } else if (inputs.headRef !== null) {
    const found = await headTree({ ...question, sha: inputs.headRef, pullRequest: null }, around.api)
    if (!found.ok) return found
    headTreeFound = found.value
    const repository = await found.value.repository({}, relative(around.root, around.folder))
    if (!repository.ok) return repository
    head = repository.value
  }
  const baseSha = inputs.baseRef ?? event.baseSha
  if (baseSha === null) return { ok: true, value: { head, headTree: headTreeFound, base: null, messages } }
  const base = await baseTree(
    {
      ...question,
      baseSha,
      headSha: inputs.headRef ?? event.headSha ?? 'HEAD',
      exact: event.baseIsExact,
      head,
      folder: relative(around.root, around.folder),
    },
    around.api,
  )
  if (!base.ok) messages.push(`no comparison: ${problemText(base.problem)}`)
  void world
  return { ok: true, value: { head, headTree: headTreeFound, base: base.ok ? base.value : null, messages } }
}

type Judgement =
  | { readonly ok: true; readonly value: CheckOutcome }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Reads the policies, decides whose counts, and runs the gate. */
async function judge(inputs: ActionInputs, around: Surroundings, world: ActionWorld, trees: Trees): Promise<Judgement> {
  const name = inputs.configFile ?? undefined
  const overrides = {
    ...inputs.policy,
    include: inputs.files.filter(glob => !glob.startsWith('!')),
    exclude: [...inputs.ignorePaths, ...inputs.files.filter(glob => glob.startsWith('!')).map(glob => glob.slice(1))],
    set: Object.entries(inputs.settings).map(([key, value]) => `${key}=${value}`),
  }
  const folder = relative(around.root, around.folder)
  const baseFiles = trees.base === null ? null : await trees.base.repository({}, folder)
  const baseRepository = baseFiles?.ok ? baseFiles.value : null
  const wantsBase = inputs.configSource === 'base' || (inputs.configSource === null && around.event.policyFromBase)
  const decided =
    (await decideRemotely(inputs, world)) ??
    decide(
      await loadPolicy(trees.head, name),
      wantsBase ? await basePolicyOf(baseRepository, wantsBase, name) : null,
      inputs.configSource === 'base',
    )
  if (!decided.ok) return decided
  const final = withOverrides(decided.value.policy, overrides, key => `input ${key}`)
  if (!final.ok) return final
  const extra = directDeployments(inputs.modelIds, 'input model-ids')
  if (!extra.ok) return { ok: false, problems: [extra.problem] }
  const policy = final.value
  const selection = { include: policy.include, exclude: policy.exclude }
  const head =
    trees.headTree === null
      ? workingTree(around.folder, selection)
      : await selected(trees.headTree, selection, folder, trees.head)
  const base = trees.base === null ? null : await selected(trees.base, selection, folder, baseRepository)
  const find = await world.findModel(trees.head, policy, !around.event.headAsData)
  if (!find.ok) return { ok: false, problems: [find.problem] }
  const edited =
    decided.value.headPolicy === null ? null : withOverrides(decided.value.headPolicy, overrides, key => `input ${key}`)
  const outcome = await check({
    head,
    policy,
    base,
    ports: { ...find.value, now: world.now() },
    extra: extra.value,
    workload: inputs.workload,
    policyFacts: decided.value.facts,
    headPolicy: edited?.ok ? edited.value : null,
    bounds: { files: inputs.maxFiles, bytes: inputs.maxFileSize },
  })
  return { ok: true, value: outcome }
}

async function selected(
  tree: CommitTree,
  selection: { include: readonly string[]; exclude: readonly string[] },
  folder: string,
  otherwise: Repository | null,
): Promise<Repository> {
  const found = await tree.repository(selection, folder)
  if (found.ok) return found.value
  if (otherwise !== null) return otherwise
  throw new Error(`files that were just read cannot be listed: ${found.problem.message}`)
}

/** The policy of another repository decides alone, whatever this one has; null when none is named. */
async function decideRemotely(inputs: ActionInputs, world: ActionWorld): Promise<Decision | null> {
  const remote = inputs.configFile === null ? null : remotePolicyOf(inputs.configFile)
  if (remote === null) return null
  const token = inputs.configToken || inputs.githubToken
  const found = await loadRemotePolicy(remote, token === '' ? null : apiOf(token, inputs, world))
  if (!found.ok) return found
  const messages = remote.pinned
    ? []
    : [
        {
          level: 'warning' as const,
          message: `config-file ${inputs.configFile} is not pinned to a commit: whoever moves ${remote.ref} changes this gate`,
        },
      ]
  return {
    ok: true,
    value: { policy: found.value, headPolicy: null, facts: { file: found.value.file, from: 'remote', messages } },
  }
}

/** 1 report and SARIF files, 2 outputs, 3 summary, 4 annotations, 5 comment, 6 exit code. */
async function tell(
  report: Report,
  inputs: ActionInputs,
  around: Surroundings,
  world: ActionWorld,
  given: Outputs,
): Promise<number> {
  const { runner, env } = world
  const text = world.scrub(reportJson(report))
  const written = (path: string, content: string): string | null => {
    try {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, content)
      return path
    } catch (error) {
      runner.warn(`${path} could not be written: ${error instanceof Error ? error.message : String(error)}`)
      return null
    }
  }
  const temporary = join(env['RUNNER_TEMP'] || join(around.root, '.hf-vram-calc'), 'hf-vram-calc')
  const reportPath =
    inputs.reportFile === null
      ? env['RUNNER_TEMP']
        ? written(join(temporary, 'report.json'), text)
        : null
      : written(resolve(around.root, inputs.reportFile), text)
  const prefix = relative(around.root, around.folder).replaceAll('\\', '/')
  const rooted = prefix === '' ? report : withPrefix(report, `${prefix}/`)
  const sarifPath =
    inputs.sarifFile === null ? null : written(resolve(around.root, inputs.sarifFile), world.scrub(reportSarif(rooted)))
  runner.log(reportTable(report, plainStyle))

  const context = markdownContext(report, around, inputs)
  const forComment = reportMarkdown(rooted, context, {
    limit: COMMENT_LIMIT - 600,
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
  const comment = await commentOn(report, inputs, around, world, world.scrub(forComment))
  if (comment.warning !== null) runner.warn(comment.warning)
  outputs = { ...outputs, ...commentOutputs(comment) }
  runner.outputs(outputs)
  return report.verdict === 'fail' && report.enforced ? 1 : report.verdict === 'error' ? 2 : 0
}

function withPrefix(report: Report, prefix: string): Report {
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

/** Is there something that a pull request's reader was not told before? */
function hasNews(report: Report): boolean {
  return (
    report.verdict === 'fail' ||
    (report.removed ?? []).length > 0 ||
    report.policy?.edited != null ||
    report.deployments.some(row => row.baseline === null || row.baseline.change !== 'unchanged')
  )
}

async function commentOn(
  report: Report,
  inputs: ActionInputs,
  around: Surroundings,
  world: ActionWorld,
  body: string,
): Promise<CommentResult> {
  const nothing = { id: null, url: null }
  const { event, api } = around
  if (event.pullRequest === null || event.name === 'merge_group')
    return { status: 'skipped-no-pr', ...nothing, warning: null }
  if (inputs.comment === 'never') return { status: 'unchanged', ...nothing, warning: null }
  if (api === null)
    return { status: 'skipped-read-only', ...nothing, warning: 'no github-token: no comment is written' }
  const { env } = world
  const marker: Marker = {
    key:
      inputs.commentKey ??
      [env['GITHUB_WORKFLOW'], env['GITHUB_JOB'], env['HF_VRAM_CALC_MATRIX']].filter(Boolean).join('/'),
    headSha: event.headSha ?? '',
    runNumber: Number(env['GITHUB_RUN_NUMBER']) || 0,
    runId: Number(env['GITHUB_RUN_ID']) || 0,
    attempt: Number(env['GITHUB_RUN_ATTEMPT']) || 1,
  }
  const create =
    inputs.comment === 'always' || (inputs.comment === 'on-failure' ? report.verdict === 'fail' : hasNews(report))
  return putComment(
    api,
    { owner: around.owner, repo: around.repo, pullRequest: event.pullRequest },
    { mode: inputs.commentMode, body, marker, createWhenNone: create },
  )
}

async function refusalSummary(inputs: ActionInputs, runner: Runner, problems: readonly Problem[]): Promise<void> {
  if (!inputs.jobSummary) return
  const lines = problems.map(problem => `- ${problemText(problem).replaceAll('<', '&lt;').replaceAll('@', '@\u200b')}`)
  await runner.summary(`### ❌ ERROR: the gate's configuration is wrong\n\n${lines.join('\n')}\n`)
}
