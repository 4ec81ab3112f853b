import type { GgmlType } from '../../models/checkpoint/ggml-types.ts'

/** What a llama.cpp context is asked for; the library's own names in the comments. */
export interface ContextOptions {
  /** n_ctx; 0: the model's training context. */
  readonly context: number
  /** n_batch and n_ubatch. */
  readonly batch: number
  readonly microBatch: number
  /** n_seq_max: slots of a server. */
  readonly sequences: number
  readonly typeK: GgmlType
  readonly typeV: GgmlType
  readonly flashAttention: 'auto' | 'on' | 'off'
  readonly windowFull: boolean
  readonly unified: boolean
  /** n_outputs_max: rows of logits a batch may ask for; null: the batch. */
  readonly outputs: number | null
  readonly embeddings: boolean
  /** n_rs_seq: snapshots of recurrent state. */
  readonly snapshots: number
}

/** Cells of a context: padded lengths and the clamped batches (llama.cpp v0.4.0). */
export interface Cells {
  /** Cells of all streams. */
  readonly context: number
  /** Cells of one stream of the full cache. */
  readonly perStream: number
  readonly windowPerStream: number
  readonly streams: number
  readonly batch: number
  readonly microBatch: number
}
