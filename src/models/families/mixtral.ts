import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { correctionBias, type Mixture, mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import { linear, norm, row, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows, plainWindows, type Windows } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { attentionPart, feedPart, type Layered, type LayeredType, layered, type Sizes, sizesOf } from './layered.ts'

/** Keys and widths of a mixture whose layers are all alike; experts are intermediate_size wide unless said. */
interface Uniform {
  readonly experts: string
  readonly perToken?: string
  readonly attention: (d: Sizes) => readonly Weight[]
  readonly mixture?: (d: Sizes) => Partial<Mixture>
  /** What runs beside the experts, and norms beyond the two of a Llama layer. */
  readonly more?: (d: Sizes) => readonly Weight[]
  readonly windows?: (d: Sizes) => Windows
  readonly norm?: (d: Sizes) => Weight
  readonly headBias?: (config: Config) => boolean
}

/** Every layer: attention, then routed experts. */
function uniform(config: Config, u: Uniform): Layered {
  const d = sizesOf(config)
  const experts = config.size(u.experts)
  const perToken = config.sizeOrNull(u.perToken ?? 'num_experts_per_tok')
  const width = config.size('intermediate_size')
  const windows = u.windows?.(d) ?? new Array<null>(d.layers).fill(null)
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({ hidden: d.hidden, width, experts, perToken, ...u.mixture?.(d) }),
    ...(u.more?.(d) ?? []),
  ])
  return {
    sizes: d,
    layer: i => [attentionPart(d, windows[i] ?? null, () => u.attention(d)), moe],
    final: [u.norm?.(d) ?? norm('model.norm', d.hidden)],
    headBias: u.headBias?.(config) ?? false,
    intermediate: width,
    experts,
    expertsPerToken: perToken,
  }
}

/** q, k, v and o with `attention_bias` on all four. */
const flaggedAttention = (d: Sizes): Weight[] => {
  const bias = d.config.flag('attention_bias')
  return attentionWeights({ ...d, qkvBias: bias, outBias: bias })
}

const blockSparse = { prefix: 'block_sparse_moe' }
const mixtralNames = { ...blockSparse, names: ['w1', 'w3', 'w2'] } as const

const graniteDefaults = usual({
  vocab: 32000,
  hidden: 4096,
  width: 11008,
  layers: 32,
  heads: 32,
  context: 2048,
  num_local_experts: 8,
  num_experts_per_tok: 2,
})

const graniteMixture = { ...blockSparse, router: 'block_sparse_moe.router.layer' }

const types: readonly LayeredType[] = [
  {
    type: 'mixtral',
    defaults: usual({
      vocab: 32000,
      hidden: 4096,
      width: 14336,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      context: 131072,
      num_local_experts: 8,
      num_experts_per_tok: 2,
    }),
    aliases: { num_local_experts: ['num_experts'] },
    read: config =>
      uniform(config, {
        experts: 'num_local_experts',
        attention: attentionWeights,
        mixture: () => mixtralNames,
        windows: plainWindows,
      }),
  },
  {
    type: 'minimax_m2',
    defaults: usual({
      vocab: 200064,
      hidden: 3072,
      width: 1536,
      layers: 62,
      heads: 48,
      kvHeads: 8,
      head_dim: 128,
      context: 196608,
      num_local_experts: 256,
      num_experts_per_tok: 8,
    }),
    aliases: { num_local_experts: ['num_experts'] },
    read: config =>
      uniform(config, {
        experts: 'num_local_experts',
        attention: d => [...attentionWeights(d), ...queryKeyNorms(d, 'wide')],
        mixture: () => ({ ...mixtralNames, routerFloat32: true }),
        more: d => [correctionBias(d.config.size('num_local_experts'), 'block_sparse_moe')],
      }),
  },
  {
    type: 'granitemoe',
    defaults: graniteDefaults,
    read: config =>
      uniform(config, {
        experts: 'num_local_experts',
        attention: flaggedAttention,
        mixture: () => graniteMixture,
      }),
  },
  {
    type: 'granitemoeshared',
    defaults: graniteDefaults,
    read: config =>
      uniform(config, {
        experts: 'num_local_experts',
        attention: flaggedAttention,
        mixture: () => graniteMixture,
        more: d => {
          const shared = config.count('shared_intermediate_size')
          return shared > 0 ? sharedExpert(d.hidden, shared, { prefix: 'shared_mlp' }) : []
        },
      }),
  },
  {
    type: 'phimoe',
    also: ['PhiMoE'],
    defaults: usual({
      vocab: 32064,
      hidden: 4096,
      width: 6400,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      context: 131072,
      num_local_experts: 16,
      num_experts_per_tok: 2,
    }),
    read: config =>
      uniform(config, {
        experts: 'num_local_experts',
        attention: flaggedAttention,
        mixture: () => mixtralNames,
        // LayerNorms with bias where the others have RMS norms: one more bias for each of the two
        more: d => [vector('input_layernorm.bias', d.hidden), vector('post_attention_layernorm.bias', d.hidden)],
        windows: plainWindows,
        norm: d => norm('model.norm', d.hidden, true),
        headBias: c => c.flag('lm_head_bias'),
      }),
  },
  {
    type: 'olmoe',
    defaults: usual({
      vocab: 50304,
      hidden: 2048,
      width: 2048,
      layers: 16,
      heads: 16,
      context: 4096,
      num_experts: 64,
      num_experts_per_tok: 8,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: config =>
      uniform(config, {
        experts: 'num_experts',
        attention: d => [
          ...flaggedAttention(d),
          norm('self_attn.q_norm', d.hidden),
          norm('self_attn.k_norm', Math.floor(d.hidden / d.heads) * d.kvHeads),
        ],
      }),
  },
  {
    type: 'flex_olmo',
    defaults: usual({
      vocab: 100352,
      hidden: 4096,
      width: 11008,
      layers: 32,
      heads: 32,
      context: 4096,
      num_experts: 7,
      num_experts_per_tok: 5,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: config =>
      uniform(config, {
        experts: 'num_experts',
        attention: d => [...flaggedAttention(d), ...queryKeyNorms(d, 'wide')],
      }),
  },
  {
    type: 'hunyuan_v1_moe',
    classes: ['HunYuanMoEV1'],
    also: ['hunyuan'],
    defaults: usual({
      vocab: 290943,
      hidden: 4096,
      width: 11008,
      layers: 32,
      heads: 32,
      context: 2048,
      num_experts: 1,
      moe_topk: 1,
    }),
    aliases: { moe_topk: ['num_experts_per_tok'], num_experts: ['num_local_experts'] },
    read: config => ({
      ...uniform(config, {
        experts: 'num_experts',
        perToken: 'moe_topk',
        attention: d => [
          ...flaggedAttention(d),
          norm('self_attn.query_layernorm', d.headDim),
          norm('self_attn.key_layernorm', d.headDim),
        ],
        mixture: () => ({ router: 'mlp.gate.wg' }),
        more: d => sharedExpert(d.hidden, config.size('intermediate_size'), { prefix: 'mlp.shared_mlp' }),
      }),
      ...(config.sizeOrNull('head_dim') === null
        ? { exact: false, notes: ['head_dim missing: hidden_size / num_attention_heads assumed'] }
        : {}),
    }),
  },
  {
    type: 'gpt_oss',
    defaults: usual({
      vocab: 201088,
      hidden: 2880,
      width: 2880,
      layers: 36,
      heads: 64,
      kvHeads: 8,
      head_dim: 64,
      context: 131072,
      sliding_window: 128,
      attention_bias: true,
      num_local_experts: 128,
      num_experts_per_tok: 4,
    }),
    aliases: { num_local_experts: ['num_experts'] },
    read: config =>
      uniform(config, {
        experts: 'num_local_experts',
        attention: d => [...flaggedAttention(d), vector('self_attn.sinks', d.heads, 'column')],
        mixture: () => ({ router: 'mlp.router', routerBias: true, bias: true }),
        windows: d => alternatingWindows(d, i => i % 2 === 1),
      }),
  },
  {
    // attention sizes stand in attn_config, experts in ffn_config; the class cannot tie
    type: 'dbrx',
    defaults: {
      d_model: 2048,
      n_heads: 16,
      n_layers: 24,
      vocab_size: 32000,
      max_seq_len: 2048,
      attn_config: {},
      ffn_config: {},
    },
    aliases: {
      d_model: ['hidden_size'],
      n_heads: ['num_attention_heads'],
      n_layers: ['num_hidden_layers'],
      max_seq_len: ['max_position_embeddings'],
    },
    read: config => {
      const attention = config.nested('attn_config')?.with({ kv_n_heads: 1 })
      const ffn = config.nested('ffn_config')?.with({ ffn_hidden_size: 3584, moe_num_experts: 4, moe_top_k: 1 })
      if (!attention) return config.invalid('attn_config', 'is null, expected an object')
      if (!ffn) return config.invalid('ffn_config', 'is null, expected an object')
      const d: Sizes = {
        ...sizesOf(config, { hidden: 'd_model', layers: 'n_layers', heads: 'n_heads' }),
        kvHeads: attention.size('kv_n_heads'),
      }
      const experts = ffn.size('moe_num_experts')
      const perToken = ffn.size('moe_top_k')
      const width = ffn.size('ffn_hidden_size')
      const kvWidth = 2 * d.kvHeads * d.headDim
      const full = attentionPart(d, null, () => [
        linear('norm_attn_norm.attn.Wqkv', d.hidden + kvWidth, d.hidden, 'qkv', { kvHeads: d.kvHeads, kvWidth }),
        row('norm_attn_norm.attn.out_proj', d.hidden, d.hidden),
      ])
      const moe = feedPart('moe', d, () =>
        mixtureWeights({
          hidden: d.hidden,
          width,
          experts,
          perToken,
          prefix: 'ffn',
          router: 'ffn.router.layer',
          names: ['mlp.w1', 'mlp.v1', 'mlp.w2'],
        }),
      )
      return {
        sizes: d,
        layer: () => [full, moe],
        embedding: [tokenEmbedding(d.vocabulary, d.hidden, 'transformer.wte')],
        tied: false,
        intermediate: width,
        experts,
        expertsPerToken: perToken,
      }
    },
  },
]

export const mixtral: readonly Family[] = types.map(layered)
