import { encoderLayer, patchConv, patchPositions } from '../blocks/vision.ts'
import { norm, positionEmbedding, replicated, tokenEmbedding, vector } from '../blocks/weights.ts'
import { Config, type JsonObject } from '../config.ts'
import type { ModelShape, ShapeFacts, Tower, Weight } from '../shape.ts'
import { architectureOf, isOwnClass, labelCount } from './architecture.ts'
import { decoderFacts, encoderStack, equalToClasses, type Family, layerCount, uniformStack, usual } from './family.ts'
import { type Encoder, encoderOf } from './towers.ts'

const verified = equalToClasses

/** A model that only encodes: no head over a vocabulary, no cache. */
function encoderShape(
  config: Config,
  type: string,
  parts: Pick<ModelShape, 'embedding' | 'layers' | 'final' | 'towers'> & {
    readonly exact: boolean
    readonly facts: Partial<ShapeFacts> & Pick<ShapeFacts, 'hidden'>
  },
): ModelShape {
  const { exact, facts, ...weights } = parts
  return {
    family: type,
    modelType: config.text('model_type') ?? type,
    count: exact ? 'exact' : 'derived',
    ...weights,
    tied: false,
    mtp: null,
    facts: decoderFacts(config, {
      layers: weights.layers.order.length,
      vocabulary: 0,
      task: 'embed',
      ...facts,
    }),
    notes: [],
  }
}

const vitDefaults = usual({
  hidden: 768,
  width: 3072,
  layers: 12,
  heads: 12,
  num_channels: 3,
  image_size: 224,
  patch_size: 16,
  qkv_bias: true,
})

/** ViT: the bare model ends in a pooler, the classifier in one matrix over the class token. */
function vitShape(file: Config): ModelShape {
  const config = file.with(vitDefaults)
  const hidden = config.size('hidden_size')
  const width = config.size('intermediate_size')
  const heads = config.size('num_attention_heads')
  const architecture = architectureOf(config)
  const classifies = architecture.prefix?.endsWith('ForImageClassification') === true
  const bare = architecture.head === 'none'
  const pooled = config.sizeOrNull('pooler_output_size') ?? hidden
  const head: Weight[] = classifies ? [replicated('classifier', labelCount(config), hidden, { bias: true })] : []
  return encoderShape(config, 'vit', {
    exact: (classifies || bare) && (config.text('model_type') ?? 'vit') === 'vit',
    embedding: [
      vector('vit.embeddings.cls_token', hidden),
      patchPositions('vit.embeddings.position_embeddings', config, hidden, 1),
      patchConv('vit.embeddings.patch_embeddings.projection', config, hidden, { bias: true }),
    ],
    layers: encoderStack(
      config,
      encoderLayer({
        hidden,
        width,
        attention: heads * Math.floor(hidden / heads),
        qkvBias: config.flag('qkv_bias', true),
        norms: ['layernorm_before', 'layernorm_after'],
        names: { attention: 'attention', out: 'o_proj' },
      }),
    ),
    final: [
      norm('vit.layernorm', hidden, true),
      ...(bare ? [replicated('pooler.dense', pooled, hidden, { bias: true })] : head),
    ],
    towers: [],
    facts: {
      hidden,
      heads,
      kvHeads: heads,
      headDim: Math.floor(hidden / heads),
      intermediate: width,
      visionHeads: heads,
    },
  })
}

/** DINOv2: layer scales, and in the largest a gated feed-forward of two thirds the width, rounded up to 8. */
function dinoShape(file: Config): ModelShape {
  const config = file.with({ ...vitDefaults, patch_size: 14, mlp_ratio: 4 })
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const gated = config.flag('use_swiglu_ffn')
  const plain = config.multiple('mlp_ratio', hidden)
  const width = gated ? 8 * Math.floor((Math.trunc((plain * 2) / 3) + 7) / 8) : plain
  return encoderShape(config, 'dinov2', {
    exact: isOwnClass(architectureOf(config), 'dinov2') && architectureOf(config).head === 'none',
    embedding: [
      vector('embeddings.cls_token', hidden),
      ...(config.flag('use_mask_token', true) ? [vector('embeddings.mask_token', hidden)] : []),
      patchPositions('embeddings.position_embeddings', config, hidden, 1),
      patchConv('embeddings.patch_embeddings.projection', config, hidden, { bias: true }),
    ],
    layers: encoderStack(config, [
      ...encoderLayer({
        hidden,
        width,
        gated,
        attention: heads * Math.floor(hidden / heads),
        qkvBias: config.flag('qkv_bias', true),
        norms: ['norm1', 'norm2'],
        names: { attention: 'attention', out: 'o_proj' },
      }),
      vector('layer_scale1', hidden),
      vector('layer_scale2', hidden),
    ]),
    final: [norm('layernorm', hidden, true)],
    towers: [],
    facts: {
      hidden,
      heads,
      kvHeads: heads,
      headDim: Math.floor(hidden / heads),
      intermediate: width,
      visionHeads: heads,
    },
  })
}

/** A vision encoder by itself (Pixtral's). */
function aloneShape(type: string, config: Config): ModelShape {
  const encoder = encoderOf(config, type)
  return encoderShape(config, type, {
    exact: isOwnClass(architectureOf(config), `${type}_vision`, [type]),
    embedding: encoder.weights,
    layers: encoder.stack,
    final: [],
    towers: [],
    facts: { hidden: encoder.width, heads: encoder.heads, visionHeads: encoder.heads },
  })
}

/** A model of two towers, one for texts and one for images, that meet in a joint space. */
interface TwoTowers {
  readonly type: string
  readonly vision: string
  readonly textDefaults: JsonObject
  /** What follows the text encoder, and the scalars or matrices of the joint space. */
  readonly joint: (config: Config, text: Config, hidden: number, vision: Encoder) => readonly Weight[]
}

function twoTowersShape(row: TwoTowers, config: Config): ModelShape {
  const part = (name: string) => config.nested(name) ?? new Config({}, {}, {}, `${name}.`)
  const text = part('text_config').with(row.textDefaults)
  const vision = encoderOf(part('vision_config'), row.vision)
  const hidden = text.size('hidden_size')
  const width = text.size('intermediate_size')
  const heads = text.size('num_attention_heads')
  const vocabulary = text.size('vocab_size')
  const seen: Tower = { name: 'vision_model', role: 'vision', weights: vision.weights, stack: vision.stack }
  return encoderShape(config, row.type, {
    exact: isOwnClass(architectureOf(config), row.type) && architectureOf(config).head === 'none',
    embedding: [
      tokenEmbedding(vocabulary, hidden, 'text_model.embeddings.token_embedding'),
      positionEmbedding(text.size('max_position_embeddings'), hidden, 'text_model.embeddings.position_embedding'),
    ],
    layers: uniformStack(layerCount(text), {
      name: 'text encoder',
      weights: encoderLayer({ hidden, width }),
      cache: [],
    }),
    final: [norm('text_model.final_layer_norm', hidden, true), ...row.joint(config, text, hidden, vision)],
    towers: [seen],
    facts: {
      hidden,
      vocabulary,
      heads,
      kvHeads: heads,
      headDim: Math.floor(hidden / heads),
      intermediate: width,
      contextLength: text.size('max_position_embeddings'),
      visionHeads: vision.heads,
      multimodal: true,
    },
  })
}

const siglipText = usual({
  vocab: 32000,
  hidden: 768,
  width: 3072,
  layers: 12,
  heads: 12,
  context: 64,
})

/** SigLIP projects the text, and learns a scale and a bias. */
const siglipJoint: TwoTowers['joint'] = (_, text, hidden) => [
  replicated('text_model.head', text.sizeOrNull('projection_size') ?? hidden, hidden, { bias: true }),
  vector('logit_scale', 1),
  vector('logit_bias', 1),
]

const twoTowers: readonly TwoTowers[] = [
  { type: 'siglip', vision: 'siglip_vision_model', textDefaults: siglipText, joint: siglipJoint },
  { type: 'siglip2', vision: 'siglip2_vision_model', textDefaults: siglipText, joint: siglipJoint },
  {
    type: 'clip',
    vision: 'clip_vision_model',
    textDefaults: {
      vocab_size: 49408,
      hidden_size: 512,
      intermediate_size: 2048,
      num_hidden_layers: 12,
      num_attention_heads: 8,
      max_position_embeddings: 77,
    },
    joint: (config, _, hidden, vision) => {
      const joint = config.sizeOrNull('projection_dim') ?? 512
      return [
        replicated('visual_projection', joint, vision.width),
        replicated('text_projection', joint, hidden),
        vector('logit_scale', 1),
      ]
    },
  },
]

export const visionEncoders: readonly Family[] = [
  { name: 'vit', modelTypes: ['vit'], verified, shape: vitShape },
  { name: 'dinov2', modelTypes: ['dinov2'], verified, shape: dinoShape },
  { name: 'pixtral', modelTypes: ['pixtral'], verified, shape: config => aloneShape('pixtral', config) },
  ...twoTowers.map(row => ({
    name: row.type,
    modelTypes: [row.type],
    verified,
    shape: (config: Config) => twoTowersShape(row, config),
  })),
]
