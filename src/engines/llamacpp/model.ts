/** What llama.cpp keeps for one block. Widths are elements; a width of 0 keeps nothing. */
export interface Block {
  readonly keyWidth: number
  readonly valueWidth: number
  /** Served from the sliding-window cache. */
  readonly windowed: boolean
  /** Beside K and V: the indexer's rows, in the full cache. */
  readonly indexerKey: number
  readonly indexerValue: number
  /** Recurrent state of one sequence, bytes (float32). */
  readonly state: number
  /** DeepSeek-V4: tokens that share one cell of a compressed cache; 0: none. */
  readonly ratio: number
}

/** Widths that the compute buffer follows. */
export interface ComputeShape {
  readonly family: 'standard' | 'gemma' | 'short' | 'parallel' | 'mixture' | 'recurrent' | 'encoder'
  readonly feedForward: number
  readonly heads: number
  readonly headDim: number
  readonly kvHeads: number
  /** Experts of one token and the width of one. */
  readonly expertsUsed: number
  readonly expertWidth: number
  readonly sharedWidth: number
  /** Inner width of a state-space block. */
  readonly stateInner: number
  /** A mixture whose widest moment is in a delta-net layer: no attention heads are alive beside the experts. */
  readonly deltaMixture: boolean
  /** gpt-oss: biased experts keep two widths more. */
  readonly wideMixture: boolean
}

/** A model as llama.cpp's buffers depend on it; made from a GGUF header or from a model's shape. */
export interface LlamaModel {
  readonly architecture: string
  readonly vocabulary: number
  readonly embedding: number
  readonly contextLength: number
  readonly blocks: readonly Block[]
  /** Window in tokens; 0: none. */
  readonly window: number
  readonly causal: boolean
  /** One latent of keys, no values: K and V must have one type. */
  readonly latent: boolean
  /** Head sizes of keys and values, for the block rule of quantised caches. */
  readonly keyDim: number
  readonly valueDim: number
  /** A cache of its own for each sequence whatever is asked (DeepSeek-V4). */
  readonly alwaysSplit: boolean
  /** Snapshots of the state that speculative decoding keeps multiply it (qwen35, lfm2, nemotron_h). */
  readonly rollsBack: boolean
  /** Never runs with flash attention. */
  readonly neverFlash: boolean
  readonly compute: ComputeShape
}
