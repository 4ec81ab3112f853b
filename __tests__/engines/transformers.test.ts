import { describe, expect, test } from '@jest/globals'
import { embeddingServers } from '../../src/engines/embedding.ts'
import type { EngineAnswer } from '../../src/engines/engine.ts'
import { kaito } from '../../src/engines/kaito.ts'
import { transformers } from '../../src/engines/transformers.ts'
import { MiB } from '../../src/units/bytes.ts'
import { factsNamed } from '../helpers/catalogue.ts'
import { configs, engineInput, type Given } from '../helpers/engine-input.ts'

const ask = (given: Given): EngineAnswer => transformers.estimate(engineInput(given))
const bytes = (answer: EngineAnswer, name: string): number =>
  answer.estimate.perGpu.parts.find(one => one.name === name)?.bytes.expected ?? 0

describe('transformers', () => {
  // memory at rest after generating 2,048 tokens (Qwen3 speed benchmark, transformers 4.51.3, MB of the allocator)
  test.each([
    ['Qwen/Qwen3-0.6B', 8192, 2066],
    ['Qwen/Qwen3-32B', 2049, 62751],
  ])('%s at %d tokens: %d MiB at rest within 3 %%', (id, maxModelLen, measured) => {
    const facts = factsNamed(id)
    const answer = ask({ config: facts.config, facts, gpu: null, settings: { maxModelLen } } as Given)
    const rest = (bytes(answer, 'weights') + bytes(answer, 'kvCache')) / MiB
    expect(Math.abs(rest / measured - 1)).toBeLessThan(0.03)
  })

  test('the cache grows with length and batch, the prefill with the prompt', () => {
    const one = ask({ settings: { maxModelLen: 4096 } })
    const two = ask({ settings: { maxModelLen: 4096, maxNumSeqs: 2 } })
    expect(bytes(two, 'kvCache')).toBe(2 * bytes(one, 'kvCache'))
    expect(bytes(one, 'kvCache')).toBe(4096 * 131072)
    const short = ask({ settings: { maxModelLen: 4096, maxNumBatchedTokens: 16 } })
    expect(bytes(short, 'activations')).toBeLessThan(bytes(one, 'activations'))
  })

  test('several GPUs hold the layers in order', () => {
    const two = ask({ gpusPerReplica: 2, settings: { maxModelLen: 4096 } })
    expect(two.settings.pipelineParallel).toMatchObject({ value: 2 })
    expect(bytes(two, 'weights')).toBeLessThan(0.6 * bytes(ask({ settings: { maxModelLen: 4096 } }), 'weights'))
  })

  test('the longest that fits stays below the card', () => {
    const { kvCache, perGpu } = ask({ gpu: 'NVIDIA L4', settings: { maxModelLen: 8192 } }).estimate
    expect(kvCache?.maxModelLenThatFits).toBeGreaterThan(8192)
    expect(perGpu.totalBytes.expected).toBeLessThan(perGpu.budgetBytes ?? 0)
  })
})

describe('embedding servers', () => {
  test.each(embeddingServers.map(engine => [engine.name, engine] as const))('%s keeps no cache', (_name, engine) => {
    const answer = engine.estimate(engineInput({ config: configs.bert, gpu: 'NVIDIA T4' }))
    expect(answer.estimate.kvCache).toBeNull()
    expect(answer.settings.dtype?.value).toBe('float16')
    expect(answer.estimate.perGpu.parts.map(one => one.name)).toEqual(['weights', 'activations', 'context'])
  })
})

describe('KAITO', () => {
  const answerFor = (given: Given): EngineAnswer => kaito.estimate(engineInput(given))

  test('a model that fits one GPU is copied to each', () => {
    const { settings } = answerFor({ gpusPerReplica: 2 })
    expect(settings.tensorParallel).toMatchObject({ value: 1, note: 'the model fits one GPU' })
    expect(settings.dataParallel).toMatchObject({ value: 2 })
    expect(settings.memoryFraction?.value).toBe(0.84)
  })

  test('one that does not is spread over all', () => {
    const { settings } = answerFor({ config: configs.qwen32b, gpu: 'NVIDIA A100 40GB', gpusPerReplica: 4 })
    expect(settings.tensorParallel).toMatchObject({ value: 4 })
  })

  test('A10 cards take a smaller fraction', () => {
    expect(answerFor({ gpu: 'NVIDIA A10' }).settings.memoryFraction?.value).toBe(0.82)
  })
})
