import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import type { EngineAnswer } from '../../../src/engines/engine.ts'
import { vllm } from '../../../src/engines/vllm/index.ts'
import type { JsonObject } from '../../../src/models/config.ts'
import { shapeOf } from '../../../src/models/families/index.ts'
import { engineInput } from '../../helpers/engine-input.ts'

// every model of the catalogue on four cards, in six releases, on one to eight ranks, at five lengths (a seventh of the
// models for the general properties; all of them for the rules restated below)
const here = dirname(fileURLToPath(import.meta.url))
const catalogue = JSON.parse(readFileSync(join(here, '../../../src/catalogue/catalogue.json'), 'utf8')) as {
  readonly models: readonly { readonly id: string; readonly config: JsonObject }[]
}
const cards = ['NVIDIA H100 80GB', 'NVIDIA B200', 'NVIDIA A100 80GB', 'NVIDIA L4'] as const
const releases = ['0.10.2', '0.12.0', '0.16.0', '0.20.2', '0.27.1', '0.33.0']
const ranks = [1, 2, 4, 8]
const lengths = [1, 1000, 4096, 32768, 131072]

interface Asked {
  readonly where: string
  readonly gpu: string
  readonly version: string
  readonly tensorParallel: number
  readonly maxModelLen: number
}

function* everyCase(id: string): Generator<Asked> {
  for (const gpu of cards)
    for (const version of releases)
      for (const tensorParallel of ranks)
        for (const maxModelLen of lengths)
          yield {
            where: `${id} ${gpu} ${version} tp ${tensorParallel} length ${maxModelLen}`,
            gpu,
            version,
            tensorParallel,
            maxModelLen,
          }
}

function ask(base: ReturnType<typeof engineInput>, one: Asked): EngineAnswer {
  const given = engineInput({
    gpu: one.gpu,
    settings: { maxModelLen: one.maxModelLen, tensorParallel: one.tensorParallel },
  })
  return vllm.estimate({
    ...base,
    gpu: given.gpu,
    settings: given.settings,
    version: one.version,
    gpusPerReplica: one.tensorParallel,
  })
}

const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** What is wrong with an answer by itself. */
function faults(answer: EngineAnswer, one: Asked, context: number | null): string[] {
  const found: string[] = []
  const { perGpu, kvCache } = answer.estimate
  for (const part of perGpu.parts) {
    const { low, expected, high } = part.bytes
    if (![low, expected, high].every(whole) || low > expected || expected > high) found.push(`range of ${part.name}`)
  }
  if (kvCache === null) return [...found, 'no cache figures']
  const { availableBytes, capacityTokens, maxConcurrency, fitsOneRequest, maxModelLenThatFits, bytesPerToken } = kvCache
  for (const value of [
    availableBytes,
    capacityTokens,
    maxModelLenThatFits,
    bytesPerToken,
    kvCache.bytesPerMaxLengthRequest,
  ])
    if (value !== null && !whole(value)) found.push(`${value} is no whole number`)
  if (fitsOneRequest === true && maxConcurrency !== null && maxConcurrency < 1) found.push('fits, concurrency below 1')
  if (
    context !== null &&
    one.maxModelLen <= context &&
    fitsOneRequest !== (maxModelLenThatFits ?? 0) >= one.maxModelLen
  )
    found.push('fits, and the longest length says otherwise')
  if (perGpu.budgetBytes !== null && perGpu.totalBytes.expected > perGpu.budgetBytes !== (fitsOneRequest === false))
    found.push('the sum and the start check disagree')
  if (/\b(NaN|Infinity|undefined)\b/.test(JSON.stringify(answer.estimate))) found.push('not a number in a text')
  return found
}

describe('any model of the catalogue', () => {
  test('answers are whole, ordered, monotone in the length, and agree with themselves', () => {
    const wrong: string[] = []
    let inspected = 0
    for (const [index, { id, config }] of catalogue.models.entries()) {
      if (index % 7 !== 0) continue
      const base = engineInput({ config })
      let before = { need: 0, fits: true as boolean | null, length: Number.POSITIVE_INFINITY }
      for (const one of everyCase(id)) {
        const answer = ask(base, one)
        inspected++
        const need = answer.estimate.kvCache?.bytesPerMaxLengthRequest ?? 0
        const fits = answer.estimate.kvCache?.fitsOneRequest ?? null
        if (one.maxModelLen < before.length) before = { need: 0, fits: true, length: 0 }
        const list = faults(answer, one, base.shape.facts.contextLength)
        if (need < before.need) list.push('a longer request needs less')
        if (fits === true && before.fits === false) list.push('a longer request fits, a shorter did not')
        before = { need, fits, length: one.maxModelLen }
        for (const text of list) wrong.push(`${one.where}: ${text}`)
      }
    }
    expect(wrong.slice(0, 5)).toEqual([])
    expect(inspected).toBeGreaterThan(30_000)
  }, 120_000)
})

/**
 * The rules of full, grouped and latent attention once more, from the config's own words: blocks of 16 tokens (latent
 * attention by card and release), two tensors of KV heads, at least one head a rank, 16-bit values.
 */
function restated(config: JsonObject, one: Asked): { readonly token: number; readonly block: number } | null {
  const text = (
    typeof config['text_config'] === 'object' && config['text_config'] !== null ? config['text_config'] : config
  ) as JsonObject
  const number = (key: string): number | null => (typeof text[key] === 'number' ? (text[key] as number) : null)
  const layers = number('num_hidden_layers')
  const heads = number('num_attention_heads')
  const hidden = number('hidden_size')
  if (layers === null || heads === null || hidden === null) return null
  const latent = number('kv_lora_rank')
  const rope = number('qk_rope_head_dim')
  if (latent !== null && rope !== null && LATENT.has(String(text['model_type']))) {
    const hopper = one.gpu.includes('H100')
    const old = Number(one.version.split('.')[1]) < 13
    const blackwell = one.gpu.includes('B200')
    const block = old ? (blackwell ? 128 : hopper ? 64 : 16) : blackwell ? 32 : 16
    return { token: layers * (latent + rope) * 2, block }
  }
  if (!PLAIN.has(String(text['model_type']))) return null
  const kv = number('num_key_value_heads') ?? heads
  const size = number('head_dim') ?? Math.floor(hidden / heads)
  const held = Math.max(1, Math.floor(kv / one.tensorParallel))
  return { token: layers * held * size * 2 * 2, block: 16 }
}
const LATENT = new Set(['deepseek_v2', 'deepseek_v3', 'kimi_k2', 'glm4_moe_lite'])
const PLAIN = new Set([
  'llama',
  'qwen2',
  'qwen3',
  'qwen3_moe',
  'qwen2_moe',
  'granite',
  'mixtral',
  'phi3',
  'glm4',
  'glm4_moe',
  'olmo2',
  'starcoder2',
  'nemotron',
  'stablelm',
  'seed_oss',
  'arcee',
  'olmoe',
  'granitemoe',
  'ernie4_5',
  'hunyuan_v1_dense',
  'qwen2_5_vl',
  'qwen2_vl',
  'qwen3_vl_text',
  'qwen3_vl_moe_text',
])

/** A config whose cache the plain rules decide: no window in force, no quantised cache, 16-bit weights, a decoder. */
function isPlain(config: JsonObject): boolean {
  const all = JSON.stringify(config)
  if (/"quantization_config"|"kv_cache_scheme"|float32|"block_configs"/.test(all)) return false
  if (/ForSequenceClassification|"architectures":\["\w*Model"\]/.test(all)) return false
  const window = /"sliding_window":(\d+)/.exec(all)
  return window === null || /"use_sliding_window":false/.test(all)
}

describe('rules restated', () => {
  test('one request of full or latent attention costs its blocks, to the byte', () => {
    const wrong: string[] = []
    const models = new Set<string>()
    let inspected = 0
    for (const { id, config } of catalogue.models) {
      if (!isPlain(config)) continue
      const shape = shapeOf(config)
      if (!shape.ok) continue
      const base = engineInput({ config })
      for (const one of everyCase(id)) {
        const rule = restated(config, one)
        if (rule === null) break
        models.add(id)
        inspected++
        const answer = ask(base, one).estimate
        const blocks = Math.ceil(one.maxModelLen / rule.block)
        const blockBytes = rule.block * rule.token
        const kv = answer.kvCache
        if (kv?.bytesPerMaxLengthRequest !== blocks * blockBytes)
          wrong.push(`${one.where}: ${kv?.bytesPerMaxLengthRequest}, by the rules ${blocks * blockBytes}`)
        const free = kv?.availableBytes ?? 0
        const pool = Math.floor(free / blockBytes)
        if (kv?.maxConcurrency !== pool / blocks)
          wrong.push(`${one.where}: concurrency ${kv?.maxConcurrency}, by the rules ${pool / blocks}`)
        const kept = Number(one.version.split('.')[1]) >= 30 ? blockBytes : 0
        if (kv?.fitsOneRequest !== blocks * blockBytes <= free - kept) wrong.push(`${one.where}: start check`)
      }
    }
    expect(wrong.slice(0, 5)).toEqual([])
    expect(models.size).toBeGreaterThan(100)
    expect(inspected).toBe(models.size * cards.length * releases.length * ranks.length * lengths.length)
  }, 180_000)
})
