import { describe, expect, test } from '@jest/globals'
import type { EngineAnswer } from '../../src/engines/engine.ts'
import { trtllm } from '../../src/engines/trtllm.ts'
import { GiB } from '../../src/units/bytes.ts'
import { configs, engineInput, type Given } from '../helpers/engine-input.ts'

const ask = (given: Given): EngineAnswer => trtllm.estimate(engineInput(given))
const bytes = (answer: EngineAnswer, name: string): number =>
  answer.estimate.perGpu.parts.find(one => one.name === name)?.bytes.expected ?? 0
const codes = (answer: EngineAnswer): string[] => answer.findings.map(one => one.code)

describe('the pool is a fraction of what is free', () => {
  test('capacity by blocks of 32 tokens', () => {
    const { perGpu, kvCache } = ask({ settings: { maxModelLen: 8192 } }).estimate
    const rest = perGpu.parts
      .filter(one => !['kvCache', 'fragmentation'].includes(one.name))
      .reduce((sum, one) => sum + one.bytes.expected, 0)
    const pool = Math.floor(0.9 * ((perGpu.budgetBytes ?? 0) - rest))
    expect(kvCache?.availableBytes).toBe(pool)
    expect(kvCache?.bytesPerToken).toBe(131072)
    expect(kvCache?.maxConcurrency).toBeCloseTo(pool / (8192 * 131072), 6)
  })

  test('what the fraction leaves free is a part of its own', () => {
    const answer = ask({ settings: { maxModelLen: 8192, memoryFraction: 0.5 } })
    expect(bytes(answer, 'fragmentation')).toBe(bytes(answer, 'kvCache'))
    expect(bytes(ask({ settings: { maxModelLen: 8192, memoryFraction: 1 } }), 'fragmentation')).toBe(0)
  })

  test('12.22 GiB free at 0.9 are a pool of 11.00 GiB, as a log of the backend has it', () => {
    expect((0.9 * 12.22).toFixed(2)).toBe('11.00')
    // 12,800 tokens of 32 layers x 8 KV heads x 128: 1.56 GiB in the log of 1.2.1
    const { kvCache } = ask({ gpu: null }).estimate
    expect((((kvCache?.bytesPerToken ?? 0) * 12_800) / GiB).toFixed(2)).toBe('1.56')
  })
})

describe('buffers follow the limits, not the load', () => {
  test('fewer tokens and sequences take less', () => {
    const wide = ask({})
    const narrow = ask({ settings: { maxNumBatchedTokens: 1024, maxNumSeqs: 16 } })
    expect(bytes(narrow, 'activations')).toBeLessThan(bytes(wide, 'activations'))
    expect(bytes(narrow, 'logits')).toBe(16 * 128256 * 4)
    expect(wide.settings).toMatchObject({ maxNumSeqs: { value: 2048 }, maxNumBatchedTokens: { value: 8192 } })
  })

  test('beams multiply the cache', () => {
    const plain = ask({ settings: { maxModelLen: 4096 } })
    const beams = ask({ settings: { maxModelLen: 4096 }, options: { 'max-beam-width': '4' } })
    expect(bytes(beams, 'kvCache')).toBe(4 * bytes(plain, 'kvCache'))
  })

  test('windows count only when they are asked for', () => {
    const given = { config: configs.gemma2, settings: { maxModelLen: 8192 } }
    const whole = ask(given)
    const windows = ask({ ...given, options: { 'max-attention-window': '[1024, 8192]' } })
    const rate = bytes(whole, 'kvCache') / 8192
    // every second layer keeps 1,024 tokens and one block more
    expect(bytes(windows, 'kvCache')).toBe((rate / 2) * (8192 + 1024 + 32))
  })

  test('attention data ranks keep attention whole', () => {
    const plain = ask({ settings: { tensorParallel: 4, maxModelLen: 4096 } })
    const data = ask({ settings: { tensorParallel: 4, attentionDataParallel: 4, maxModelLen: 4096 } })
    expect(bytes(data, 'weights')).toBeGreaterThan(bytes(plain, 'weights'))
    expect(bytes(data, 'kvCache')).toBe(4 * bytes(plain, 'kvCache'))
  })
})

test.each([
  ['heads-not-divisible', { settings: { tensorParallel: 3 } }],
  ['gpus-unequal-parallelism', { settings: { tensorParallel: 2, pipelineParallel: 2 }, gpusPerReplica: 2 }],
  ['context-above-model', { settings: { maxModelLen: 200_000 } }],
  ['kv-dtype-unsupported', { settings: { kvCacheDtype: 'tiny' } }],
  ['fraction-out-of-range', { settings: { memoryFraction: 0 } }],
] as [string, Given][])('%s', (code, given) => {
  expect(codes(ask(given))).toContain(code)
})
