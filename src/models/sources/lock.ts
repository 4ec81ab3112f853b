import type { Problem, Result } from '../../problem.ts'
import type { ModelFacts } from '../facts.ts'
import type { Hub } from './hub.ts'
import { lockEntry, lockText } from './lock-file.ts'
import { type Lock, type LockEntry, lockKey } from './locked.ts'
import { type FactsReference, hubReference } from './reference.ts'

export interface LockInput {
  /** Every model the deployments and the policy name; ids that are no Hub ids are left out. */
  readonly references: readonly FactsReference[]
  /** The lock as it is; null when there is none. */
  readonly lock: Lock | null
  /** null: offline. */
  readonly hub: Hub | null
  /** Day for new entries, in UTC: "2026-11-24". */
  readonly today: string
}

export interface LockOutcome {
  /** The file's new text: sorted, the same for the same facts. */
  readonly text: string
  /** One line for each entry that was added, changed or removed. */
  readonly changes: readonly string[]
  /** Models that could not be read; their entries, if any, are kept. */
  readonly problems: readonly Problem[]
}

/** The references that a lock can hold, each once, by key. */
function lockable(references: readonly FactsReference[]): Map<string, FactsReference> {
  const byKey = new Map<string, FactsReference>()
  for (const asked of references) {
    const checked = hubReference(asked)
    if (checked.ok) byKey.set(lockKey(checked.value), checked.value)
  }
  return byKey
}

/**
 * Writes the lock anew: every model at the commit its revision names now. An entry whose facts are unchanged keeps its
 * day, so that running it twice gives the same file.
 */
export async function renewLock(input: LockInput): Promise<LockOutcome> {
  const wanted = lockable(input.references)
  const entries = new Map<string, LockEntry>()
  const problems: Problem[] = []
  const changes: string[] = []
  const found = await Promise.all(
    [...wanted].map(async ([key, reference]) => ({ key, facts: await factsOf(input.hub, reference) })),
  )
  for (const { key, facts } of found) {
    const before = input.lock?.get(key)
    if (!facts.ok) {
      problems.push(facts.problem)
      if (before) entries.set(key, before)
      continue
    }
    const fresh = lockEntry(facts.value, input.today)
    const same = before !== undefined && textOf({ ...fresh, locked: before.locked }) === textOf(before)
    entries.set(key, same ? before : fresh)
    if (before === undefined) changes.push(`added ${key} at ${short(fresh.revision)}`)
    else if (!same) changes.push(`changed ${key} from ${short(before.revision)} to ${short(fresh.revision)}`)
  }
  for (const key of input.lock?.keys() ?? []) if (!wanted.has(key)) changes.push(`removed ${key}`)
  return { text: lockText(entries), changes: changes.sort(), problems }
}

/**
 * What is stale in a lock: models that the files name and it lacks, entries that no file names, and, online, entries
 * whose revision names another commit now; `file` is the lock's name in them. Empty when the lock is up to date.
 */
export async function staleEntries(
  input: LockInput,
  file: string,
): Promise<{ readonly stale: readonly Problem[]; readonly problems: readonly Problem[] }> {
  const wanted = lockable(input.references)
  const lock: Lock = input.lock ?? new Map()
  const stale = (message: string): Problem => ({
    code: 'lock-invalid',
    message: `${file}: ${message}`,
    hint: 'run hf-vram-calc lock',
  })
  const missing = [...wanted.keys()].filter(key => !lock.has(key)).map(key => stale(`${key} is missing`))
  const unused = [...lock.keys()]
    .filter(key => !wanted.has(key))
    .map(key => stale(`${key} is named by no file any more`))
  const problems: Problem[] = []
  const moved: Problem[] = []
  const { hub } = input
  const kept = hub === null ? [] : [...wanted].filter(([key]) => lock.has(key))
  const commits = await Promise.all(
    kept.map(async ([key, reference]) => ({ key, commit: await hub!.commit(reference) })),
  )
  for (const { key, commit } of commits) {
    const { revision } = lock.get(key)!
    if (!commit.ok) problems.push(commit.problem)
    else if (commit.value !== revision)
      moved.push(stale(`${key} is at ${short(commit.value)} now, locked is ${short(revision)}`))
  }
  return { stale: [...missing, ...unused, ...moved], problems }
}

async function factsOf(hub: Hub | null, reference: FactsReference): Promise<Result<ModelFacts>> {
  if (hub !== null) return hub.facts(reference)
  const problem: Problem = {
    code: 'usage',
    message: `${lockKey(reference)} cannot be locked offline`,
    hint: 'run without --offline',
  }
  return { ok: false, problem }
}

const short = (sha: string) => sha.slice(0, 12)
const textOf = (entry: LockEntry) => lockText(new Map([['', entry]]))
