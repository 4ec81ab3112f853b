import { expect, test } from '@jest/globals'
import { checkpointBytes } from '../../../src/models/checkpoint/checkpoint-bytes.ts'
import type { JsonObject } from '../../../src/models/config.ts'
import { shapeOf } from '../../../src/models/families/index.ts'
import { GiB } from '../../../src/units/bytes.ts'
import { describeShared, sharedRows } from '../../helpers/shared.ts'

function bytesOf(config: JsonObject): number | undefined {
  const shape = shapeOf(config)
  return shape.ok ? checkpointBytes(shape.value, config)?.bytes : undefined
}

/** What the config of DeepSeek-V4-Flash-0731 says of its draft; headers of its files hold mtp.0 to mtp.2. */
const DSPARK: JsonObject = { dspark_markov_rank: 256, dspark_target_layer_ids: [40, 41, 42] }

/** What the GPTQ files of Qwen3.5 leave out of the quantisation, or name to no effect. */
const QWEN_DYNAMIC: JsonObject = {
  lm_head: {},
  'model.language_model.embed_tokens': {},
  '-:.*attn.*': {},
  '-:.*shared_expert.*': {},
  '-:.*mtp.*': {},
  '-:.*visual.*': {},
}

/** Bytes that our figure is off an index's sum. */
const INDEXED: Readonly<Record<string, number>> = {
  // 32 rotary frequencies in 16 bits
  'THUDM/chatglm2-6b': -64,
  // 257 position numbers of CLIP in 64 bits
  'deepseek-ai/DeepSeek-OCR': -2056,
  // its file holds gate and up, and q, k and v, in one matrix: 84 look-up tables and descriptions fewer, of 146 B
  'reubzdubz/Molmo7B_D_NF4Quant': 84 * 146 + 56,
}

interface Row {
  readonly id: string
  readonly config: JsonObject
  readonly weights: { readonly bytes: number | null; readonly source: string }
}

interface Lacking {
  /** What the row's config lacks, and how that is known. */
  readonly why: string
  readonly add: (config: JsonObject) => JsonObject
  /** Share of the published bytes that the config as recorded misses; it must not grow. */
  readonly short: number
}

/** Rows whose recorded config was cut short: with the fact that they lack they must hold like all others. */
const LACKING: Readonly<Record<string, Lacking>> = {
  'Qwen/Qwen3.5-122B-A10B-GPTQ-Int4': {
    why: 'quantization_config.dynamic leaves attention and shared experts in 16 bits: 6,777,980,928 B more',
    add: config => ({
      ...config,
      quantization_config: { ...(config['quantization_config'] as JsonObject), dynamic: QWEN_DYNAMIC },
    }),
    short: 0.0865,
  },
  'deepseek-ai/DeepSeek-V4-Flash-0731': {
    why: 'dspark_*: three draft layers in place of the one that the row took from DeepSeek-V4-Flash: 7,269,050,544 B more',
    add: config => ({ ...config, ...DSPARK }),
    short: 0.0437,
  },
}

describeShared('published sizes', 'data/models.json', path => {
  const rows = sharedRows<Row>(path).filter(row => row.weights.bytes !== null)
  const published = ({ config, weights }: Pick<Row, 'config' | 'weights'>) => {
    const off = 1 - (bytesOf(config) ?? 0) / weights.bytes!
    const rounding = weights.source.includes('rounded') ? (0.0051 * GiB) / weights.bytes! : 0
    return { off, within: Math.abs(off) <= Math.max(0.001, rounding) }
  }

  test('within 0.1 %, or within their rounding to 0.01 GiB', () => {
    const far = rows.filter(row => !published(row).within).map(row => row.id)
    expect(far).toEqual(Object.keys(LACKING))
    expect(rows.length).toBeGreaterThanOrEqual(66)
  })

  test('to the byte where the source is the index of the file itself', () => {
    const indexed = rows.filter(({ weights }) => /metadata\.total_size/.test(weights.source))
    const off = indexed.map(row => [row.id, bytesOf(row.config)! - row.weights.bytes!] as const)
    expect(Object.fromEntries(off.filter(([, bytes]) => bytes !== 0))).toEqual(INDEXED)
    expect(indexed.length).toBeGreaterThanOrEqual(17)
  })

  test.each(Object.entries(LACKING))('%s with what its config lacks', (id, { add, short }) => {
    const row = rows.find(each => each.id === id)!
    expect(published({ ...row, config: add(row.config) }).within).toBe(true)
    expect(published(row).off).toBeCloseTo(short, 3)
  })
})
