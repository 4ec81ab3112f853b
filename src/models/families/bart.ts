import { type Attention, attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import { norm, positionEmbedding, replicated, tokenEmbedding } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { CacheSpec, LayerStack, ModelShape, Weight } from '../shape.ts'
import { dividedHeadDim } from './decoder.ts'
import { assembleEncoderDecoder } from './encoder-decoder.ts'
import { equalToClasses, type Family, layerCount, stackOf } from './family.ts'

type Half = 'encoder' | 'decoder'

/** One type of the BART class: layers are alike, tables and norms around them differ. */
export interface BartType {
  readonly type: string
  readonly also?: readonly string[]
  readonly classes?: readonly string[]
  readonly defaults?: JsonObject
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  /**
   * Position rows of a half: learned ones start at 2, or after the padding token (`padded`), `stored` ones do not, `none`
   * are computed.
   */
  readonly positions: 'offset' | 'padded' | 'stored' | 'none'
  /** Key of the position rows where the halves have their own. */
  readonly positionsKey?: (half: Half) => string
  readonly embeddingNorm: boolean
  readonly finalNorm: boolean
  /** Halves with tables of their own: the vocabulary's keys, by the config. */
  readonly ownTables?: (config: Config) => { readonly encoder: number; readonly decoder: number } | null
  /** Rows of the decoder's own copy of a shared table, which an untied model keeps. */
  readonly decoderCopyRows?: (config: Config) => number | null
  /** What a layer has beside or instead of BART's weights. */
  readonly adjust?: (weights: readonly Weight[], half: Half, config: Config) => readonly Weight[]
  /** What a half has beside its tables. */
  readonly beside?: (half: Half, config: Config) => readonly Weight[]
  /** Every n-th layer of the half has experts instead of one feed-forward. */
  readonly sparseStep?: (half: Half, config: Config) => number
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
const square = (a: Attention): Weight[] =>
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
export const crossCache = (self: Attention, encoderTokens: number): CacheSpec[] => {
  const heads = keyValueHeads(self)
  return [
    { kind: 'full', ...heads },
    { kind: 'cross', encoderTokens, ...heads },
  ]
}

/** The experts of a sparse layer in place of its feed-forward. */
function expertsInstead(weights: readonly Weight[], config: Config): Weight[] {
  const copies = config.size('num_experts')
  const active = Math.min(2, copies)
  return weights.flatMap(weight => {
    if (weight.name === 'fc1')
      return [
        replicated('ffn.router.classifier', copies, weight.in, { bias: config.flag('router_bias') }),
        { ...weight, name: 'ffn.experts.fc1', split: 'expert-column' as const, copies, active },
      ]
    if (weight.name === 'fc2')
      return [{ ...weight, name: 'ffn.experts.fc2', split: 'expert-row' as const, copies, active }]
    return [weight]
  })
}

function shape(rule: BartType, file: Config): ModelShape {
  const config = file.with({ ...defaults, ...rule.defaults }, { ...aliases, ...rule.aliases })
  const hidden = config.size('d_model')
  const own = rule.ownTables?.(config) ?? null
  const vocabulary = own?.decoder ?? config.size('vocab_size')
  const positionsOf = (half: Half) => config.size(rule.positionsKey?.(half) ?? 'max_position_embeddings')
  const attention = (half: Half, prefix: string) => {
    const heads = config.size(`${half}_attention_heads`)
    return attentionOf(hidden, heads, dividedHeadDim(config, hidden, heads, `${half}_attention_heads`), prefix)
  }
  const self = attention('decoder', 'self_attn')
  const tablesOf = (half: Half): Weight[] => {
    const first = { none: 0, stored: 0, offset: 2, padded: config.count('pad_token_id', 1) + 1 }[rule.positions]
    const rows = rule.positions === 'none' ? 0 : positionsOf(half) + first
    return [
      ...(rows === 0 ? [] : [positionEmbedding(rows, hidden, `model.${half}.embed_positions`)]),
      ...(rule.embeddingNorm ? [norm(`model.${half}.layernorm_embedding`, hidden, true)] : []),
      ...(rule.beside?.(half, config) ?? []),
    ]
  }
  const finalNormOf = (half: Half) => (rule.finalNorm ? [norm(`model.${half}.layer_norm`, hidden, true)] : [])
  const stackFor = (half: Half): LayerStack => {
    const cross = half === 'decoder' ? attention(half, 'encoder_attn') : null
    const plain = bartLayer(attention(half, 'self_attn'), config.size(`${half}_ffn_dim`), cross)
    const weights = rule.adjust?.(plain, half, config) ?? plain
    const step = rule.sparseStep?.(half, config) ?? 0
    const isSparse = (layer: number) => step > 0 && (layer + 1) % step === 0
    return stackOf(
      layerCount(config, `${half}_layers`),
      i => (isSparse(i) ? `moe ${half}` : half),
      (i, name) => ({
        name,
        weights: isSparse(i) ? expertsInstead(weights, config) : weights,
        cache: half === 'decoder' ? crossCache(self, positionsOf('encoder')) : [],
      }),
    )
  }
  const decoder = stackFor('decoder')
  const encoderTable = tokenEmbedding(own?.encoder ?? vocabulary, hidden, 'model.encoder.embed_tokens')
  const decoderTable = tokenEmbedding(vocabulary, hidden, 'model.decoder.embed_tokens')
  return assembleEncoderDecoder(config, {
    type: rule.type,
    classes: rule.classes ?? [],
    exact: rule.exact !== false && (config.text('model_type') ?? rule.type) === rule.type,
    embedding: [
      ...(own ? [encoderTable, decoderTable] : [tokenEmbedding(vocabulary, hidden, 'model.shared')]),
      ...tablesOf('decoder'),
    ],
    encoder: { weights: [...tablesOf('encoder'), ...finalNormOf('encoder')], stack: stackFor('encoder') },
    decoder,
    final: finalNormOf('decoder'),
    untiedCopies: own ? [] : [encoderTable, { ...decoderTable, out: rule.decoderCopyRows?.(config) ?? vocabulary }],
    tied: config.flag('tie_word_embeddings'),
    classifier: labels => [
      replicated('classification_head.dense', hidden, hidden, { bias: true }),
      replicated('classification_head.out_proj', labels, hidden, { bias: true }),
    ],
    verifiedHeads: rule.type === 'bart' ? ['sequence'] : [],
    facts: {
      hidden,
      layers: decoder.order.length,
      vocabulary,
      heads: self.heads,
      kvHeads: self.kvHeads,
      headDim: self.headDim,
      intermediate: config.size('decoder_ffn_dim'),
    },
  })
}

/** A family of one row of the BART class. */
export function bartFamily(rule: BartType): Family {
  return {
    name: rule.type,
    modelTypes: [rule.type, ...(rule.also ?? [])],
    verified: equalToClasses,
    shape: config => shape(rule, config),
  }
}

/** Marian's halves share a table unless the file says otherwise. */
function marianTables(config: Config): { encoder: number; decoder: number } | null {
  if (config.flag('share_encoder_decoder_embeddings', true)) return null
  const vocabulary = config.size('vocab_size')
  return { encoder: vocabulary, decoder: config.sizeOrNull('decoder_vocab_size') ?? vocabulary }
}

const types: readonly BartType[] = [
  // three labels unless the file says otherwise
  { type: 'bart', positions: 'offset', embeddingNorm: true, finalNorm: false, defaults: { num_labels: 3 } },
  { type: 'mbart', also: ['mbart50'], positions: 'offset', embeddingNorm: true, finalNorm: true },
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
    ownTables: marianTables,
    decoderCopyRows: config => config.sizeOrNull('decoder_vocab_size'),
    defaults: { vocab_size: 58101 },
  },
]

export const bart: readonly Family[] = types.map(bartFamily)
