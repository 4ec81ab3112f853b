import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { fusedGatedFeedForward } from '../blocks/feed-forward.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import { column, norm, replicated, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { CacheSpec, Weight } from '../shape.ts'
import { type Family, layerKinds, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import {
  attentionPart,
  densePart,
  feedPart,
  type Layered,
  type LayeredType,
  layered,
  type Part,
  predictionLayers,
  type Sizes,
  sizesOf,
} from './layered.ts'

/** GLM-4.5V's text model: GLM-4.5 with biases on q, k and v and no query-key norms. */
function glmText(config: Config): Layered {
  const d = sizesOf(config)
  const experts = config.size('n_routed_experts')
  const first = config.count('first_k_dense_replace')
  const full = attentionPart(d, null, () => attentionWeights({ ...d, qkvBias: config.flag('attention_bias') }))
  const moe = sharedMixture(d, experts, config.count('n_shared_experts'))
  const intermediate = config.size('intermediate_size')
  const dense = densePart(d, intermediate)
  return {
    sizes: d,
    layer: i => [full, i >= first ? moe : dense],
    intermediate,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** Ernie-VL: text and vision tokens have experts of their own; widths and, in older files, numbers come in pairs. */
function ernieText(config: Config): Layered {
  const d = sizesOf(config)
  const bias = config.flag('use_bias')
  const pair = (name: string): readonly [number, number] => {
    const value = config.raw(name)
    const entries = Array.isArray(value) ? config.list(name)! : [value, value]
    const [text, vision] = entries
    const ok = (n: unknown): n is number => typeof n === 'number' && Number.isInteger(n) && n > 0
    return ok(text) && ok(vision) ? [text, vision] : config.invalid(name, 'holds no two whole numbers')
  }
  const widths = pair('moe_intermediate_size')
  const experts = pair('moe_num_experts')
  const perToken = config.sizeOrNull('moe_k')
  const shared = config.count('moe_num_shared_experts')
  const sparse = sparseFrom(config, d.layers, 1)
  const full = attentionPart(d, null, () => attentionWeights({ ...d, qkvBias: bias, outBias: bias }))
  const modality = (i: 0 | 1, prefix: string): Weight[] => [
    ...mixtureWeights({ hidden: d.hidden, width: widths[i], experts: experts[i], perToken, prefix }),
    vector(`${prefix}.gate.moe_statics.e_score_correction_bias`, experts[i]),
  ]
  const moe = feedPart('moe', d, () => [
    ...modality(0, 'mlp.text_moe'),
    ...modality(1, 'mlp.vision_moe'),
    ...(shared > 0 ? sharedExpert(d.hidden, widths[0] * shared, { bias }) : []),
  ])
  const intermediate = config.size('intermediate_size')
  const dense = densePart(d, intermediate, bias)
  return {
    sizes: d,
    layer: i => [full, sparse(i) ? moe : dense],
    intermediate,
    experts: experts[0],
    expertsPerToken: perToken,
  }
}

/** MiniMax-M3: some layers choose blocks of keys with an indexer that keeps a key of its own. */
function minimaxM3(file: Config): Layered {
  const legacy = file.nested('sparse_attention_config')
  const index = (own: string, old: string) => legacy?.sizeOrNull(old) ?? file.size(own)
  const d = sizesOf(file)
  const indexHeads = index('index_n_heads', 'sparse_num_index_heads')
  const indexDim = index('index_head_dim', 'sparse_index_dim')
  const kinds = layerKinds(file, d.layers)
  const frequency = legacy?.list('sparse_attention_freq') ?? null
  const indexed = (i: number) =>
    kinds ? kinds[i] === 'minimax_m3_sparse' : frequency !== null && Boolean(frequency[i])
  const listed = Array.isArray(file.raw('moe_layer_freq')) ? file.list('moe_layer_freq') : null
  const mlpKinds = layerKinds(file, d.layers, 'mlp_layer_types')
  const sparse = (i: number) => (mlpKinds ? mlpKinds[i] === 'sparse' : listed === null || Boolean(listed[i]))
  const experts = file.size('num_local_experts')
  const perToken = file.sizeOrNull('num_experts_per_tok')
  const shared = file.size('shared_intermediate_size')
  const plain = attentionPart(d, null, () => [...attentionWeights(d), ...queryKeyNorms(d, 'head')])
  const indexKey: CacheSpec = { kind: 'indexer', dim: indexDim }
  const selecting: Part = {
    name: 'full indexed',
    weights: () => [
      ...plain.weights(),
      replicated('self_attn.indexer.q_proj', indexHeads * indexDim, d.hidden),
      replicated('self_attn.indexer.k_proj', indexDim, d.hidden),
      norm('self_attn.indexer.q_norm', indexDim),
      norm('self_attn.indexer.k_norm', indexDim),
    ],
    cache: [...(plain.cache ?? []), indexKey],
  }
  const fused = (prefix: string, width: number) =>
    fusedGatedFeedForward(d.hidden, width, false, [`${prefix}.gate_up_proj`, `${prefix}.down_proj`])
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({
      hidden: d.hidden,
      width: file.size('intermediate_size'),
      experts,
      perToken,
      prefix: 'block_sparse_moe',
      names: ['w1', 'w3', 'w2'],
    }),
    ...fused('block_sparse_moe.shared_experts', shared),
  ])
  const dense = feedPart('dense', d, () => fused('mlp', file.size('dense_intermediate_size')))
  return {
    sizes: d,
    layer: i => [indexed(i) ? selecting : plain, sparse(i) ? moe : dense],
    intermediate: file.sizeOrNull('dense_intermediate_size'),
    experts,
    expertsPerToken: perToken,
    mtp: predictionLayers(file.count('num_mtp_modules'), d, [plain, moe], false),
  }
}

/** Step 3.5: gated attention whose sliding layers can have another number of heads; experts from layer 3 on. */
function step(config: Config): Layered {
  const d = sizesOf(config)
  const bias = config.flag('attention_bias')
  const mlpBias = config.flag('mlp_bias')
  const other = config.nested('attention_other_setting')
  const slidingHeads = config.sizeOrNull('num_sliding_attention_heads') ?? other?.sizeOrNull('num_attention_heads')
  const kinds = layerKinds(config, d.layers)
  const window = config.sizeOrNull('sliding_window')
  const raw = config.raw('moe_layers_enum')
  const marked = typeof raw === 'string' ? raw.split(',').map(Number) : config.list('moe_layers_enum')
  const first = config.count('first_k_dense_replace', 3)
  const mlpKinds = layerKinds(config, d.layers, 'mlp_layer_types')
  const sparse = (i: number) => (mlpKinds ? mlpKinds[i] === 'sparse' : marked ? marked.includes(i) : i >= first)
  const experts = config.size('n_routed_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const attention = (sliding: boolean): Part => {
    const own: Sizes = sliding ? { ...d, heads: slidingHeads ?? d.heads } : d
    return attentionPart(own, sliding ? window : null, () => [
      ...attentionWeights({ ...own, qkvBias: bias, outBias: bias }),
      ...queryKeyNorms(own, 'head'),
      column('self_attn.g_proj', own.heads, d.hidden),
    ])
  }
  const mixers = { full: attention(false), sliding: attention(true) }
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({
      hidden: d.hidden,
      width: config.size('moe_intermediate_size'),
      experts,
      perToken,
      prefix: 'moe',
    }),
    ...sharedExpert(d.hidden, config.size('share_expert_dim'), { prefix: 'share_expert', bias: mlpBias }),
  ])
  const intermediate = config.size('intermediate_size')
  const dense = densePart(d, intermediate, mlpBias)
  return {
    sizes: d,
    layer: i => [kinds?.[i] === 'sliding_attention' ? mixers.sliding : mixers.full, sparse(i) ? moe : dense],
    intermediate,
    experts,
    expertsPerToken: perToken,
    mtp: predictionLayers(config.count('num_nextn_predict_layers'), d, [mixers.full, dense], false),
    // verified inside Step-3.7 only; alone it has a class of its own that no row shows
    exact: config.list('architectures') === null,
  }
}

const types: readonly LayeredType[] = [
  {
    type: 'glm4v_moe_text',
    classes: ['Glm4vMoe'],
    defaults: usual({
      vocab: 151424,
      hidden: 4096,
      width: 10944,
      layers: 46,
      heads: 96,
      kvHeads: 8,
      context: 65536,
      attention_bias: true,
      moe_intermediate_size: 1408,
      num_experts_per_tok: 8,
      n_shared_experts: 1,
      n_routed_experts: 128,
      first_k_dense_replace: 1,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: glmText,
  },
  {
    type: 'ernie4_5_vl_moe_text',
    classes: ['Ernie4_5_VLMoe'],
    defaults: usual({
      vocab: 103424,
      hidden: 2560,
      width: 12288,
      layers: 28,
      heads: 20,
      kvHeads: 4,
      context: 131072,
      moe_intermediate_size: [1536, 512],
      moe_k: 6,
      moe_num_experts: 64,
      moe_num_shared_experts: 2,
      tie_word_embeddings: true,
    }),
    aliases: { moe_num_experts: ['num_experts'], moe_k: ['num_experts_per_tok'] },
    read: ernieText,
  },
  {
    type: 'minimax_m3_vl_text',
    classes: ['MiniMaxM3VL', 'MiniMaxM3Sparse'],
    defaults: usual({
      vocab: 200064,
      hidden: 6144,
      width: 3072,
      layers: 60,
      heads: 64,
      kvHeads: 4,
      head_dim: 128,
      context: 524288,
      num_experts_per_tok: 4,
      num_local_experts: 128,
      dense_intermediate_size: 12288,
      shared_intermediate_size: 3072,
      index_n_heads: 4,
      index_head_dim: 128,
    }),
    aliases: { num_local_experts: ['num_experts'] },
    read: minimaxM3,
  },
  {
    type: 'step3p5',
    classes: ['Step3p7'],
    defaults: usual({
      vocab: 128815,
      hidden: 4096,
      width: 11264,
      layers: 45,
      heads: 64,
      kvHeads: 8,
      head_dim: 128,
      context: 128000,
      num_experts_per_tok: 8,
      n_routed_experts: 288,
      moe_intermediate_size: 1280,
      share_expert_dim: 1280,
    }),
    aliases: {
      n_routed_experts: ['moe_num_experts', 'num_local_experts', 'num_experts'],
      num_key_value_heads: ['num_attention_groups'],
      num_experts_per_tok: ['moe_top_k'],
    },
    read: step,
  },
]

export const multimodalText: readonly Family[] = types.map(layered)
