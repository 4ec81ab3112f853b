import type { GgufFacts } from './checkpoint/gguf.ts'
import type { JsonObject } from './config.ts'

/** What is known of a checkpoint's files, beyond its config. */
export interface CheckpointFacts {
  /** Sum of tensor bytes as stored (all shards); null when not known. */
  readonly totalBytes: number | null
  /** Elements by dtype as the Hub or the headers count them ({"BF16": 8030261248}). */
  readonly elementsByDtype: Readonly<Record<string, number>> | null
  /** Tensor headers when they were read: name -> dtype and shape. Large; only when nothing smaller answers. */
  readonly tensors: readonly TensorHeader[] | null
}

export interface TensorHeader {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: number
}

/** A model's facts from one source; immutable for a repository at a commit. */
export interface ModelFacts {
  readonly id: string
  readonly revision: string | null
  readonly source: 'local' | 'lock' | 'hub' | 'catalogue'
  /** Date of the facts ("2026-11"), for catalogue and lock; null when read now. */
  readonly asOf: string | null
  readonly config: JsonObject
  readonly checkpoint: CheckpointFacts
  /** GGUF header facts when the model is a GGUF file; see checkpoint/gguf.ts. */
  readonly gguf?: GgufFacts
}

export const unknownCheckpoint: CheckpointFacts = { totalBytes: null, elementsByDtype: null, tensors: null }
