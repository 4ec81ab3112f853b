import { describe, expect, test } from '@jest/globals'
import type { EngineAnswer } from '../../../src/engines/engine.ts'
import { prefillGraphCount } from '../../../src/engines/sglang/arguments.ts'
import { sglang } from '../../../src/engines/sglang/index.ts'
import { slotsPerRequest } from '../../../src/engines/sglang/pool.ts'
import { visionFactor } from '../../../src/engines/sglang/traits.ts'
import { noLimits, statusOf } from '../../../src/verdict/judge.ts'
import { configs, engineInput, type Given } from '../../helpers/engine-input.ts'

const ask = (given: Given): EngineAnswer => sglang.estimate(engineInput({ version: '0.5.23', ...given }))
const status = (answer: EngineAnswer): string | undefined => statusOf(answer.estimate, noLimits)?.status
const codes = (answer: EngineAnswer): string[] => answer.findings.map(one => one.code)
const part = (answer: EngineAnswer, name: string) => answer.estimate.perGpu.parts.find(one => one.name === name)

describe('defaults for Llama-8B', () => {
  test.each([
    ['NVIDIA T4', 0.735, 2048],
    ['NVIDIA L40S', 0.843, 4096],
    ['NVIDIA H100 80GB', 0.83, 8192],
    ['NVIDIA H200 141GB', 0.903, 8192],
    ['NVIDIA B200', 0.854, 16384],
  ])('%s: fraction %d, chunk %d', (gpu, fraction, chunk) => {
    const { settings } = ask({ gpu })
    expect(settings.memoryFraction).toMatchObject({ value: fraction, from: 'engine-default' })
    expect(settings.maxNumBatchedTokens).toMatchObject({ value: chunk, from: 'engine-default' })
    expect(settings.memoryFraction?.note).toContain('MiB')
  })

  test.each([
    ['0.4.3', 0.88],
    ['0.4.6', 0.88],
    ['0.5.2', 0.874],
    ['0.5.5', 0.835],
    ['0.5.16', 0.83],
  ])('release %s on an H100: %d', (version, fraction) => {
    expect(ask({ version }).settings.memoryFraction?.value).toBe(fraction)
  })

  test('without a card the release falls back to its own defaults', () => {
    const { settings, estimate } = ask({ gpu: null })
    expect(settings.memoryFraction?.value).toBe(0.95)
    expect(settings.maxNumBatchedTokens?.value).toBe(4096)
    expect(estimate.perGpu.budgetBytes).toBeNull()
    expect(estimate.kvCache?.capacityTokens).toBeNull()
  })
})

describe('the pool', () => {
  test('a whole request fits: its bytes are exact', () => {
    const answer = ask({ settings: { maxModelLen: 8192 } })
    expect(part(answer, 'kvCache')).toMatchObject({ basis: 'exact', bytes: { expected: 8192 * 131072 } })
    expect(answer.estimate.kvCache).toMatchObject({ bytesPerToken: 131072, fitsOneRequest: true })
    expect(status(answer)).toBe('fits')
  })

  test('a pool below the context starts, is tight, and says what becomes of longer requests', () => {
    const answer = ask({ gpu: 'NVIDIA L4', settings: { memoryFraction: 0.88 } })
    expect(answer.estimate.kvCache?.fitsOneRequest).toBe(false)
    expect(answer.estimate.kvCache?.maxModelLenThatFits).toBe(answer.estimate.kvCache?.capacityTokens)
    expect(codes(answer)).toContain('context-above-pool')
    expect(answer.findings.find(one => one.code === 'context-above-pool')?.message).toContain('rejected')
    expect(status(answer)).toBe('tight')
  })

  test('several requests of full length are charged whole', () => {
    const answer = ask({ gpu: 'NVIDIA L4', settings: { memoryFraction: 0.88, maxModelLen: 16384 }, concurrency: 8 })
    expect(part(answer, 'kvCache')?.bytes.expected).toBe(8 * 16384 * 131072)
    expect(status(answer)).toBe('exceeds')
  })

  test('weights above the fraction leave no pool', () => {
    const answer = ask({ config: configs.qwen32b, gpu: 'NVIDIA L40S' })
    expect(status(answer)).toBe('exceeds')
    expect(codes(answer)).toContain('no-pool')
    expect(answer.estimate.kvCache).toMatchObject({ fitsOneRequest: false, maxModelLenThatFits: 0 })
  })

  test('states take their part of the pool, and limit the requests', () => {
    const answer = ask({ config: configs.qwen3Next, gpu: 'NVIDIA H200 141GB', settings: { tensorParallel: 4 } })
    expect(part(answer, 'recurrentState')?.bytes.expected).toBeGreaterThan(0)
    expect(Number(answer.settings.maxNumSeqs?.value)).toBeGreaterThan(0)
  })

  test('attention data ranks keep attention whole and share the chunk', () => {
    const plain = ask({ config: configs.qwen3Next, settings: { tensorParallel: 4, maxModelLen: 4096 } })
    const data = ask({
      config: configs.qwen3Next,
      settings: { tensorParallel: 4, dataParallel: 4, attentionDataParallel: 4, maxModelLen: 4096 },
    })
    expect(part(data, 'weights')!.bytes.expected).toBeGreaterThan(part(plain, 'weights')!.bytes.expected)
    expect(data.settings.maxNumBatchedTokens?.value).toBe(2048)
  })
})

describe('what SGLang refuses or ignores', () => {
  test.each([
    ['heads-not-divisible', { settings: { tensorParallel: 3 } }],
    ['context-above-model', { settings: { maxModelLen: 200_000 } }],
    ['stages-above-layers', { settings: { pipelineParallel: 64 } }],
    ['gpus-unequal-parallelism', { settings: { tensorParallel: 4 }, gpusPerReplica: 2 }],
    ['kv-dtype-unsupported', { settings: { kvCacheDtype: 'fp3' } }],
    ['fraction-out-of-range', { settings: { memoryFraction: 1.2 } }],
    ['fraction-out-of-range', { gpu: 'NVIDIA L40S', settings: { maxNumBatchedTokens: 32768 } }],
    ['flag-ambiguous', { options: { 'cuda-graph-max-bs': '64' } }],
    ['setting-contradicts', { config: configs.qwen3Next, options: { 'mamba-radix-cache-strategy': 'no_buffer' } }],
    ['version-unknown', { version: 'nightly' }],
  ] as [string, Given][])('%s', (code, given) => {
    expect(codes(ask(given))).toContain(code)
  })

  test('a longer context is allowed by its variable', () => {
    const environment = { SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN: '1' }
    const answer = ask({ settings: { maxModelLen: 200_000 }, environment })
    expect(answer.findings.find(one => one.code === 'context-above-model')?.severity).toBe('warning')
  })
})

test.each([
  [512, 30],
  [1024, 38],
  [2048, 42],
  [4096, 50],
  [8192, 58],
  [16384, 74],
  [32768, 106],
  [0, 0],
])('prefill graphs up to %d tokens: %d', (tokens, graphs) => {
  expect(prefillGraphCount(tokens)).toBe(graphs)
})

test.each([
  [null, false, true, true, 5],
  ['extra_buffer_lazy', false, true, true, 4],
  [null, false, false, true, 4],
  ['no_buffer', true, false, true, 3],
  [null, true, false, true, 3],
  [null, false, true, false, 1],
] as const)(
  'state slots a request: strategy %s, overlap off %s, on %s, prefix cache %s',
  (strategy, off, on, radix, slots) => {
    expect(slotsPerRequest(strategy, off, on, radix)).toBe(slots)
  },
)

test('the factor of a vision tower', () => {
  expect(visionFactor({})).toBeNull()
  expect(visionFactor({ vision_config: {} })).toBeCloseTo(0.95, 10)
  expect(visionFactor({ vision_config: { hidden_size: 1280 } })).toBeCloseTo(0.95 * 0.94375, 10)
  expect(visionFactor({ vision_config: { num_hidden_layers: 1000 } })).toBeCloseTo(0.95 * 0.8, 10)
})

test('an unknown version says between which releases the answer differs', () => {
  const given = { gpu: 'NVIDIA L4', settings: { maxModelLen: 4096 }, version: null }
  const { assumptions } = ask(given).estimate
  expect(assumptions).toContain('SGLang version unknown: the rules of 0.5.23 are used')
  expect(assumptions.find(one => one.startsWith('the answer depends on the version'))).toMatch(
    /0\.5\.23 .*0\.5\.2 it would fit/,
  )
  expect(ask({ ...given, gpu: 'NVIDIA H100 80GB' }).estimate.assumptions).toHaveLength(1)
})
