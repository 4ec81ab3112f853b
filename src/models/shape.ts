/**
 * What a model consists of, as far as memory is concerned: its weights by tensor role and what each layer keeps per
 * token or per sequence. A family turns a config.json into this; everything after it (counts, checkpoint bytes, shares
 * of a rank, KV cache, adapters) reads only this.
 */

/**
 * How a tensor is divided over tensor-parallel ranks (reference: vLLM layers/linear.py, vocab_parallel_embedding.py):
 * - `none`: every rank holds all of it (norms, routers, MLA down-projections)
 * - `column`: outputs are divided, bias with them
 * - `row`: inputs are divided, the bias is on every rank
 * - `vocab`: rows are padded to a multiple of 64 and divided
 * - `kv`: outputs are `kvHeads` heads; a rank holds max(1, kvHeads / t) of them
 * - `qkv`: queries, keys and values in one matrix: `kvWidth` of the outputs are divided like `kv`, the rest like `column`
 * - `expert`: like column/row on the expert's inner width; with expert parallelism whole experts are divided instead.
 *   `out` x `in` is one expert, `copies` their number; `inner` names the divided side.
 */
export type Split = 'none' | 'column' | 'row' | 'vocab' | 'kv' | 'qkv' | 'expert-column' | 'expert-row'

/** One matrix, vector or kernel of a layer, or `copies` equal ones. Counts are elements, not bytes. */
export interface Weight {
  /** Module path inside its layer or block, as the checkpoint names it: "self_attn.q_proj", "mlp.experts.gate_proj". */
  readonly name: string
  /** Rows: outputs of a linear layer, entries of an embedding, length of a vector. */
  readonly out: number
  /** Columns: inputs of a linear layer, width of an embedding; 1 for a vector. */
  readonly in: number
  /** Equal tensors of this shape in one layer: routed experts; else 1. */
  readonly copies: number
  /** A bias of `out` elements beside each copy. */
  readonly bias: boolean
  /** Quantisers touch `linear` (and MLX also `embedding`); all else stays in the model's dtype. */
  readonly kind: 'linear' | 'embedding' | 'norm' | 'conv' | 'other'
  readonly split: Split
  /** Number of KV heads among the outputs, for splits `kv` and `qkv`. */
  readonly kvHeads?: number
  /** Outputs that are keys and values, for split `qkv`. */
  readonly kvWidth?: number
  /** Of `copies`, how many one token uses (experts per token); absent: all. For the active-parameter count. */
  readonly active?: number
  /** True where an embedding is looked up, not multiplied: left out of the active count's compute by some; we keep it. */
  readonly lookup?: boolean
  /** Counted, because the class of transformers allocates it, but in no checkpoint and in no engine's memory. */
  readonly transformersOnly?: true
  /**
   * Not built by the class of transformers, so not counted, but held by engines: in files too (`stored`), or a copy that
   * an engine makes when it loads them (`loaded`).
   */
  readonly unbuilt?: 'stored' | 'loaded'
  /** Bytes of an element where files keep it in another type than the model's: float32 (4), int64 tables (8). */
  readonly elementBytes?: 4 | 8
}

/** Heads x widths of a layer that keeps keys and values. */
export interface KeyValueHeads {
  readonly kvHeads: number
  readonly keyDim: number
  readonly valueDim: number
}

/** What one layer keeps while it serves requests. Widths are elements, before tensor parallelism. */
export type CacheSpec =
  | ({ readonly kind: 'full' } & KeyValueHeads)
  /** `window` in tokens as the attention kernel sees it (config value, or what the model code passes on). */
  | ({ readonly kind: 'sliding'; readonly window: number } & KeyValueHeads)
  | ({ readonly kind: 'chunked'; readonly chunk: number } & KeyValueHeads)
  /** Multi-head latent attention: one latent and one rotary key per token, no values, same on every tensor rank. */
  | { readonly kind: 'mla'; readonly latent: number; readonly rope: number; readonly window?: number }
  /** Sparse-attention indexer of DeepSeek-V3.2 and GLM-5: one key of `dim` per token. */
  | { readonly kind: 'indexer'; readonly dim: number }
  /** Cross attention: keys and values of `encoderTokens` encoder positions. */
  | ({ readonly kind: 'cross'; readonly encoderTokens: number } & KeyValueHeads)
  | { readonly kind: 'mamba1'; readonly inner: number; readonly kernel: number; readonly state: number }
  | {
      readonly kind: 'mamba2'
      readonly inner: number
      readonly kernel: number
      readonly groups: number
      readonly state: number
      readonly heads: number
      readonly headDim: number
    }
  | {
      readonly kind: 'gated-delta'
      readonly keyHeads: number
      readonly valueHeads: number
      readonly keyDim: number
      readonly valueDim: number
      readonly kernel: number
    }
  /** Kimi delta attention. */
  | { readonly kind: 'kda'; readonly heads: number; readonly headDim: number; readonly kernel: number }
  | { readonly kind: 'short-conv'; readonly width: number; readonly kernel: number }
  /** Lightning attention of MiniMax-01: one headDim x headDim state a head. */
  | { readonly kind: 'lightning'; readonly heads: number; readonly headDim: number }
  | { readonly kind: 'rwkv'; readonly hidden: number; readonly heads: number; readonly headDim: number }
  /** DeepSeek-V4: compressed MLA; `ratio` 0 is a plain window layer, 4 has an indexer, 128 has none. */
  | {
      readonly kind: 'compressed-mla'
      readonly ratio: number
      readonly window: number
      readonly headDim: number
      readonly rope: number
      readonly indexDim: number
    }

/** A kind of layer: all layers of a kind are equal in weights and cache. */
export interface LayerKind {
  /** "dense", "moe", "sliding dense", "mamba2": what people read in explain. */
  readonly name: string
  readonly weights: readonly Weight[]
  /** Empty: the layer keeps nothing of its own (MLP-only layers, layers that share another layer's KV). */
  readonly cache: readonly CacheSpec[]
}

/** Layers in order: `order[i]` is the index into `kinds` of layer i. Pipeline parallelism cuts this list. */
export interface LayerStack {
  readonly kinds: readonly LayerKind[]
  readonly order: readonly number[]
}

/** A part beside the decoder that sits whole on the first stage: vision tower, audio tower, projector, encoder. */
export interface Tower {
  readonly name: string
  readonly role: 'vision' | 'audio' | 'projector' | 'encoder' | 'other'
  readonly weights: readonly Weight[]
  readonly stack: LayerStack
}

export interface ModelShape {
  /** Name of the family that read it: "llama", "qwen3_moe", or "generic". */
  readonly family: string
  readonly modelType: string
  /** `exact`: counted by rules verified for this type; `derived`: by shared blocks, not verified for it. */
  readonly count: 'exact' | 'derived'
  /** Token and position embeddings and their norms: first pipeline stage. */
  readonly embedding: readonly Weight[]
  readonly layers: LayerStack
  /** Final norm and, when not tied, the output head: last pipeline stage. */
  readonly final: readonly Weight[]
  /** True when the output head is the embedding itself (then with pipeline stages both ends hold a copy). */
  readonly tied: boolean
  readonly towers: readonly Tower[]
  /** Multi-token-prediction layers of the checkpoint; loaded only for speculative decoding. Not in the count. */
  readonly mtp: LayerStack | null
  /** Facts that engines, rules of thumb and findings need. Null where the architecture has no such thing. */
  readonly facts: ShapeFacts
  /** Sentences about assumptions made while reading ("vision_config missing: no tower counted"). */
  readonly notes: readonly string[]
}

export interface ShapeFacts {
  readonly hidden: number
  readonly layers: number
  readonly vocabulary: number
  readonly heads: number | null
  readonly kvHeads: number | null
  readonly headDim: number | null
  readonly intermediate: number | null
  /** Longest context of the model: max_position_embeddings or its aliases; null when it has no limit. */
  readonly contextLength: number | null
  readonly experts: number | null
  readonly expertsPerToken: number | null
  /** Attention heads of the vision tower, for divisibility by tensor parallelism. */
  readonly visionHeads: number | null
  readonly multimodal: boolean
  /** generate | embed | encode-decode: which defaults an engine takes. */
  readonly task: 'generate' | 'embed' | 'encoder-decoder'
  /** Checkpoint dtype as the config says it ("bfloat16"), null when silent. */
  readonly dtype: string | null
  /** dtype of the recurrent state where the config names one (mamba_ssm_dtype, mamba_ssm_cache_dtype). */
  readonly stateDtype: string | null
}
