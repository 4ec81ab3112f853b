import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { correctionBias, mixtureWeights } from '../blocks/mixture.ts'
import { column, norm, outputHead, replicated, row, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { LayerStack, Weight } from '../shape.ts'
import { type Family, layerCount, layerKinds, usual } from './family.ts'
import { type Layered, layered, type Part, partsStack, type Sizes } from './layered.ts'

/** Tokens that one compressed entry stands for, by layer kind; 0 for layers that only slide. */
const RATIOS: Readonly<Record<string, number>> = {
  sliding_attention: 0,
  compressed_sparse_attention: 4,
  heavily_compressed_attention: 128,
}

/** Ratio of each layer: `layer_types`, else `compress_ratios`, else two layers of 128 and then 128 and 4 in turn. */
function compressRatios(config: Config, layers: number): (layer: number) => number {
  const kinds = layerKinds(config, layers)
  if (kinds) return i => RATIOS[kinds[i]!] ?? config.invalid('layer_types', `holds ${JSON.stringify(kinds[i])}`)
  const listed = config.list('compress_ratios')
  if (listed === null) return i => (i < 2 || i % 2 === 0 ? 128 : 4)
  if (listed.length < layers)
    return config.invalid('compress_ratios', `has ${listed.length} entries for ${layers} layers`)
  return i => {
    const ratio = listed[i]
    return ratio === 0 || ratio === 4 || ratio === 128
      ? ratio
      : config.invalid('compress_ratios', `holds ${JSON.stringify(ratio)}, expected 0, 4 or 128`)
  }
}

/** Files and engines keep these in float32 whatever the model's dtype. */
const float32 = (weight: Weight): Weight => ({ ...weight, elementBytes: 4 })

/** Keys of `width` and their gate compressed over `ratio` tokens; sparse layers keep two overlapping series. */
function compressorWeights(prefix: string, hidden: number, width: number, ratio: number): Weight[] {
  const series = ratio === 4 ? 2 * width : width
  return [
    replicated(`${prefix}.kv_proj`, series, hidden),
    replicated(`${prefix}.gate_proj`, series, hidden),
    float32(vector(`${prefix}.position_bias`, ratio * series)),
    norm(`${prefix}.kv_norm`, width),
  ]
}

/** Hyper-connection over N streams: (2 + N) N outputs of N h inputs, a base of each and three scales. */
function hyperConnection(name: string, hidden: number, streams: number): Weight[] {
  return mixing(name, (2 + streams) * streams, streams * hidden, 3)
}

/** A map of all streams to `outputs`, with a base of each and its scales. */
function mixing(name: string, outputs: number, inputs: number, scales: number): Weight[] {
  return [vector(`${name}.fn`, outputs * inputs), vector(`${name}.base`, outputs), vector(`${name}.scale`, scales)].map(
    float32,
  )
}

/** Shared-key attention with low-rank query and grouped output, compressed by `ratio`. */
function attention(d: Sizes, ratio: number, streams: number): Part {
  const { config, hidden, heads, headDim } = d
  const rank = config.size('q_lora_rank')
  const groups = config.size('o_groups')
  const outRank = config.size('o_lora_rank')
  const indexDim = config.size('index_head_dim')
  const a = 'self_attn'
  const indexer = (): Weight[] => [
    ...compressorWeights(`${a}.compressor.indexer`, hidden, indexDim, ratio),
    replicated(`${a}.compressor.indexer.q_b_proj`, config.size('index_n_heads') * indexDim, rank),
    replicated(`${a}.compressor.indexer.weights_proj`, config.size('index_n_heads'), hidden),
  ]
  return {
    name: ratio === 0 ? 'window' : `compressed ${ratio}`,
    weights: () => [
      replicated(`${a}.q_a_proj`, rank, hidden),
      norm(`${a}.q_a_norm`, rank),
      column(`${a}.q_b_proj`, heads * headDim, rank),
      replicated(`${a}.kv_proj`, headDim, hidden),
      norm(`${a}.kv_norm`, headDim),
      column(`${a}.o_a_proj`, groups * outRank, Math.floor((heads * headDim) / groups)),
      row(`${a}.o_b_proj`, hidden, groups * outRank),
      float32(vector(`${a}.sinks`, heads, 'column')),
      ...(ratio === 0 ? [] : compressorWeights(`${a}.compressor`, hidden, headDim, ratio)),
      ...(ratio === 4 ? indexer() : []),
      ...hyperConnection('attn_hc', hidden, streams),
      norm('input_layernorm', hidden),
    ],
    cache: [
      {
        kind: 'compressed-mla',
        ratio,
        window: config.size('sliding_window'),
        headDim,
        rope: config.size('qk_rope_head_dim'),
        indexDim,
      },
    ],
  }
}

/**
 * Prediction layers: each joins embedding and hidden state, and has a head's mixing of its own. With DSpark
 * (`dspark_target_layer_ids`) one layer for each tapped one: the first joins the taps, the last has the draft's heads.
 */
function predictions(d: Sizes, layer: readonly Part[], head: readonly Weight[]): LayerStack | null {
  const { config, hidden, vocabulary } = d
  const taps = config.list('dspark_target_layer_ids')?.length ?? 0
  const layers = taps || config.count('num_nextn_predict_layers')
  if (layers === 0) return null
  const part = (name: string, ...weights: Weight[]): Part => ({ name, weights: () => weights })
  const joins =
    taps > 0
      ? part('taps', replicated('main_proj', hidden, taps * hidden), norm('main_norm', hidden))
      : part(
          'mtp',
          ...['e_proj', 'h_proj'].map(name => replicated(name, hidden, hidden)),
          ...['enorm', 'hnorm'].map(name => norm(name, hidden)),
        )
  const rank = taps > 0 ? config.size('dspark_markov_rank') : 0
  const draft = [
    vector('confidence_head.proj', hidden + rank),
    tokenEmbedding(vocabulary, rank, 'markov_head.markov_w1'),
    outputHead(vocabulary, rank, false, 'markov_head.markov_w2'),
  ]
  const end = part('head', ...head, norm('norm', hidden), ...(taps > 0 ? draft : []))
  const only = (i: number, at: number, own: Part): Part[] => (taps > 0 && i !== at ? [] : [own])
  return partsStack(layers, i => [...layer, ...only(i, 0, joins), ...only(i, layers - 1, end)])
}

function deepseekV4(config: Config): Layered {
  const hidden = config.size('hidden_size')
  const d: Sizes = {
    config,
    hidden,
    heads: config.size('num_attention_heads'),
    kvHeads: config.size('num_key_value_heads'),
    headDim: config.size('head_dim'),
    layers: layerCount(config),
    vocabulary: config.size('vocab_size'),
  }
  const streams = config.size('hc_mult')
  const ratio = compressRatios(config, d.layers)
  const experts = config.size('n_routed_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const width = config.size('moe_intermediate_size')
  const moe = (router: Weight, name: string): Part => ({
    name,
    weights: () => [
      ...mixtureWeights({ hidden, width, experts, perToken }),
      router,
      ...gatedFeedForward(hidden, width, config.flag('mlp_bias'), 'mlp.shared_experts'),
      ...hyperConnection('ffn_hc', hidden, streams),
      norm('post_attention_layernorm', hidden),
    ],
  })
  const scored = moe(correctionBias(experts, 'mlp.gate'), 'moe')
  const table = vector('mlp.gate.tid2eid', d.vocabulary * (perToken ?? 0))
  const hashed = moe({ ...table, elementBytes: 8, unbuilt: 'stored' }, 'hashed moe')
  const hashLayers = config.count('num_hash_layers')
  const head = mixing('hc_head', streams, streams * hidden, 1)
  const mixers = new Map([0, 4, 128].map(r => [r, attention(d, r, streams)] as const))
  return {
    sizes: d,
    layer: i => [mixers.get(ratio(i))!, i < hashLayers ? hashed : scored],
    final: [norm('model.norm', hidden), ...head],
    intermediate: width,
    experts,
    expertsPerToken: perToken,
    mtp: predictions(d, [mixers.get(0)!, scored], head),
  }
}

export const deepseekV4Family: Family = layered({
  type: 'deepseek_v4',
  defaults: usual({
    vocab: 129280,
    hidden: 4096,
    moe_intermediate_size: 2048,
    layers: 43,
    heads: 64,
    kvHeads: 1,
    head_dim: 512,
    q_lora_rank: 1024,
    qk_rope_head_dim: 64,
    num_experts_per_tok: 6,
    n_routed_experts: 256,
    context: 1048576,
    hc_mult: 4,
    sliding_window: 128,
    o_groups: 8,
    o_lora_rank: 1024,
    index_n_heads: 64,
    index_head_dim: 128,
    num_nextn_predict_layers: 1,
    num_hash_layers: 3,
  }),
  aliases: { n_routed_experts: ['num_local_experts'], moe_intermediate_size: ['intermediate_size'] },
  read: deepseekV4,
})
