import { type Attention, attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm, replicated, tokenEmbedding } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { LayerKind, ModelShape, Weight } from '../shape.ts'
import { assemble, dimsOf } from './decoder.ts'
import { type Family, stackOf, usual } from './family.ts'

const defaults = usual({
  vocab: 128256,
  hidden: 8192,
  layers: 80,
  heads: 64,
  context: 131072,
  tie_word_embeddings: false,
})

/** One half of a block: left out, one square matrix, or the real thing with `value` (group size or width factor). */
type Half = { readonly kind: 'none' } | { readonly kind: 'linear' } | { readonly kind: 'full'; readonly value: number }

function halfOf(config: Config, block: unknown, part: 'attention' | 'ffn', key: string): Half {
  const half = isObject(block) ? block[part] : undefined
  if (!isObject(half)) return config.invalid('block_configs', `has a block without ${part}`)
  if (half['no_op'] === true) return { kind: 'none' }
  if (half['replace_with_linear'] === true) return { kind: 'linear' }
  const value = half[key]
  if (typeof value === 'number' && value > 0 && value < 1e6) return { kind: 'full', value }
  return config.invalid('block_configs', `has a block whose ${part}.${key} is no positive number`)
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Width of the feed-forward: two thirds of ffn_mult x hidden, up to the next multiple of 256. */
const widthOf = (multiplier: number, hidden: number): number =>
  Math.ceil(Math.floor((2 * multiplier * hidden) / 3) / 256) * 256

/** Llama's layer with attention and feed-forward chosen block by block; a part left out has no norm. */
function shape(file: Config): ModelShape {
  const config = file.with(defaults)
  const d = dimsOf({ kvHeads: (_, heads) => heads, width: () => 0 }, config)
  const blocks = config.list('block_configs')
  if (blocks === null || blocks.length < d.layers)
    return config.invalid('block_configs', `has ${blocks?.length ?? 'no'} entries for ${d.layers} layers`)
  const halves = blocks.slice(0, d.layers).map(block => ({
    attention: halfOf(config, block, 'attention', 'n_heads_in_group'),
    ffn: halfOf(config, block, 'ffn', 'ffn_mult'),
  }))
  const bias = config.flag('attention_bias')
  const attentionOf = (groupSize: number): Attention => ({
    ...d,
    kvHeads: Math.max(1, Math.floor(d.heads / groupSize)),
    qkvBias: bias,
    outBias: bias,
  })
  const layer = (i: number, name: string): LayerKind => {
    const { attention, ffn } = halves[i]!
    const weights: Weight[] = []
    if (attention.kind === 'full') weights.push(...attentionWeights(attentionOf(attention.value)))
    if (attention.kind === 'linear') weights.push(replicated('self_attn.linear_attn', d.hidden, d.hidden))
    if (attention.kind !== 'none') weights.push(norm('input_layernorm', d.hidden))
    if (ffn.kind === 'full')
      weights.push(...gatedFeedForward(d.hidden, widthOf(ffn.value, d.hidden), config.flag('mlp_bias')))
    if (ffn.kind === 'linear') weights.push(replicated('mlp.linear_mlp', d.hidden, d.hidden))
    if (ffn.kind !== 'none') weights.push(norm('post_attention_layernorm', d.hidden))
    const cached = attention.kind === 'full'
    return { name, weights, cache: cached ? [{ kind: 'full', ...keyValueHeads(attentionOf(attention.value)) }] : [] }
  }
  const label = (half: Half) => (half.kind === 'full' ? `${half.value}` : half.kind)
  const groups = halves.flatMap(half => (half.attention.kind === 'full' ? [half.attention.value] : []))
  const widths = halves.flatMap(half => (half.ffn.kind === 'full' ? [widthOf(half.ffn.value, d.hidden)] : []))
  return assemble(config, {
    type: 'nemotron-nas',
    classes: ['DeciLM'],
    exact: false,
    embedding: [tokenEmbedding(d.vocabulary, d.hidden)],
    layers: stackOf(d.layers, i => `attention ${label(halves[i]!.attention)} ffn ${label(halves[i]!.ffn)}`, layer),
    final: [norm('model.norm', d.hidden)],
    facts: {
      hidden: d.hidden,
      layers: d.layers,
      vocabulary: d.vocabulary,
      heads: d.heads,
      kvHeads: groups.length > 0 ? Math.max(1, Math.floor(d.heads / Math.min(...groups))) : d.heads,
      headDim: d.headDim,
      intermediate: widths.length > 0 ? Math.max(...widths) : null,
    },
  })
}

export const nemotronNas: Family = {
  name: 'nemotron-nas',
  modelTypes: ['nemotron-nas'],
  verified: 'the published total of Llama-3.3-Nemotron-Super-49B (49,867,145,216)',
  shape,
}
