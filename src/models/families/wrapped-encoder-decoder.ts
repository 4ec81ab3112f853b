import { linear, norm, replicated } from '../blocks/weights.ts'
import { Config, type JsonObject } from '../config.ts'
import type { CacheSpec, LayerKind, LayerStack, ModelShape, Tower, Weight } from '../shape.ts'
import type { Family, NestedReader } from './family.ts'
import { equalToClasses } from './family.ts'

/** A class that joins any encoder with any decoder: what its halves are when the file is silent. */
interface Wrapper {
  readonly type: string
  readonly encoder: string
  readonly role: Tower['role']
}

/** Encoder positions that cross attention is charged for when the encoder names no limit: ViT's 197 patches. */
const IMAGE_TOKENS = 197

/** One half read as the given kind of class. */
function half(config: Config, name: 'encoder' | 'decoder', otherwise: string, ending: string, nested: NestedReader) {
  const inner = config.nested(name)
  const type = inner?.text('model_type') ?? otherwise
  // cross attention is added by the wrapper
  const own = { model_type: type, architectures: [`${type}${ending}`], add_cross_attention: false }
  const json: JsonObject = { ...inner?.json, ...own }
  return nested(new Config(json, {}, {}, `${name}.`))
}

const join = (stacks: readonly LayerStack[]): LayerStack =>
  stacks.reduce(
    (all, stack) => ({
      kinds: [...all.kinds, ...stack.kinds],
      order: [...all.order, ...stack.order.map(kind => kind + all.kinds.length)],
    }),
    { kinds: [], order: [] },
  )

/** Query, key, value and output of attention over the encoder, and its norm: 4h^2 + 4h + 2h. */
function crossAttention(hidden: number, heads: number): Weight[] {
  const matrix = (name: string, split: Weight['split']) =>
    linear(`crossattention.${name}`, hidden, hidden, split, {
      bias: true,
      ...(split === 'kv' ? { kvHeads: heads } : {}),
    })
  return [
    matrix('self.query', 'column'),
    matrix('self.key', 'kv'),
    matrix('self.value', 'kv'),
    matrix('output.dense', 'row'),
    norm('crossattention.output.LayerNorm', hidden, true),
  ]
}

/** The decoder's layers with what generating needs: keys and values of their own and, where built, of the encoder. */
function generating(decoder: ModelShape, cross: readonly Weight[], encoderTokens: number): LayerStack {
  const { heads, kvHeads, headDim } = decoder.facts
  if (heads === null || kvHeads === null || headDim === null) return decoder.layers
  const kv = { kvHeads, keyDim: headDim, valueDim: headDim }
  const missing: CacheSpec[] = cross.length > 0 ? [{ kind: 'cross', encoderTokens, ...kv }] : []
  const kinds = decoder.layers.kinds.map(
    (kind): LayerKind => ({
      name: kind.cache.length > 0 ? kind.name : 'decoder',
      weights: [...kind.weights, ...cross],
      cache: [...(kind.cache.length > 0 ? kind.cache : [{ kind: 'full' as const, ...kv }]), ...missing],
    }),
  )
  return { kinds, order: decoder.layers.order }
}

function shape(wrapper: Wrapper, config: Config, nested: NestedReader): ModelShape {
  const encoder = half(config, 'encoder', wrapper.encoder, 'Model', nested)
  const decoder = half(config, 'decoder', 'bert', 'ForCausalLM', nested)
  const inner = config.nested('decoder')
  // decoders without cross attention of their own get it by a flag; the silent class sets it
  const own = decoder.layers.kinds.some(kind => kind.cache.some(spec => spec.kind === 'cross'))
  const wanted = !own && (inner?.flag('add_cross_attention') ?? true)
  const cross = wanted ? crossAttention(decoder.facts.hidden, decoder.facts.heads ?? 1) : []
  const widths = [encoder.facts.hidden, decoder.facts.hidden] as const
  const bridged = widths[0] !== widths[1] && (inner?.sizeOrNull('cross_attention_hidden_size') ?? null) === null
  const tower: Tower = {
    name: 'encoder',
    role: wrapper.role,
    weights: [
      ...encoder.embedding,
      ...encoder.final,
      ...encoder.towers.flatMap(part => part.weights),
      ...(bridged ? [replicated('enc_to_dec_proj', widths[1], widths[0], { bias: true })] : []),
    ],
    stack: join([encoder.layers, ...encoder.towers.map(part => part.stack)]),
  }
  return {
    ...decoder,
    family: wrapper.type,
    modelType: wrapper.type,
    count: encoder.count === 'exact' && decoder.count === 'exact' ? 'exact' : 'derived',
    layers: generating(decoder, cross, encoder.facts.contextLength ?? IMAGE_TOKENS),
    towers: [tower],
    facts: { ...decoder.facts, task: 'encoder-decoder', multimodal: wrapper.role === 'vision' },
    notes: [...encoder.notes, ...decoder.notes],
  }
}

const wrappers: readonly Wrapper[] = [
  { type: 'encoder-decoder', encoder: 'bert', role: 'encoder' },
  { type: 'vision-encoder-decoder', encoder: 'vit', role: 'vision' },
]

export const wrappedEncoderDecoders: readonly Family[] = wrappers.map(wrapper => ({
  name: wrapper.type,
  modelTypes: [wrapper.type],
  verified: equalToClasses,
  shape: (config, nested) => shape(wrapper, config, nested),
}))
