import type { CacheSpec, LayerKind, ModelShape } from '../../models/shape.ts'
import type { Block, ComputeShape, LlamaModel } from './model.ts'

/** Types whose window layers llama.cpp serves from a window cache; for all others the window is ignored. */
const WINDOWED =
  /^(?:gemma2|gemma3|gemma3_text|gemma3n|gemma3n_text|gemma4\w*|gpt_oss|cohere2|olmo3|llama4|llama4_text|smallthinker|mimo_v2\w*|step3p\w*|plamo3|afmoe|deepseek_v4|exaone4)$/

/** A model as llama.cpp would see it after conversion, from the shape that its config.json gives. */
export function modelFromShape(shape: ModelShape): LlamaModel {
  const windows = WINDOWED.test(shape.modelType) && !(shape.modelType === 'exaone4' && shape.facts.layers !== 64)
  const ownCache = shape.facts.task !== 'embed'
  const kinds = shape.layers.kinds.map(kind => blockOf(kind, windows, ownCache))
  const blocks = shape.layers.order.map(kind => kinds[kind]!)
  // GLM-4 mixtures are given a cache for their prediction layers although these are not run.
  if (shape.modelType.startsWith('glm4_moe') && shape.mtp !== null)
    blocks.push(...shape.mtp.order.map(kind => blockOf(shape.mtp!.kinds[kind]!, windows, ownCache)))
  const specs = shape.layers.kinds.flatMap(kind => kind.cache)
  const latent = specs.some(spec => spec.kind === 'mla' || spec.kind === 'compressed-mla')
  const window = Math.max(0, ...specs.map(spec => (windows ? windowOf(spec) : 0)))
  const dims = headSizes(specs)
  return {
    architecture: shape.modelType,
    vocabulary: shape.facts.vocabulary,
    embedding: shape.facts.hidden,
    contextLength: shape.facts.contextLength ?? 0,
    blocks,
    window,
    causal: ownCache,
    latent,
    keyDim: dims.key,
    valueDim: dims.value,
    alwaysSplit: shape.modelType === 'deepseek_v4',
    rollsBack: /^(?:qwen3_5|lfm2|nemotron_h)/.test(shape.modelType),
    neverFlash: /^grok/.test(shape.modelType),
    compute: computeOf(shape, dims.key),
  }
}

function windowOf(spec: CacheSpec): number {
  if (spec.kind === 'sliding') return spec.window
  if (spec.kind === 'chunked') return spec.chunk
  return spec.kind === 'compressed-mla' ? spec.window : 0
}

function headSizes(specs: readonly CacheSpec[]): { readonly key: number; readonly value: number } {
  for (const spec of specs) {
    if (spec.kind === 'full' || spec.kind === 'sliding' || spec.kind === 'chunked')
      return { key: spec.keyDim, value: spec.valueDim }
    if (spec.kind === 'mla') return { key: spec.latent + spec.rope, value: spec.latent }
    if (spec.kind === 'compressed-mla') return { key: spec.headDim, value: spec.headDim }
  }
  return { key: 0, value: 0 }
}

function blockOf(kind: LayerKind, windows: boolean, ownCache: boolean): Block {
  const block = { keyWidth: 0, valueWidth: 0, windowed: false, indexerKey: 0, indexerValue: 0, state: 0, ratio: 0 }
  for (const spec of kind.cache) {
    block.state += stateBytes(spec)
    if (!ownCache) continue
    switch (spec.kind) {
      case 'full':
      case 'sliding':
      case 'chunked':
        block.keyWidth += spec.kvHeads * spec.keyDim
        block.valueWidth += spec.kvHeads * spec.valueDim
        block.windowed = windows && spec.kind !== 'full'
        break
      case 'mla':
        block.keyWidth += spec.latent + spec.rope
        break
      case 'indexer':
        block.indexerKey += spec.dim
        break
      case 'compressed-mla':
        block.keyWidth += spec.headDim
        block.windowed = windows
        block.ratio = spec.ratio
        block.indexerKey += spec.ratio === 4 ? spec.indexDim : 0
        break
      default:
        break
    }
  }
  return block
}

/** Bytes of one sequence's state in float32 (llama.cpp v0.4.0). */
function stateBytes(spec: CacheSpec): number {
  switch (spec.kind) {
    case 'mamba1':
      return 4 * ((spec.kernel - 1) * spec.inner + spec.state * spec.inner)
    case 'mamba2':
      return 4 * ((spec.kernel - 1) * (spec.inner + 2 * spec.groups * spec.state) + spec.state * spec.inner)
    case 'gated-delta': {
      const inner = spec.valueHeads * spec.valueDim
      return 4 * ((spec.kernel - 1) * (2 * spec.keyHeads * spec.keyDim + inner) + inner * spec.keyDim)
    }
    case 'kda': {
      const width = spec.heads * spec.headDim
      return 4 * (3 * (spec.kernel - 1) * width + width * spec.headDim)
    }
    case 'short-conv':
      return 4 * (spec.kernel - 1) * spec.width
    case 'lightning':
      return 4 * spec.heads * spec.headDim * spec.headDim
    case 'rwkv':
      return 4 * (2 * spec.hidden + spec.hidden * spec.headDim)
    case 'compressed-mla':
      if (spec.ratio === 4) return 2 * 4 * (2 * spec.headDim * 8 + 2 * spec.indexDim * 8)
      return spec.ratio > 0 ? 2 * 4 * spec.headDim * spec.ratio : 0
    default:
      return 0
  }
}

function computeOf(shape: ModelShape, headDim: number): ComputeShape {
  const { facts, modelType } = shape
  const weights = shape.layers.kinds.flatMap(kind => kind.weights)
  const expert = weights.find(weight => weight.split === 'expert-column')
  const shared = weights.find(weight => /shared_expert.*(?:gate_proj|up_proj)$/.test(weight.name))
  const inner = shape.layers.kinds
    .flatMap(kind => kind.cache)
    .find(spec => spec.kind === 'mamba1' || spec.kind === 'mamba2')
  return {
    family: familyOf(shape, expert !== undefined),
    feedForward: facts.intermediate ?? 0,
    heads: facts.heads ?? 0,
    headDim,
    kvHeads: facts.kvHeads ?? 0,
    expertsUsed: facts.expertsPerToken ?? 0,
    expertWidth: expert?.out ?? 0,
    sharedWidth: shared?.out ?? (modelType.startsWith('llama4') ? (expert?.out ?? 0) : 0),
    stateInner: inner?.kind === 'mamba1' || inner?.kind === 'mamba2' ? inner.inner : 0,
    deltaMixture: /^(?:qwen3_next|qwen3_5_moe)/.test(modelType),
    wideMixture: modelType === 'gpt_oss',
  }
}

function familyOf(shape: ModelShape, mixture: boolean): ComputeShape['family'] {
  const type = shape.modelType
  if (shape.facts.task === 'embed') return 'encoder'
  if (/^(?:falcon_)?mamba2?$/.test(type)) return 'recurrent'
  if (mixture) return 'mixture'
  if (/^gemma/.test(type)) return 'gemma'
  if (/^(?:phi3|qwen3_5|lfm2)/.test(type)) return 'short'
  return /^cohere/.test(type) ? 'parallel' : 'standard'
}
