import { bad, good, type Problem, type Result } from '../problem.ts'
import { fetchObjects } from '../repository/fetched.ts'
import { mergeBase } from '../repository/git.ts'
import { gitCommit } from '../repository/git-commit.ts'
import type { Repository } from '../repository/repository.ts'
import type { Selection } from '../repository/selection.ts'
import type { GitHubApi } from './client.ts'

/** Where the base's files are read from. */
export interface BaseTree {
  readonly sha: string
  readonly repository: (selection: Selection) => Promise<Result<Repository>>
  readonly close: () => Promise<void>
}

export interface BaseQuestion {
  /** Root of the clone; null when the workspace is no git repository. */
  readonly root: string
  readonly baseSha: string
  readonly headSha: string
  /** The base commit itself is meant (merge queue), not the merge base with it. */
  readonly exact: boolean
  readonly owner: string
  readonly repo: string
  readonly token: string
  readonly serverUrl: string
  /** The head's files, over which changed files are laid when only the API can be read. */
  readonly head: Repository
}

interface Comparison {
  readonly merge_base_commit?: { readonly sha?: string }
  readonly files?: readonly { readonly filename: string; readonly status: string; readonly previous_filename?: string }[]
}

/** More changed files than this are fetched by git or not at all, so that the API's quota is left alone. */
const MOST_API_FILES = 60

/**
 * The files at the merge base, by the first way that works: the clone as it is; git fetching the one commit that the
 * API names into a private folder; the API's comparison with the changed files laid over the head's. Nothing of the
 * user's clone changes. The problem says why no way worked.
 */
export async function baseTree(question: BaseQuestion, api: GitHubApi | null): Promise<Result<BaseTree>> {
  const { root, baseSha, headSha } = question
  const local = question.exact ? await localCommit(root, baseSha) : await mergeBase(root, baseSha, headSha)
  if (local.ok) return good(plainTree(root, local.value))
  const problems: Problem[] = [local.problem]
  let sha: string | null = question.exact ? baseSha : null
  let comparison: Comparison | null = null
  if (sha === null && api !== null) {
    const answer = await api.request<Comparison>('GET /repos/{owner}/{repo}/compare/{basehead}', {
      owner: question.owner,
      repo: question.repo,
      basehead: `${baseSha}...${headSha}`,
    })
    if (answer.ok) {
      comparison = answer.data
      sha = answer.data.merge_base_commit?.sha ?? null
    } else problems.push({ code: 'network', message: `GitHub did not compare base and head (HTTP ${answer.status}: ${answer.message})` })
  }
  const fetched = await fetchedTree(question, sha)
  if (fetched.ok) return fetched
  problems.push(fetched.problem)
  if (api !== null && comparison !== null && sha !== null && (comparison.files ?? []).length <= MOST_API_FILES)
    return good(overlaidTree(question, sha, comparison, api))
  return bad('revision-missing', `the base cannot be read: ${problems.map(problem => problem.message).join('; ')}`, {
    hint: 'give actions/checkout fetch-depth: 0, or the job contents: read',
  })
}

async function localCommit(root: string, sha: string): Promise<Result<string>> {
  const tree = await gitCommit(root, sha)
  return tree.ok ? good(sha) : tree
}

const plainTree = (folder: string, sha: string, close: () => Promise<void> = async () => {}): BaseTree => ({
  sha,
  repository: selection => gitCommit(folder, sha, selection),
  close,
})

/** Commits of history to look through for a merge base, in growing steps, when the API did not name it. */
const DEPTHS = [50, 500]

async function fetchedTree(question: BaseQuestion, sha: string | null): Promise<Result<BaseTree>> {
  const access = { token: question.token, serverUrl: question.serverUrl }
  if (sha !== null) {
    const objects = await fetchObjects(question.root, [sha], { depth: 1, ...access })
    return objects.ok ? good(plainTree(objects.value.folder, sha, objects.value.remove)) : objects
  }
  let last: Result<BaseTree> = bad('revision-missing', 'the merge base was not found')
  for (const depth of DEPTHS) {
    const objects = await fetchObjects(question.root, [question.baseSha, question.headSha], { depth, ...access })
    if (!objects.ok) return objects
    const found = await mergeBase(objects.value.folder, question.baseSha, question.headSha)
    if (found.ok) return good(plainTree(objects.value.folder, found.value, objects.value.remove))
    last = found
    await objects.value.remove()
  }
  return last
}

/** The head's files with every changed one replaced by what the API has at the base: enough to judge the base. */
function overlaidTree(question: BaseQuestion, sha: string, comparison: Comparison, api: GitHubApi): BaseTree {
  const files = comparison.files ?? []
  const added = new Set(files.filter(file => file.status === 'added' || file.status === 'renamed' || file.status === 'copied').map(file => file.filename))
  const atBase = new Set([
    ...files.filter(file => file.status === 'modified' || file.status === 'changed' || file.status === 'removed').map(file => file.filename),
    ...files.filter(file => file.status === 'renamed' && file.previous_filename).map(file => file.previous_filename!),
  ])
  const texts = new Map<string, Promise<string | null>>()
  const textAt = (path: string): Promise<string | null> => {
    const known = texts.get(path)
    if (known) return known
    const wanted = api
      .request<unknown>('GET /repos/{owner}/{repo}/contents/{path}', { owner: question.owner, repo: question.repo, path, ref: sha })
      .then(answer => (answer.ok ? contentOf(answer.data) : null))
    texts.set(path, wanted)
    return wanted
  }
  const repository: Repository = {
    list: async () => {
      const { files: listed, truncated } = await question.head.list()
      const kept = listed.filter(file => !added.has(file.path))
      const names = new Set(kept.map(file => file.path))
      const back = [...atBase].filter(path => !names.has(path)).map(path => ({ path, size: 1 }))
      return { files: [...kept, ...back].sort((a, b) => (a.path < b.path ? -1 : 1)), truncated }
    },
    read: async path => (atBase.has(path) ? textAt(path) : added.has(path) ? null : question.head.read(path)),
    readBytes: async (path, start, end) => {
      if (added.has(path)) return null
      if (!atBase.has(path)) return question.head.readBytes(path, start, end)
      const text = await textAt(path)
      return text === null ? null : new TextEncoder().encode(text).subarray(start, end)
    },
  }
  return { sha, repository: async () => good(repository), close: async () => {} }
}

/** Text of a contents answer: base64 with at most 1 MiB; null for folders, links, submodules and larger files. */
function contentOf(data: unknown): string | null {
  const file = data as { type?: unknown; encoding?: unknown; content?: unknown }
  if (typeof data !== 'object' || data === null || file.type !== 'file' || file.encoding !== 'base64' || typeof file.content !== 'string') return null
  return Buffer.from(file.content, 'base64').toString('utf8').replace(/^\uFEFF/, '')
}
