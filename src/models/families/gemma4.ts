import { type Attention, attentionWeights, keyValueHeads, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { mixtureWeights } from '../blocks/mixture.ts'
import { norm, replicated, tokenEmbedding, vector } from '../blocks/weights.ts'
import { Config, type JsonObject } from '../config.ts'
import type { LayerKind, ModelShape, Weight } from '../shape.ts'
import { assemble, attentionCache, type Dims, dimsOf } from './decoder.ts'
import { equalToClasses, type Family, layerKinds, stackOf, usual } from './family.ts'
import { perLayerEmbedding, perLayerGate, sandwichNorms, withoutOwnKeys } from './gemma.ts'
import { norms } from './llama.ts'

const defaults = usual({
  vocab: 262144,
  hidden: 2304,
  width: 9216,
  layers: 30,
  heads: 8,
  kvHeads: 4,
  head_dim: 256,
  global_head_dim: 512,
  context: 131072,
  sliding_window: 512,
  vocab_size_per_layer_input: 262144,
  hidden_size_per_layer_input: 256,
  num_kv_shared_layers: 0,
  tie_word_embeddings: true,
})

/** 5 sliding layers to 1 full one; the last layer is full whatever the file says. */
function fullLayers(d: Dims): boolean[] {
  const kinds = layerKinds(d.config, d.layers)
  return Array.from({ length: d.layers }, (_, i) => {
    if (i === d.layers - 1) return true
    return kinds ? kinds[i] === 'full_attention' : (i + 1) % 6 === 0
  })
}

/** Routed experts beside the dense feed-forward, with three more norms. */
function expertBlock(d: Dims): Weight[] {
  if (!d.config.flag('enable_moe_block')) return []
  const experts = d.config.size('num_experts')
  return [
    ...mixtureWeights({
      hidden: d.hidden,
      width: d.config.size('moe_intermediate_size'),
      experts,
      perToken: Math.min(experts, d.config.size('top_k_experts')),
      prefix: '',
      router: 'router.proj',
    }),
    vector('router.scale', d.hidden),
    vector('router.per_expert_scale', experts),
    ...norms(d, ['post_feedforward_layernorm_1', 'post_feedforward_layernorm_2', 'pre_feedforward_layernorm_2']),
  ]
}

/**
 * Full layers have their own head size and, where keys serve as values, their own number of KV heads and no v_proj.
 * Layers that reuse another's keys and values have neither k nor v, and twice the width under use_double_wide_mlp.
 */
function shape(type: string, more: JsonObject, file: Config): ModelShape {
  const config = file.with({ ...defaults, ...more })
  const d = dimsOf({}, config)
  const full = fullLayers(d)
  const perLayer = config.count('hidden_size_per_layer_input')
  const firstShared = d.layers - config.count('num_kv_shared_layers')
  const keysAreValues = config.flag('attention_k_eq_v')
  const bias = config.flag('attention_bias')
  const window = config.size('sliding_window')
  const experts = expertBlock(d)
  const global: Attention = {
    ...d,
    headDim: config.size('global_head_dim'),
    kvHeads: (keysAreValues ? config.sizeOrNull('num_global_key_value_heads') : null) ?? d.kvHeads,
  }
  const layer = (i: number, name: string): LayerKind => {
    const attention = full[i] ? global : d
    const owns = i < firstShared
    const projections = [
      ...attentionWeights({ ...attention, qkvBias: bias, outBias: bias }),
      ...queryKeyNorms(attention, 'head'),
    ]
    // values that are the keys: files and class have no matrix for them, vLLM's joint projection holds a copy
    const own: readonly Weight[] =
      keysAreValues && full[i]
        ? projections.map(w => (w.name.endsWith('.v_proj') ? { ...w, unbuilt: 'loaded' } : w))
        : projections
    const width = !owns && config.flag('use_double_wide_mlp') ? 2 * d.width : d.width
    return {
      name,
      weights: [
        ...(owns ? own : withoutOwnKeys(own)),
        ...gatedFeedForward(d.hidden, width),
        ...sandwichNorms(d),
        ...experts,
        ...perLayerGate(d, perLayer),
      ],
      cache: owns ? [attentionCache(full[i] ? null : window, keyValueHeads(attention))] : [],
    }
  }
  return assemble(config, {
    type,
    classes: ['Gemma4', 'Gemma4Unified'],
    exact: true,
    embedding: [tokenEmbedding(d.vocabulary, d.hidden), ...perLayerEmbedding(d, perLayer)],
    layers: stackOf(d.layers, i => `${full[i] ? 'full' : 'sliding'}${i < firstShared ? '' : ' shared-kv'}`, layer),
    final: [norm('model.norm', d.hidden)],
    facts: {
      hidden: d.hidden,
      layers: d.layers,
      vocabulary: d.vocabulary,
      heads: d.heads,
      kvHeads: d.kvHeads,
      headDim: d.headDim,
      intermediate: d.width,
      ...(experts.length > 0
        ? { experts: config.size('num_experts'), expertsPerToken: config.size('top_k_experts') }
        : {}),
    },
  })
}

/** What the unified models do otherwise. */
const unifiedDefaults = { hidden_size_per_layer_input: 0, sliding_window: 1024, max_position_embeddings: 262144 }

/**
 * The draft model beside a Gemma 4: every layer reads the big model's keys and values, and two matrices change between
 * the widths.
 */
function assistantShape(config: Config): ModelShape {
  const text = config.nested('text_config') ?? new Config({}, {}, {}, 'text_config.')
  const layers = text.with(defaults).size('num_hidden_layers')
  const shared = text.count('num_kv_shared_layers') || layers
  const json = {
    ...text.json,
    num_kv_shared_layers: shared,
    tie_word_embeddings: config.flag('tie_word_embeddings', true),
  }
  const body = shape('gemma4_unified_text', unifiedDefaults, new Config(json, {}, {}, text.path))
  const outer = config.size('backbone_hidden_size')
  const ordered = config.flag('use_ordered_embeddings')
  return {
    ...body,
    family: 'gemma4_unified_assistant',
    modelType: config.text('model_type') ?? 'gemma4_unified_assistant',
    count: body.count,
    embedding: [...body.embedding, replicated('pre_projection', body.facts.hidden, 2 * outer)],
    final: [
      ...body.final,
      replicated('post_projection', outer, body.facts.hidden),
      ...(ordered ? [replicated('masked_embedding.centroids', config.size('num_centroids'), body.facts.hidden)] : []),
    ],
  }
}

const family = (type: string, more: JsonObject = {}): Family => ({
  name: type,
  modelTypes: [type],
  verified: equalToClasses,
  shape: config => shape(type, more, config),
})

export const gemma4: readonly Family[] = [
  family('gemma4_text'),
  family('gemma4_unified_text', unifiedDefaults),
  {
    name: 'gemma4_unified_assistant',
    modelTypes: ['gemma4_unified_assistant'],
    verified: equalToClasses,
    shape: config => assistantShape(config.with({ backbone_hidden_size: 3840, num_centroids: 2048 })),
  },
]
