import { type Attention, attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import { linear, norm, positionEmbedding, replicated, tokenEmbedding } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { LayerStack, ModelShape, Weight } from '../shape.ts'
import { dividedHeadDim } from './decoder.ts'
import { assembleEncoderDecoder } from './encoder-decoder.ts'
import { type Family, layerCount, uniformStack } from './family.ts'

/** One type of the BART class: layers are alike, tables and norms around them differ. */
interface BartType {
  readonly type: string
  readonly also?: readonly string[]
  readonly classes?: readonly string[]
  readonly defaults?: JsonObject
  /** Position rows of a half: learned ones start at 2, stored sinusoids do not, `none` are computed. */
  readonly positions: 'offset' | 'stored' | 'none'
  readonly embeddingNorm: boolean
  readonly finalNorm: boolean
  /** Half by half vocabularies when `share_encoder_decoder_embeddings` is false. */
  readonly ownTables?: boolean
  readonly exact?: false
}

const defaults: JsonObject = {
  vocab_size: 50265,
  max_position_embeddings: 1024,
  encoder_layers: 12,
  encoder_ffn_dim: 4096,
  encoder_attention_heads: 16,
  decoder_layers: 12,
  decoder_ffn_dim: 4096,
  decoder_attention_heads: 16,
  d_model: 1024,
  tie_word_embeddings: true,
}

const aliases = {
  d_model: ['hidden_size'],
  encoder_layers: ['num_hidden_layers'],
  encoder_attention_heads: ['num_attention_heads'],
}

const attentionOf = (hidden: number, heads: number, headDim: number, prefix: string): Attention => ({
  hidden,
  heads,
  kvHeads: heads,
  headDim,
  qkvBias: true,
  outBias: true,
  prefix,
  out: 'out_proj',
})

/** h x h projections also when the heads do not divide the width. */
export const square = (a: Attention): Weight[] =>
  attentionWeights(a).map(weight => ({ ...weight, out: a.hidden, in: a.hidden }))

/** Encoder layer 4h^2 + 4h + 2hf + f + h + 4h; the decoder's has cross attention and one norm more. */
export function bartLayer(self: Attention, width: number, cross: Attention | null): Weight[] {
  const h = self.hidden
  return [
    ...square(self),
    norm('self_attn_layer_norm', h, true),
    ...(cross ? [...square(cross), norm('encoder_attn_layer_norm', h, true)] : []),
    ...plainFeedForward(h, width, true, ['fc1', 'fc2']),
    norm('final_layer_norm', h, true),
  ]
}

/** Decoder layers that keep their own keys and values and those of the encoder's positions. */
export function crossStack(
  layers: number,
  self: Attention,
  weights: readonly Weight[],
  encoderTokens: number,
): LayerStack {
  const heads = keyValueHeads(self)
  return uniformStack(layers, {
    name: 'decoder',
    weights,
    cache: [
      { kind: 'full', ...heads },
      { kind: 'cross', encoderTokens, ...heads },
    ],
  })
}

function shape(row: BartType, file: Config): ModelShape {
  const config = file.with({ ...defaults, ...row.defaults }, aliases)
  const hidden = config.size('d_model')
  const vocabulary = config.size('vocab_size')
  const positions = config.size('max_position_embeddings')
  const layers = layerCount(config, 'decoder_layers')
  const attention = (half: 'encoder' | 'decoder', prefix: string) => {
    const heads = config.size(`${half}_attention_heads`)
    return attentionOf(hidden, heads, dividedHeadDim(config, hidden, heads, `${half}_attention_heads`), prefix)
  }
  const self = attention('decoder', 'self_attn')
  const half = (name: string): Weight[] => [
    ...(row.positions === 'none'
      ? []
      : [positionEmbedding(positions + (row.positions === 'offset' ? 2 : 0), hidden, `model.${name}.embed_positions`)]),
    ...(row.embeddingNorm ? [norm(`model.${name}.layernorm_embedding`, hidden, true)] : []),
    ...(row.finalNorm ? [norm(`model.${name}.layer_norm`, hidden, true)] : []),
  ]
  const shared = !row.ownTables || config.flag('share_encoder_decoder_embeddings', true)
  const decoderVocabulary = shared ? vocabulary : (config.sizeOrNull('decoder_vocab_size') ?? vocabulary)
  const encoderTable = tokenEmbedding(vocabulary, hidden, 'model.encoder.embed_tokens')
  const decoderTable = tokenEmbedding(decoderVocabulary, hidden, 'model.decoder.embed_tokens')
  return assembleEncoderDecoder(config, {
    type: row.type,
    classes: row.classes ?? [],
    exact: row.exact !== false && (config.text('model_type') ?? row.type) === row.type,
    embedding: [
      ...(shared ? [tokenEmbedding(vocabulary, hidden, 'model.shared')] : [encoderTable, decoderTable]),
      ...half('decoder').filter(weight => !weight.name.endsWith('.layer_norm')),
    ],
    encoder: {
      weights: half('encoder'),
      stack: uniformStack(layerCount(config, 'encoder_layers'), {
        name: 'encoder',
        weights: bartLayer(attention('encoder', 'self_attn'), config.size('encoder_ffn_dim'), null),
        cache: [],
      }),
    },
    decoder: crossStack(
      layers,
      self,
      bartLayer(self, config.size('decoder_ffn_dim'), attention('decoder', 'encoder_attn')),
      positions,
    ),
    final: half('decoder').filter(weight => weight.name.endsWith('.layer_norm')),
    untiedCopies: shared ? [encoderTable, decoderTable] : [],
    tied: config.flag('tie_word_embeddings'),
    headRows: decoderVocabulary,
    classifier: labels => [
      replicated('classification_head.dense', hidden, hidden, { bias: true }),
      linear('classification_head.out_proj', labels, hidden, 'none', { bias: true }),
    ],
    verifiedHeads: row.type === 'bart' ? ['sequence'] : [],
    facts: {
      hidden,
      layers,
      vocabulary,
      heads: self.heads,
      kvHeads: self.kvHeads,
      headDim: self.headDim,
      intermediate: config.size('decoder_ffn_dim'),
    },
  })
}

const types: readonly BartType[] = [
  // three labels unless the file says otherwise
  { type: 'bart', positions: 'offset', embeddingNorm: true, finalNorm: false, defaults: { num_labels: 3 } },
  { type: 'mbart', also: ['mbart50'], positions: 'offset', embeddingNorm: true, finalNorm: true },
  {
    type: 'plbart',
    positions: 'offset',
    embeddingNorm: true,
    finalNorm: false,
    defaults: {
      encoder_layers: 6,
      decoder_layers: 6,
      encoder_ffn_dim: 3072,
      decoder_ffn_dim: 3072,
      encoder_attention_heads: 12,
      decoder_attention_heads: 12,
      d_model: 768,
      vocab_size: 50005,
    },
  },
  {
    type: 'm2m_100',
    classes: ['M2M100'],
    positions: 'none',
    embeddingNorm: false,
    finalNorm: true,
    defaults: { vocab_size: 128112 },
  },
  { type: 'pegasus', positions: 'stored', embeddingNorm: false, finalNorm: true },
  {
    type: 'marian',
    positions: 'stored',
    embeddingNorm: false,
    finalNorm: false,
    ownTables: true,
    defaults: { vocab_size: 58101 },
  },
]

export const bart: readonly Family[] = types.map(row => ({
  name: row.type,
  modelTypes: [row.type, ...(row.also ?? [])],
  verified: 'every row of the parameter oracle (transformers 5.24)',
  shape: config => shape(row, config),
}))
