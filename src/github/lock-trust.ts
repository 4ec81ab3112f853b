import { isDeepStrictEqual } from 'node:util'
import type { ModelFacts } from '../models/facts.ts'
import type { Vet } from '../models/sources/find-facts.ts'
import { LOCK_FILE, LOCK_LIMIT, lockEntry, parseLock } from '../models/sources/lock-file.ts'
import { lockedFacts, lockKey } from '../models/sources/locked.ts'
import { good } from '../problem.ts'
import type { Repository } from '../repository/repository.ts'

/**
 * Facts of the lock file, where the base decides: a pull request could make its model small by what it writes there.
 * The facts of one commit never change, so those of the base count for a commit that it pins too; those of another
 * commit are compared with the Hub's, which count, or else it is said that they are the pull request's own word.
 */
export async function vetAgainst(
  base: Repository | null,
  named: string | null,
  say: (message: string) => void,
): Promise<Vet> {
  const file = named ?? LOCK_FILE
  const text = (await base?.read(file, LOCK_LIMIT)) ?? null
  const parsed = text === null ? null : parseLock(text, file)
  const lock = parsed?.ok ? parsed.value : null
  return async (facts, reference, hub) => {
    const key = lockKey(reference)
    const known = lock === null ? null : lockedFacts(lock, reference)
    if (known?.revision === facts.revision) {
      if (!sameFacts(known, facts)) say(`this change alters what ${file} says of ${key}: the base's facts count`)
      return good(known)
    }
    const asked = await hub?.({ ...reference, revision: facts.revision })
    if (asked?.ok) {
      const entry = lockEntry(asked.value, facts.asOf ?? '')
      const published = lockedFacts(new Map([[key, entry]]), reference)!
      if (!sameFacts(published, facts))
        say(`what ${file} says of ${key} is not what the Hub publishes: the Hub's facts count`)
      return good(published)
    }
    const why = asked === undefined ? 'the run is offline' : asked.problem.message
    say(`the base pins no such facts of ${key}; those of ${file} could not be compared with the Hub's (${why})`)
    return good(facts)
  }
}

const sameFacts = (a: ModelFacts, b: ModelFacts): boolean =>
  isDeepStrictEqual({ ...a, asOf: null }, { ...b, asOf: null })
