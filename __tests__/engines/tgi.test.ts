import { describe, expect, test } from '@jest/globals'
import type { EngineAnswer } from '../../src/engines/engine.ts'
import { lmdeploy } from '../../src/engines/lmdeploy.ts'
import { tgi } from '../../src/engines/tgi.ts'
import { engineInput, type Given } from '../helpers/engine-input.ts'

const ask = (given: Given): EngineAnswer => tgi.estimate(engineInput(given))
const bytes = (answer: EngineAnswer, name: string): number =>
  answer.estimate.perGpu.parts.find(one => one.name === name)?.bytes.expected ?? 0

describe('Text Generation Inference', () => {
  test.each([
    ['1.4.0', 2048],
    ['2.4.0', 4096],
  ])('release %s takes %d tokens by default', (version, length) => {
    expect(ask({ version }).settings.maxModelLen).toMatchObject({ value: length, from: 'engine-default' })
  })

  test("from 3.0 the longest that fits, up to the model's context", () => {
    const large = ask({ version: '3.1.0' })
    expect(large.settings.maxModelLen?.value).toBe(131072)
    const small = ask({ version: '3.1.0', gpu: 'NVIDIA L4' })
    expect(small.settings.maxModelLen?.value).toBe(small.estimate.kvCache?.maxModelLenThatFits)
    expect(Number(small.settings.maxModelLen?.value)).toBeLessThan(131072)
    expect(small.estimate.kvCache?.fitsOneRequest).toBe(true)
  })

  test('every visible GPU is a shard unless said', () => {
    const two = ask({ gpusPerReplica: 2, settings: { maxModelLen: 4096 } })
    expect(two.settings.tensorParallel).toMatchObject({ value: 2, from: 'engine-default' })
    const one = ask({ settings: { maxModelLen: 4096 } })
    expect(bytes(two, 'weights')).toBeLessThan(0.6 * bytes(one, 'weights'))
  })

  test('not sharded: one GPU of several', () => {
    const answer = ask({ gpusPerReplica: 2, options: { sharded: 'false' }, settings: { maxModelLen: 4096 } })
    expect(answer.settings.tensorParallel?.value).toBe(1)
    expect(answer.findings.map(one => one.code)).toContain('gpus-unequal-parallelism')
  })

  test('a limit of tokens limits the pool', () => {
    const answer = ask({ settings: { maxModelLen: 4096 }, options: { 'max-batch-total-tokens': '8192' } })
    expect(answer.estimate.kvCache?.maxConcurrency).toBe(2)
  })

  test('a prompt as long as prompt and answer is refused', () => {
    const answer = ask({ settings: { maxModelLen: 4096 }, options: { 'max-input-tokens': '4096' } })
    expect(answer.findings.find(one => one.code === 'setting-contradicts')?.severity).toBe('error')
  })

  test('0.95 of the fraction is used', () => {
    const answer = ask({ settings: { maxModelLen: 4096, memoryFraction: 0.8 } })
    const kept = answer.estimate.perGpu.parts.find(one => one.name === 'fragmentation')
    expect(kept?.bytes.expected).toBe(Math.ceil(bytes(answer, 'kvCache') / (0.8 * 0.95)) - bytes(answer, 'kvCache'))
    expect(kept?.source).toContain('cuda-memory-fraction 0.8')
  })

  test('an fp8 cache is half as large', () => {
    const plain = ask({ settings: { maxModelLen: 4096 } })
    const half = ask({ settings: { maxModelLen: 4096, kvCacheDtype: 'fp8_e5m2' } })
    expect(bytes(half, 'kvCache') * 2).toBe(bytes(plain, 'kvCache'))
  })

  test('four bits on load take less than half of the weights', () => {
    const plain = ask({ settings: { maxModelLen: 4096 } })
    const four = ask({ settings: { maxModelLen: 4096, quantization: 'bitsandbytes-nf4' } })
    expect(bytes(four, 'weights')).toBeLessThan(0.5 * bytes(plain, 'weights'))
  })
})

describe('LMDeploy', () => {
  test.each([
    ['int8', 32 * 8 * (256 + 8)],
    ['int4', 32 * 8 * (128 + 8)],
    [undefined, 32 * 8 * 512],
  ])('KV %s: %d bytes a token', (kvCacheDtype, rate) => {
    const settings = { maxModelLen: 4096, ...(kvCacheDtype ? { kvCacheDtype } : {}) }
    const answer = lmdeploy.estimate(engineInput({ settings }))
    expect(answer.estimate.kvCache?.bytesPerToken).toBe(rate)
  })

  test('the pool is 0.8 of what is free after the weights', () => {
    const answer = lmdeploy.estimate(engineInput({ settings: { maxModelLen: 4096 } }))
    expect(answer.settings.memoryFraction).toMatchObject({ value: 0.8, from: 'engine-default' })
    expect(bytes(answer, 'fragmentation')).toBe(Math.ceil(bytes(answer, 'kvCache') / 0.8) - bytes(answer, 'kvCache'))
  })
})
