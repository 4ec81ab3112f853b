import { bad, good, type Problem, type Result } from '../problem.ts'
import { fetchObjects } from '../repository/fetched.ts'
import { mergeBase } from '../repository/git.ts'
import { gitCommit } from '../repository/git-commit.ts'
import { inFolder } from '../repository/in-folder.ts'
import type { Repository } from '../repository/repository.ts'
import { globFilter, type Selection } from '../repository/selection.ts'
import type { GitHubApi } from './client.ts'
import { contentOf } from './remote-policy.ts'

/** A commit's files, wherever they are read from. */
export interface CommitTree {
  readonly sha: string
  /** The files under a folder of it ("" for all), paths and globs relative to that folder. */
  readonly repository: (selection: Selection, folder: string) => Promise<Result<Repository>>
  readonly close: () => Promise<void>
}

interface Clone {
  /** Root of the clone. */
  readonly root: string
  readonly owner: string
  readonly repo: string
  readonly token: string
  readonly serverUrl: string
}

export interface BaseQuestion extends Clone {
  readonly baseSha: string
  readonly headSha: string
  /** The base commit itself is meant (merge queue), not the merge base with it. */
  readonly exact: boolean
  /** The head's files, over which changed files are laid when only the API can be read. */
  readonly head: Repository
  /** Folder of the clone that `head` shows. */
  readonly folder: string
}

interface Comparison {
  readonly merge_base_commit?: { readonly sha?: string }
  readonly files?: readonly {
    readonly filename: string
    readonly status: string
    readonly previous_filename?: string
  }[]
}

/** More changed files than this are fetched by git or not at all, so that the API's quota is left alone. */
const MOST_API_FILES = 60

/**
 * The files at the merge base, by the first way that works: the clone as it is; git fetching the one commit that the
 * API names into a private folder; the API's comparison with the changed files laid over the head's. Nothing of the
 * user's clone changes. The problem says why no way worked.
 */
export async function baseTree(question: BaseQuestion, api: GitHubApi | null): Promise<Result<CommitTree>> {
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
    } else
      problems.push({
        code: 'network',
        message: `GitHub did not compare base and head (HTTP ${answer.status}: ${answer.message})`,
      })
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

/**
 * The files of a head that must not be taken from the checkout: in the clone as it is, by git from the origin, or by
 * the API's tree and blobs.
 */
export async function headTree(
  question: Clone & { readonly sha: string; readonly pullRequest: number | null },
  api: GitHubApi | null,
): Promise<Result<CommitTree>> {
  const local = await localCommit(question.root, question.sha)
  if (local.ok) return good(plainTree(question.root, question.sha))
  const wanted = question.pullRequest === null ? question.sha : `refs/pull/${question.pullRequest}/head`
  const objects = await fetchObjects(question.root, [wanted], {
    depth: 1,
    token: question.token,
    serverUrl: question.serverUrl,
  })
  if (objects.ok) {
    const found = await localCommit(objects.value.folder, question.sha)
    if (found.ok) return good(plainTree(objects.value.folder, question.sha, objects.value.remove))
    await objects.value.remove()
  }
  if (api !== null) {
    const tree = await api.request<{ tree?: readonly TreeEntry[]; truncated?: boolean }>(
      'GET /repos/{owner}/{repo}/git/trees/{tree_sha}',
      {
        owner: question.owner,
        repo: question.repo,
        tree_sha: question.sha,
        recursive: '1',
      },
    )
    if (tree.ok) return good(apiTree(question, tree.data.tree ?? [], tree.data.truncated === true, api))
  }
  return bad('revision-missing', `the files of ${question.sha} cannot be read: ${local.problem.message}`, {
    hint: 'give the job contents: read',
  })
}

interface TreeEntry {
  readonly path?: string
  readonly type?: string
  readonly mode?: string
  readonly size?: number
}

/** A commit's files through the API: the tree once, each text that is asked for by one request. */
function apiTree(
  question: Clone & { readonly sha: string },
  entries: readonly TreeEntry[],
  truncated: boolean,
  api: GitHubApi,
): CommitTree {
  const files = entries.flatMap(entry =>
    entry.type === 'blob' && entry.mode !== '120000' && entry.path ? [{ path: entry.path, size: entry.size ?? 0 }] : [],
  )
  const known = new Set(files.map(file => file.path))
  const text = async (path: string): Promise<string | null> => {
    if (!known.has(path)) return null
    const answer = await api.request<unknown>('GET /repos/{owner}/{repo}/contents/{path}', {
      owner: question.owner,
      repo: question.repo,
      path,
      ref: question.sha,
    })
    return answer.ok ? contentOf(answer.data) : null
  }
  const repository: Repository = {
    list: async () => ({ files: [...files].sort((a, b) => (a.path < b.path ? -1 : 1)), truncated }),
    read: text,
    readBytes: async (path, start, end) => {
      const whole = await text(path)
      return whole === null ? null : new TextEncoder().encode(whole).subarray(start, end)
    },
  }
  return {
    sha: question.sha,
    repository: async (selection, folder) => good(inFolder(repository, folder, await globFilter(selection))),
    close: async () => {},
  }
}

async function localCommit(root: string, sha: string): Promise<Result<string>> {
  const tree = await gitCommit(root, sha)
  return tree.ok ? good(sha) : tree
}

const plainTree = (folder: string, sha: string, close: () => Promise<void> = async () => {}): CommitTree => ({
  sha,
  repository: async (selection, inside) => {
    const whole = await gitCommit(folder, sha, { paths: [inside || '.'] })
    return whole.ok ? good(inFolder(whole.value, inside, await globFilter(selection))) : whole
  },
  close,
})

/** Commits of history to look through for a merge base, in growing steps, when the API did not name it. */
const DEPTHS = [50, 500]

async function fetchedTree(question: BaseQuestion, sha: string | null): Promise<Result<CommitTree>> {
  const access = { token: question.token, serverUrl: question.serverUrl }
  if (sha !== null) {
    const objects = await fetchObjects(question.root, [sha], { depth: 1, ...access })
    return objects.ok ? good(plainTree(objects.value.folder, sha, objects.value.remove)) : objects
  }
  let last: Result<CommitTree> = bad('revision-missing', 'the merge base was not found')
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
function overlaidTree(question: BaseQuestion, sha: string, comparison: Comparison, api: GitHubApi): CommitTree {
  const prefix = question.folder === '' ? '' : `${question.folder}/`
  const below = (path: string | undefined): string | undefined =>
    path?.startsWith(prefix) ? path.slice(prefix.length) : undefined
  const files = (comparison.files ?? []).flatMap(file => {
    const filename = below(file.filename)
    const previous = below(file.previous_filename)
    return filename === undefined
      ? []
      : [{ filename, status: file.status, ...(previous === undefined ? {} : { previous_filename: previous }) }]
  })
  const added = new Set(
    files
      .filter(file => file.status === 'added' || file.status === 'renamed' || file.status === 'copied')
      .map(file => file.filename),
  )
  const atBase = new Set([
    ...files
      .filter(file => file.status === 'modified' || file.status === 'changed' || file.status === 'removed')
      .map(file => file.filename),
    ...files.filter(file => file.status === 'renamed' && file.previous_filename).map(file => file.previous_filename!),
  ])
  const texts = new Map<string, Promise<string | null>>()
  const textAt = (path: string): Promise<string | null> => {
    const known = texts.get(path)
    if (known) return known
    const wanted = api
      .request<unknown>('GET /repos/{owner}/{repo}/contents/{path}', {
        owner: question.owner,
        repo: question.repo,
        path: prefix + path,
        ref: sha,
      })
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
  return {
    sha,
    repository: async (selection, _folder) => good(inFolder(repository, '', await globFilter(selection))),
    close: async () => {},
  }
}
