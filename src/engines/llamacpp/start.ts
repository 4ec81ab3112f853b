import { type GgmlType, ggmlBytes } from '../../models/checkpoint/ggml-types.ts'
import { computeBytes } from './compute.ts'
import type { Cells, ContextOptions } from './context.ts'
import type { Block, LlamaModel } from './model.ts'

/** One block's bytes of a started context. */
interface BlockBytes {
  readonly cache: number
  readonly state: number
}

export interface Start {
  readonly cells: Cells
  readonly blocks: readonly BlockBytes[]
  readonly cacheBytes: number
  readonly stateBytes: number
  /** Logits (and embeddings) handed to the host. */
  readonly outputBytes: number
  /** The largest phase of one micro-batch, bytes; modelled, see compute.ts. */
  readonly computeBytes: number
  readonly flash: boolean
}

const pad = (n: number): number => Math.ceil(n / 256) * 256

/** Why llama.cpp would not start this context (llama.cpp v0.4.0); null: it starts. */
export function refusal(model: LlamaModel, asked: ContextOptions): string | null {
  const { typeK, typeV } = asked
  const name = (type: GgmlType): string => type.name.toLowerCase()
  if (model.latent && typeK.name !== typeV.name)
    return `the model keeps one latent for keys and values: cache types ${name(typeK)} and ${name(typeV)} must be equal`
  const flash = asked.flashAttention !== 'off'
  const cached = model.blocks.some(block => block.keyWidth > 0)
  if (flash && cached && !model.neverFlash)
    for (const [what, type, dim] of [
      ['K', typeK, model.keyDim],
      ['V', typeV, model.valueDim],
    ] as const)
      if (type.block > 1 && dim % type.block !== 0)
        return `cache type ${name(type)} of ${what} has blocks of ${type.block}, which do not divide the head size ${dim}`
  if (typeV.block > 1 && (asked.flashAttention === 'off' || model.neverFlash))
    return `a quantised V cache (${name(typeV)}) needs flash attention`
  if (model.architecture === 't5' && asked.sequences > 1 && !asked.unified)
    return 'T5 does not run several sequences without a unified cache'
  return null
}

/** The buffers of one context, before they are spread over devices. */
export function startOf(model: LlamaModel, asked: ContextOptions): Start {
  const cells = cellsOf(model, asked)
  const flash = asked.flashAttention !== 'off' && !model.neverFlash
  const valueWidth = paddedValueWidth(model, flash)
  const blocks = model.blocks.map(block => ({
    cache: cacheBytes(block, cells, asked, valueWidth),
    state: stateBytes(model, block, asked),
  }))
  const outputRows = asked.sequences
  return {
    cells,
    blocks,
    cacheBytes: blocks.reduce((sum, block) => sum + block.cache, 0),
    stateBytes: blocks.reduce((sum, block) => sum + block.state, 0),
    outputBytes:
      4 * outputRows * (model.vocabulary + (asked.embeddings || model.architecture === 't5' ? model.embedding : 0)),
    computeBytes: computeBytes(model, cells, asked, flash),
    flash,
  }
}

function cellsOf(model: LlamaModel, asked: ContextOptions): Cells {
  const wanted = asked.context > 0 ? asked.context : model.contextLength
  const batch = model.causal ? Math.min(wanted, asked.batch) : asked.batch
  const microBatch = Math.min(batch, asked.microBatch)
  const unified = asked.unified || asked.sequences === 1
  const perStream = unified ? pad(wanted) : pad(Math.floor(pad(wanted) / asked.sequences))
  const streams = unified && !model.alwaysSplit ? 1 : asked.sequences
  const reach = model.window * (streams === 1 ? asked.sequences : 1) + microBatch
  const windowPerStream = asked.windowFull ? perStream : pad(Math.min(perStream, reach))
  return { context: perStream * streams, perStream, windowPerStream, streams, batch, microBatch }
}

/** Without flash attention V is stored transposed, as wide as the widest layer's where the widths differ. */
function paddedValueWidth(model: LlamaModel, flash: boolean): number | null {
  if (flash) return null
  const widths = model.blocks.map(block => block.valueWidth)
  return new Set(widths).size > 1 ? Math.max(...widths) : null
}

function cacheBytes(block: Block, cells: Cells, asked: ContextOptions, valueWidth: number | null): number {
  if (block.keyWidth === 0) return 0
  const own = block.windowed ? cells.windowPerStream : cells.perStream
  const value = block.valueWidth === 0 ? 0 : (valueWidth ?? block.valueWidth)
  let bytes = own * cells.streams * (ggmlBytes(asked.typeK, block.keyWidth) + ggmlBytes(asked.typeV, value))
  if (block.ratio > 0) {
    const compressed = pad(Math.floor(cells.perStream / block.ratio)) * cells.streams
    return bytes + compressed * (ggmlBytes(asked.typeK, block.keyWidth) + ggmlBytes(asked.typeK, block.indexerKey))
  }
  if (block.indexerKey > 0)
    bytes +=
      cells.perStream *
      cells.streams *
      (ggmlBytes(asked.typeK, block.indexerKey) + ggmlBytes(asked.typeV, block.indexerValue))
  return bytes
}

function stateBytes(model: LlamaModel, block: Block, asked: ContextOptions): number {
  return block.state * asked.sequences * (model.rollsBack ? 1 + asked.snapshots : 1)
}
