import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Parallelism, partOf, stageSizes, stagesOf } from '../../src/memory/shares.ts'
import { predictionWeights, stageWeights } from '../../src/memory/weights.ts'
import { storageOf } from '../../src/models/checkpoint/storage.ts'
import { parameterCount } from '../../src/models/count.ts'
import type { ModelShape, Split, Weight } from '../../src/models/shape.ts'
import { configs, engineInput } from '../helpers/engine-input.ts'

const weight = (split: Split, more: Partial<Weight> = {}): Weight => ({
  name: 'w',
  out: 1024,
  in: 512,
  copies: 1,
  bias: true,
  kind: 'linear',
  split,
  ...more,
})
const ranks = (tensor: number, more: Partial<Parallelism> = {}): Parallelism => ({
  tensor,
  pipeline: 1,
  expert: 1,
  ...more,
})

describe("a rank's part of a matrix", () => {
  const expert = { copies: 9, bias: false }
  const rows: [string, Weight, Parallelism, object][] = [
    ['none: all of it', weight('none'), ranks(4), { out: 1024, in: 512, bias: 1024 }],
    ['column: outputs and bias', weight('column'), ranks(4), { out: 256, in: 512, bias: 256 }],
    ['column: the fullest rank', weight('column', { out: 10 }), ranks(4), { out: 3 }],
    ['row: inputs, the bias everywhere', weight('row'), ranks(4), { out: 1024, in: 128, bias: 1024 }],
    ['vocabulary: padded to 64', weight('vocab', { out: 100 }), ranks(4), { out: 32, bias: 32 }],
    ['KV heads: divided', weight('kv', { kvHeads: 8 }), ranks(4), { out: 256 }],
    ['KV heads: one at least', weight('kv', { kvHeads: 4 }), ranks(16), { out: 256 }],
    [
      'joint QKV: keys and values like KV heads',
      weight('qkv', { kvHeads: 1, kvWidth: 128 }),
      ranks(8),
      { out: 112 + 128 },
    ],
    ['experts: cut like other matrices', weight('expert-column', expert), ranks(4), { out: 256, in: 512, copies: 9 }],
    [
      'experts: cut over tensor x data ranks',
      weight('expert-row', expert),
      ranks(2, { expertTensor: 8 }),
      { out: 1024, in: 64 },
    ],
    [
      'experts: whole ones divided',
      weight('expert-column', expert),
      ranks(4, { expert: 4 }),
      { out: 1024, in: 512, copies: 3 },
    ],
  ]
  test.each(rows)('%s', (_name, whole, parallel, part) => {
    expect(partOf(whole, parallel)).toMatchObject(part)
  })
})

describe('pipeline stages', () => {
  test.each([
    [32, 1, [32]],
    [61, 4, [15, 15, 16, 15]],
    [47, 2, [24, 23]],
    [30, 4, [7, 8, 8, 7]],
    [3, 5, [0, 1, 1, 1, 0]],
  ])('%i layers on %i', (layers, pipeline, sizes) => {
    expect(stageSizes(layers, pipeline)).toEqual(sizes)
  })

  test('every layer stands on one stage', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 32 }), (layers, pipeline) => {
        const shape = { layers: { order: new Array<number>(layers).fill(0), kinds: [] } } as unknown as ModelShape
        const stages = stagesOf(shape, pipeline)
        expect(stages.reduce((sum, stage) => sum + stage.count, 0)).toBe(layers)
        stages.forEach((stage, i) => {
          expect(stage.first).toBe(i === 0 ? 0 : stages[i - 1]!.first + stages[i - 1]!.count)
        })
      }),
      { numRuns: 100, seed: 3 },
    )
  })
})

describe('weights by stage', () => {
  const plain = (shape: ModelShape) => {
    const storage = storageOf(shape, {}, { dtype: 'bfloat16', quantization: null })
    if (!storage.ok) throw new Error(storage.problem.message)
    return storage.value
  }
  const llama = engineInput().shape
  const gemma = engineInput({ config: configs.gemma2 }).shape

  test('one rank holds every parameter', () => {
    for (const shape of [llama, gemma])
      expect(stageWeights(shape, plain(shape), ranks(1)).bytes).toEqual([2 * parameterCount(shape)])
  })

  test('stages add up to the whole, a tied head being held twice', () => {
    const sum = (shape: ModelShape) =>
      stageWeights(shape, plain(shape), ranks(1, { pipeline: 2 })).bytes.reduce((a, b) => a + b, 0)
    expect(sum(llama)).toBe(2 * parameterCount(llama))
    expect(sum(gemma)).toBe(2 * (parameterCount(gemma) + 256000 * 3584))
  })

  test('a model without prediction layers loads none', () => {
    expect(predictionWeights(llama, plain(llama), ranks(1))).toBe(0)
  })
})
