import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  headerLength,
  parseSafetensors,
  parseShardIndex,
  tensorFacts,
} from '../../../src/models/checkpoint/safetensors.ts'

function file(header: unknown): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + json.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}

const embedding = { dtype: 'BF16', shape: [100, 8], data_offsets: [0, 1600] }
const expert = { dtype: 'F8_E4M3', shape: [4, 8], data_offsets: [1600, 1632] }
const scale = { dtype: 'F32', shape: [1, 1], data_offsets: [1632, 1636] }

describe('safetensors headers', () => {
  test('names, dtypes, shapes and bytes', () => {
    const parsed = parseSafetensors(
      file({ __metadata__: { format: 'pt' }, 'model.embed_tokens.weight': embedding, e: expert, s: scale }),
    )
    expect(parsed.ok && parsed.value.map(tensor => [tensor.name, tensor.dtype, tensor.bytes])).toEqual([
      ['model.embed_tokens.weight', 'BF16', 1600],
      ['e', 'F8_E4M3', 32],
      ['s', 'F32', 4],
    ])
  })

  test('sums by dtype and by role', () => {
    const parsed = parseSafetensors(
      file({
        'model.embed_tokens.weight': embedding,
        'model.layers.1.mlp.experts.0.up_proj.weight': expert,
        'model.layers.2.eh_proj.weight_scale_inv': scale,
        'model.layers.0.self_attn.rotary_emb.inv_freq': { dtype: 'F32', shape: [2], data_offsets: [1636, 1644] },
        'visual.blocks.0.attn.qkv.weight': { dtype: 'BF16', shape: [3], data_offsets: [1644, 1650] },
        'lm_head.weight': { dtype: 'BF16', shape: [0], data_offsets: [1650, 1650] },
      }),
    )
    const facts = parsed.ok ? tensorFacts(parsed.value, 2) : null
    expect(facts?.bytes).toBe(1650)
    expect(facts?.elements).toBe(800 + 32 + 1 + 2 + 3)
    expect(facts?.bytesByDtype).toEqual({ BF16: 1606, F8_E4M3: 32, F32: 12 })
    expect(facts?.bytesByRole).toEqual({
      embedding: 1600,
      head: 0,
      layer: 0,
      expert: 32,
      prediction: 4,
      tower: 6,
      buffer: 8,
      other: 0,
    })
  })

  test('a scalar has one element, packed fp4 half a byte each', () => {
    const parsed = parseSafetensors(
      file({
        a: { dtype: 'F64', shape: [], data_offsets: [0, 8] },
        b: { dtype: 'F4', shape: [3, 2], data_offsets: [8, 11] },
      }),
    )
    expect(parsed.ok && tensorFacts(parsed.value, null).elements).toBe(7)
  })

  test.each([
    ['an overlap', { a: embedding, b: { ...expert, data_offsets: [1599, 1631] } }],
    ['a gap', { a: embedding, b: { ...expert, data_offsets: [1601, 1633] } }],
    ['bytes that are not the shape', { a: { ...embedding, data_offsets: [0, 1601] } }],
    ['a negative size', { a: { ...embedding, shape: [-100, 8] } }],
    ['an absurd dimension', { a: { ...embedding, shape: [2 ** 33] } }],
    ['a product beyond every disk', { a: { ...embedding, shape: [2 ** 32, 2 ** 32] } }],
    ['an unknown dtype', { a: { ...embedding, dtype: 'constructor' } }],
    ['a tensor that is a list', { a: [] }],
    ['no JSON', '{'],
    ['a list', '[]'],
  ])('refuses %s', (_what, header) => {
    const parsed = parseSafetensors(file(header))
    expect(parsed.ok ? 'accepted' : parsed.problem.code).toBe('checkpoint-invalid')
  })

  test('refuses a header that is too long or cut off', () => {
    const long = new Uint8Array(8)
    new DataView(long.buffer).setBigUint64(0, 25_000_001n, true)
    expect(headerLength(long).ok).toBe(false)
    expect(headerLength(new Uint8Array(7)).ok).toBe(false)
    expect(parseSafetensors(file({ a: embedding }).subarray(0, 20)).ok).toBe(false)
  })

  test('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        parseSafetensors(bytes)
        parseSafetensors(file(new TextDecoder().decode(bytes)))
      }),
    )
  })
})

describe('index.json', () => {
  test('the sum of bytes, never the count of parameters', () => {
    const index = parseShardIndex({
      metadata: { total_size: 54_864_813_280, total_parameters: 28_842_036_848 },
      weight_map: {
        a: 'model-00002-of-00002.safetensors',
        b: 'model-00001-of-00002.safetensors',
        c: 'model-00001-of-00002.safetensors',
      },
    })
    expect(index.ok && index.value).toEqual({
      totalBytes: 54_864_813_280,
      files: ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'],
      tensorNames: ['a', 'b', 'c'],
    })
  })

  test('a size that is none is absent; a path out of the repository is a problem', () => {
    const size = (total_size: unknown) =>
      parseShardIndex({ metadata: { total_size }, weight_map: { a: 'a.safetensors' } })
    for (const value of [-1, 1.5, '10', null, 1e308]) {
      const index = size(value)
      expect(index.ok && index.value.totalBytes).toBeNull()
    }
    for (const json of [
      null,
      [],
      {},
      { weight_map: [] },
      { weight_map: { a: '../x' } },
      { weight_map: { a: '/etc/x' } },
      { weight_map: { a: 1 } },
    ])
      expect([json, parseShardIndex(json).ok]).toEqual([json, false])
  })
})
