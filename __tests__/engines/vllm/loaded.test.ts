import { describe, expect, test } from '@jest/globals'
import { vllm } from '../../../src/engines/vllm/index.ts'
import { keptRest, rotaryTables } from '../../../src/engines/vllm/loaded.ts'
import type { JsonObject } from '../../../src/models/config.ts'
import { GiB, MiB } from '../../../src/units/bytes.ts'
import { configs, engineInput } from '../../helpers/engine-input.ts'

const qwen25 = (
  hidden: number,
  intermediate: number,
  layers: number,
  heads: number,
  kv: number,
  more: JsonObject = {},
) => ({
  model_type: 'qwen2',
  hidden_size: hidden,
  intermediate_size: intermediate,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kv,
  vocab_size: 152064,
  max_position_embeddings: 32768,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  ...more,
})
const qwen14b = qwen25(5120, 13824, 48, 40, 8)

/** Config, tensor ranks, GiB that public starts print after "Model loading took", and its last printed digit. */
const starts: readonly (readonly [string, JsonObject, number, number, number])[] = [
  ['Llama-3.1-8B', configs.llama8b, 1, 14.9889, 2e-4],
  ['Llama-3-8B', { ...configs.llama8b, max_position_embeddings: 8192, rope_scaling: null }, 1, 14.9596, 2e-4],
  ['Qwen2.5-14B', qwen14b, 1, 27.5681, 2e-4],
  ['Qwen2.5-14B on four ranks', qwen14b, 4, 6.9461, 2e-4],
  ['DeepSeek-R1-Distill-Qwen-14B', { ...qwen14b, max_position_embeddings: 131072 }, 1, 27.5916, 3e-4],
  ['DeepSeek-R1-Distill-Qwen-14B on two ranks', { ...qwen14b, max_position_embeddings: 131072 }, 2, 13.9476, 4e-3],
  ['Qwen2.5-7B', qwen25(3584, 18944, 28, 28, 4), 1, 14.25, 5e-3],
  ['Qwen2.5-3B', qwen25(2048, 11008, 36, 16, 2, { vocab_size: 151936, tie_word_embeddings: true }), 1, 5.79, 5e-3],
  ['Qwen3-32B on eight ranks', configs.qwen32b, 8, 7.6871, 4e-4],
]

describe('"Model loading took"', () => {
  test.each(starts)('%s', (_, config, tensorParallel, printed, digit) => {
    const answer = vllm.estimate(
      engineInput({ config, settings: { tensorParallel, maxModelLen: 4096 }, version: '0.11.0' }),
    )
    const weights = answer.estimate.perGpu.parts.find(part => part.name === 'weights')!
    expect(Math.abs(weights.bytes.expected / GiB - printed)).toBeLessThanOrEqual(digit)
    expect(weights.bytes.low).toBeLessThan(weights.bytes.expected)
    expect(weights.formula).toMatch(/rotary tables/)
  })

  test('bitsandbytes keeps its doubled maxima packed before 0.9: phi-4 (0.7.1) and TinyLlama (0.8.3) in GiB', () => {
    const phi4: JsonObject = {
      ...configs.llama8b,
      model_type: 'phi3',
      hidden_size: 5120,
      intermediate_size: 17920,
      num_hidden_layers: 40,
      num_attention_heads: 40,
      num_key_value_heads: 10,
      vocab_size: 100352,
      max_position_embeddings: 16384,
      rope_scaling: null,
      quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_use_double_quant: true },
    }
    const tiny: JsonObject = {
      ...configs.llama8b,
      hidden_size: 2048,
      intermediate_size: 5632,
      num_hidden_layers: 22,
      num_attention_heads: 32,
      num_key_value_heads: 4,
      vocab_size: 32000,
      max_position_embeddings: 2048,
      rope_scaling: null,
    }
    const loaded = (config: JsonObject, version: string, options: Readonly<Record<string, string>>): number => {
      const answer = vllm.estimate(engineInput({ config, version, settings: { maxModelLen: 512, ...options } }))
      return answer.estimate.perGpu.parts.find(part => part.name === 'weights')!.bytes.expected / GiB
    }
    expect(Math.abs(loaded(phi4, '0.7.1', {}) - 8.492)).toBeLessThan(0.02)
    expect(Math.abs(loaded(tiny, '0.8.3', { quantization: 'bitsandbytes' }) - 0.7318)).toBeLessThan(0.004)
    expect(loaded(phi4, '0.11.0', {})).toBeGreaterThan(9)
  })

  test('every rank of a division holds at least its share of the whole', () => {
    const on = (tensorParallel: number) => {
      const answer = vllm.estimate(
        engineInput({ config: qwen25(3584, 18944, 28, 28, 4), settings: { tensorParallel, maxModelLen: 4096 } }),
      )
      return answer.estimate.perGpu.parts.find(part => part.name === 'weights')!.bytes.expected
    }
    for (const [fewer, more] of [
      [1, 2],
      [2, 4],
    ] as const) {
      expect(on(more)).toBeLessThan(on(fewer))
      expect(more * on(more)).toBeGreaterThanOrEqual(on(1))
    }
  })
})

describe('rotary tables', () => {
  const tables = (config: JsonObject, context: number | null): number => {
    const { shape, facts } = engineInput({ config })
    return rotaryTables(shape, facts.config, context, 2)
  }
  const cases: readonly (readonly [string, JsonObject, number | null, number])[] = [
    ['a table of 131,072 positions and 128 widths', configs.llama8b, 131072, 32 * MiB],
    ['no limit, no table', configs.llama8b, null, 0],
    ['learned positions', configs.bert, 512, 0],
    ['attention without positions', { model_type: 'nemotron_h' }, 1048576, 0],
    ['a quarter of the head', configs.qwen3Next, 262144, 32 * MiB],
    ['the file says how much is rotated', { ...configs.llama8b, partial_rotary_factor: 0.5 }, 131072, 16 * MiB],
    [
      'multimodal positions: four times as long',
      { model_type: 'qwen2_5_vl', text_config: qwen25(3584, 18944, 28, 28, 4), vision_config: {} },
      128000,
      128000 * 4 * 128 * 2,
    ],
    [
      'local and global attention of Gemma 3',
      { model_type: 'gemma3_text', num_hidden_layers: 6 },
      131072,
      2 * 64 * MiB,
    ],
    ['latent attention rotates its own part', { model_type: 'deepseek_v3' }, 163840, 163840 * 64 * 2],
  ]
  test.each(cases)('%s', (_, config, context, bytes) => expect(tables(config, context)).toBe(bytes))
})

test('what the allocator keeps with a tensor', () => {
  const cases: readonly (readonly [number, number])[] = [
    [9.5, 0],
    [10, 0],
    [11, 1],
    [11.5, 0.5],
    [10.5, 0],
    [259, 1],
  ]
  for (const [size, rest] of cases) expect(keptRest(size * MiB)).toBe(rest * MiB)
})
