import { attentionWeights, keyValueHeads, queryKeyNorms } from '../blocks/attention.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import { norm, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { CacheSpec } from '../shape.ts'
import { attentionCache } from './decoder.ts'
import { type Family, layerKinds, usual } from './family.ts'
import {
  attentionPart,
  densePart,
  feedPart,
  type LayeredType,
  layered,
  type Part,
  predictionLayers,
  type Sizes,
  sizesOf,
} from './layered.ts'

/** Which layers are mixtures: `mlp_layer_types` of the file, else all from the given one on. */
export function sparseFrom(config: Config, layers: number, first: number): (layer: number) => boolean {
  const kinds = layerKinds(config, layers, 'mlp_layer_types')
  return kinds ? i => kinds[i] === 'sparse' : i => i >= first
}

/** Routed experts of moe_intermediate_size with `shared` such experts fused into one beside them. */
export function sharedMixture(
  d: Pick<Sizes, 'config' | 'hidden'>,
  experts: number,
  shared: number,
  options: { readonly bias?: boolean; readonly prefix?: string } = {},
): Part {
  const width = d.config.size('moe_intermediate_size')
  const perToken = d.config.sizeOrNull('num_experts_per_tok')
  const prefix = options.prefix ?? 'mlp'
  return feedPart('moe', d, () => [
    ...mixtureWeights({ hidden: d.hidden, width, experts, perToken, prefix }),
    ...(shared > 0
      ? sharedExpert(d.hidden, width * shared, { prefix: `${prefix}.shared_experts`, bias: options.bias ?? false })
      : []),
  ])
}

const llama4Feed = 'feed_forward'

const types: readonly LayeredType[] = [
  {
    type: 'glm4_moe',
    defaults: usual({
      vocab: 151552,
      hidden: 4096,
      width: 10944,
      layers: 46,
      heads: 96,
      kvHeads: 8,
      context: 131072,
      moe_intermediate_size: 1408,
      num_experts_per_tok: 8,
      n_shared_experts: 1,
      n_routed_experts: 128,
      first_k_dense_replace: 1,
    }),
    aliases: { n_routed_experts: ['num_local_experts'], num_nextn_predict_layers: ['num_mtp_layers'] },
    read: config => {
      const d = sizesOf(config)
      const bias = config.flag('attention_bias')
      const experts = config.size('n_routed_experts')
      const dense = config.count('first_k_dense_replace')
      const full = attentionPart(d, null, () => [
        ...attentionWeights({ ...d, qkvBias: bias }),
        ...(config.flag('use_qk_norm') ? queryKeyNorms(d, 'head') : []),
      ])
      const moe = sharedMixture(d, experts, config.count('n_shared_experts'))
      const intermediate = config.size('intermediate_size')
      return {
        sizes: d,
        layer: i => [full, i >= dense ? moe : densePart(d, intermediate)],
        intermediate,
        experts,
        expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
        // GLM-4.5 has copies of embedding and head, GLM-4.6 none: counted with them
        mtp: predictionLayers(config.count('num_nextn_predict_layers'), d, [full, moe], true),
      }
    },
  },
  {
    type: 'dots1',
    defaults: usual({
      vocab: 152064,
      hidden: 4608,
      width: 10944,
      layers: 62,
      heads: 32,
      kvHeads: 32,
      context: 2048,
      moe_intermediate_size: 1408,
      first_k_dense_replace: 0,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: config => {
      const d = sizesOf(config)
      const bias = config.flag('attention_bias')
      const experts = config.size('n_routed_experts')
      const dense = config.count('first_k_dense_replace')
      const full = attentionPart(d, null, () => [
        ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
        ...queryKeyNorms(d, 'head'),
      ])
      const moe = sharedMixture(d, experts, config.size('n_shared_experts'))
      const intermediate = config.size('intermediate_size')
      return {
        sizes: d,
        layer: i => [full, i >= dense ? moe : densePart(d, intermediate)],
        intermediate,
        experts,
        expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
      }
    },
  },
  {
    type: 'ernie4_5_moe',
    defaults: usual({
      vocab: 103424,
      hidden: 2560,
      width: 12288,
      layers: 28,
      heads: 20,
      kvHeads: 4,
      context: 131072,
      moe_intermediate_size: 1536,
      moe_num_experts: 64,
      moe_k: 6,
      moe_num_shared_experts: 2,
      moe_layer_start_index: 1,
      moe_layer_end_index: -1,
      moe_layer_interval: 1,
      tie_word_embeddings: true,
    }),
    aliases: { moe_num_experts: ['num_experts'], moe_k: ['num_experts_per_tok'] },
    read: config => {
      const d = sizesOf(config)
      const bias = config.flag('use_bias')
      const experts = config.size('moe_num_experts')
      const perToken = config.size('moe_k')
      const width = config.size('moe_intermediate_size')
      const shared = config.count('moe_num_shared_experts')
      const interval = config.size('moe_layer_interval')
      const first = config.count('moe_layer_start_index')
      const end = config.number('moe_layer_end_index') ?? -1
      const last = end === -1 ? d.layers - 1 : end
      const full = attentionPart(d, null, () => attentionWeights({ ...d, qkvBias: bias, outBias: bias }))
      const moe = feedPart('moe', d, () => [
        ...mixtureWeights({ hidden: d.hidden, width, experts, perToken }),
        vector('mlp.moe_statics.e_score_correction_bias', experts),
        ...(shared > 0 ? sharedExpert(d.hidden, width * shared, { bias }) : []),
      ])
      const intermediate = config.size('intermediate_size')
      const dense = densePart(d, intermediate, bias)
      return {
        sizes: d,
        layer: i => [full, (i + 1) % interval === 0 && i >= first && i <= last ? moe : dense],
        headBias: bias,
        intermediate,
        experts,
        expertsPerToken: perToken,
      }
    },
  },
  {
    // attention in chunks except where there is no rotary embedding; L2 norms of queries and keys have no weights
    type: 'llama4_text',
    classes: ['Llama4'],
    defaults: usual({
      vocab: 202048,
      hidden: 5120,
      width: 8192,
      intermediate_size_mlp: 16384,
      layers: 48,
      heads: 40,
      kvHeads: 8,
      head_dim: 128,
      context: 131072,
      num_experts_per_tok: 1,
      num_local_experts: 16,
      interleave_moe_layer_step: 1,
      no_rope_layer_interval: 4,
      attention_chunk_size: 8192,
    }),
    read: config => {
      const d = sizesOf(config)
      const bias = config.flag('attention_bias')
      const chunk = config.sizeOrNull('attention_chunk_size')
      const interval = config.size('no_rope_layer_interval')
      const rotary = config.list('no_rope_layers') ?? []
      const usesRope = (i: number) => (rotary.length > 0 ? rotary[i] !== 0 : (i + 1) % interval !== 0)
      const listed = config.list('moe_layers')
      const step = config.size('interleave_moe_layer_step')
      const sparse = (i: number) => (listed ? listed.includes(i) : (i + 1) % step === 0)
      const experts = config.size('num_local_experts')
      const perToken = config.size('num_experts_per_tok')
      const width = config.size('intermediate_size')
      const attention = (local: boolean): Part => {
        const cache: CacheSpec =
          local && chunk !== null
            ? { kind: 'chunked', chunk, ...keyValueHeads(d) }
            : attentionCache(null, keyValueHeads(d))
        return {
          name: cache.kind === 'chunked' ? `chunked ${chunk}` : 'full',
          weights: () => [
            ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
            norm('input_layernorm', d.hidden),
          ],
          cache: [cache],
        }
      }
      const moe = feedPart('moe', d, () => [
        ...mixtureWeights({
          hidden: d.hidden,
          width,
          experts,
          perToken,
          prefix: llama4Feed,
          router: `${llama4Feed}.router`,
        }),
        ...sharedExpert(d.hidden, width, { prefix: `${llama4Feed}.shared_expert` }),
      ])
      const dense = densePart(d, config.size('intermediate_size_mlp'))
      return {
        sizes: d,
        layer: i => [attention(usesRope(i)), sparse(i) ? moe : dense],
        intermediate: config.size('intermediate_size_mlp'),
        experts,
        expertsPerToken: perToken,
      }
    },
  },
]

export const glmMoe: readonly Family[] = types.map(layered)
