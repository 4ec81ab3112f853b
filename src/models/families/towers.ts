import { type EncoderLayer, encoderLayer, patchConv, patchPositions, poolingHead, sides } from '../blocks/vision.ts'
import { norm, positionEmbedding, replicated, vector } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import { FieldProblem } from '../config.ts'
import type { LayerStack, Weight } from '../shape.ts'
import { encoderStack, usual } from './family.ts'

/** What a tower is made of, before it is named. */
export interface Encoder {
  readonly weights: readonly Weight[]
  readonly stack: LayerStack
  /** Attention heads, for divisibility by tensor parallelism; null when it has none. */
  readonly heads: number | null
  /** Width of what it hands to the projector. */
  readonly width: number
}

/** An encoder that engines take from transformers as it is: every tensor rank holds all of it, heads of any number. */
export function undivided(encoder: Encoder): Encoder {
  const whole = (weights: readonly Weight[]) => weights.map(weight => ({ ...weight, split: 'none' as const }))
  const kinds = encoder.stack.kinds.map(kind => ({ ...kind, weights: whole(kind.weights) }))
  return { ...encoder, weights: whole(encoder.weights), stack: { ...encoder.stack, kinds }, heads: null }
}

/** One class of vision encoder as transformers names it in vision_config.model_type. */
interface EncoderClass {
  readonly types: readonly string[]
  readonly defaults: JsonObject
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  readonly read: (config: Config) => Encoder
}

/** An encoder whose layers are all alike. */
export function plainEncoder(
  config: Config,
  weights: readonly Weight[],
  layer: EncoderLayer & { readonly more?: readonly Weight[] },
  names: { readonly layers?: string; readonly heads?: string } = {},
): Encoder {
  return {
    weights,
    stack: encoderStack(config, [...encoderLayer(layer), ...(layer.more ?? [])], names.layers),
    heads: config.sizeOrNull(names.heads ?? 'num_attention_heads'),
    width: layer.hidden,
  }
}

const widths = (config: Config) => ({ hidden: config.size('hidden_size'), width: config.size('intermediate_size') })

function siglip(config: Config, head: boolean): Encoder {
  const { hidden, width } = widths(config)
  return plainEncoder(
    config,
    [
      patchConv('embeddings.patch_embedding', config, hidden, { bias: true }),
      patchPositions('embeddings.position_embedding', config, hidden),
      norm('post_layernorm', hidden, true),
      ...(head ? poolingHead(hidden, width) : []),
    ],
    { hidden, width },
  )
}

/** Patches come flattened, so that their projection is a matrix and their number a field. */
function siglip2(config: Config): Encoder {
  const { hidden, width } = widths(config)
  const [height, breadth] = sides(config, 'patch_size')
  return plainEncoder(
    config,
    [
      replicated('embeddings.patch_embedding', hidden, config.size('num_channels') * height * breadth, {
        bias: true,
      }),
      positionEmbedding(config.size('num_patches'), hidden, 'embeddings.position_embedding'),
      norm('post_layernorm', hidden, true),
      ...(config.flag('vision_use_head') ? poolingHead(hidden, width) : []),
    ],
    { hidden, width },
  )
}

function clip(config: Config): Encoder {
  const { hidden, width } = widths(config)
  return plainEncoder(
    config,
    [
      vector('embeddings.class_embedding', hidden),
      patchConv('embeddings.patch_embedding', config, hidden, { bias: false }),
      patchPositions('embeddings.position_embedding', config, hidden, 1),
      norm('pre_layrnorm', hidden, true),
      norm('post_layernorm', hidden, true),
    ],
    { hidden, width },
  )
}

function pixtral(config: Config): Encoder {
  const { hidden, width } = widths(config)
  return plainEncoder(config, [patchConv('patch_conv', config, hidden, { bias: false }), norm('ln_pre', hidden)], {
    hidden,
    width,
    qkvBias: false,
    outBias: false,
    mlpBias: false,
    gated: true,
    rms: true,
    norms: ['attention_norm', 'ffn_norm'],
    names: { attention: 'attention', out: 'o_proj', mlp: 'feed_forward' },
  })
}

function internVit(config: Config): Encoder {
  const { hidden, width } = widths(config)
  return plainEncoder(
    config,
    [
      vector('embeddings.cls_token', hidden),
      ...(config.flag('use_mask_token') ? [vector('embeddings.mask_token', hidden)] : []),
      patchConv('embeddings.patch_embeddings.projection', config, hidden, { bias: true }),
      ...(config.flag('use_absolute_position_embeddings')
        ? [patchPositions('embeddings.position_embeddings', config, hidden, 1)]
        : []),
      ...(config.flag('use_mean_pooling') ? [] : [norm('layernorm', hidden, true)]),
    ],
    {
      hidden,
      width,
      qkvBias: config.flag('attention_bias'),
      rms: config.text('norm_type') === 'rms_norm',
      norms: ['layernorm_before', 'layernorm_after'],
      names: { attention: 'attention', out: 'projection_layer' },
      more: [
        vector('lambda_1', hidden),
        vector('lambda_2', hidden),
        ...(config.flag('use_qk_norm') ? [norm('attention.q_norm', hidden), norm('attention.k_norm', hidden)] : []),
      ],
    },
  )
}

/** AIMv2: RMS norms, gated feed-forward, learned positions unless it is trained at native resolution. */
export function aimv2(config: Config): Encoder {
  const { hidden, width } = widths(config)
  const bias = config.flag('qkv_bias')
  return plainEncoder(
    config,
    [
      patchConv('embeddings.patch_embedding', config, hidden, { bias: true }),
      ...(config.flag('is_native') ? [] : [patchPositions('embeddings.position_embedding', config, hidden)]),
      norm('embeddings.rms_norm', hidden),
      norm('rms_norm', hidden),
    ],
    {
      hidden,
      width,
      qkvBias: bias,
      outBias: bias,
      mlpBias: config.flag('mlp_bias'),
      gated: true,
      rms: true,
      norms: ['rms_norm1', 'rms_norm2'],
      names: { attention: 'attention', mlp: 'ffn' },
    },
  )
}

const siglipDefaults = usual({
  hidden: 768,
  width: 3072,
  layers: 12,
  heads: 12,
  num_channels: 3,
  image_size: 224,
  patch_size: 16,
  vision_use_head: true,
})

const idefics3Defaults = { ...siglipDefaults, hidden_size: 1152, num_attention_heads: 16, patch_size: 32 }

const classes: readonly EncoderClass[] = [
  {
    types: ['siglip_vision_model', 'siglip'],
    defaults: siglipDefaults,
    read: config => siglip(config, config.flag('vision_use_head')),
  },
  { types: ['siglip2_vision_model'], defaults: { ...siglipDefaults, num_patches: 256 }, read: siglip2 },
  {
    types: ['cosmos3_edge_vision'],
    defaults: usual({
      ...siglipDefaults,
      hidden: 1152,
      width: 4304,
      layers: 27,
      heads: 16,
      num_patches: 256,
      vision_use_head: false,
    }),
    read: siglip2,
  },
  {
    types: ['clip_vision_model', 'clip'],
    defaults: { ...siglipDefaults, patch_size: 32 },
    read: clip,
  },
  {
    types: ['pixtral', 'pixtral_vision'],
    defaults: usual({
      hidden: 1024,
      width: 4096,
      layers: 24,
      heads: 16,
      num_channels: 3,
      image_size: 1024,
      patch_size: 16,
    }),
    read: pixtral,
  },
  {
    types: ['idefics3_vision', 'idefics3', 'smolvlm_vision'],
    defaults: idefics3Defaults,
    read: config => siglip(config, false),
  },
  {
    types: ['idefics2_vision', 'idefics2'],
    defaults: { ...siglipDefaults, patch_size: 32 },
    read: config => siglip(config, false),
  },
  {
    types: ['internvl_vision', 'qianfan_ocr_vision'],
    defaults: usual({
      hidden: 1024,
      width: 4096,
      layers: 24,
      heads: 16,
      num_channels: 3,
      image_size: [448, 448],
      patch_size: [14, 14],
      attention_bias: false,
      use_absolute_position_embeddings: true,
      use_mean_pooling: true,
    }),
    read: internVit,
  },
  {
    types: ['aimv2_vision_model'],
    defaults: usual({
      hidden: 1024,
      width: 2816,
      layers: 24,
      heads: 8,
      num_channels: 3,
      image_size: 224,
      patch_size: 14,
    }),
    read: aimv2,
  },
]

const byType = new Map(classes.flatMap(row => row.types.map(type => [type, row] as const)))

/** Reads a vision_config whose model_type names a class known here; null for all others. */
export function knownEncoder(config: Config): Encoder | null {
  const type = config.text('model_type')
  return type !== null && byType.has(type) ? encoderOf(config, type) : null
}

/** Reads a vision_config by its model_type, or by the given one where it is silent. */
export function encoderOf(config: Config, otherwise: string): Encoder {
  const type = config.text('model_type') ?? otherwise
  const found = byType.get(type)
  if (!found)
    throw new FieldProblem({
      code: 'architecture-unsupported',
      message: `config.json: ${config.path}model_type ${JSON.stringify(type)} is a vision encoder that is not known`,
      hint: 'see `hf-vram-calc list families`',
    })
  return found.read(config.with(found.defaults, found.aliases))
}
