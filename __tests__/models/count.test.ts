import { describe, expect, test } from '@jest/globals'
import { elements, total } from '../../src/models/blocks/weights.ts'
import type { JsonObject } from '../../src/models/config.ts'
import { activeParameterCount, allWeights, parameterCount, stackTotal } from '../../src/models/count.ts'
import { shapeOf } from '../../src/models/families/index.ts'
import type { ModelShape, Weight } from '../../src/models/shape.ts'

function shapeFrom(config: JsonObject): ModelShape {
  const result = shapeOf(config)
  if (!result.ok) throw new Error(result.problem.message)
  return result.value
}

/** Totals that the Hub or an index.json publishes; biases and norms included. */
const published: readonly (readonly [string, number, JsonObject])[] = [
  [
    'Llama-3.1-8B',
    8_030_261_248,
    {
      model_type: 'llama',
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      vocab_size: 128256,
    },
  ],
  ['Mistral-7B-v0.1', 7_241_732_096, { model_type: 'mistral' }],
  [
    'Qwen3-0.6B, its tied copy counted once',
    596_049_920,
    {
      model_type: 'qwen3',
      hidden_size: 1024,
      intermediate_size: 3072,
      num_hidden_layers: 28,
      num_attention_heads: 16,
      num_key_value_heads: 8,
      head_dim: 128,
      vocab_size: 151936,
      tie_word_embeddings: true,
    },
  ],
  [
    'flan-t5-base, which its class ties whatever the file says',
    222_903_552,
    {
      model_type: 't5',
      d_model: 768,
      d_ff: 2048,
      d_kv: 64,
      num_layers: 12,
      num_heads: 12,
      feed_forward_proj: 'gated-gelu',
      tie_word_embeddings: false,
    },
  ],
  ['bge-base-en-v1.5: encoder and pooler, no head', 109_482_240, { model_type: 'bert', architectures: ['BertModel'] }],
  [
    'whisper-large-v3',
    1_543_490_560,
    {
      model_type: 'whisper',
      d_model: 1280,
      encoder_layers: 32,
      decoder_layers: 32,
      encoder_attention_heads: 20,
      decoder_attention_heads: 20,
      encoder_ffn_dim: 5120,
      decoder_ffn_dim: 5120,
      num_mel_bins: 128,
      vocab_size: 51866,
    },
  ],
]

describe('parameterCount', () => {
  test.each(published)('%s', (_, parameters, config) => {
    expect(parameterCount(shapeFrom(config))).toBe(parameters)
  })

  test('a bare *Model has no output head; a classifier has one row a label', () => {
    const config = { model_type: 'qwen3', vocab_size: 1000, hidden_size: 64, num_hidden_layers: 2, head_dim: 32 }
    const counted = (name: string, more: JsonObject = {}) =>
      parameterCount(shapeFrom({ ...config, architectures: [name], ...more }))
    const body = counted('Qwen3Model')
    expect(counted('Qwen3ForCausalLM') - body).toBe(1000 * 64)
    expect(counted('Qwen3ForSequenceClassification', { id2label: { 0: 'a', 1: 'b', 2: 'c' } }) - body).toBe(3 * 64)
    expect(counted('Qwen3ForSequenceClassification') - body).toBe(2 * 64)
  })

  test('the classes of the type itself are called exact, a wrapper of another project is not', () => {
    const count = (name: string) => shapeFrom({ model_type: 'llama', architectures: [name] }).count
    expect(count('LlamaForCausalLM')).toBe('exact')
    expect(count('LlamaModel')).toBe('exact')
    expect(count('LlavaLlamaForCausalLM')).toBe('derived')
    expect(count('LlamaForSequenceClassification')).toBe('exact')
  })

  test('multi-token-prediction layers are not counted', () => {
    const shape = shapeFrom({ model_type: 'llama' })
    expect(parameterCount({ ...shape, mtp: shape.layers })).toBe(parameterCount(shape))
  })
})

describe('parts', () => {
  const weight: Weight = { name: 'w', out: 3, in: 5, copies: 2, bias: true, kind: 'linear', split: 'none' }

  test('elements of a weight: every copy has its bias', () => {
    expect(elements(weight)).toBe(2 * (3 * 5 + 3))
    expect(total([weight, { ...weight, bias: false, copies: 1 }])).toBe(36 + 15)
    expect(total([])).toBe(0)
  })

  test('a stack is the sum over its order', () => {
    const kind = (name: string, weights: readonly Weight[]) => ({ name, weights, cache: [] })
    const stack = { kinds: [kind('a', [weight]), kind('b', [])], order: [0, 1, 0, 0] }
    expect(stackTotal(stack)).toBe(3 * 36)
    expect(stackTotal({ kinds: [], order: [] })).toBe(0)
  })

  test('allWeights lists each weight once with its number of occurrences and its block', () => {
    const list = allWeights(shapeFrom({ model_type: 'llama', num_hidden_layers: 7 }))
    const find = (name: string) => list.filter(entry => entry.weight.name === name)
    expect(find('self_attn.q_proj').map(({ times, block }) => [times, block])).toEqual([[7, 'layers dense']])
    expect(find('lm_head').map(({ times, block }) => [times, block])).toEqual([[1, 'final']])
    expect(find('model.embed_tokens')).toHaveLength(1)
  })
})

describe('activeParameterCount', () => {
  test('equals the count for a dense model', () => {
    const shape = shapeFrom({ model_type: 'gemma2' })
    expect(activeParameterCount(shape)).toBe(parameterCount(shape))
  })

  test('of routed experts only the chosen ones: Mixtral-8x7B uses two of eight', () => {
    const shape = shapeFrom({ model_type: 'mixtral' })
    const expert = 3 * 4096 * 14336
    expect(parameterCount(shape)).toBe(46_702_792_704)
    expect(parameterCount(shape) - activeParameterCount(shape)).toBe(32 * 6 * expert)
  })
})

describe('tensor parallelism', () => {
  test('matrices of q, k and v in one say what of them is keys and values', () => {
    const shape = shapeFrom({ model_type: 'phi3', num_key_value_heads: 8 })
    const fused = allWeights(shape).find(({ weight }) => weight.name.endsWith('qkv_proj'))!.weight
    expect([fused.split, fused.kvHeads, fused.kvWidth]).toEqual(['qkv', 8, 2 * 8 * 96])
    expect(fused.out).toBe(32 * 96 + 2 * 8 * 96)
  })
})
