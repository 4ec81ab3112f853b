import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { extract } from '../deployments/index.ts'
import { makeHub } from '../find-model.ts'
import { hubSettings } from '../models/sources/hub-settings.ts'
import { type LockInput, renewLock, staleEntries } from '../models/sources/lock.ts'
import { LOCK_FILE, LOCK_LIMIT, parseLock } from '../models/sources/lock-file.ts'
import type { FactsReference } from '../models/sources/reference.ts'
import { effectiveForDeployment, withStandIn } from '../policy/deployment-policy.ts'
import type { Policy } from '../policy/policy.ts'
import { good } from '../problem.ts'
import type { Repository } from '../repository/repository.ts'
import { workingTree } from '../repository/working-tree.ts'
import { writeText } from '../repository/write-text.ts'
import { type Flag, helpFlag, helpText } from './arguments.ts'
import { openRepository } from './check-command.ts'
import { command } from './command.ts'
import { refuse } from './process.ts'

const flags: readonly Flag[] = [
  {
    name: 'check',
    type: 'boolean',
    help: 'write nothing; exit 1 when an entry is missing, unused, or behind its upstream',
  },
  { name: 'lock', type: 'text', shows: 'FILE', help: `lock file (default ${LOCK_FILE})` },
  { name: 'offline', type: 'boolean', help: 'with --check: do not ask whether the upstream has moved' },
  {
    name: 'config',
    type: 'text',
    shows: 'FILE',
    help: 'policy file (default .github/hf-vram-calc.yml or hf-vram-calc.yml)',
  },
  { name: 'include', type: 'list', shows: 'GLOB', help: 'only files that match; repeatable' },
  { name: 'exclude', type: 'list', shows: 'GLOB', help: 'no files that match; repeatable' },
  helpFlag,
]

const help = helpText(
  'hf-vram-calc lock [PATH ...] [FLAG ...]',
  'Pins the facts of every model that the files and the policy name, so that the gate answers the same offline, on forks and next year: the commit, the config fields that matter, the tensors by data type.',
  flags,
  'Exit codes: 0 written or up to date, 1 stale or a model that cannot be read, 2 usage or configuration.',
)

export const lockCommand = command(flags, help, async (options, process) => {
  const checking = options.on['check'] ?? false
  if (options.on['offline'] && !checking)
    return refuse(process, [
      {
        code: 'usage',
        message: 'lock asks the Hub and cannot run --offline',
        hint: 'lock --check --offline names missing and unused entries',
      },
    ])
  const opened = await openRepository(options, process)
  if (!opened.ok) return refuse(process, opened.problems)
  const settings = hubSettings(process.env, path => (existsSync(path) ? readFileSync(path, 'utf8') : null))
  if (!settings.ok) return refuse(process, [settings.problem])

  const file = opened.lockFile ?? LOCK_FILE
  const text = await opened.whole.read(file, LOCK_LIMIT)
  const before = text === null ? good(null) : parseLock(text, file)
  // Writing anew is what mends a broken lock; checking cannot pass over it.
  if (!before.ok && checking) return refuse(process, [before.problem])
  const references = await referencesIn(workingTree(opened.root, opened.selection), opened.policy)
  const input: LockInput = {
    references,
    lock: before.ok ? before.value : null,
    hub: options.on['offline'] || settings.value.offline ? null : await makeHub(settings.value, { env: process.env }),
    today: new Date().toISOString().slice(0, 10),
  }
  if (checking) {
    const { stale, problems } = await staleEntries(input, file)
    if (stale.length + problems.length > 0) return refuse(process, [...stale, ...problems], 1)
    process.stdout.write(`${file} is up to date\n`)
    return 0
  }
  const { text: renewed, changes, problems } = await renewLock(input)
  // A first lock without an entry would only hide that nothing could be read.
  const nothing = text === null && changes.length === 0 && problems.length > 0
  const outcome = nothing ? 'not written' : renewed === text ? 'unchanged' : 'written'
  const hindered = outcome === 'written' ? writeText(join(opened.root, file), renewed) : null
  if (hindered !== null) return refuse(process, [{ code: 'usage', message: `${file} cannot be written: ${hindered}` }])
  process.stdout.write(`${changes.map(line => `${line}\n`).join('')}${file}: ${outcome}\n`)
  return problems.length > 0 ? refuse(process, problems, 1) : 0
})

/** Models and draft models of the deployments that the policy does not ignore, by what the policy makes of their ids. */
async function referencesIn(repository: Repository, policy: Policy): Promise<FactsReference[]> {
  const { deployments } = await extract(repository)
  return deployments.flatMap(declared => {
    const deployment = withStandIn(declared, policy)
    if (effectiveForDeployment(policy, deployment).ignore) return []
    const named = [deployment.model, ...(deployment.draftModel ? [deployment.draftModel] : [])]
    return named.flatMap(({ id, revision, variant }): FactsReference[] => {
      const entry = id === null ? undefined : policy.models.get(id)
      if (id === null || entry?.path != null) return []
      return [{ id: entry?.id ?? id, revision: entry?.revision ?? revision, variant: variant ?? null }]
    })
  })
}
