import { describe, expect, test } from '@jest/globals'
import { shapeOfGguf } from '../../src/models/checkpoint/gguf-shape.ts'
import { activeParameterCount, parameterCount } from '../../src/models/count.ts'

const tensor = (name: string, ...dims: number[]) => ({
  name,
  type: 'F16',
  dims,
  bytes: 2 * dims.reduce((a, b) => a * b, 1),
})
const block = (i: number) => [
  tensor(`blk.${i}.attn_norm.weight`, 8),
  tensor(`blk.${i}.attn_q.weight`, 8, 8),
  tensor(`blk.${i}.ffn_up_exps.weight`, 8, 16, 4),
]
const gguf = {
  architecture: 'llama',
  keys: {
    embedding_length: 8,
    block_count: 2,
    context_length: 64,
    'attention.head_count': 2,
    'attention.head_count_kv': 1,
  },
  tensors: [tensor('token_embd.weight', 8, 100), ...block(0), ...block(1), tensor('output_norm.weight', 8)],
  bytes: 0,
  parameters: 0,
  fileType: 'F16',
  vocabulary: 100,
  files: 1,
}

describe('a model known by its GGUF header', () => {
  test('every tensor is counted once, blocks that are alike share a kind', () => {
    const shape = shapeOfGguf(gguf)
    if (!shape.ok) throw new Error(shape.problem.message)
    expect(parameterCount(shape.value)).toBe(800 + 2 * (8 + 64 + 8 * 16 * 4) + 8)
    expect(activeParameterCount(shape.value)).toBe(parameterCount(shape.value))
    expect(shape.value.layers).toMatchObject({
      order: [0, 0],
      kinds: [{ cache: [{ kind: 'full', kvHeads: 1, keyDim: 4, valueDim: 4 }] }],
    })
    expect(shape.value).toMatchObject({ tied: true, count: 'derived', facts: { contextLength: 64, vocabulary: 100 } })
  })

  test.each(['embedding_length', 'block_count'])('without %s there is a problem, no shape', key => {
    const { [key]: _gone, ...keys } = gguf.keys as Record<string, number>
    expect(shapeOfGguf({ ...gguf, keys })).toMatchObject({ ok: false, problem: { code: 'checkpoint-invalid' } })
  })
})
