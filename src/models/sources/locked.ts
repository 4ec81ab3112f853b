import type { GgufFacts } from '../checkpoint/gguf.ts'
import type { JsonObject } from '../config.ts'
import type { ModelFacts } from '../facts.ts'
import type { FactsReference } from './reference.ts'

/** What a lock pins of a model. Reading and writing the file is `lock-file.ts`: a run without a lock does not load it. */
export interface LockEntry {
  /** Commit the facts are of. */
  readonly revision: string
  /** Day the facts were read, in UTC: "2026-11-24". */
  readonly locked: string
  /** The fields of config.json that matter. */
  readonly config: JsonObject
  readonly bytes: number | null
  /** Elements by data type, as the Hub counts them. */
  readonly tensors: Readonly<Record<string, number>> | null
  readonly gguf?: GgufFacts | undefined
}

/** What is locked, by `lockKey`. */
export type Lock = ReadonlyMap<string, LockEntry>

/** "org/name@v1:Q4_K_M": the name of a reference in the lock. */
export function lockKey(reference: FactsReference): string {
  return `${reference.id}${reference.revision === null ? '' : `@${reference.revision}`}${reference.variant === null ? '' : `:${reference.variant}`}`
}

/** The entry of a model: asked by the same revision and variant, the id in any case; null when it is not locked. */
export function lockedFacts(lock: Lock, reference: FactsReference): ModelFacts | null {
  const key = lockKey(reference)
  const lower = key.toLowerCase()
  const entry = lock.get(key) ?? [...lock].find(([name]) => name.toLowerCase() === lower)?.[1]
  if (entry === undefined) return null
  return {
    id: reference.id,
    revision: entry.revision,
    source: 'lock',
    asOf: entry.locked,
    config: entry.config,
    checkpoint: { totalBytes: entry.bytes, elementsByDtype: entry.tensors, tensors: null },
    ...(entry.gguf === undefined ? {} : { gguf: entry.gguf }),
  }
}
