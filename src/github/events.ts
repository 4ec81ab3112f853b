/** What the event says about which commits to compare and where a comment could go. */
export interface EventFacts {
  readonly name: string
  /** Commit to check; null: the checked-out tree as it is. */
  readonly headSha: string | null
  /** Tip of the base, from which the merge base is found; null: nothing to compare with. */
  readonly baseSha: string | null
  /** The base commit is itself the comparison (merge queue), no merge base needed. */
  readonly baseIsExact: boolean
  readonly pullRequest: number | null
  /** The token of a fork's or Dependabot's run is read-only. */
  readonly fromFork: boolean
  /** Files of the head are read as data, never from the checkout (pull_request_target). */
  readonly headAsData: boolean
  /** Whose policy decides unless an input says otherwise. */
  readonly policyFromBase: boolean
  readonly messages: readonly string[]
}

type Json = { readonly [key: string]: unknown }
const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
const sha = (value: unknown): string | null =>
  typeof value === 'string' && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(value) && !/^0+$/.test(value) ? value : null

/**
 * Reads an event's payload (untrusted, may be malformed). `workflowSha` is GITHUB_SHA: on `pull_request` the merge
 * commit that is checked out. Unknown events check the head only.
 */
export function readEvent(name: string, payload: unknown, actor: string, workflowSha: string | null): EventFacts {
  const event = object(payload)
  const plain: EventFacts = {
    name,
    headSha: sha(workflowSha),
    baseSha: null,
    baseIsExact: false,
    pullRequest: null,
    fromFork: false,
    headAsData: false,
    policyFromBase: false,
    messages: [],
  }
  if (name === 'pull_request' || name === 'pull_request_target') {
    const pull = object(event['pull_request'])
    const head = object(pull['head'])
    const base = object(pull['base'])
    const number = typeof pull['number'] === 'number' ? pull['number'] : event['number']
    const headRepository = object(head['repo'])['full_name']
    const fork = headRepository !== object(base['repo'])['full_name']
    const headSha = sha(head['sha'])
    if (headSha === null)
      return {
        ...plain,
        messages: [`the payload of ${name} names no head commit: only the checked-out files are checked`],
      }
    return {
      ...plain,
      headSha,
      baseSha: sha(base['sha']),
      pullRequest: typeof number === 'number' && Number.isInteger(number) && number > 0 ? number : null,
      fromFork: name === 'pull_request' && (fork || actor === 'dependabot[bot]'),
      headAsData: name === 'pull_request_target',
      policyFromBase: true,
    }
  }
  if (name === 'merge_group') {
    const group = object(event['merge_group'])
    return {
      ...plain,
      headSha: sha(group['head_sha']) ?? plain.headSha,
      baseSha: sha(group['base_sha']),
      baseIsExact: true,
      policyFromBase: true,
    }
  }
  return plain
}

/** The run that triggered a `workflow_run`. */
export interface TriggeringRun {
  readonly headSha: string | null
  /** Pull requests GitHub names; none for forks. */
  readonly pullRequests: readonly number[]
  readonly runId: number | null
  /** "owner:branch" of the head, by which a fork's pull request is found. */
  readonly head: string | null
}

export function readWorkflowRun(payload: unknown): TriggeringRun {
  const run = object(object(payload)['workflow_run'])
  const owner = object(object(run['head_repository'])['owner'])['login']
  const branch = run['head_branch']
  const pulls = Array.isArray(run['pull_requests']) ? run['pull_requests'] : []
  return {
    headSha: sha(run['head_sha']),
    pullRequests: pulls
      .map(pull => object(pull)['number'])
      .filter((n): n is number => typeof n === 'number' && Number.isInteger(n) && n > 0),
    runId: typeof run['id'] === 'number' ? run['id'] : null,
    head: typeof owner === 'string' && typeof branch === 'string' ? `${owner}:${branch}` : null,
  }
}
