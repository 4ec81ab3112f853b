import { column, norm, row, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { CacheSpec, ModelShape, Weight } from '../shape.ts'
import { assemble } from './decoder.ts'
import { equalToClasses, type Family, layerCount, stackOf, usual } from './family.ts'

const defaults = usual({
  vocab: 50277,
  hidden: 4096,
  layers: 32,
  context_length: 1024,
  tie_word_embeddings: false,
})

function layerWeights(hidden: number, attention: number, width: number, first: boolean): Weight[] {
  const mixes = ['attention.time_mix_key', 'attention.time_mix_value', 'attention.time_mix_receptance']
  return [
    ...(first ? [norm('pre_ln', hidden, true)] : []),
    norm('ln1', hidden, true),
    norm('ln2', hidden, true),
    vector('attention.time_decay', attention, 'column'),
    vector('attention.time_first', attention, 'column'),
    ...mixes.map(name => vector(name, hidden)),
    column('attention.key', attention, hidden),
    column('attention.value', attention, hidden),
    column('attention.receptance', attention, hidden),
    row('attention.output', hidden, attention),
    vector('feed_forward.time_mix_key', hidden),
    vector('feed_forward.time_mix_receptance', hidden),
    column('feed_forward.key', width, hidden),
    column('feed_forward.receptance', hidden, hidden),
    row('feed_forward.value', hidden, width),
  ]
}

/** RWKV-4: time mix and channel mix of every layer; the first one also norms its input. */
function shape(file: Config): ModelShape {
  const config = file.with(defaults, { context_length: ['max_position_embeddings'] })
  const hidden = config.size('hidden_size')
  const layers = layerCount(config)
  const vocabulary = config.size('vocab_size')
  const attention = config.sizeOrNull('attention_hidden_size') ?? hidden
  const width = config.sizeOrNull('intermediate_size') ?? 4 * hidden
  // numerator, denominator and maximum of every channel: three states of one element
  const cache: CacheSpec = { kind: 'rwkv', hidden, heads: 3 * attention, headDim: 1 }
  return assemble(config, {
    type: 'rwkv',
    classes: [],
    exact: true,
    embedding: [tokenEmbedding(vocabulary, hidden, 'rwkv.embeddings')],
    layers: stackOf(
      layers,
      i => (i === 0 ? 'first recurrent' : 'recurrent'),
      (i, name) => ({ name, weights: layerWeights(hidden, attention, width, i === 0), cache: [cache] }),
    ),
    final: [norm('rwkv.ln_out', hidden, true)],
    facts: { hidden, layers, vocabulary, intermediate: width, contextLength: config.sizeOrNull('context_length') },
  })
}

export const rwkv: Family = {
  name: 'rwkv',
  modelTypes: ['rwkv'],
  verified: equalToClasses,
  shape,
}
