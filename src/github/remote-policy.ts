import { type PolicyResult, parsePolicy } from '../policy/parse.ts'
import type { GitHubApi } from './client.ts'

/** A policy file of another repository: `owner/repo/path@ref`. */
export interface RemotePolicy {
  readonly owner: string
  readonly repo: string
  readonly path: string
  readonly ref: string
  /** The ref is a commit, which cannot move. */
  readonly pinned: boolean
}

/** Reads `owner/repo/path@ref`; null for a path of this repository. */
export function remotePolicyOf(text: string): RemotePolicy | null {
  const match = /^([\w-][\w.-]*)\/([\w-][\w.-]*)\/([^@]+)@([^@\s]+)$/.exec(text)
  if (!match) return null
  const [, owner = '', repo = '', path = '', ref = ''] = match
  if (path.split('/').some(part => part === '' || part === '.' || part === '..')) return null
  return { owner, repo, path, ref, pinned: /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(ref) }
}

/**
 * The policy of another repository through the contents API. Whatever keeps it from being read is a configuration
 * problem (`path-missing`): a gate whose rules cannot be read must not open.
 */
export async function loadRemotePolicy(remote: RemotePolicy, api: GitHubApi | null): Promise<PolicyResult> {
  const name = `${remote.owner}/${remote.repo}/${remote.path}@${remote.ref}`
  const fail = (why: string): PolicyResult => ({
    ok: false,
    problems: [
      {
        code: 'path-missing',
        message: `policy ${JSON.stringify(name)} cannot be read: ${why}`,
        hint: 'config-token needs contents: read on that repository',
      },
    ],
  })
  if (api === null) return fail('neither config-token nor github-token is given')
  const answer = await api.request<unknown>('GET /repos/{owner}/{repo}/contents/{path}', {
    owner: remote.owner,
    repo: remote.repo,
    path: remote.path,
    ref: remote.ref,
  })
  if (!answer.ok) return fail(`HTTP ${answer.status}: ${answer.message}`)
  const text = contentOf(answer.data)
  return text === null ? fail('it is no text file of at most 1 MiB') : parsePolicy(text, name)
}

/** Text of a contents answer: base64 with at most 1 MiB; null for folders, links, submodules and larger files. */
export function contentOf(data: unknown): string | null {
  const file = data as { type?: unknown; encoding?: unknown; content?: unknown }
  if (
    typeof data !== 'object' ||
    data === null ||
    file.type !== 'file' ||
    file.encoding !== 'base64' ||
    typeof file.content !== 'string'
  )
    return null
  return Buffer.from(file.content, 'base64')
    .toString('utf8')
    .replace(/^\uFEFF/, '')
}
