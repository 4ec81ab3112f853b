import { encoderLayer, patchCount } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, row, total } from '../blocks/weights.ts'
import { Config, type JsonObject } from '../config.ts'
import { parameterCount, stackTotal } from '../count.ts'
import type { ModelShape, Tower } from '../shape.ts'
import { checkpointDtype, encoderStack, type NestedReader, noLayers, usual } from './family.ts'
import { type Encoder, knownEncoder } from './towers.ts'

/** Keys under which models nest their language model. */
const TEXT_KEYS = ['text_config', 'language_config', 'llm_config', 'language_model', 'thinker_config']

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The key that holds the language model, null when the config is flat. */
function textKeyOf(config: Config): string | null {
  return TEXT_KEYS.find(key => isObject(config.json[key])) ?? null
}

/** Does the config say that the model reads more than text? */
export function readsMoreThanText(config: Config): boolean {
  return textKeyOf(config) !== null || towerKeys.some(([name]) => isObject(config.json[name]))
}

/** Nested configs of the file that are models of their own: those that name a type or a width. */
export function subModels(config: Config): string[] {
  return Object.entries(config.json).flatMap(([name, value]) =>
    isObject(value) && SUB_MODEL_KEYS.some(key => value[key] != null) ? [name] : [],
  )
}

const WIDTHS = ['hidden_size', 'd_model', 'n_embd', 'hidden_dim', 'dim']

const SUB_MODEL_KEYS = ['model_type', ...WIDTHS]

/** Keys of vision_config that one family's tower has. */
const TOWER_KEYS: readonly (readonly [string, string])[] = [
  ['fullatt_block_indexes', 'qwen2_5_vl'],
  ['deepstack_visual_indexes', 'qwen3_vl'],
  ['num_global_layers', 'mllama'],
]

/**
 * The families whose tower classes the file names ("qwen2_5_vl_vision" is part of qwen2_5_vl, "qwen2_audio_encoder" of
 * qwen2_audio), then those whose tower's keys it has.
 */
export function towerFamilies(config: Config): string[] {
  const vision = config.json['vision_config']
  const named = towerKeys.flatMap(([name]) => {
    const nested = config.json[name]
    const type = isObject(nested) ? nested['model_type'] : null
    return typeof type === 'string' ? [type.replace(/_(vision|audio|encoder)(_model|_encoder)?$/, '')] : []
  })
  return [...named, ...TOWER_KEYS.flatMap(([key, family]) => (isObject(vision) && key in vision ? [family] : []))]
}

/** A plain encoder can be half of what a tower is (a gate, a merger): below a tenth that is 5 % of the model at most. */
const MOST_GUESSED = 0.1

/**
 * An unknown type with nested configs: the language model by its own type (or by its keys), towers by the class they
 * name or as plain encoders of their sizes, and one projector of two matrices for each.
 */
export function genericMultimodal(config: Config, nested: NestedReader): ModelShape {
  const unread = subModels(config).find(name => name !== textKeyOf(config) && !towerKeys.some(([key]) => key === name))
  if (unread !== undefined) return config.invalid(unread, 'is a sub-model that no known family reads')
  const part = textPart(config)
  const sizes = [...WIDTHS, 'num_hidden_layers', 'vocab_size']
  if (textKeyOf(part) === null && !sizes.some(name => part.json[name] != null))
    return part.invalid('hidden_size', 'is missing')
  const text = nested(part)
  const towers: Tower[] = []
  const notes: string[] = []
  let heads: number | null = null
  let guessed = 0
  for (const [name, role] of towerKeys) {
    const own = config.nested(name)
    if (!own) continue
    const known = knownEncoder(own)
    const encoder = known ?? plainTower(own)
    if (!known) guessed += total(encoder.weights) + stackTotal(encoder.stack)
    if (role === 'vision') heads ??= encoder.heads
    towers.push({ name, role, weights: encoder.weights, stack: encoder.stack })
    const hidden = text.facts.hidden
    // Qwen's relatives name the width after a merger of 2 x 2 patches
    const inner = own.raw('out_hidden_size') === undefined ? hidden : 4 * encoder.width
    const input = own.raw('out_hidden_size') === undefined ? encoder.width : inner
    const weights = [column('linear_1', inner, input, { bias: true }), row('linear_2', hidden, inner, { bias: true })]
    towers.push({ name: `${name} projector`, role: 'projector', weights, stack: noLayers })
    notes.push(`${name}: a projector of two matrices assumed`)
  }
  if (guessed > MOST_GUESSED * (guessed + parameterCount(text)))
    return config.invalid(towers[0]!.name, 'is a tower of unknown class, too large a part of the model to be guessed')
  return {
    ...text,
    towers: [...text.towers, ...towers],
    facts: {
      ...text.facts,
      multimodal: true,
      visionHeads: heads,
      dtype: checkpointDtype(config) ?? text.facts.dtype,
    },
    notes: [...text.notes, ...notes],
  }
}

const towerKeys: readonly (readonly [string, Tower['role']])[] = [
  ['vision_config', 'vision'],
  ['audio_config', 'audio'],
]

/** The language model: nested, or the file itself without its towers. The outer tie flag counts where there is one. */
function textPart(config: Config): Config {
  const key = textKeyOf(config)
  const part = key === null ? config : config.nested(key)!
  const tie = config.json['tie_word_embeddings']
  const json = Object.entries({ ...part.json, ...(tie === undefined ? {} : { tie_word_embeddings: tie }) })
  const towers = new Set(towerKeys.map(([name]) => name))
  return new Config(Object.fromEntries(json.filter(([name]) => !towers.has(name))), {}, {}, part.path)
}

const aliases = usual({
  hidden: ['embed_dim', 'd_model', 'width'],
  layers: ['depth', 'encoder_layers', 'layers', 'num_layers'],
  heads: ['num_heads', 'heads', 'encoder_attention_heads', 'attention_heads'],
  width: ['encoder_ffn_dim', 'ffn_dim', 'mlp_dim'],
})

/** An encoder of unknown class from its sizes: patches, positions and plain layers. */
function plainTower(file: Config): Encoder {
  const config = file.with({ num_channels: 3 }, { ...aliases, num_channels: ['in_channels', 'in_chans'] })
  // Qwen2-VL's visual keeps its own width in embed_dim and the text's in hidden_size
  const hidden = config.sizeOrNull('embed_dim') ?? config.size('hidden_size')
  const width = config.sizeOrNull('intermediate_size') ?? config.multiple('mlp_ratio', hidden)
  const mels = config.sizeOrNull('num_mel_bins')
  const patch = config.sizeOrNull('patch_size')
  const stem =
    mels !== null
      ? [conv('conv1', hidden, 3 * mels, true), conv('conv2', hidden, 3 * hidden, true)]
      : patch !== null
        ? [conv('patch_embedding', hidden, config.size('num_channels') * patch * patch, true)]
        : []
  const positions = patch !== null && config.raw('image_size') !== undefined ? patchCount(config) : 0
  return {
    weights: [
      ...stem,
      ...(positions > 0 ? [positionEmbedding(positions, hidden, 'position_embedding')] : []),
      norm('post_layernorm', hidden, true),
    ],
    stack: encoderStack(config, encoderLayer({ hidden, width })),
    heads: config.sizeOrNull('num_attention_heads'),
    width: hidden,
  }
}
