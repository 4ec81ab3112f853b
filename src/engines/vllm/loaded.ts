import { type Parallelism, partOf, stagesOf } from '../../memory/shares.ts'
import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import type { JsonObject } from '../../models/config.ts'
import type { LayerStack, ModelShape, Weight } from '../../models/shape.ts'
import { MiB } from '../../units/bytes.ts'
import type { EngineInput } from '../engine.ts'
import type { Resolved } from './settings.ts'

/** What "Model loading took" prints beside the weights themselves, on one rank. */

const asObject = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}

/** Share of a head that is rotated, by model type, where it is not the whole head and configs leave it out. */
const ROTATED: readonly (readonly [RegExp, number])[] = [
  [/^(qwen3_next|qwen3_5)/, 0.25],
  [/^(glm|chatglm)/, 0.5],
  [/^nemotron$/, 0.5],
  [/^(gpt_neox|stablelm)/, 0.25],
]

/** Attention without positions (Jamba, Nemotron-H, Kimi Linear), and MiniMax-01, whose tables end with the served length. */
const WITHOUT_TABLES = /^(jamba|nemotron_h|kimi_linear|minimax|minimax_text_01|minimax_m1)$/

/** Multimodal positions: vLLM makes their tables four times as long (rotary_embedding/mrope.py). */
const MULTIMODAL = /^(qwen\d(_5)?_(vl|omni)|qwen3_5(_moe)?$|glm4v|glm46v|paddleocr_vl|ernie4_5_vl)/
const MULTIMODAL_LENGTH = 4

/**
 * Bytes of the tables of cosines and sines: positions x rotated width x 2 B (a cosine and a sine for each pair), one
 * table for each width, and for local and global attention where they turn at different speeds (Gemma 3). Kept by all
 * layers together, whole on every rank (vLLM rotary_embedding/base.py). Public starts of nine models show them to 1 MiB:
 * 32 MiB for 131,072 positions x 128, 64 MiB for 262,144, 256 MiB for Qwen3-VL.
 */
export function rotaryTables(
  shape: ModelShape,
  config: JsonObject,
  context: number | null,
  elementBytes: number,
): number {
  const learned = shape.embedding.some(weight => weight.kind === 'embedding' && weight.split === 'none')
  if (context === null || learned || WITHOUT_TABLES.test(shape.modelType)) return 0
  const text = { ...config, ...asObject(config['text_config']) }
  const widths = new Set<string>()
  let sum = 0
  for (const kind of shape.layers.kinds)
    for (const spec of kind.cache) {
      if (!('keyDim' in spec) && spec.kind !== 'mla') continue
      if (spec.kind === 'gated-delta' || spec.kind === 'cross') continue
      const width = spec.kind === 'mla' ? spec.rope : rotatedWidth(shape.modelType, text, spec.keyDim)
      const key = shape.modelType.startsWith('gemma3') ? `${spec.kind} ${width}` : String(width)
      if (widths.has(key)) continue
      widths.add(key)
      sum += width
    }
  return context * (MULTIMODAL.test(shape.family) ? MULTIMODAL_LENGTH : 1) * sum * elementBytes
}

function rotatedWidth(type: string, text: JsonObject, headDim: number): number {
  const given = text['rotary_dim']
  if (typeof given === 'number' && Number.isInteger(given) && given > 0 && given <= headDim) return given
  const parameters = { ...asObject(text['rope_scaling']), ...asObject(text['rope_parameters']) }
  for (const factor of [parameters['partial_rotary_factor'], text['partial_rotary_factor'], text['rotary_pct']])
    if (typeof factor === 'number' && factor > 0 && factor <= 1) return Math.floor(headDim * factor)
  const known = ROTATED.find(([pattern]) => pattern.test(type))
  return Math.floor(headDim * (known?.[1] ?? 1))
}

/**
 * What the allocator keeps with a tensor of `bytes`: from 10 MiB on memory comes in steps of 2 MiB, and a rest of at
 * most 1 MiB is not split off (PyTorch c10/cuda/CUDACachingAllocator: kMinLargeAlloc, kRoundLarge, kSmallSize). Starts
 * of Qwen2.5-3B, 7B and 14B on one, two and four ranks print it to 5 MiB.
 */
export function keptRest(bytes: number): number {
  if (bytes < 10 * MiB) return 0
  const rest = (2 * MiB - (bytes % (2 * MiB))) % (2 * MiB)
  return rest <= MiB ? rest : 0
}

/** The allocator's rests of all tensors of each pipeline stage. */
export function allocatorRests(shape: ModelShape, storage: WeightStorage, p: Parallelism): number[] {
  const layers = restsOf(shape.layers, storage, p)
  const sums = stagesOf(shape, p.pipeline).map(({ first, count }) =>
    shape.layers.order.slice(first, first + count).reduce((sum, kind) => sum + layers[kind]!, 0),
  )
  sums[0]! += rests(shape.embedding, storage, p)
  sums[sums.length - 1]! += rests(shape.final, storage, p)
  for (const tower of shape.towers) {
    const kinds = restsOf(tower.stack, storage, p)
    sums[0]! += rests(tower.weights, storage, p) + tower.stack.order.reduce((sum, kind) => sum + kinds[kind]!, 0)
  }
  return sums
}

const restsOf = (stack: LayerStack, storage: WeightStorage, p: Parallelism): number[] =>
  stack.kinds.map(kind => rests(kind.weights, storage, p))

function rests(weights: readonly Weight[], storage: WeightStorage, p: Parallelism): number {
  const tensors = new Map<string, number>()
  for (const weight of weights) {
    const name = tensorOf(weight.name)
    const part = partOf(weight, p)
    const size = part.copies * part.out * part.in
    tensors.set(name, (tensors.get(name) ?? 0) + size * elementBytes(storage.bytes(weight, part, weight.name) / size))
  }
  let sum = 0
  for (const bytes of tensors.values()) sum += keptRest(bytes)
  return sum
}

/** vLLM keeps query, key and value in one tensor, and gate and up. */
const tensorOf = (name: string): string =>
  name.replace(/(?:q|k|v)_proj$/, 'qkv_proj').replace(/(?:gate_proj|up_proj|w1|w3)$/, 'gate_up_proj')

/**
 * Bytes of an element in its own tensor: plain, or packed in 4 bits (scales and zero points, which add to the mean, have
 * tensors of their own). Starts of 8-bit checkpoints show no rests.
 */
const elementBytes = (mean: number): number => (mean >= 2 ? mean : mean < 1 ? 0.5 : 0)

const textModels = new WeakMap<ModelShape, ModelShape>()

/**
 * With `--language-model-only` vLLM builds no vision and audio towers (its multimodal page; Qwen3.6-27B-FP8 printed
 * 27.67 GiB so, where the checkpoint has 28.75). The stored size holds them and says nothing then. The text model is
 * kept with the shape: remedies ask for it again.
 */
export function loadedModel(input: EngineInput, r: Resolved): EngineInput {
  const { shape, facts } = input
  if (r.option.flag('language-model-only') !== true || shape.towers.length === 0) return input
  const towers = shape.towers.filter(tower => tower.role === 'encoder')
  const text = textModels.get(shape) ?? { ...shape, towers, facts: { ...shape.facts, visionHeads: null } }
  textModels.set(shape, text)
  return { ...input, shape: text, facts: { ...facts, checkpoint: { ...facts.checkpoint, totalBytes: null } } }
}
