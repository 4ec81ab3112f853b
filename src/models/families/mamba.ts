import { mamba1Cache, mamba1Weights, mamba2Cache, mamba2Weights } from '../blocks/recurrent.ts'
import { norm, tokenEmbedding } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { LayerKind, ModelShape } from '../shape.ts'
import { assemble } from './decoder.ts'
import { equalToClasses, type Family, layerCount, uniformStack, usual } from './family.ts'

/** Pure state-space models: one mixer and one norm a layer, nothing kept per token. */
interface StateSpaceType {
  readonly type: string
  readonly defaults: JsonObject
  readonly layer: (config: Config, hidden: number) => LayerKind
}

/** Inner width: the file's own, else expand x hidden rounded down. */
const innerWidth = (config: Config, hidden: number): number =>
  config.sizeOrNull('intermediate_size') ?? expanded(config, hidden)

function expanded(config: Config, hidden: number): number {
  const inner = Math.floor((config.number('expand') ?? 2) * hidden)
  return inner >= 1 && inner < 2 ** 40 ? inner : config.invalid('expand', 'gives no usable inner width')
}

/** Rank of the time step: a number, or "auto" for hidden / 16 rounded up. */
const timeStepRank = (config: Config, hidden: number): number =>
  config.raw('time_step_rank') === 'auto' ? Math.ceil(hidden / 16) : config.size('time_step_rank')

function mamba1Layer(config: Config, hidden: number): LayerKind {
  const mixer = {
    hidden,
    inner: innerWidth(config, hidden),
    state: config.size('state_size'),
    rank: timeStepRank(config, hidden),
    kernel: config.size('conv_kernel'),
    convBias: config.flag('use_conv_bias'),
    projBias: config.flag('use_bias'),
    innerNorms: false,
  }
  return {
    name: 'mamba',
    weights: [norm('norm', hidden), ...mamba1Weights(mixer, 'mixer')],
    cache: [mamba1Cache(mixer)],
  }
}

function mamba2Layer(config: Config, hidden: number): LayerKind {
  const mixer = {
    hidden,
    inner: expanded(config, hidden),
    groups: config.size('n_groups'),
    state: config.size('state_size'),
    heads: config.size('num_heads'),
    headDim: config.size('head_dim'),
    kernel: config.size('conv_kernel'),
    convBias: config.flag('use_conv_bias'),
    inBias: config.flag('use_bias'),
    outBias: config.flag('use_bias'),
    norm: true,
  }
  return {
    name: 'mamba2',
    weights: [norm('norm', hidden), ...mamba2Weights(mixer, 'mixer')],
    cache: [mamba2Cache(mixer)],
  }
}

const mambaDefaults: JsonObject = usual({
  vocab: 50280,
  hidden: 768,
  state_size: 16,
  layers: 32,
  expand: 2,
  conv_kernel: 4,
  use_conv_bias: true,
  time_step_rank: 'auto',
  tie_word_embeddings: true,
})

const types: readonly StateSpaceType[] = [
  { type: 'mamba', defaults: mambaDefaults, layer: mamba1Layer },
  { type: 'falcon_mamba', defaults: mambaDefaults, layer: mamba1Layer },
  {
    type: 'mamba2',
    defaults: usual({
      vocab: 32768,
      hidden: 4096,
      num_heads: 128,
      head_dim: 64,
      state_size: 128,
      layers: 64,
      expand: 2,
      conv_kernel: 4,
      n_groups: 8,
      use_conv_bias: true,
      tie_word_embeddings: false,
    }),
    layer: mamba2Layer,
  },
]

function shape(row: StateSpaceType, file: Config): ModelShape {
  const config = file.with(row.defaults)
  const hidden = config.size('hidden_size')
  const layers = layerCount(config)
  const vocabulary = config.size('vocab_size')
  return assemble(config, {
    type: row.type,
    classes: [],
    exact: true,
    embedding: [tokenEmbedding(vocabulary, hidden, 'backbone.embeddings')],
    layers: uniformStack(layers, row.layer(config, hidden)),
    final: [norm('backbone.norm_f', hidden)],
    facts: { hidden, layers, vocabulary },
  })
}

export const mamba: readonly Family[] = types.map(row => ({
  name: row.type,
  modelTypes: [row.type],
  verified: equalToClasses,
  shape: config => shape(row, config),
}))
