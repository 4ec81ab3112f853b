import { readFileSync, statSync } from 'node:fs'
import { posix, resolve } from 'node:path'
import { type Problem, problemText } from '../problem.ts'
import { reportMarkdown } from '../report/markdown.ts'
import { readReport } from '../report/read.ts'
import type { ActionWorld } from './around.ts'
import { gitHubApi } from './client.ts'
import { bodyLimit, type CommentResult, putComment } from './comment.ts'
import { readWorkflowRun } from './events.ts'
import type { ActionInputs } from './inputs.ts'
import { commentOutputs, noOutputs, reportOutputs } from './outputs.ts'
import { rootedAt, worthComment } from './tell.ts'

/** Reports are some kilobytes a deployment; larger than this is no report of ours. */
const MOST_REPORT_BYTES = 32 * 1024 * 1024

/**
 * `mode: comment` in a `workflow_run` job: posts the report of the triggering run. That run executed the pull request's
 * workflow, so its artifact is untrusted: it is checked against the schema, the pull request is looked up by the
 * triggering run's head commit and must still have it, and the markdown is rendered anew from the data.
 */
export async function postComment(inputs: ActionInputs, world: ActionWorld): Promise<number> {
  const { env, runner } = world
  const outputs = { ...noOutputs, verdict: 'error', passed: 'false', 'comment-status': 'failed' }
  const refuse = (problem: Problem): number => {
    runner.fail(problemText(problem))
    runner.outputs(outputs)
    return 2
  }
  if (inputs.reportFile === null)
    return refuse({
      code: 'usage',
      message: 'mode comment needs the input report-file',
      hint: "give the path of the downloaded artifact's report",
    })
  const path = resolve(env['GITHUB_WORKSPACE'] || '.', inputs.reportFile)
  let text: string
  try {
    if (statSync(path).size > MOST_REPORT_BYTES)
      return refuse({ code: 'usage', message: `the report ${inputs.reportFile} is larger than 32 MiB` })
    text = readFileSync(path, 'utf8')
  } catch (error) {
    return refuse({
      code: 'usage',
      message: `the report ${inputs.reportFile} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    })
  }
  const report = readReport(text)
  if (!report.ok) return refuse(report.problem)

  const payload = eventOf(env['GITHUB_EVENT_PATH'])
  const run = readWorkflowRun(payload)
  const [owner = '', repo = ''] = (env['GITHUB_REPOSITORY'] ?? '').split('/')
  if (inputs.githubToken === '' || owner === '')
    return refuse({ code: 'usage', message: 'mode comment needs github-token and a repository' })
  const api = gitHubApi(inputs.githubToken, env['GITHUB_API_URL'] || 'https://api.github.com', {
    retries: inputs.maxRetries,
    requestTimeoutMs: inputs.requestTimeoutMs,
    deadline: world.now().getTime() + inputs.timeoutMs,
    now: () => world.now().getTime(),
    sleep: world.sleep,
  })
  const headSha = run.headSha
  if (headSha === null)
    return refuse({
      code: 'usage',
      message: 'mode comment runs on workflow_run events only: the payload names no head commit',
    })
  const number = await pullRequestOf(inputs.prNumber, run.pullRequests, headSha)
  if (typeof number !== 'number') return refuse(number)
  const marker = {
    key: inputs.commentKey ?? 'workflow_run',
    headSha,
    runNumber: Number(env['GITHUB_RUN_NUMBER']) || 0,
    runId: Number(env['GITHUB_RUN_ID']) || 0,
    attempt: Number(env['GITHUB_RUN_ATTEMPT']) || 1,
  }
  const here = `${(env['GITHUB_SERVER_URL'] || 'https://github.com').replace(/\/+$/, '')}/${owner}/${repo}`
  const context = {
    files: `${here}/blob/${headSha}/`,
    headSha,
    runUrl: run.runId === null ? null : `${here}/actions/runs/${run.runId}`,
    notices: [],
    collapseUnchanged: inputs.collapseUnchanged,
  }
  const budget = {
    limit: bodyLimit(marker),
    measure: (body: string) => body.length,
    elsewhere: 'the summary of the run',
  }
  const result: CommentResult =
    inputs.comment === 'never'
      ? { status: 'unchanged', id: null, url: null, warning: null }
      : await putComment(
          api,
          { owner, repo, pullRequest: number },
          {
            mode: inputs.commentMode,
            createWhenNone: worthComment(report.value, inputs.comment),
            marker,
            body: world.scrub(
              reportMarkdown(rootedAt(report.value, posix.normalize(inputs.workingDirectory)), context, budget),
            ),
          },
        )
  if (result.warning !== null) runner.warn(result.warning)
  runner.outputs({ ...outputs, ...reportOutputs(report.value, text), ...commentOutputs(result), 'head-sha': headSha })
  return result.status === 'failed' ? 1 : 0

  /** The open pull request whose head is the triggering run's; a mismatch is refused. */
  async function pullRequestOf(asked: number | null, named: readonly number[], sha: string): Promise<number | Problem> {
    const candidates = asked !== null ? [asked] : named
    if (candidates.length === 0) {
      if (run.head === null)
        return { code: 'usage', message: 'the payload names no head branch to find the pull request by' }
      const found = await api.request<{ number: number; head: { sha: string } }[]>('GET /repos/{owner}/{repo}/pulls', {
        owner,
        repo,
        state: 'all',
        head: run.head,
        per_page: 100,
      })
      if (!found.ok)
        return {
          code: 'network',
          message: `the pull request of ${sha} cannot be looked up (HTTP ${found.status}: ${found.message})`,
        }
      const match = found.data.find(pull => pull.head.sha === sha)
      return (
        match?.number ?? {
          code: 'usage',
          message: `no pull request has the head ${sha}: it was pushed to since, or closed`,
        }
      )
    }
    for (const candidate of candidates) {
      const pull = await api.request<{ head: { sha: string } }>('GET /repos/{owner}/{repo}/pulls/{pull_number}', {
        owner,
        repo,
        pull_number: candidate,
      })
      if (pull.ok && pull.data.head.sha === sha) return candidate
    }
    return {
      code: 'usage',
      message: `the head of pull request ${candidates.join(', ')} is not ${sha}: its report is not posted`,
    }
  }
}

function eventOf(path: string | undefined): unknown {
  try {
    return path ? JSON.parse(readFileSync(path, 'utf8')) : null
  } catch {
    return null
  }
}
