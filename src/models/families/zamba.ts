import { attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { fusedGatedFeedForward, gatedFeedForward } from '../blocks/feed-forward.ts'
import {
  type Mamba1,
  type Mamba2,
  mamba1Cache,
  mamba1Weights,
  mamba2Cache,
  mamba2Weights,
} from '../blocks/recurrent.ts'
import { column, norm, replicated } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { CacheSpec, Weight } from '../shape.ts'
import { type Family, usual } from './family.ts'
import { type Layered, type LayeredType, layered, type Part, type Sizes } from './layered.ts'
import { expanded, sizeOrAuto } from './mamba-hybrid.ts'

/** Attention over hidden state and embedding side by side: twice the hidden size in, the hidden size out. */
interface SharedBlock {
  readonly sizes: Sizes
  /** Width of the attention's input. */
  readonly input: number
  readonly feed: readonly Weight[]
}

/** A transformer block whose weights several hybrid layers share. */
function blockWeights(b: SharedBlock): Weight[] {
  const { hidden } = b.sizes
  const projections = attentionWeights({ ...b.sizes, hidden: b.input, prefix: 'shared_transformer.self_attn' })
  return [
    ...projections.map(w => (w.name.endsWith('o_proj') ? { ...w, out: hidden } : w)),
    ...b.feed,
    norm('shared_transformer.input_layernorm', b.input),
    norm('shared_transformer.pre_ff_layernorm', hidden),
  ]
}

/** Which layers are hybrid: "hybrid" in layers_block_type, else the class's own pattern. */
function hybridLayers(config: Config, pattern: () => readonly boolean[]): readonly boolean[] {
  const list = config.list('layers_block_type')
  if (list === null) return pattern()
  if (list.length === 0 || list.length > 10_000)
    return config.invalid('layers_block_type', `names ${list.length} layers`)
  return list.map(kind => kind === 'hybrid')
}

/**
 * Mamba layers; before some of them a shared block and a linear layer of their own. The block's weights are charged to
 * the first layer that uses it, its cache to every one. The class shares blocks only where it also ties the head: with
 * `tie_word_embeddings: false` every hybrid layer has a block of its own.
 */
function stack(
  hybrid: readonly boolean[],
  mixer: Pick<Part, 'weights' | 'cache'>,
  block: { readonly hidden: number; readonly heads: CacheSpec; readonly count: number; readonly shared: boolean },
  weightsOf: (block: number) => readonly Weight[],
): (layer: number) => readonly Part[] {
  const nth = new Map<number, number>()
  hybrid.forEach((is, layer) => {
    if (is) nth.set(layer, nth.size)
  })
  const mamba: Part = { ...mixer, name: 'mamba' }
  return layer => {
    const place = nth.get(layer)
    if (place === undefined) return [mamba]
    const owner = !block.shared || place < block.count
    return [
      {
        name: owner ? `hybrid block ${place % block.count}` : 'hybrid shared',
        weights: () => [
          ...(owner ? weightsOf(place % block.count) : []),
          replicated('linear', block.hidden, block.hidden),
        ],
        cache: [block.heads],
      },
      mamba,
    ]
  }
}

function zamba(config: Config): Layered {
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const headDim = config.sizeOrNull('attention_head_dim') ?? Math.max(Math.floor((2 * hidden) / heads), 1)
  const period = config.size('attn_layer_period')
  const offset = config.count('attn_layer_offset')
  const hybrid = hybridLayers(config, () => [
    ...[false, false, true],
    ...Array.from({ length: Math.max(config.size('num_hidden_layers') - 3, 0) }, (_, i) => i % period === offset),
  ])
  const sizes: Sizes = {
    config,
    hidden,
    heads,
    headDim,
    kvHeads: config.sizeOrNull('num_key_value_heads') ?? heads,
    layers: hybrid.length,
    vocabulary: config.size('vocab_size'),
  }
  const width = config.size('intermediate_size')
  const mambaHeads = config.size('n_mamba_heads')
  const inner = expanded(config, hidden)
  const m: Mamba1 = {
    hidden,
    inner,
    state: config.size('mamba_d_state'),
    rank: sizeOrAuto(config, 'mamba_dt_rank', Math.ceil(hidden / 16)),
    kernel: config.size('mamba_d_conv'),
    convBias: config.flag('mamba_conv_bias'),
    projBias: config.flag('mamba_proj_bias'),
    innerNorms: false,
  }
  // x_proj of each mamba head has all time-step ranks and states of its own
  const mixer = mamba1Weights(m).map(w =>
    w.name === 'mamba.x_proj' ? { ...w, out: w.out * mambaHeads, in: Math.floor(inner / mambaHeads) } : w,
  )
  const block: SharedBlock = {
    sizes,
    input: config.sizeOrNull('attention_hidden_size') ?? 2 * hidden,
    feed: gatedFeedForward(hidden, width, false, 'shared_transformer.feed_forward'),
  }
  return {
    sizes,
    layer: stack(
      hybrid,
      { weights: () => [...mixer, norm('input_layernorm', hidden)], cache: [mamba1Cache(m)] },
      {
        hidden,
        heads: { kind: 'full', ...keyValueHeads(sizes) },
        count: 1,
        shared: config.flag('tie_word_embeddings'),
      },
      () => blockWeights(block),
    ),
    final: [norm('model.final_layernorm', hidden)],
    intermediate: width,
  }
}

/** Layers 6, 12 ... 42, 47 and 51 of the class's 54. */
const ZAMBA2_HYBRID = [6, 12, 18, 24, 30, 36, 42, 47, 51]

function zamba2(config: Config): Layered {
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const hybrid = hybridLayers(config, () => Array.from({ length: 54 }, (_, i) => ZAMBA2_HYBRID.includes(i)))
  const sizes: Sizes = {
    config,
    hidden,
    heads,
    headDim: config.sizeOrNull('attention_head_dim') ?? Math.max(Math.floor((2 * hidden) / heads), 1),
    kvHeads: config.sizeOrNull('num_key_value_heads') ?? heads,
    layers: hybrid.length,
    vocabulary: config.size('vocab_size'),
  }
  const input = config.sizeOrNull('attention_hidden_size') ?? 2 * hidden
  const width = config.sizeOrNull('intermediate_size') ?? 4 * hidden
  const bias = config.flag('add_bias_linear')
  const inner = expanded(config, hidden)
  const mambaHeads = config.size('n_mamba_heads')
  const m: Mamba2 = {
    hidden,
    inner,
    heads: mambaHeads,
    headDim: config.sizeOrNull('mamba_headdim') ?? Math.max(Math.floor(inner / mambaHeads), 1),
    groups: config.size('mamba_ngroups'),
    state: config.size('mamba_d_state'),
    kernel: config.size('mamba_d_conv'),
    convBias: true,
    inBias: bias,
    outBias: bias,
    norm: true,
  }
  const count = config.size('num_mem_blocks')
  const rank = config.size('adapter_rank')
  // an old key that still counts the adapters
  const uses = config.list('hybrid_layer_ids')?.length ?? hybrid.filter(Boolean).length
  const names = ['shared_transformer.feed_forward.gate_up_proj', 'shared_transformer.feed_forward.down_proj'] as const
  // each use of a block has a low-rank adapter of its own on the feed-forward, and on q, k and v where the config says so
  const adapter = (name: string, input: number, output: number): Weight[] => [
    replicated(`shared_transformer.${name}.0`, rank, input),
    column(`shared_transformer.${name}.1`, output, rank),
  ]
  const attentionAdapters = config.flag('use_shared_attention_adapter')
    ? ['q', 'k', 'v'].flatMap(x => adapter(`self_attn.linear_${x}_adapter`, input, input))
    : []
  const adapters = [...adapter('feed_forward.gate_up_proj_adapter', hidden, 2 * width), ...attentionAdapters]
  const weightsOf = (block: number): Weight[] => {
    const times = Math.ceil((uses - block) / count)
    const feed = fusedGatedFeedForward(hidden, width, bias, names)
    return [...blockWeights({ sizes, input, feed }), ...adapters.map(w => ({ ...w, copies: times }))]
  }
  return {
    sizes,
    layer: stack(
      hybrid,
      { weights: () => [...mamba2Weights(m), norm('input_layernorm', hidden)], cache: [mamba2Cache(m)] },
      { hidden, heads: { kind: 'full', ...keyValueHeads(sizes) }, count, shared: config.flag('tie_word_embeddings') },
      weightsOf,
    ),
    final: [norm('model.final_layernorm', hidden)],
    intermediate: width,
  }
}

const types: readonly LayeredType[] = [
  {
    type: 'zamba',
    defaults: usual({
      vocab: 32000,
      hidden: 3712,
      width: 14848,
      layers: 76,
      heads: 16,
      kvHeads: 16,
      n_mamba_heads: 2,
      context: 4096,
      attn_layer_period: 6,
      attn_layer_offset: 4,
      mamba_d_state: 16,
      mamba_d_conv: 4,
      mamba_expand: 2,
      mamba_dt_rank: 'auto',
      mamba_conv_bias: true,
      tie_word_embeddings: true,
    }),
    aliases: { layers_block_type: ['layer_types'], attention_head_dim: ['head_dim'] },
    read: zamba,
  },
  {
    type: 'zamba2',
    defaults: usual({
      vocab: 32000,
      hidden: 2560,
      heads: 32,
      context: 4096,
      n_mamba_heads: 8,
      mamba_ngroups: 1,
      mamba_d_state: 64,
      mamba_d_conv: 4,
      mamba_expand: 2,
      num_mem_blocks: 1,
      adapter_rank: 128,
      tie_word_embeddings: true,
    }),
    aliases: { layers_block_type: ['layer_types'], attention_head_dim: ['head_dim'] },
    read: zamba2,
  },
]

export const zambas: readonly Family[] = types.map(layered)
