import { patchConv, patchPositions } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, replicated, row, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type Family, layerCount, stackOf, uniformStack, usual } from './family.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { type Encoder, encoderOf, plainEncoder } from './towers.ts'

/** BLIP-2's vision tower: q, k and v in one matrix, a class token. */
function blipVision(m: Multimodal): Encoder {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1408,
      width: 6144,
      layers: 39,
      heads: 16,
      num_channels: 3,
      image_size: 224,
      patch_size: 14,
      qkv_bias: true,
    }),
  )
  const hidden = config.size('hidden_size')
  return plainEncoder(
    config,
    [
      vector('embeddings.class_embedding', hidden),
      patchPositions('embeddings.position_embedding', config, hidden, 1),
      patchConv('embeddings.patch_embedding', config, hidden, { bias: true }),
      norm('post_layernorm', hidden, true),
    ],
    {
      hidden,
      width: config.size('intermediate_size'),
      fused: true,
      qkvBias: config.flag('qkv_bias'),
      names: { out: 'projection' },
    },
  )
}

/**
 * A querying transformer: learned queries attend to each other and, in every cross_attention_frequency-th layer, to the
 * tower. With text input it has a second feed-forward a layer (and in InstructBLIP embeddings of its own).
 */
function queryTransformer(file: Config, seen: number | null, text: 'flag' | 'always'): Encoder {
  const config = file.with(
    usual({
      vocab: 30522,
      hidden: 768,
      layers: 12,
      heads: 12,
      width: 3072,
      context: 512,
      cross_attention_frequency: 2,
      encoder_hidden_size: 1408,
      use_qformer_text_input: false,
    }),
  )
  const hidden = config.size('hidden_size')
  const width = config.size('intermediate_size')
  const input = seen ?? config.size('encoder_hidden_size')
  const every = config.size('cross_attention_frequency')
  const reads = text === 'always' || config.flag('use_qformer_text_input')
  const bias = { bias: true }
  const attention = (name: string, keys: number): Weight[] => [
    column(`${name}.attention.query`, hidden, hidden, bias),
    column(`${name}.attention.key`, hidden, keys, bias),
    column(`${name}.attention.value`, hidden, keys, bias),
    row(`${name}.output.dense`, hidden, hidden, bias),
    norm(`${name}.output.LayerNorm`, hidden, true),
  ]
  const feed = (suffix: string): Weight[] => [
    column(`intermediate${suffix}.dense`, width, hidden, bias),
    row(`output${suffix}.dense`, hidden, width, bias),
    norm(`output${suffix}.LayerNorm`, hidden, true),
  ]
  const embeddings =
    text === 'always'
      ? [
          tokenEmbedding(config.size('vocab_size'), hidden, 'embeddings.word_embeddings'),
          positionEmbedding(config.size('max_position_embeddings'), hidden, 'embeddings.position_embeddings'),
        ]
      : []
  return {
    weights: [...embeddings, norm('layernorm', hidden, true)],
    stack: stackOf(
      layerCount(config),
      i => (i % every === 0 ? 'crossing' : 'plain'),
      (i, name) => ({
        name,
        weights: [
          ...attention('attention', hidden),
          ...(i % every === 0 ? attention('crossattention', input) : []),
          ...feed('_query'),
          ...(reads ? feed('') : []),
        ],
        cache: [],
      }),
    ),
    heads: config.size('num_attention_heads'),
    width: hidden,
  }
}

const blipTowers =
  (text: 'flag' | 'always') =>
  (m: Multimodal): NamedTower[] => {
    const vision = blipVision(m)
    const query = queryTransformer(m.part('qformer_config'), vision.width, text)
    return [
      tower('vision_model', 'vision', vision),
      tower('qformer', 'projector', query),
      projector(
        [
          vector('query_tokens', m.config.size('num_query_tokens') * query.width),
          replicated('language_projection', m.hidden, query.width, { bias: true }),
        ],
        'model',
      ),
    ]
  }

/** Granite Speech: a conformer whose attention has relative positions, then a querying transformer over windows. */
function graniteSpeechTowers(m: Multimodal): NamedTower[] {
  const config = m.part('encoder_config').with(
    {
      input_dim: 160,
      num_layers: 10,
      hidden_dim: 1024,
      feedforward_mult: 4,
      num_heads: 8,
      output_dim: 42,
      max_pos_emb: 512,
      conv_kernel_size: 15,
      conv_expansion_factor: 2,
    },
    {
      input_dim: ['num_mel_bins'],
      num_layers: ['num_hidden_layers'],
      hidden_dim: ['hidden_size'],
      num_heads: ['num_attention_heads'],
    },
  )
  const hidden = config.size('hidden_dim')
  const heads = config.size('num_heads')
  const headDim = config.sizeOrNull('dim_head') ?? Math.max(1, Math.floor(hidden / heads))
  const inner = heads * headDim
  const width = hidden * config.size('feedforward_mult')
  const channels = hidden * config.size('conv_expansion_factor')
  const output = config.size('output_dim')
  const bias = { bias: true }
  const feed = (name: string): Weight[] => [
    norm(`${name}.pre_norm`, hidden, true),
    column(`${name}.up_proj`, width, hidden, bias),
    row(`${name}.down_proj`, hidden, width, bias),
  ]
  const conformer = [
    ...feed('ff1'),
    norm('attn.pre_norm', hidden, true),
    column('attn.to_q', inner, hidden),
    column('attn.to_kv', 2 * inner, hidden),
    row('attn.to_out', hidden, inner, bias),
    positionEmbedding(2 * config.size('max_pos_emb') + 1, headDim, 'attn.rel_pos_emb'),
    norm('conv.norm', hidden, true),
    conv('conv.up_conv', 2 * channels, hidden, true),
    conv('conv.depth_conv', channels, config.size('conv_kernel_size'), false),
    norm('conv.batch_norm', channels, true),
    conv('conv.down_conv', hidden, channels, true),
    ...feed('ff2'),
    norm('post_norm', hidden, true),
  ]
  const encoder: Encoder = {
    weights: [
      replicated('input_linear', hidden, config.size('input_dim'), bias),
      replicated('out', output, hidden, bias),
      replicated('out_mid', hidden, output, bias),
    ],
    stack: uniformStack(layerCount(config, 'num_layers'), { name: 'conformer', weights: conformer, cache: [] }),
    heads,
    width: hidden,
  }
  const query = queryTransformer(m.part('projector_config'), null, 'flag')
  const queries = Math.floor(m.config.size('window_size') / m.config.size('downsample_rate'))
  return [
    tower('encoder', 'audio', encoder),
    tower('projector.qformer', 'projector', query),
    projector([vector('query', queries * query.width), replicated('linear', m.hidden, query.width, bias)], 'projector'),
  ]
}

/** Aria: learned queries attend once to the tower, then a plain feed-forward. */
function ariaTowers(m: Multimodal): NamedTower[] {
  const encoder = encoderOf(m.part('vision_config'), 'idefics3_vision')
  const h = encoder.width
  return [
    tower('vision_tower', 'vision', encoder),
    projector([
      vector('query', m.config.size('max_value_projector_patch_to_query_dict') * h),
      ...['q_proj', 'k_proj', 'v_proj'].map(name => replicated(`cross_attn.${name}`, h, h)),
      replicated('cross_attn.multihead_attn.in_proj', 3 * h, h, { bias: true }),
      replicated('cross_attn.multihead_attn.out_proj', h, h, { bias: true }),
      replicated('cross_attn.linear', h, h, { bias: true }),
      norm('cross_attn.layer_norm', h, true),
      norm('cross_attn.layer_norm_kv', h, true),
      norm('layer_norm', h, true),
      column('feed_forward.linear_in', m.hidden, h),
      row('feed_forward.linear_out', m.hidden, m.hidden),
    ]),
  ]
}

/** Idefics 2: a gated projection to the text's width, then a perceiver with a few latent queries. */
function idefics2Towers(m: Multimodal): NamedTower[] {
  const encoder = encoderOf(m.part('vision_config'), 'idefics2_vision')
  const config = m.part('perceiver_config').with({
    resampler_n_latents: 64,
    resampler_depth: 3,
    resampler_n_heads: 16,
    resampler_head_dim: 96,
    num_key_value_heads: 4,
  })
  const h = m.hidden
  const width = m.text.facts.intermediate ?? 4 * h
  const headDim = config.size('resampler_head_dim')
  const queries = config.size('resampler_n_heads') * headDim
  const keys = config.size('num_key_value_heads') * headDim
  const layer = [
    norm('input_latents_norm', h),
    norm('input_context_norm', h),
    column('self_attn.q_proj', queries, h),
    column('self_attn.k_proj', keys, h),
    column('self_attn.v_proj', keys, h),
    row('self_attn.o_proj', h, queries),
    norm('post_attention_layernorm', h),
    column('mlp.gate_proj', 4 * h, h),
    column('mlp.up_proj', 4 * h, h),
    row('mlp.down_proj', h, 4 * h),
  ]
  const perceiver: Encoder = {
    weights: [
      vector('latents', config.size('resampler_n_latents') * h),
      norm('norm', h),
      column('modality_projection.gate_proj', width, encoder.width),
      column('modality_projection.up_proj', width, encoder.width),
      row('modality_projection.down_proj', h, width),
    ],
    stack: uniformStack(layerCount(config, 'resampler_depth'), { name: 'perceiver', weights: layer, cache: [] }),
    heads: null,
    width: h,
  }
  return [tower('vision_model', 'vision', encoder), tower('connector', 'projector', perceiver)]
}

const blip = (type: string, classes: readonly string[], text: 'flag' | 'always'): MultimodalType => ({
  type,
  classes,
  defaults: { num_query_tokens: 32 },
  text: { type: 'opt' },
  tie: 'nested',
  towers: blipTowers(text),
})

const granite = (type: string): MultimodalType => ({
  type,
  defaults: { window_size: 15, downsample_rate: 5 },
  text: { type: 'granite' },
  tiedByDefault: true,
  towers: graniteSpeechTowers,
})

const types: readonly MultimodalType[] = [
  blip('blip-2', ['Blip2'], 'flag'),
  blip('instructblip', ['InstructBlip'], 'always'),
  blip('instructblipvideo', ['InstructBlipVideo'], 'always'),
  granite('granite_speech'),
  granite('granite_speech_plus'),
  {
    type: 'aria',
    defaults: { max_value_projector_patch_to_query_dict: 256 },
    text: { type: 'aria_text' },
    towers: ariaTowers,
  },
  {
    type: 'idefics2',
    text: { type: 'mistral', absent: { max_position_embeddings: 32768 } },
    towers: idefics2Towers,
  },
]

export const queryTransformers: readonly Family[] = types.map(multimodal)
