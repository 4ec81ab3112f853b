import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Settings } from '../../src/deployments/deployment.ts'
import type { Estimate, KvCacheFigures } from '../../src/engines/engine.ts'
import { vllm } from '../../src/engines/vllm/index.ts'
import { gpuNamed, gpus } from '../../src/hardware/gpus.ts'
import { exactly, type Part, type PartName, type Range, sum } from '../../src/memory/parts.ts'
import { GiB } from '../../src/units/bytes.ts'
import { type Case, judge, noLimits, statusOf } from '../../src/verdict/judge.ts'
import { engineInput } from '../helpers/engine-input.ts'

const gib = (low: number, expected = low, high = expected): Range => ({
  low: low * GiB,
  expected: expected * GiB,
  high: high * GiB,
})
const part = (name: PartName, bytes: Range, inBudget = true): Part => ({
  name,
  inBudget,
  bytes,
  basis: 'exact',
  formula: '',
  source: '',
})

function estimateOf(
  parts: readonly Part[],
  budget: number | null,
  kv: Partial<KvCacheFigures> | null = null,
): Estimate {
  const totalBytes = sum(parts.filter(one => one.inBudget).map(one => one.bytes))
  return {
    method: 'engine',
    perGpu: { rank: '', parts, totalBytes, budgetBytes: budget === null ? null : budget * GiB, headroomBytes: null },
    kvCache: kv && {
      bytesPerToken: null,
      bytesPerMaxLengthRequest: null,
      availableBytes: null,
      capacityTokens: null,
      maxConcurrency: null,
      fitsOneRequest: null,
      maxModelLenThatFits: null,
      ...kv,
    },
    assumptions: [],
  }
}

const settings: Settings = {
  maxModelLen: { value: 8192, from: 'file', file: 'k8s/a.yaml', line: 27, text: '--max-model-len 8k' },
  memoryFraction: { value: 0.9, from: 'engine-default' },
}
const about = (estimate: Estimate | null, more: Partial<Case> = {}): Case => ({
  estimate,
  settings,
  gpu: gpuNamed('NVIDIA L4'),
  skip: null,
  problems: [],
  concurrency: 1,
  limits: noLimits,
  ...more,
})

describe('status', () => {
  const total = (range: Range, budget: number | null) => estimateOf([part('weights', range)], budget)
  test.each([
    ['high end exactly at the budget', gib(8, 9, 10), 10, 'fits', true],
    ['high end above', gib(8, 9, 10.1), 10, 'tight', false],
    ['expected exactly at the budget', gib(8, 10, 12), 10, 'tight', false],
    ['expected above', gib(8, 10.1, 12), 10, 'exceeds', false],
    ['low end above', gib(10.1, 11, 12), 10, 'exceeds', true],
  ] as const)('%s', (_, range, budget, status, certain) => {
    expect(statusOf(total(range, budget), noLimits)).toEqual({ status, certain })
  })

  test('no budget, no status', () => {
    expect(statusOf(total(gib(1), null), noLimits)).toBeNull()
  })

  test('headroom and the warning line turn fits into tight, never into exceeds', () => {
    expect(statusOf(total(gib(8), 10), { headroom: { bytes: 2 * GiB }, warnAt: null })?.status).toBe('fits')
    expect(statusOf(total(gib(8), 10), { headroom: { bytes: 2 * GiB + 1 }, warnAt: null })?.status).toBe('tight')
    expect(statusOf(total(gib(8), 10), { headroom: { fraction: 0.25 }, warnAt: null })?.status).toBe('tight')
    expect(statusOf(total(gib(8), 10), { headroom: { bytes: 100 * GiB }, warnAt: null })?.status).toBe('tight')
    expect(statusOf(total(gib(8), 10), { headroom: null, warnAt: 0.8 })?.status).toBe('fits')
    expect(statusOf(total(gib(8), 10), { headroom: null, warnAt: 0.79 })?.status).toBe('tight')
  })

  test('the engine’s own check of a fixed pool counts', () => {
    const estimate = estimateOf([part('weights', gib(5)), part('kvCache', gib(1))], 10, {
      fitsOneRequest: false,
      availableBytes: GiB / 2,
      bytesPerMaxLengthRequest: GiB,
    })
    expect(judge(about(estimate))).toMatchObject({
      status: 'exceeds',
      reasons: [{ code: 'kv-pool-too-small' }, { code: 'set-by' }],
    })
  })
})

describe('reasons', () => {
  test('fits: what it needs, may use, and how many requests there is room for', () => {
    const estimate = estimateOf(
      [part('weights', gib(15)), part('activations', gib(0.2, 1, 1.5)), part('kvCache', gib(1))],
      20,
      { maxConcurrency: 3.54 },
    )
    expect(judge(about(estimate)).reasons).toEqual([
      {
        code: 'fits',
        message:
          'needs 17.00 GiB (up to 17.50) of 20.00 GiB (NVIDIA L4, 22.03 GiB); room for 3.5 requests of 8,192 tokens at once',
      },
    ])
  })

  test('the KV cache is too large: what it needs, what is left after what, and the line that causes it', () => {
    const parts = [
      part('weights', gib(14.96)),
      part('activations', gib(1, 1.19, 2)),
      part('kvCache', gib(16)),
      // too small to be worth a word
      part('buffers', gib(0.002)),
    ]
    const budget = (0.9 * gpuNamed('NVIDIA L4').memoryBytes) / GiB
    const verdict = judge(about(estimateOf(parts, budget, { maxModelLenThatFits: 30000 })))
    expect(verdict).toEqual({
      status: 'exceeds',
      certain: true,
      reasons: [
        {
          code: 'kv-cache-exceeds',
          message:
            'one request of 8,192 tokens needs 16.00 GiB of KV cache; 3.68 GiB is left of 19.83 GiB (0.9 of the 22.03 GiB of NVIDIA L4) after weights 14.96, activations 1.19 GiB: short by 12.32 GiB',
        },
        {
          code: 'set-by',
          message: 'set by --max-model-len 8k (k8s/a.yaml:27); about 30,000 tokens are expected to fit',
        },
      ],
    })
  })

  test('weights alone, and working memory, are named before the KV cache', () => {
    const kv = part('kvCache', gib(1))
    expect(judge(about(estimateOf([part('weights', gib(21)), kv], 20))).reasons).toMatchObject([
      { code: 'weights-exceed' },
    ])
    expect(
      judge(about(estimateOf([part('weights', gib(15)), part('activations', gib(6)), kv], 20))).reasons,
    ).toMatchObject([
      { code: 'no-room-for-kv-cache', message: expect.stringContaining('weights 15.00, activations 6.00') },
    ])
  })

  test('several requests, and a context that nobody set', () => {
    const estimate = estimateOf([part('weights', gib(15)), part('kvCache', gib(8))], 20)
    const unset: Settings = { maxModelLen: { value: 131072, from: 'model-config' } }
    const { reasons } = judge(about(estimate, { concurrency: 4, settings: unset }))
    expect(reasons[0]?.message).toMatch(/^4 requests of 131,072 tokens \(min-concurrency\) need 8.00 GiB/)
    expect(reasons[1]?.message).toBe('the files set no context length: the engine takes 131,072 tokens')
  })

  test('tight names the widest part, the headroom or the line', () => {
    const estimate = estimateOf([part('weights', gib(15)), part('activations', gib(1, 2, 6))], 20)
    expect(judge(about(estimate)).reasons[0]?.message).toMatch(/activations may take 2.00 to 6.00 GiB$/)
    const within = estimateOf([part('weights', gib(15))], 20)
    expect(judge(about(within, { limits: { headroom: { bytes: 6 * GiB }, warnAt: null } })).reasons[0]?.code).toBe(
      'headroom',
    )
    expect(judge(about(within, { limits: { headroom: null, warnAt: 0.7 } })).reasons[0]).toMatchObject({
      code: 'warn-at',
      message: expect.stringContaining('75 %'),
    })
  })

  test('unknown and skipped say why; a skip comes before everything', () => {
    const problem = { code: 'model-gated', message: 'acme/x is gated', hint: 'give a token' } as const
    expect(judge(about(null, { problems: [problem] }))).toEqual({
      status: 'unknown',
      certain: false,
      reasons: [{ code: 'model-gated', message: 'acme/x is gated: give a token' }],
    })
    expect(judge(about(null, { problems: [problem], skip: 'runs on the CPU' }))).toMatchObject({
      status: 'skipped',
      reasons: [{ code: 'no-gpu', message: 'runs on the CPU' }],
    })
    expect(judge(about(null)).status).toBe('unknown')
    expect(judge(about(estimateOf([part('weights', exactly(1))], null))).reasons[0]?.code).toBe('no-target')
  })
})

describe('invariants', () => {
  test('a GPU with more memory never turns fits into exceeds, when the engine’s options are given', () => {
    const order = { fits: 0, tight: 1, exceeds: 2, unknown: 3, skipped: 3 }
    const cards = gpus
      .filter(gpu => gpu.maker === 'NVIDIA' && gpu.supported && Number(gpu.computeCapability) === 8.9)
      .sort((a, b) => a.memoryBytes - b.memoryBytes)
    expect(cards.length).toBeGreaterThan(10)
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 131072 }),
        fc.constantFrom(1, 2, 4),
        fc.constantFrom(0.8, 0.9, 0.95),
        (maxModelLen, tensorParallel, memoryFraction) => {
          const given = {
            maxModelLen,
            tensorParallel,
            memoryFraction,
            maxNumSeqs: 64,
            maxNumBatchedTokens: 2048,
            dtype: 'bfloat16',
          }
          const statuses = cards.map(card => {
            const input = engineInput({ settings: given, gpu: card.name, version: '0.11.0' })
            return order[statusOf(vllm.estimate(input).estimate, noLimits)?.status ?? 'unknown']
          })
          return statuses.every((status, i) => i === 0 || status <= statuses[i - 1]!)
        },
      ),
      { numRuns: 30 },
    )
  })

  test('totals move the status one way only', () => {
    const order = ['fits', 'tight', 'exceeds']
    const size = fc.integer({ min: 0, max: 2 ** 40 })
    fc.assert(
      fc.property(size, size, size, fc.integer({ min: 1, max: 2 ** 40 }), size, (low, more, most, budget, extra) => {
        const range = { low, expected: low + more, high: low + more + most }
        const estimate = (add: number) =>
          estimateOf([part('weights', range), part('kvCache', exactly(add))], budget / GiB)
        const rank = (add: number) => order.indexOf(statusOf(estimate(add), noLimits)?.status ?? '')
        return rank(0) >= 0 && rank(extra) >= rank(0)
      }),
    )
  })
})
