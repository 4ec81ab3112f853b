import { relative } from 'node:path'
import { type CheckOutcome, check } from '../check.ts'
import { directDeployments } from '../deployments/direct.ts'
import { loadPolicy } from '../policy/load.ts'
import { withOverrides } from '../policy/overrides.ts'
import { type Problem, problemText, type Result } from '../problem.ts'
import { git } from '../repository/git.ts'
import type { Repository } from '../repository/repository.ts'
import { workingTree } from '../repository/working-tree.ts'
import { type ActionWorld, apiOf, type Surroundings } from './around.ts'
import { baseTree, type CommitTree, headTree } from './base.ts'
import type { ActionInputs } from './inputs.ts'
import { vetAgainst } from './lock-trust.ts'
import { loadRemotePolicy, remotePolicyOf } from './remote-policy.ts'
import { basePolicyOf, type Decision, decide } from './whose-policy.ts'

/** The head's files; the commits that were fetched for them and for the base, to be closed by the caller. */
export interface Trees {
  readonly head: Repository
  readonly headTree: CommitTree | null
  readonly base: CommitTree | null
  readonly messages: readonly string[]
}

/** The files of the head and of the base, each as data; without a base only a message. */
export async function treesOf(inputs: ActionInputs, around: Surroundings): Promise<Result<Trees>> {
  const { event } = around
  const messages: string[] = []
  const question = {
    root: around.root,
    owner: around.owner,
    repo: around.repo,
    token: inputs.githubToken,
    serverUrl: around.serverUrl,
  }
  let fromCommit: CommitTree | null = null
  let head: Repository = workingTree(around.folder)
  const fetched =
    event.headAsData && event.headSha !== null && event.pullRequest !== null
      ? { sha: event.headSha, pullRequest: event.pullRequest }
      : inputs.headRef === null
        ? null
        : { sha: inputs.headRef, pullRequest: null }
  if (fetched !== null) {
    const found = await headTree({ ...question, ...fetched }, around.api)
    if (!found.ok) return found
    fromCommit = found.value
    const repository = await found.value.repository({}, relative(around.root, around.folder))
    if (!repository.ok) return repository
    head = repository.value
  }
  const baseSha = inputs.baseRef ?? event.baseSha
  if (baseSha === null) return { ok: true, value: { head, headTree: fromCommit, base: null, messages } }
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
  return { ok: true, value: { head, headTree: fromCommit, base: base.ok ? base.value : null, messages } }
}

type Judgement =
  | { readonly ok: true; readonly value: CheckOutcome }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Reads the policies, decides whose counts, and runs the gate. */
export async function judge(
  inputs: ActionInputs,
  around: Surroundings,
  world: ActionWorld,
  trees: Trees,
): Promise<Judgement> {
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
  const whole = trees.base === null ? null : await selected(trees.base, selection, folder, baseRepository)
  const base = whole === null || trees.headTree !== null ? whole : without(whole, await notCheckedOut(around.folder))
  const messages = [...decided.value.facts.messages]
  // Told while models are looked for, so into the list that the report takes afterwards.
  const tell = (message: string) => messages.push({ level: 'warning', message })
  const vet = wantsBase ? await vetAgainst(baseRepository, inputs.lockFile, tell) : undefined
  const find = await world.findModel(trees.head, policy, !around.event.headAsData, vet)
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
    policyFacts: { ...decided.value.facts, messages },
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

/** What a sparse checkout leaves out: these files are not removed by the change, they are only not there. */
async function notCheckedOut(folder: string): Promise<ReadonlySet<string>> {
  const sparse = await git(folder, 'config', '--bool', 'core.sparseCheckout')
  if (sparse.stdout.trim() !== 'true') return new Set()
  const { stdout } = await git(folder, 'ls-files', '-z', '-t')
  return new Set(stdout.split('\0').flatMap(line => (line.startsWith('S ') ? [line.slice(2)] : [])))
}

function without(repository: Repository, paths: ReadonlySet<string>): Repository {
  if (paths.size === 0) return repository
  const list: Repository['list'] = async () => {
    const { files, truncated } = await repository.list()
    return { files: files.filter(file => !paths.has(file.path)), truncated }
  }
  return { ...repository, list }
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
