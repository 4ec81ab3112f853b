import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { EngineAnswer, EngineInput } from '../../src/engines/engine.ts'
import { engines } from '../../src/engines/index.ts'
import type { Range } from '../../src/memory/parts.ts'
import { configs, engineInput, type Given } from '../helpers/engine-input.ts'

/** What every engine's accounting keeps to, whatever it is asked (design section 10). */

const models = Object.entries(configs)
const part = (answer: EngineAnswer, name: string): number =>
  answer.estimate.perGpu.parts.filter(one => one.name === name).reduce((sum, one) => sum + one.bytes.expected, 0)
const cache = (answer: EngineAnswer): number => part(answer, 'kvCache') + part(answer, 'recurrentState')
const ordered = (range: Range): void => {
  expect(range.low).toBeLessThanOrEqual(range.expected)
  expect(range.expected).toBeLessThanOrEqual(range.high)
}

/** Parts are whole, ordered, not negative, and those in the budget are the total. */
function sound(answer: EngineAnswer): void {
  const { perGpu, kvCache } = answer.estimate
  const total = { low: 0, expected: 0, high: 0 }
  for (const one of perGpu.parts) {
    ordered(one.bytes)
    for (const end of ['low', 'expected', 'high'] as const) {
      expect(Number.isSafeInteger(one.bytes[end])).toBe(true)
      expect(one.bytes[end]).toBeGreaterThanOrEqual(0)
      if (one.inBudget) total[end] += one.bytes[end]
    }
    expect(one.formula).not.toBe('')
    expect(one.formula).not.toContain('NaN')
    expect(one.source).not.toBe('')
  }
  expect(perGpu.totalBytes).toEqual(total)
  if (perGpu.budgetBytes !== null && perGpu.headroomBytes !== null)
    expect(perGpu.headroomBytes.expected).toBe(perGpu.budgetBytes - total.expected)
  for (const figure of Object.values(kvCache ?? {}))
    if (typeof figure === 'number') expect(Number.isFinite(figure) && figure >= 0).toBe(true)
  for (const setting of Object.values(answer.settings)) expect(setting?.from).toBeDefined()
}

const lengths = [512, 4096, 8192]
const hostile = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e308, '8k', null, [], {}, true]
const names = [
  'maxModelLen',
  'memoryFraction',
  'maxNumSeqs',
  'maxNumBatchedTokens',
  'tensorParallel',
  'pipelineParallel',
  'dataParallel',
  'contextParallel',
  'expertParallel',
  'dtype',
  'quantization',
  'kvCacheDtype',
  'blockSize',
  'enforceEager',
  'cpuOffloadBytes',
  'kvCacheMemoryBytes',
  'maxLoras',
  'maxLoraRank',
  'speculativeTokens',
]

interface Sizes {
  readonly maxModelLen: number
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  readonly tensorParallel: number
  readonly memoryFraction: number
}
type Direction = readonly [
  what: string,
  change: (now: Sizes, factor: number) => NonNullable<Given['settings']>,
  figure: (answer: EngineAnswer) => number | null,
  sign: 1 | -1,
  options?: Record<string, string | boolean>,
]
const named = (name: string) => (answer: EngineAnswer) => part(answer, name)
const kv = (name: 'availableBytes' | 'maxModelLenThatFits' | 'capacityTokens') => (answer: EngineAnswer) =>
  answer.estimate.kvCache?.[name] ?? null
/** One setting is changed; the figure moves in one direction, or not at all. */
const DIRECTIONS: readonly Direction[] = [
  ['a longer context: more cache', (now, by) => ({ maxModelLen: Math.ceil(now.maxModelLen * by) }), cache, 1],
  [
    'a larger share: more for the cache',
    now => ({ memoryFraction: now.memoryFraction + 0.1 }),
    kv('availableBytes'),
    1,
  ],
  [
    'a larger share: a longer context fits',
    now => ({ memoryFraction: now.memoryFraction + 0.1 }),
    kv('maxModelLenThatFits'),
    1,
  ],
  [
    'a larger batch: more activations',
    (now, by) => ({ maxNumBatchedTokens: Math.ceil(now.maxNumBatchedTokens * by) }),
    named('activations'),
    1,
  ],
  [
    'more sequences: more activations',
    (now, by) => ({ maxNumSeqs: Math.ceil(now.maxNumSeqs * by) }),
    named('activations'),
    1,
  ],
  ['more sequences: more logits', (now, by) => ({ maxNumSeqs: Math.ceil(now.maxNumSeqs * by) }), named('logits'), 1],
  [
    'more sequences: more graphs',
    (now, by) => ({ maxNumSeqs: Math.ceil(now.maxNumSeqs * by) }),
    named('cudaGraphs'),
    1,
  ],
  ['eager: no more graphs', () => ({ enforceEager: true }), named('cudaGraphs'), -1],
  ['pipeline stages: less weight on each', () => ({ pipelineParallel: 2 }), named('weights'), -1],
  [
    'offloaded weights: less on the card',
    (_now, by) => ({ cpuOffloadBytes: Math.round(by * 2 ** 30) }),
    named('weights'),
    -1,
  ],
  ['8-bit cache: no more of it', () => ({ kvCacheDtype: 'fp8' }), cache, -1],
  [
    'larger adapters: more for them',
    (_now, by) => ({ maxLoraRank: [16, 32, 64, 128][Math.floor(by) - 1] ?? 128 }),
    named('adapters'),
    1,
    { 'enable-lora': true },
  ],
  [
    'more adapters: more for them',
    (_now, by) => ({ maxLoras: Math.ceil(by) }),
    named('adapters'),
    1,
    { 'enable-lora': true },
  ],
]

test('every engine is registered once', () => {
  expect(new Set(engines.map(engine => engine.name)).size).toBe(engines.length)
  expect(engines.length).toBeGreaterThan(0)
})

describe.each(engines.map(engine => [engine.name, engine] as const))('%s', (_name, engine) => {
  const ask = (given: Given): EngineAnswer => {
    const answer = engine.estimate(engineInput(given))
    sound(answer)
    return answer
  }

  test('lists its defaults with versions and sources', () => {
    expect(engine.defaults.length).toBeGreaterThan(0)
    for (const row of engine.defaults)
      for (const text of [row.setting, row.value, row.versions, row.source]) expect(text).not.toBe('')
  })

  test.each(models)('%s: parts are sound with and without a card', (_model, config) => {
    for (const gpu of [null, 'NVIDIA T4', 'NVIDIA A100 80GB', 'NVIDIA B200', 'AMD MI300X']) {
      const answer = ask({ config, gpu, settings: { maxModelLen: 4096 } })
      expect(part(answer, 'weights')).toBeGreaterThan(0)
      expect(answer.estimate.perGpu.budgetBytes === null).toBe(gpu === null)
    }
  })

  test.each(models)('%s: more tensor ranks never raise the weights', (_model, config) => {
    const weights = [1, 2, 4, 8].map(tensorParallel =>
      part(ask({ config, settings: { tensorParallel, maxModelLen: 4096 } }), 'weights'),
    )
    expect(weights).toEqual([...weights].sort((a, b) => b - a))
  })

  test.each(models)('%s: a longer context and more requests never lower the cache', (_model, config) => {
    const byLength = lengths.map(maxModelLen => cache(ask({ config, settings: { maxModelLen } })))
    expect(byLength).toEqual([...byLength].sort((a, b) => a - b))
    const byRequests = [1, 2, 8].map(concurrency =>
      cache(ask({ config, concurrency, settings: { maxModelLen: 4096, maxNumSeqs: 16 } })),
    )
    expect(byRequests).toEqual([...byRequests].sort((a, b) => a - b))
  })

  test.each(models)('%s: a larger card never has less headroom, its options being given', (_model, config) => {
    const settings = { maxModelLen: 4096, maxNumSeqs: 16, maxNumBatchedTokens: 2048, memoryFraction: 0.9 }
    const rooms = ['NVIDIA L4', 'NVIDIA L40S', 'NVIDIA H100 80GB', 'NVIDIA H200 141GB'].map(
      gpu => ask({ config, gpu, settings }).estimate.perGpu.headroomBytes?.expected ?? 0,
    )
    expect(rooms).toEqual([...rooms].sort((a, b) => a - b))
  })

  test.each(DIRECTIONS)('%s', (what, change, figure, sign, options = {}) => {
    fc.assert(
      fc.property(
        fc.constantFrom(...models.map(([, config]) => config)),
        fc.constantFrom('NVIDIA L4', 'NVIDIA A100 80GB', 'NVIDIA H100 80GB', 'NVIDIA B200'),
        fc.record({
          maxModelLen: fc.integer({ min: 16, max: 65_536 }),
          maxNumSeqs: fc.integer({ min: 1, max: 512 }),
          maxNumBatchedTokens: fc.integer({ min: 512, max: 16_384 }),
          tensorParallel: fc.constantFrom(1, 2, 4),
          memoryFraction: fc.double({ min: 0.3, max: 0.8, noNaN: true }),
        }),
        fc.double({ min: 1, max: 4, noNaN: true }),
        (config, gpu, settings, factor) => {
          // llama.cpp divides one context among its slots: its passes get shorter
          if (engine.name === 'llamacpp' && what.startsWith('more sequences')) return
          const base = { ...settings, ...(options['enable-lora'] ? { maxLoras: 1, maxLoraRank: 16 } : {}) }
          const asked = (now: NonNullable<Given['settings']>) => figure(ask({ config, gpu, options, settings: now }))
          const [before, after] = [asked(base), asked({ ...base, ...change(settings, factor) })]
          if (before === null || after === null) return
          expect(sign * (after - before)).toBeGreaterThanOrEqual(0)
        },
      ),
      { numRuns: 20, seed: 11 },
    )
  })

  test('malformed settings are findings, never exceptions', () => {
    let asked = 0
    for (const name of names)
      for (const value of hostile) {
        ask({ settings: { [name]: value } })
        asked++
      }
    expect(asked).toBe(names.length * hostile.length)
    expect(ask({ settings: { maxModelLen: -5 } }).findings.some(one => one.severity === 'error')).toBe(true)
  })

  test('the same question has the same answer, and leaves the question alone', () => {
    const input: EngineInput = engineInput({ settings: { maxModelLen: 4096 } })
    const before = JSON.stringify(input)
    const first = engine.estimate(input)
    expect(engine.estimate(input)).toEqual(first)
    expect(JSON.stringify(input)).toBe(before)
  })

  test('any whole sizes give sound parts', () => {
    fc.assert(
      fc.property(
        fc.record({
          maxModelLen: fc.integer({ min: 1, max: 2 ** 21 }),
          maxNumSeqs: fc.integer({ min: 1, max: 4096 }),
          maxNumBatchedTokens: fc.integer({ min: 1, max: 2 ** 20 }),
          tensorParallel: fc.integer({ min: 1, max: 64 }),
          pipelineParallel: fc.integer({ min: 1, max: 64 }),
          memoryFraction: fc.double({ min: 0.01, max: 1, noNaN: true }),
        }),
        fc.constantFrom(...models.map(([, config]) => config)),
        fc.integer({ min: 1, max: 300 }),
        (settings, config, concurrency) => {
          ask({ config, settings, concurrency })
        },
      ),
      { numRuns: 60, seed: 7 },
    )
  })
})
