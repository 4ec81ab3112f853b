import { readFileSync } from 'node:fs'
import { isAbsolute, relative, resolve } from 'node:path'
import type { ModelPorts } from '../find-model.ts'
import type { Vet } from '../models/sources/find-facts.ts'
import type { Policy } from '../policy/policy.ts'
import type { Result } from '../problem.ts'
import type { Repository } from '../repository/repository.ts'
import { type GitHubApi, gitHubApi, type RetryPolicy } from './client.ts'
import { type EventFacts, readEvent } from './events.ts'
import type { ActionInputs } from './inputs.ts'
import type { Runner } from './runner.ts'

/** What surrounds the action, read once by the door. */
export interface ActionWorld {
  readonly env: NodeJS.ProcessEnv
  readonly runner: Runner
  readonly scrub: (text: string) => string
  readonly now: () => Date
  readonly sleep: (ms: number) => Promise<void>
  /** How models are found for a root and its policy: repository paths, lock file, catalogue, Hub. */
  readonly findModel: (
    root: Repository,
    policy: Policy,
    mayWriteCache: boolean,
    vet?: Vet,
  ) => Promise<Result<ModelPorts>>
}

/** The run: its repository, event and folders, and how GitHub is asked (null without a token). */
export interface Surroundings {
  readonly owner: string
  readonly repo: string
  readonly serverUrl: string
  readonly runUrl: string | null
  readonly event: EventFacts
  readonly api: GitHubApi | null
  readonly root: string
  readonly folder: string
}

/** Reads the surroundings once; an unreadable event is told in its messages, a folder outside is a problem. */
export function surroundings(inputs: ActionInputs, world: ActionWorld): Result<Surroundings> {
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

/** The client of the token, with the retries and the deadline of the inputs. */
export function apiOf(token: string, inputs: ActionInputs, world: ActionWorld): GitHubApi {
  const policy: RetryPolicy = {
    retries: inputs.maxRetries,
    requestTimeoutMs: inputs.requestTimeoutMs,
    deadline: world.now().getTime() + inputs.timeoutMs,
    now: () => world.now().getTime(),
    sleep: world.sleep,
  }
  return gitHubApi(token, world.env['GITHUB_API_URL'] || 'https://api.github.com', policy)
}
