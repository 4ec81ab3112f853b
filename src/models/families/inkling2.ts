import { attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { mixtureWeights } from '../blocks/mixture.ts'
import { column, conv, norm, positionEmbedding, replicated, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { CacheSpec, Weight } from '../shape.ts'
import { attentionCache } from './decoder.ts'
import { type Family, layerKinds, usual } from './family.ts'
import { feedPart, type Layered, type LayeredType, layered, type Part, type Sizes, sizesOf } from './layered.ts'
import { type Multimodal, type MultimodalType, multimodal, tower } from './multimodal.ts'
import { type Encoder, plainEncoder } from './towers.ts'
import { patchMatrix, throughInner } from './vision-parts.ts'

/**
 * Inkling 2: gates on the attention's output, a sink a head, learned lengths of queries and relative positions, and
 * inputs of each part mixed from earlier blocks by learned queries. Inkling 2 Mini runs some layers several times, with
 * a cache for each pass and gates between the passes.
 */
function inkling2(config: Config): Layered {
  const full = sizesOf(config)
  const sliding: Sizes = {
    ...full,
    heads: config.size('swa_num_attention_heads'),
    kvHeads: config.size('swa_num_key_value_heads'),
    headDim: config.size('swa_head_dim'),
  }
  const { hidden, layers } = full
  const kernel = config.size('conv_kernel_size')
  const window = config.size('sliding_window_size')
  const kinds = layerKinds(config, layers)
  const isSliding = (i: number) => (kinds ? kinds[i] === 'hybrid_sliding' : (i + 1) % 6 !== 0)
  const loop = loopOf(config)
  const relative = config.size('d_rel')
  const mixer = (i: number): Part => {
    const slides = isSliding(i)
    const d = slides ? sliding : full
    const width = d.heads * d.headDim
    const kvWidth = d.kvHeads * d.headDim
    const loops = loop !== null && i >= loop.start && i < loop.end
    const states: CacheSpec[] = [kvWidth, kvWidth, hidden, hidden].map(w => ({ kind: 'short-conv', width: w, kernel }))
    const cache = [attentionCache(slides ? window : null, keyValueHeads(d)), ...states]
    return {
      name: `${slides ? `sliding ${window}` : 'full'}${loops ? ' looped' : ''}${i === 0 ? ' first' : ''}`,
      weights: () => [
        ...attentionWeights(d),
        column('self_attn.gate_proj', d.heads * d.headDim, hidden),
        column('self_attn.sink_proj', d.heads, hidden),
        vector('self_attn.q_proj.norm.scale', width, 'column'),
        column('self_attn.relative_position_bias.linear', d.heads * relative, hidden),
        vector('self_attn.relative_position_bias.norm.scale', d.heads * relative, 'column'),
        vector('self_attn.relative_position_bias.proj', relative * (slides ? window : config.size('rel_extent'))),
        ...['k_proj', 'v_proj'].flatMap(name => [
          conv(`self_attn.${name}.sconv`, kvWidth, kernel, false, 'column'),
          ...(slides ? [] : [column(`self_attn.${name}.sconv.weight_proj`, d.kvHeads * kernel, hidden)]),
        ]),
        ...['post_attention', 'post_mlp'].map(name => conv(`${name}_convolution`, hidden, kernel, false)),
        ...(slides ? ['input_layernorm'] : ['q_input_layernorm', 'k_input_layernorm', 'v_input_layernorm']).map(name =>
          norm(name, hidden),
        ),
        ...(i === 0 ? [] : [vector('attention_input.query', (slides ? 1 : 3) * hidden)]),
        vector('mlp_input.query', hidden),
        ...(loops ? ['q', 'k', 'v', 'mlp'].flatMap(name => messageGate(name, hidden, loop.rank)) : []),
      ],
      cache: loops ? Array.from({ length: loop.passes }, () => cache).flat() : cache,
    }
  }
  const experts = config.size('n_routed_experts')
  const width = config.size('moe_intermediate_size')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const moe = feedPart('moe', full, () => mixtureWeights({ hidden, width, experts, perToken }))
  return {
    sizes: full,
    layer: i => [mixer(i), moe],
    embedding: [tokenEmbedding(full.vocabulary, hidden), norm('model.embed_tokens.embed_norm', hidden)],
    final: [
      norm('model.norm', hidden),
      vector('model.final_input.query', hidden),
      ...(loop && loop.end > loop.start
        ? [vector('model.message_input.query', (loop.end - loop.start) * 4 * hidden)]
        : []),
    ],
    headRows: config.size('unpadded_vocab_size'),
    tied: false,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

const messageGate = (name: string, hidden: number, rank: number): Weight[] => [
  replicated(`${name}_message_gate.down_proj`, rank, 2 * hidden),
  replicated(`${name}_message_gate.forget_gate_proj`, hidden, rank),
  replicated(`${name}_message_gate.message_gate_proj`, hidden, rank),
]

/** The layers that Inkling 2 Mini runs several times; null for classes without. */
function loopOf(config: Config) {
  if (config.sizeOrNull('loop_gate_rank') === null) return null
  const own = config.nested('loop_config')
  const passes = own?.sizeOrNull('num_passes') ?? config.size('loop_num_passes')
  return {
    start: own?.sizeOrNull('core_start') ?? config.size('loop_layer_index_start'),
    end: own?.sizeOrNull('core_end') ?? config.size('loop_layer_index_end'),
    passes: passes <= 100 ? passes : config.invalid('loop_num_passes', `is ${passes}, expected at most 100`),
    rank: own?.sizeOrNull('gate_rank') ?? config.size('loop_gate_rank'),
  }
}

const inkling2Defaults = usual({
  vocab: 201024,
  unpadded_vocab_size: 200058,
  hidden: 4608,
  layers: 48,
  heads: 48,
  kvHeads: 8,
  head_dim: 128,
  swa_num_attention_heads: 48,
  swa_num_key_value_heads: 8,
  swa_head_dim: 128,
  sliding_window_size: 1024,
  d_rel: 16,
  rel_extent: 1024,
  context: 1048576,
  conv_kernel_size: 4,
  moe_intermediate_size: 2304,
  n_routed_experts: 384,
  num_experts_per_tok: 8,
})

const inkling2Aliases = {
  sliding_window_size: ['sliding_window'],
  n_routed_experts: ['num_local_experts'],
  conv_kernel_size: ['sconv_kernel_size'],
  max_position_embeddings: ['model_max_length'],
  moe_intermediate_size: ['intermediate_size'],
}

/** Inkling 2: scaled residuals, positions of a grid, four patches merged into one token. */
function inkling2Visual(file: Config, out: number): Encoder {
  const config = file.with(
    usual({
      hidden: 1024,
      layers: 23,
      heads: 16,
      num_channels: 3,
      patch_size: 20,
      mlp_ratio: 4,
      spatial_merge_size: 2,
      posemb_grid_size: 32,
      projection_hidden_dim: 4096,
      projector_bias: false,
    }),
    { patch_size: ['native_patch_size'], spatial_merge_size: ['adapter_merge_size'] },
  )
  const hidden = config.size('hidden_size')
  const width = config.sizeOrNull('intermediate_size') ?? config.multiple('mlp_ratio', hidden)
  const merged = hidden * config.size('spatial_merge_size') ** 2
  const encoder = plainEncoder(
    config,
    [
      patchMatrix('embeddings.patch_embedding', config, hidden, 1, config.size('num_channels')),
      positionEmbedding(config.size('posemb_grid_size') ** 2, hidden, 'embeddings.position_embedding'),
      vector('embeddings.class_embedding', hidden),
      vector('embeddings.cls_position_embedding', hidden),
      norm('pre_layernorm', hidden, true),
      ...throughInner(merged, config.size('projection_hidden_dim'), out, config.flag('projector_bias')),
    ],
    {
      hidden,
      width,
      norms: ['layernorm_before', 'layernorm_after'],
      more: [vector('lambda_1', hidden), vector('lambda_2', hidden)],
    },
  )
  return encoder
}

const inkling2Towers = (m: Multimodal) => [
  tower('vision_tower', 'vision', inkling2Visual(m.part('vision_config'), m.hidden)),
]

const texts: readonly LayeredType[] = [
  {
    type: 'inkling2_text',
    classes: ['Inkling2'],
    defaults: inkling2Defaults,
    aliases: inkling2Aliases,
    read: inkling2,
  },
  {
    type: 'inkling2_loop_text',
    classes: ['Inkling2Loop'],
    defaults: usual({
      ...inkling2Defaults,
      hidden: 2304,
      layers: 24,
      heads: 24,
      swa_num_attention_heads: 24,
      moe_intermediate_size: 1152,
      n_routed_experts: 128,
      loop_layer_index_start: 6,
      loop_layer_index_end: 18,
      loop_num_passes: 3,
      loop_gate_rank: 64,
    }),
    aliases: inkling2Aliases,
    read: inkling2,
  },
]

const types: readonly MultimodalType[] = [
  { type: 'inkling2', text: { type: 'inkling2_text' }, tie: 'never', towers: inkling2Towers },
  { type: 'inkling2_loop', text: { type: 'inkling2_loop_text' }, tie: 'never', towers: inkling2Towers },
]

export const inkling2Family: readonly Family[] = [...texts.map(layered), ...types.map(multimodal)]
