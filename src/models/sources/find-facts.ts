import type { Catalogue } from '../../catalogue/catalogue.ts'
import type { ModelEntry } from '../../policy/policy.ts'
import { bad, good, type Problem, type Result } from '../../problem.ts'
import type { Repository } from '../../repository/repository.ts'
import { closest } from '../../units/suggest.ts'
import type { ModelFacts } from '../facts.ts'
import { localFacts } from './local.ts'
import { type Lock, lockedFacts, lockKey } from './locked.ts'
import { type FactsReference, hubReference } from './reference.ts'

/** Where facts are looked for; each is handed in, and null where it takes no part. */
export interface FactsPorts {
  /** The policy's `models:`. */
  readonly models: ReadonlyMap<string, ModelEntry>
  /** For paths of the policy. */
  readonly repository: Repository | null
  readonly lock: Lock | null
  readonly catalogue: Catalogue | null
  /** null: offline. */
  readonly hub: ((reference: FactsReference) => Promise<Result<ModelFacts>>) | null
  /** Ask the Hub also for what the catalogue knows. */
  readonly refresh: boolean
}

/**
 * Finds a model's facts, in the order of design section 7: the policy's path in the repository, the lock file, the
 * catalogue (when no revision is asked for, and not under refresh), the Hub. Each model is looked for once.
 *
 * Problems: `model-id-invalid` and `model-unknown` before any request; the local and Hub sources' own.
 */
export function factsFinder(ports: FactsPorts): (reference: FactsReference) => Promise<Result<ModelFacts>> {
  const found = new Map<string, Promise<Result<ModelFacts>>>()
  return reference => {
    const key = JSON.stringify([reference.id, reference.revision, reference.variant])
    let answer = found.get(key)
    if (answer === undefined) {
      answer = find(reference, ports)
      found.set(key, answer)
    }
    return answer
  }
}

async function find(asked: FactsReference, ports: FactsPorts): Promise<Result<ModelFacts>> {
  const entry = ports.models.get(asked.id)
  if (entry?.path != null) {
    if (ports.repository === null)
      return bad('model-not-found', `${asked.id} is a path of the repository, and there is no repository here`, {
        at: entry.at,
      })
    return localFacts(ports.repository, entry.path, asked.id, entry.at, asked.variant)
  }
  const library = entry === undefined && asked.id.startsWith('ollama:') ? ports.catalogue?.ollama(asked.id) : null
  if (library) return good(library)
  const named = entry?.id == null ? asked : { ...asked, id: entry.id, revision: entry.revision ?? asked.revision }
  const checked = hubReference(named)
  if (!checked.ok) return entry === undefined ? checked : { ok: false, problem: { ...checked.problem, at: entry.at } }
  const reference = checked.value

  const locked = ports.lock === null ? null : lockedFacts(ports.lock, reference)
  if (locked !== null) return good(locked)
  const { catalogue } = ports
  if (catalogue !== null && !ports.refresh && isDefaultBranch(reference.revision) && reference.variant === null) {
    const known = catalogue.find(reference.id)
    if (known !== null) return good(known)
  }
  if (ports.hub === null) {
    const converted = catalogue === null ? null : conversionOf(reference, catalogue)
    return converted === null ? { ok: false, problem: unknownOffline(reference, catalogue) } : good(converted)
  }
  const answer = await ports.hub(reference)
  return answer.ok ? answer : { ok: false, problem: withSuggestion(answer.problem, reference, catalogue) }
}

/**
 * The model that a GGUF repository is a conversion of, by the naming of the Hub: "org/X:Q4_K_M" and "org/X-GGUF" hold
 * org/X. Its config is what the conversion was made from; the bytes follow from the tag. Null for anything else.
 */
function conversionOf(reference: FactsReference, catalogue: Catalogue): ModelFacts | null {
  const isTag = reference.variant !== null && /^(I?Q\d|F16|BF16|F32|MXFP4|TQ)/i.test(reference.variant)
  const isConversion = /-GGUF$/i.test(reference.id)
  return isTag || isConversion ? catalogue.find(reference.id.replace(/-GGUF$/i, '')) : null
}

const isDefaultBranch = (revision: string | null) => revision === null || revision === 'main'

function unknownOffline(reference: FactsReference, catalogue: Catalogue | null): Problem {
  const known = catalogue?.find(reference.id) ?? null
  const message = `${lockKey(reference)} is neither in the lock file nor in the catalogue, and the run is offline`
  if (known !== null && !isDefaultBranch(reference.revision))
    return {
      code: 'model-unknown',
      message,
      hint: `the catalogue knows ${known.id}, but not at a revision: run hf-vram-calc lock`,
    }
  return withSuggestion(
    { code: 'model-unknown', message, hint: 'run online, or pin it with hf-vram-calc lock' },
    reference,
    catalogue,
  )
}

/** "did you mean org/name?" before the hint, where an id of the catalogue is near enough to a wrong one. */
function withSuggestion(problem: Problem, reference: FactsReference, catalogue: Catalogue | null): Problem {
  if (catalogue === null || (problem.code !== 'model-unknown' && problem.code !== 'model-not-found')) return problem
  const near = nearest(reference.id, catalogue.ids())
  if (near === null) return problem
  return { ...problem, hint: `did you mean ${near}?${problem.hint ? ` Else ${problem.hint}` : ''}` }
}

/** The id with the same name under another owner, else the nearest name of the same owner; null when there is neither. */
function nearest(id: string, ids: readonly string[]): string | null {
  const parts = (text: string) => {
    const cut = text.lastIndexOf('/')
    return { owner: text.slice(0, Math.max(0, cut)).toLowerCase(), name: text.slice(cut + 1).toLowerCase() }
  }
  const wanted = parts(id)
  const namesake = ids.find(known => parts(known).name === wanted.name)
  if (namesake !== undefined) return namesake
  const byName = new Map(
    ids.filter(known => parts(known).owner === wanted.owner).map(known => [parts(known).name, known]),
  )
  const near = closest(wanted.name, byName.keys())
  return near === null ? null : byName.get(near)!
}
