import type { WeightPart } from '../models/checkpoint/storage.ts'
import type { ModelShape, Weight } from '../models/shape.ts'

/** How a model is spread over GPUs. Sizes >= 1. */
export interface Parallelism {
  readonly tensor: number
  readonly pipeline: number
  /** Ranks over which whole routed experts are divided; 1: experts are cut like other matrices. */
  readonly expert: number
  /**
   * Ranks over which each routed expert's inner width is cut when experts are not divided whole; `tensor` unless said
   * (vLLM flattens tensor and data ranks into one for experts).
   */
  readonly expertTensor?: number
}

/**
 * The fullest tensor rank's part of a weight. Divisions that leave a remainder round up: the fullest rank decides.
 * (vLLM layers/linear.py, vocab_parallel_embedding.py: vocabulary rows padded to a multiple of 64; KV heads are
 * replicated when there are fewer than ranks.)
 */
export function partOf(weight: Weight, p: Parallelism): WeightPart {
  const t = p.tensor
  const whole = { out: weight.out, in: weight.in, copies: weight.copies, bias: weight.bias ? weight.out : 0 }
  if (weight.transformersOnly) return { ...whole, copies: 0, bias: 0 }
  switch (weight.split) {
    case 'none':
      return whole
    case 'column': {
      const out = Math.ceil(weight.out / t)
      return { ...whole, out, bias: weight.bias ? out : 0 }
    }
    case 'row':
      return { ...whole, in: Math.ceil(weight.in / t) }
    case 'vocab': {
      const out = (Math.ceil(weight.out / 64) * 64) / t
      return { ...whole, out: Math.ceil(out), bias: weight.bias ? Math.ceil(out) : 0 }
    }
    case 'kv': {
      const heads = weight.kvHeads ?? 1
      const out = (weight.out / heads) * Math.max(1, Math.ceil(heads / t))
      return { ...whole, out, bias: weight.bias ? out : 0 }
    }
    case 'qkv': {
      const heads = weight.kvHeads ?? 1
      const kv = weight.kvWidth ?? 0
      const out = Math.ceil((weight.out - kv) / t) + (kv / heads) * Math.max(1, Math.ceil(heads / t))
      return { ...whole, out, bias: weight.bias ? out : 0 }
    }
    case 'expert-column': {
      if (p.expert > 1) return { ...whole, copies: Math.ceil(weight.copies / p.expert) }
      const out = Math.ceil(weight.out / (p.expertTensor ?? t))
      return { ...whole, out, bias: weight.bias ? out : 0 }
    }
    case 'expert-row':
      if (p.expert > 1) return { ...whole, copies: Math.ceil(weight.copies / p.expert) }
      return { ...whole, in: Math.ceil(weight.in / (p.expertTensor ?? t)) }
  }
}

/**
 * Layer counts of the pipeline stages, as vLLM cuts them: L // pp each; the remainder goes one each to the stages
 * counted backward from the last but one.
 */
export function stageSizes(layers: number, pipeline: number): number[] {
  const sizes = new Array<number>(pipeline).fill(Math.floor(layers / pipeline))
  let rest = layers % pipeline
  for (let stage = pipeline - 2; rest > 0 && stage >= 0; stage--, rest--) sizes[stage]!++
  return sizes
}

/** First layer and layer count of every stage. */
export function stagesOf(shape: ModelShape, pipeline: number): { readonly first: number; readonly count: number }[] {
  let first = 0
  return stageSizes(shape.layers.order.length, pipeline).map(count => {
    const stage = { first, count }
    first += count
    return stage
  })
}
