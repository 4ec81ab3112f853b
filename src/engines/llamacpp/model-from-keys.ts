import { Keys } from './keys.ts'
import type { Block, ComputeShape, LlamaModel } from './model.ts'

/**
 * Window layers by default: every `period`-th layer is full, the last of its group, or the first where `denseFirst`
 * (llama.cpp v0.4.0, equal on every start compared).
 */
const PERIODS: Readonly<Record<string, { readonly period: number; readonly denseFirst?: true }>> = {
  gemma2: { period: 2 },
  'gpt-oss': { period: 2 },
  cohere2: { period: 4 },
  olmo2: { period: 4 },
  llama4: { period: 4 },
  exaone4: { period: 4 },
  gemma3n: { period: 5 },
  gemma3: { period: 6 },
  plamo3: { period: 8 },
  smallthinker: { period: 4, denseFirst: true },
  afmoe: { period: 4 },
  lfm2: { period: 0 },
  lfm2moe: { period: 0 },
  'exaone-moe': { period: 4 },
}

/** These read which layers have a window from a list in the file. */
const LISTED = new Set(['gemma4', 'mimo2', 'step35', 'laguna'])

const NO_CACHE = new Set([
  'bert',
  'nomic-bert',
  'nomic-bert-moe',
  'jina-bert-v2',
  'modern-bert',
  'neo-bert',
  'gemma-embedding',
])

/** The prediction layers that block_count includes get no cache here; glm4moe gives them one. */
const WITHOUT_PREDICTION = new Set(['qwen35', 'qwen35moe', 'qwen3next', 'step35', 'mimo2', 'deepseek32'])

const SSM = new Set([
  'mamba',
  'mamba2',
  'jamba',
  'granitehybrid',
  'falcon-h1',
  'nemotron_h',
  'nemotron_h_moe',
  'plamo2',
  'qwen3next',
  'qwen35',
  'qwen35moe',
])
const ROLLS_BACK = new Set(['qwen35', 'qwen35moe', 'lfm2', 'lfm2moe', 'nemotron_h', 'nemotron_h_moe'])

/** Reads the keys of a GGUF header (without `<arch>.`); null when a count without which nothing follows is missing. */
export function modelFromKeys(
  architecture: string,
  values: Readonly<Record<string, unknown>>,
  vocabulary: number | null,
): LlamaModel | null {
  const keys = new Keys(architecture, values)
  const embedding = keys.number('embedding_length')
  const count = keys.number('block_count')
  const words = keys.number('vocab_size') ?? vocabulary
  if (!embedding || !count || count > 10_000 || !words) return null
  const window = windowOf(keys, count)
  const headDim = keys.number('attention.key_length') ?? headSize(keys, embedding)
  const dims = {
    key: headDim,
    value: keys.number('attention.value_length') ?? headSize(keys, embedding),
  }
  const latent = keys.has('attention.key_length_mla') && keys.has('attention.value_length_mla')
  const blocks: Block[] = []
  for (let layer = 0; layer < count; layer++)
    blocks.push(blockOf(keys, layer, count, { ...dims, embedding, window, latent }))
  return {
    architecture,
    vocabulary: words,
    embedding,
    contextLength: keys.number('context_length') ?? 0,
    blocks,
    window,
    causal: keys.flag('attention.causal') !== false,
    latent: latent || architecture === 'deepseek4',
    keyDim: dims.key,
    valueDim: dims.value,
    alwaysSplit: architecture === 'deepseek4',
    rollsBack: ROLLS_BACK.has(architecture),
    neverFlash: architecture === 'grok',
    compute: computeShape(keys, dims.key),
  }
}

function headSize(keys: Keys, embedding: number): number {
  const heads = keys.number('attention.head_count') ?? 0
  return heads > 0 ? Math.floor(embedding / heads) : 0
}

function windowOf(keys: Keys, count: number): number {
  const given = keys.number('attention.sliding_window')
  switch (keys.architecture) {
    case 'llama4':
      return given === 0 ? 0 : 8192
    case 'smallthinker':
      return given ? 4096 : 0
    case 'gemma2':
      return given ?? 4096
    case 'exaone4':
      return count === 64 ? (given ?? 0) : 0
    default:
      return keys.architecture in PERIODS || LISTED.has(keys.architecture) || keys.architecture === 'deepseek4'
        ? (given ?? 0)
        : 0
  }
}

function windowed(keys: Keys, layer: number): boolean {
  const name = 'attention.sliding_window_pattern'
  if (keys.architecture === 'deepseek4') return true
  if (LISTED.has(keys.architecture)) return keys.isList(name) ? keys.at(name, layer) === 1 : true
  const rule = PERIODS[keys.architecture]
  if (!rule) return false
  const period = keys.isList(name) ? rule.period : (keys.number(name) ?? rule.period)
  if (period === 0) return true
  return rule.denseFirst ? layer % period !== 0 : layer % period < period - 1
}

interface Widths {
  readonly key: number
  readonly value: number
  readonly embedding: number
  readonly window: number
  readonly latent: boolean
}

const EMPTY: Block = { keyWidth: 0, valueWidth: 0, windowed: false, indexerKey: 0, indexerValue: 0, state: 0, ratio: 0 }

function blockOf(keys: Keys, layer: number, count: number, w: Widths): Block {
  const state = stateOf(keys, layer, w.embedding)
  if (!hasCache(keys, layer, count)) return { ...EMPTY, state }
  const kvHeads = keys.at('attention.head_count_kv', layer) ?? keys.at('attention.head_count', layer) ?? 0
  const inWindow = w.window > 0 && windowed(keys, layer)
  const key = (inWindow ? keys.number('attention.key_length_swa') : null) ?? w.key
  const value = (inWindow ? keys.number('attention.value_length_swa') : null) ?? w.value
  const ratio = keys.at('attention.compress_ratios', layer) ?? 0
  const valueWidth = w.latent || keys.architecture === 'deepseek4' ? 0 : kvHeads * value
  return { keyWidth: kvHeads * key, valueWidth, windowed: inWindow, ...indexerOf(keys, layer, value), state, ratio }
}

function indexerOf(keys: Keys, layer: number, value: number): Pick<Block, 'indexerKey' | 'indexerValue'> {
  const width = keys.number('attention.indexer.key_length') ?? 0
  switch (keys.architecture) {
    case 'deepseek32':
      return { indexerKey: width, indexerValue: 0 }
    case 'deepseek4':
      return { indexerKey: keys.at('attention.compress_ratios', layer) === 4 ? width : 0, indexerValue: 0 }
    case 'minimax-m3': {
      const sparse = layer >= (keys.number('leading_dense_block_count') ?? 0)
      return { indexerKey: sparse ? width : 0, indexerValue: sparse ? value : 0 }
    }
    default:
      return { indexerKey: 0, indexerValue: 0 }
  }
}

function hasCache(keys: Keys, layer: number, count: number): boolean {
  const architecture = keys.architecture
  if (NO_CACHE.has(architecture)) return false
  const predictions = keys.number('nextn_predict_layers') ?? 0
  if (WITHOUT_PREDICTION.has(architecture) && layer >= count - predictions) return false
  if (architecture === 'gemma3n') return layer < 20
  if (architecture === 'gemma4') return layer < count - (keys.number('attention.shared_kv_layers') ?? 0)
  if (architecture.startsWith('nemotron_h')) return (keys.at('feed_forward_length', layer) ?? 0) === 0
  return !(isRecurrent(keys, layer) && architecture !== 'falcon-h1')
}

/** Does the layer keep a recurrent state (llama.cpp v0.4.0)? */
function isRecurrent(keys: Keys, layer: number): boolean {
  const architecture = keys.architecture
  switch (architecture) {
    case 'mamba':
    case 'mamba2':
    case 'rwkv6':
    case 'rwkv7':
    case 'rwkv6qwen2':
    case 'arwkv7':
    case 'falcon-h1':
      return true
    case 'jamba':
    case 'granitehybrid':
    case 'lfm2':
    case 'lfm2moe':
    case 'plamo2':
    case 'kimi-linear':
      return keys.at('attention.head_count_kv', layer) === 0
    case 'nemotron_h':
    case 'nemotron_h_moe':
      return keys.at('attention.head_count_kv', layer) === 0 && keys.at('feed_forward_length', layer) === 0
    case 'qwen3next':
    case 'qwen35':
    case 'qwen35moe':
      return (layer + 1) % (keys.number('full_attention_interval') ?? 4) !== 0
    default:
      return false
  }
}

/** Bytes of one sequence's state: convolution tail and recurrent matrix, float32. */
function stateOf(keys: Keys, layer: number, embedding: number): number {
  if (keys.architecture === 'deepseek4') return compressorState(keys, layer)
  if (!isRecurrent(keys, layer)) return 0
  const predictions = keys.number('nextn_predict_layers') ?? 0
  if (WITHOUT_PREDICTION.has(keys.architecture) && layer >= (keys.number('block_count') ?? 0) - predictions) return 0
  const number = (name: string): number => keys.number(name) ?? 0
  const tail = Math.max(0, number('ssm.conv_kernel') - 1)
  switch (keys.architecture) {
    case 'lfm2':
    case 'lfm2moe':
      return 4 * Math.max(0, number('shortconv.l_cache') - 1) * embedding
    case 'rwkv6':
    case 'rwkv7':
    case 'rwkv6qwen2':
    case 'arwkv7':
      return 4 * (2 * embedding + embedding * number('wkv.head_size'))
    case 'kimi-linear': {
      const heads = keys.number('attention.head_count') ?? 0
      const dim = number('kda.head_dim')
      return 4 * (3 * tail * heads * dim + heads * dim * dim)
    }
    default: {
      if (!SSM.has(keys.architecture)) return 0
      const inner = number('ssm.inner_size')
      const state = number('ssm.state_size')
      return 4 * (tail * (inner + 2 * number('ssm.group_count') * state) + state * inner)
    }
  }
}

/** DeepSeek-V4's float32 compressors: two buffers of keys (and of the indexer's) until a group is full. */
function compressorState(keys: Keys, layer: number): number {
  const head = keys.number('attention.key_length') ?? 0
  const indexer = keys.number('attention.indexer.key_length') ?? 0
  const ratio = keys.at('attention.compress_ratios', layer) ?? 0
  if (ratio === 4) return 2 * 4 * (2 * head * 8 + 2 * indexer * 8)
  return ratio > 0 ? 2 * 4 * head * ratio : 0
}

const SHORT = new Set(['phi3', 'qwen35', 'lfm2'])

function computeShape(keys: Keys, headDim: number): ComputeShape {
  const architecture = keys.architecture
  const used = keys.number('expert_used_count') ?? 0
  const family = NO_CACHE.has(architecture)
    ? 'encoder'
    : architecture === 'mamba' || architecture === 'mamba2'
      ? 'recurrent'
      : used > 0 && (keys.number('expert_count') ?? 0) > 0
        ? 'mixture'
        : /^gemma/.test(architecture)
          ? 'gemma'
          : SHORT.has(architecture)
            ? 'short'
            : architecture === 'cohere2' || architecture === 'command-r'
              ? 'parallel'
              : 'standard'
  const most = (name: string): number => {
    let value = 0
    for (let layer = 0; layer < (keys.number('block_count') ?? 0); layer++)
      value = Math.max(value, keys.at(name, layer) ?? 0)
    return value
  }
  const sharedExperts = keys.number('expert_shared_count') ?? (architecture === 'llama4' ? 1 : 0)
  const expertWidth = keys.number('expert_feed_forward_length') ?? most('feed_forward_length')
  return {
    family,
    feedForward: most('feed_forward_length'),
    heads: most('attention.head_count'),
    headDim,
    kvHeads: most('attention.head_count_kv'),
    expertsUsed: used,
    expertWidth,
    deltaMixture: architecture === 'qwen3next' || architecture === 'qwen35moe',
    wideMixture: architecture === 'gpt-oss',
    stateInner: keys.number('ssm.inner_size') ?? 0,
    sharedWidth: keys.number('expert_shared_feed_forward_length') ?? sharedExperts * expertWidth,
  }
}
