import type { Cells, ContextOptions } from './context.ts'
import type { LlamaModel } from './model.ts'

/**
 * The compute buffer of one micro-batch: the largest of its phases (llama.cpp v0.4.0). On shapes of real models the
 * rule is within 10 % for dense and mixture decoders with flash attention.
 */
export function computeBytes(model: LlamaModel, cells: Cells, asked: ContextOptions, flash: boolean): number {
  const u = cells.microBatch
  const outputs = Math.min(u, asked.outputs ?? u)
  const e = model.embedding
  if (model.compute.family === 'encoder') return 4 * u * (model.compute.feedForward + 3 * e) + u * u * (flash ? 2 : 4)
  const logits = 4 * model.vocabulary * outputs + 2 * 4 * e * u
  const masks = maskBytes(model, cells, flash)
  const feed = masks + 4 * u * feedForwardWidth(model)
  const phases = [logits, feed]
  if (!flash && model.blocks.some(block => block.keyWidth > 0)) phases.push(masks + attentionBytes(model, cells))
  return Math.max(...phases)
}

/** One mask for each cache kind that has layers: 16-bit with flash attention, 32-bit without. */
export function maskBytes(model: LlamaModel, cells: Cells, flash: boolean): number {
  const size = flash ? 2 : 4
  const full = model.blocks.some(block => block.keyWidth > 0 && !block.windowed)
  const window = model.blocks.some(block => block.keyWidth > 0 && block.windowed)
  return cells.microBatch * size * ((full ? cells.perStream : 0) + (window ? cells.windowPerStream : 0))
}

/** Scores of every head over all cells of a stream, with queries, keys and values beside them. */
function attentionBytes(model: LlamaModel, cells: Cells): number {
  const { heads, headDim, kvHeads } = model.compute
  const u = cells.microBatch
  return 4 * cells.perStream * u * heads + 4 * u * (3 * model.embedding + 2 * heads * headDim + 2 * kvHeads * headDim)
}

/** Values a token has alive at the widest point of the feed-forward block. */
function feedForwardWidth(model: LlamaModel): number {
  const c = model.compute
  const e = model.embedding
  const hd = c.heads * c.headDim
  switch (c.family) {
    case 'gemma':
      return 3 * c.feedForward + 3 * e + hd
    case 'short':
      return 3 * c.feedForward + 3 * e
    case 'parallel':
      return 3 * c.feedForward + 4 * e + hd
    case 'recurrent':
      // Projections, convolution and scan of one block: 6.5 times its inner width on mamba and mamba2 of real size.
      return 6.5 * c.stateInner
    case 'encoder':
      return c.feedForward + 3 * e
    case 'mixture':
      return mixtureWidth(model)
    case 'standard':
      return 3 * c.feedForward + 3 * e + Math.min(e, hd)
  }
}

/** The chosen experts' outputs with their inner width; where a shared expert is wider, its own feed-forward block. */
function mixtureWidth(model: LlamaModel): number {
  const c = model.compute
  const e = model.embedding
  const hd = c.heads * c.headDim
  const n = c.expertsUsed
  const extra = c.wideMixture ? 2 * e : 0
  if (c.deltaMixture) return 2 * n * e + e + 2 * c.sharedWidth
  const routed = 2 * n * e + n * c.expertWidth + e + hd + extra
  const shared = c.sharedWidth > 0 ? 3 * c.sharedWidth + 4 * e + Math.min(e, hd) : 0
  return Math.max(routed, shared)
}
