import type { JsonObject } from '../../models/config.ts'
import type { CacheSpec, ModelShape } from '../../models/shape.ts'

/** What SGLang's defaults depend on in a model. */
export interface Traits {
  /** Latent attention. */
  readonly latent: boolean
  /** DeepSeek-V3's own layout of it, which has kernels of its own on Blackwell. */
  readonly deepseek: boolean
  /** Latent attention with a sparse indexer (DeepSeek-V3.2, GLM-5). */
  readonly sparse: boolean
  /** Compressed latents of DeepSeek-V4. */
  readonly compressed: boolean
  /** Kimi delta attention. */
  readonly delta: boolean
  /** Layers with recurrent state. */
  readonly recurrent: boolean
  /** Window layers have a pool of their own. */
  readonly windowPool: boolean
  /** Images or sound are served. */
  readonly multimodal: boolean
  /** Multimodal only when asked for with --enable-multimodal. */
  readonly multimodalByRequest: boolean
  /** Keeps prefill graphs although multimodal. */
  readonly keepsPrefillGraphs: boolean
  readonly modelType: string
}

const STATES = new Set<CacheSpec['kind']>(['mamba1', 'mamba2', 'gated-delta', 'kda', 'short-conv', 'lightning', 'rwkv'])

/** Does the layer keep a recurrent state instead of keys and values? */
export const isState = (spec: CacheSpec): boolean => STATES.has(spec.kind)

/**
 * Models whose window layers get a smaller pool (SGLang configs/model_config.py, is_hybrid_swa_model). Others with
 * windows, Gemma-2 and Gemma-3 among them, keep every token in every layer.
 */
const WINDOW_POOL = /^(?:gpt_oss|gemma4|llama4|mimo_v2|step3p5|inkling)/
const BY_REQUEST = /^(?:gemma3|llama4)/
const DEEPSEEK = /^(?:deepseek_v3|kimi_k2|kimi_k25|glm4_moe_lite|mistral_large_3)$/

/** The traits of a model; `multimodal` before anything is asked for on the command line. */
export function traitsOf(shape: ModelShape): Traits {
  const kinds = new Set<CacheSpec['kind']>()
  for (const kind of shape.layers.kinds) for (const spec of kind.cache) kinds.add(spec.kind)
  const { modelType } = shape
  const delta = kinds.has('kda')
  const sparse = kinds.has('indexer')
  return {
    latent: kinds.has('mla'),
    deepseek: kinds.has('mla') && !sparse && !delta && DEEPSEEK.test(modelType),
    sparse,
    compressed: kinds.has('compressed-mla'),
    delta,
    recurrent: [...kinds].some(kind => STATES.has(kind)),
    windowPool: WINDOW_POOL.test(modelType) && (kinds.has('sliding') || kinds.has('chunked')),
    multimodal: shape.facts.multimodal,
    multimodalByRequest: BY_REQUEST.test(modelType),
    keepsPrefillGraphs: modelType.startsWith('qwen3_5'),
    modelType,
  }
}

/**
 * The factor by which a vision tower lowers the fraction: 0.95 x (1 less a tenth for each 24 layers of 1024 beyond the
 * first), 0.8 to 1.05 times. A field that is not there counts as 24 layers or 1024 wide, so towers that name them
 * otherwise (Qwen's `depth`) are charged as such. Null without a vision_config.
 */
export function visionFactor(config: JsonObject): number | null {
  const vision = config['vision_config']
  if (typeof vision !== 'object' || vision === null || Array.isArray(vision)) return null
  const size = (key: string, fallback: number): number => {
    const value = (vision as JsonObject)[key]
    return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : fallback
  }
  const complexity = (size('num_hidden_layers', 24) * size('hidden_size', 1024) ** 2) / (24 * 1024 ** 2)
  return 0.95 * Math.min(1.05, Math.max(0.8, 1 - 0.1 * (complexity - 1)))
}
