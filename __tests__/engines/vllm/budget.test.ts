import { describe, expect, test } from '@jest/globals'
import type { EngineAnswer } from '../../../src/engines/engine.ts'
import { vllm } from '../../../src/engines/vllm/index.ts'
import { parameterCount } from '../../../src/models/count.ts'
import { GiB } from '../../../src/units/bytes.ts'
import { configs, engineInput, factsOf, type Given } from '../../helpers/engine-input.ts'

const ask = (given: Given): EngineAnswer => vllm.estimate(engineInput({ version: '0.11.0', ...given }))
const part = (answer: EngineAnswer, name: string) => answer.estimate.perGpu.parts.find(one => one.name === name)
const gib = (bytes: number | null | undefined): number => (bytes ?? 0) / GiB

describe('worked examples', () => {
  test('Qwen3-32B on one H100 of 0.11: 32,000 tokens are refused, 16,000 start', () => {
    const refused = ask({ config: configs.qwen32b, settings: { maxModelLen: 32000 } }).estimate
    expect(refused.kvCache?.bytesPerMaxLengthRequest).toBe(2000 * 16 * 64 * 2 * 8 * 128 * 2)
    expect(refused.kvCache?.fitsOneRequest).toBe(false)
    expect(Math.abs(gib(refused.kvCache?.availableBytes) - 4.45)).toBeLessThan(0.1)
    expect(refused.perGpu.totalBytes.expected).toBeGreaterThan(refused.perGpu.budgetBytes ?? 0)
    const started = ask({ config: configs.qwen32b, settings: { maxModelLen: 16000 } }).estimate
    expect(started.kvCache?.fitsOneRequest).toBe(true)
    expect(started.perGpu.totalBytes.high).toBeLessThanOrEqual(started.perGpu.budgetBytes ?? 0)
  })

  test('the printed parts of the same document (GiB, within 3 %)', () => {
    const rows: [keyof typeof configs, number, number, number, number][] = [
      ['llama8b', 1, 14.99, 4.76, 51.38],
      ['qwen32b', 2, 30.59, 5.64, 34.49],
    ]
    for (const [model, tensorParallel, weights, activations, available] of rows) {
      const answer = ask({ config: configs[model], settings: { tensorParallel, maxModelLen: 16000 } })
      expect(Math.abs(gib(part(answer, 'weights')?.bytes.expected) / weights - 1)).toBeLessThan(0.005)
      expect(Math.abs(gib(part(answer, 'activations')?.bytes.expected) / activations - 1)).toBeLessThan(0.03)
      expect(Math.abs(gib(answer.estimate.kvCache?.availableBytes) / available - 1)).toBeLessThan(0.03)
    }
  })

  test("Qwen3.6-27B's shape: the state decides the attention block", () => {
    const config = {
      ...configs.qwen3Next,
      num_hidden_layers: 64,
      num_key_value_heads: 4,
      num_attention_heads: 24,
      linear_num_value_heads: 48,
      mamba_ssm_dtype: 'float32',
    }
    const settings = { maxModelLen: 32768 }
    const on = ask({ config, settings, version: '0.33.0' }).estimate.kvCache
    const off = ask({ config, settings, version: '0.33.0', options: { 'enable-prefix-caching': false } }).estimate
      .kvCache
    expect(on?.bytesPerMaxLengthRequest).toBe(49 * 54_525_952)
    expect(off?.bytesPerMaxLengthRequest).toBe(45 * 51_380_224)
  })
})

describe('the budget', () => {
  test('graphs are charged from 0.20 on, and lie outside before', () => {
    expect(part(ask({ version: '0.19.1' }), 'cudaGraphs')?.inBudget).toBe(false)
    expect(part(ask({ version: '0.20.2' }), 'cudaGraphs')?.inBudget).toBe(true)
    expect(part(ask({ settings: { enforceEager: true } }), 'cudaGraphs')?.bytes.high).toBe(0)
  })

  test.each([
    ['0.20.2', '0', false],
    ['0.33.0', '0', false],
    ['0.19.1', '1', true],
    ['0.17.1', '1', false],
  ])('graphs of %s with the estimate set to %s', (version, value, inBudget) => {
    const environment = { VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS: value }
    expect(part(ask({ version, environment }), 'cudaGraphs')?.inBudget).toBe(inBudget)
  })

  test("the environment takes FlashInfer's sampler, which holds half", () => {
    const peak = (version: string, value?: string) =>
      gib(
        part(ask({ version, environment: value ? { VLLM_USE_FLASHINFER_SAMPLER: value } : {} }), 'activations')?.bytes
          .expected,
      )
    for (const version of ['0.11.0', '0.16.0']) {
      expect(peak(version, '0')).toBe(peak(version))
      expect(peak(version, '1') / peak(version)).toBeCloseTo(4.3 / 9.73)
    }
    expect(peak('0.7.3', '1')).toBe(peak('0.7.3'))
  })

  test('one block is kept back from 0.30 on', () => {
    const settings = { maxModelLen: 8192 }
    expect(part(ask({ version: '0.27.1', settings }), 'buffers')).toBeUndefined()
    expect(part(ask({ version: '0.30.0', settings }), 'buffers')?.bytes.expected).toBe(16 * 131072)
  })

  test("cache and state parts are the request's bytes times the concurrency", () => {
    for (const config of Object.values(configs)) {
      const { perGpu, kvCache } = ask({
        config,
        version: null,
        concurrency: 3,
        settings: { maxModelLen: 8192 },
      }).estimate
      const cache = perGpu.parts.filter(one => one.name === 'kvCache' || one.name === 'recurrentState')
      expect(cache.reduce((sum, one) => sum + one.bytes.expected, 0)).toBe(3 * (kvCache?.bytesPerMaxLengthRequest ?? 0))
    }
  })

  test('a pool of given bytes: the card is the budget, and a pool too small is the limit', () => {
    const settings = { maxModelLen: 8192, memoryFraction: 0.2 }
    const enough = ask({ settings: { ...settings, kvCacheMemoryBytes: 8 * GiB } }).estimate
    expect(enough.perGpu.budgetBytes).toBe(engineInput().gpu?.memoryBytes)
    expect(enough.kvCache).toMatchObject({ availableBytes: 8 * GiB, fitsOneRequest: true, capacityTokens: 65536 })
    expect(enough.perGpu.parts.find(one => one.name === 'buffers')?.bytes.expected).toBe(7 * GiB)
    const short = ask({ settings: { ...settings, kvCacheMemoryBytes: GiB / 2 } }).estimate
    expect(short.kvCache?.fitsOneRequest).toBe(false)
    expect(short.perGpu.totalBytes.low).toBeGreaterThan(short.perGpu.budgetBytes ?? 0)
  })

  test('a pool of given blocks', () => {
    const { kvCache } = ask({ settings: { maxModelLen: 8192 }, options: { 'num-gpu-blocks-override': '512' } }).estimate
    expect(kvCache).toMatchObject({ capacityTokens: 8192, maxConcurrency: 1, fitsOneRequest: true })
  })

  test('a pooling engine has no sampler', () => {
    const sampling = part(ask({}), 'activations')
    const pooling = part(ask({ options: { runner: 'pooling' } }), 'activations')
    expect(sampling?.formula).toMatch(/^sampler/)
    expect(pooling?.formula).toMatch(/^forward pass/)
    expect(part(ask({ config: configs.bert }), 'activations')?.formula).toMatch(/^forward pass/)
  })

  test('offloaded weights leave the card', () => {
    const whole = part(ask({}), 'weights')?.bytes.expected ?? 0
    expect(part(ask({ settings: { cpuOffloadBytes: 4 * GiB } }), 'weights')?.bytes.expected).toBe(whole - 4 * GiB)
    expect(part(ask({ settings: { cpuOffloadBytes: 400 * GiB } }), 'weights')?.bytes.expected).toBe(0)
  })

  test('LoRA slots are charged with enable-lora only', () => {
    const settings = { maxLoras: 4, maxLoraRank: 32 }
    expect(part(ask({ settings }), 'adapters')).toBeUndefined()
    // q, o: 8192; k, v: 5120; gate, up, down: 18,432 inputs and outputs each, 32 layers
    const width = 32 * (2 * 8192 + 2 * 5120 + 3 * 18432)
    expect(part(ask({ settings, options: { 'enable-lora': true } }), 'adapters')?.bytes.expected).toBe(
      4 * 32 * width * 2,
    )
  })

  test('a draft model brings its weights and its cache', () => {
    const draft = engineInput({ config: { ...configs.llama8b, num_hidden_layers: 2 } })
    const alone = ask({ settings: { maxModelLen: 8192 } })
    const both = ask({
      settings: { maxModelLen: 8192, speculativeTokens: 4 },
      draft: { shape: draft.shape, facts: factsOf(draft.facts.config) },
    })
    expect(part(both, 'draftWeights')?.bytes.expected).toBe(2 * parameterCount(draft.shape))
    expect(part(both, 'kvCache')?.bytes.expected).toBe(((part(alone, 'kvCache')?.bytes.expected ?? 0) * 34) / 32)
    const ngram = ask({
      settings: { maxModelLen: 8192, speculativeTokens: 4 },
      options: { 'speculative-config': '{"method":"ngram"}' },
    })
    expect(part(ngram, 'draftWeights')).toBeUndefined()
  })

  test('with pipeline stages the fullest one is shown', () => {
    const { perGpu } = ask({ settings: { pipelineParallel: 3, maxModelLen: 8192 } }).estimate
    expect(perGpu.rank).toMatch(/^pipeline stage [01] of 3, tensor rank 0 of 1$/)
  })
})

describe('capacities that real starts printed', () => {
  // measured starts of public logs; GiB as printed, so blocks are counted from the printed tokens
  const qwen27b = {
    ...configs.qwen3Next,
    num_hidden_layers: 64,
    num_key_value_heads: 4,
    num_attention_heads: 24,
    linear_num_value_heads: 48,
    mamba_ssm_dtype: 'float32',
  }

  test('0.27.1, hybrid on H100: blocks of 784 tokens, two state blocks a group', () => {
    const settings = { maxModelLen: 4096, maxNumBatchedTokens: 4096, kvCacheMemoryBytes: Math.round(41.03 * GiB) }
    const { kvCache } = ask({ config: qwen27b, version: '0.27.1', settings }).estimate
    expect(kvCache?.bytesPerMaxLengthRequest).toBe(12 * 51_380_224)
    expect(kvCache?.capacityTokens).toBe(292522)
  })

  test("0.11.2, windows and full layers: one group's blocks in tokens", () => {
    const gemma = { ...configs.gemma2, num_hidden_layers: 26, sliding_window: 512 }
    const settings = { maxModelLen: 8192, maxNumBatchedTokens: 2048, kvCacheMemoryBytes: GiB }
    const { kvCache } = ask({ config: gemma, settings }).estimate
    const blocks = Math.floor(GiB / (13 * 16 * 8 * 512 * 2))
    expect(kvCache?.capacityTokens).toBe(Math.floor(blocks / 2) * 16)
    expect(kvCache?.maxConcurrency).toBeCloseTo(blocks / (512 + Math.ceil((511 + 2048) / 16) + 1), 6)
  })
})
