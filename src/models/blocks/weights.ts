import type { Weight } from '../shape.ts'

/** Builders of the tensors that families share. All take widths in elements. */

type Extra = Partial<Pick<Weight, 'bias' | 'copies' | 'active' | 'kvHeads' | 'kvWidth' | 'elementBytes'>>

/** A linear layer of `out` x `in`; split `none` unless said. */
export function linear(name: string, out: number, input: number, split: Weight['split'], extra: Extra = {}): Weight {
  return { name, out, in: input, copies: 1, bias: false, kind: 'linear', split, ...extra }
}

/** Outputs divided over tensor ranks, bias with them. */
export const column = (name: string, out: number, input: number, extra: Extra = {}): Weight =>
  linear(name, out, input, 'column', extra)

/** Inputs divided over tensor ranks; the bias stands on every rank. */
export const row = (name: string, out: number, input: number, extra: Extra = {}): Weight =>
  linear(name, out, input, 'row', extra)

/** The same on every rank: routers, low-rank down-projections. */
export const replicated = (name: string, out: number, input: number, extra: Extra = {}): Weight =>
  linear(name, out, input, 'none', extra)

/** An RMS norm of `width` weights; `bias` makes it a LayerNorm of 2 x width. */
export function norm(name: string, width: number, bias = false): Weight {
  return { name, out: width, in: 1, copies: 1, bias, kind: 'norm', split: 'none' }
}

/** A vector or tensor that is no linear layer: A_log, dt_bias, sinks, learned scalars. */
export function vector(name: string, length: number, split: Weight['split'] = 'none'): Weight {
  return { name, out: length, in: 1, copies: 1, bias: false, kind: 'other', split }
}

/** A depthwise or full convolution seen as out x in elements (in = channels per group x kernel). */
export function conv(name: string, out: number, input: number, bias: boolean, split: Weight['split'] = 'none'): Weight {
  return { name, out, in: input, copies: 1, bias, kind: 'conv', split }
}

/** Token embedding: rows padded to 64 and divided under tensor parallelism. */
export function tokenEmbedding(vocabulary: number, width: number, name = 'model.embed_tokens'): Weight {
  return { name, out: vocabulary, in: width, copies: 1, bias: false, kind: 'embedding', split: 'vocab', lookup: true }
}

/** Learned position (or type) embedding: on every rank. */
export function positionEmbedding(positions: number, width: number, name: string): Weight {
  return { name, out: positions, in: width, copies: 1, bias: false, kind: 'embedding', split: 'none', lookup: true }
}

/** The output head, when it is not tied to the embedding. */
export function outputHead(vocabulary: number, width: number, bias = false, name = 'lm_head'): Weight {
  return { name, out: vocabulary, in: width, copies: 1, bias, kind: 'linear', split: 'vocab' }
}

/** Elements of a weight with all its copies and biases, as the class of transformers counts them. */
export function elements(weight: Weight): number {
  if (weight.unbuilt !== undefined) return 0
  return weight.copies * (weight.out * weight.in + (weight.bias ? weight.out : 0))
}

/** Elements of several weights. */
export function total(weights: readonly Weight[]): number {
  let sum = 0
  for (const weight of weights) sum += elements(weight)
  return sum
}
