import { attentionWeights, keyValueHeads, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { column, norm, replicated, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { LayerKind, ModelShape, Weight } from '../shape.ts'
import { alternatingWindows, assemble, attentionCache, type Dims, dimsOf } from './decoder.ts'
import { equalToClasses, type Family, stackOf, usual } from './family.ts'
import { perLayerEmbedding, perLayerGate, sandwichNorms, withoutOwnKeys } from './gemma.ts'

const defaults = usual({
  vocab: 262400,
  hidden: 2048,
  width: 16384,
  layers: 35,
  heads: 8,
  kvHeads: 2,
  head_dim: 256,
  context: 32768,
  sliding_window: 512,
  vocab_size_per_layer_input: 262144,
  hidden_size_per_layer_input: 256,
  altup_num_inputs: 4,
  num_kv_shared_layers: 15,
  laurel_rank: 64,
  tie_word_embeddings: true,
})

/** Alternating updates: `inputs` copies of the hidden state, predicted and corrected in every layer. */
function altUp(hidden: number, inputs: number): Weight[] {
  return [
    vector('altup.correct_output_scale', hidden),
    replicated('altup.correction_coefs', inputs, inputs),
    replicated('altup.prediction_coefs', inputs * inputs, inputs),
    replicated('altup.modality_router', inputs, hidden),
    norm('altup.router_norm', hidden),
  ]
}

/** Learned augmented residual: a low-rank path beside attention. */
function laurel(hidden: number, rank: number): Weight[] {
  return [
    column('laurel.linear_left', rank, hidden),
    column('laurel.linear_right', hidden, rank),
    norm('laurel.post_laurel_norm', hidden),
  ]
}

/** `intermediate_size` is one width, or a list of one a layer. */
function widthsOf(config: Config, layers: number): number[] {
  const value = config.raw('intermediate_size')
  if (!Array.isArray(value)) return new Array<number>(layers).fill(config.size('intermediate_size'))
  if (value.length < layers)
    return config.invalid('intermediate_size', `has ${value.length} entries for ${layers} layers`)
  return value.slice(0, layers).map(width => {
    if (Number.isSafeInteger(width) && width >= 1) return width
    return config.invalid('intermediate_size', 'holds an entry that is no whole number of at least 1')
  })
}

/** Read from the class of transformers 5.24: layers = Gemma 3's + altup + laurel + per-layer input. */
function shape(file: Config): ModelShape {
  const config = file.with(defaults)
  const d: Dims = dimsOf({ width: () => 0 }, config)
  const widths = widthsOf(config, d.layers)
  const windows = alternatingWindows(d, layer => (layer + 1) % 5 === 0)
  const inputs = config.size('altup_num_inputs')
  const perLayer = config.count('hidden_size_per_layer_input')
  const shared = config.count('num_kv_shared_layers')
  const bias = config.flag('attention_bias')
  const layer = (i: number, name: string): LayerKind => {
    const attention = [...attentionWeights({ ...d, qkvBias: bias, outBias: bias }), ...queryKeyNorms(d, 'head')]
    const owns = i < d.layers - shared
    return {
      name,
      weights: [
        ...(owns ? attention : withoutOwnKeys(attention)),
        ...gatedFeedForward(d.hidden, widths[i]!),
        ...sandwichNorms(d),
        ...altUp(d.hidden, inputs),
        ...laurel(d.hidden, config.size('laurel_rank')),
        ...perLayerGate(d, perLayer),
      ],
      cache: owns ? [attentionCache(windows[i] ?? null, keyValueHeads(d))] : [],
    }
  }
  const kindName = (i: number) =>
    [windows[i] === null ? 'full' : 'sliding', i < d.layers - shared ? '' : ' shared-kv', ` ${widths[i]}`].join('')
  return assemble(config, {
    type: 'gemma3n_text',
    classes: ['Gemma3n'],
    // more shared layers than layers is a class's accident
    exact: shared <= d.layers,
    embedding: [
      tokenEmbedding(d.vocabulary, d.hidden),
      ...perLayerEmbedding(d, perLayer),
      { ...column('model.altup_projections', d.hidden, d.hidden), copies: inputs - 1 },
    ],
    layers: stackOf(d.layers, kindName, layer),
    final: [
      { ...column('model.altup_unembed_projections', d.hidden, d.hidden), copies: inputs - 1 },
      norm('model.norm', d.hidden),
    ],
    facts: {
      hidden: d.hidden,
      layers: d.layers,
      vocabulary: d.vocabulary,
      heads: d.heads,
      kvHeads: d.kvHeads,
      headDim: d.headDim,
      intermediate: Math.max(...widths),
    },
  })
}

export const gemma3n: Family = {
  name: 'gemma3n_text',
  modelTypes: ['gemma3n_text'],
  verified: equalToClasses,
  shape,
}
