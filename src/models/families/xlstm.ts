import { column, norm, replicated, row, tokenEmbedding } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'
import { assemble } from './decoder.ts'
import { equalToClasses, type Family, layerCount, uniformStack, usual } from './family.ts'

const defaults = usual({
  vocab: 50304,
  hidden: 4096,
  layers: 32,
  num_heads: 8,
  qk_dim_factor: 0.5,
  v_dim_factor: 1,
  ffn_proj_factor: 2.667,
  ffn_round_up_to_multiple_of: 64,
})

/** factor x hidden, rounded down, at least 1. */
function scaled(config: Config, key: string, hidden: number): number {
  const width = Math.floor((config.number(key) ?? 1) * hidden)
  return width >= 1 && width < 2 ** 40 ? width : config.invalid(key, 'gives no usable width')
}

/** mLSTM and a gated feed-forward, read from the class of transformers 5.24. The head is never tied. */
function shape(file: Config): ModelShape {
  const config = file.with(defaults)
  const hidden = config.size('hidden_size')
  const layers = layerCount(config, config.sizeOrNull('num_blocks') === null ? 'num_hidden_layers' : 'num_blocks')
  const vocabulary = config.size('vocab_size')
  const heads = config.size('num_heads')
  const keys = scaled(config, 'qk_dim_factor', hidden)
  const values = scaled(config, 'v_dim_factor', hidden)
  const multiple = config.size('ffn_round_up_to_multiple_of')
  const widened = (config.number('ffn_proj_factor') ?? 1) * hidden
  const width = Math.floor((widened + multiple - 1) / multiple) * multiple
  if (!(width >= 1 && width < 2 ** 40)) config.invalid('ffn_proj_factor', 'gives no usable width')
  const bias = config.flag('use_bias')
  const weights: Weight[] = [
    column('mlstm_layer.q', keys, hidden, { bias }),
    column('mlstm_layer.k', keys, hidden, { bias }),
    column('mlstm_layer.v', values, hidden, { bias }),
    column('mlstm_layer.ogate_preact', values, hidden, { bias }),
    replicated('mlstm_layer.igate_preact', heads, hidden, { bias: true }),
    replicated('mlstm_layer.fgate_preact', heads, hidden, { bias: true }),
    norm('mlstm_layer.multihead_norm', heads * Math.floor(values / heads), bias),
    row('mlstm_layer.out_proj', hidden, values, { bias }),
    norm('norm_mlstm', hidden, bias),
    norm('norm_ffn', hidden, bias),
    column('ffn.proj_up_gate', width, hidden, { bias }),
    column('ffn.proj_up', width, hidden, { bias }),
    row('ffn.proj_down', hidden, width, { bias }),
  ]
  return assemble(config, {
    type: 'xlstm',
    classes: [],
    exact: true,
    tied: false,
    embedding: [tokenEmbedding(vocabulary, config.sizeOrNull('embedding_dim') ?? hidden, 'backbone.embeddings')],
    layers: uniformStack(layers, { name: 'mlstm', weights, cache: [] }),
    final: [norm('backbone.out_norm', hidden)],
    facts: { hidden, layers, vocabulary, heads, intermediate: width },
    notes: ['the state of mLSTM layers is not counted'],
  })
}

export const xlstm: Family = {
  name: 'xlstm',
  modelTypes: ['xlstm'],
  verified: equalToClasses,
  shape,
}
