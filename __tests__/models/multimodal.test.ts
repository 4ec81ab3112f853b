import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { total } from '../../src/models/blocks/weights.ts'
import type { JsonObject } from '../../src/models/config.ts'
import { parameterCount, stackTotal } from '../../src/models/count.ts'
import { shapeOf } from '../../src/models/families/index.ts'
import type { ModelShape, Tower } from '../../src/models/shape.ts'
import { sharedRows } from '../helpers/shared.ts'

function shapeFrom(config: JsonObject): ModelShape {
  const result = shapeOf(config)
  if (!result.ok) throw new Error(result.problem.message)
  return result.value
}

const towerTotal = (tower: Tower): number => total(tower.weights) + stackTotal(tower.stack)

/** Elements of the towers of one role. */
const roleTotal = (shape: ModelShape, role: Tower['role']): number =>
  shape.towers.filter(tower => tower.role === role).reduce((sum, tower) => sum + towerTotal(tower), 0)

/** Configs of published models and the distinct weights their files hold; each row names where its total comes from. */
interface Published {
  readonly id: string
  readonly total: number
  readonly config: JsonObject
}

const here = dirname(fileURLToPath(import.meta.url))
const published = sharedRows<Published>(join(here, '../fixtures/multimodal-models.jsonl'))

describe('published multimodal models', () => {
  test.each(published.map(row => [row.id, row] as const))('%s', (_, row) => {
    const shape = shapeFrom(row.config)
    expect(parameterCount(shape)).toBe(row.total)
    expect(shape.facts.multimodal).toBe(true)
    expect(shape.towers.length).toBeGreaterThan(0)
    expect(shape.facts.contextLength).toBeGreaterThan(0)
  })

  test('as many as the sample promises', () => {
    expect(published.length).toBe(25)
    expect(new Set(published.map(row => row.config['model_type'])).size).toBeGreaterThanOrEqual(22)
  })
})

describe('remote code, by its published totals', () => {
  const siglip = { model_type: 'siglip', hidden_size: 1152, intermediate_size: 4304, num_hidden_layers: 27 }
  const qwen7b = { hidden_size: 3584, intermediate_size: 18944, num_hidden_layers: 28, num_attention_heads: 28 }
  const internText = { hidden_size: 896, intermediate_size: 4864, num_hidden_layers: 24, num_attention_heads: 14 }
  const internVision = { hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24, num_attention_heads: 16 }

  test.each([
    [
      'Phi-3.5-vision',
      4_146_621_440,
      { model_type: 'phi3_v', hidden_size: 3072, intermediate_size: 8192, num_hidden_layers: 32, vocab_size: 32064 },
    ],
    [
      'MiniCPM-V 2.6',
      8_099_175_152,
      {
        model_type: 'minicpmv',
        version: 2.6,
        query_num: 64,
        vocab_size: 151666,
        ...qwen7b,
        num_key_value_heads: 4,
        vision_config: { ...siglip, num_attention_heads: 16, image_size: 980, patch_size: 14 },
      },
    ],
    [
      'InternVL3-1B, equal to its copy in transformers',
      938_193_024,
      {
        model_type: 'internvl_chat',
        llm_config: { model_type: 'qwen2', ...internText, num_key_value_heads: 2, vocab_size: 151674 },
        vision_config: {
          model_type: 'intern_vit_6b',
          ...internVision,
          image_size: 448,
          patch_size: 14,
          qkv_bias: true,
          qk_normalization: false,
          norm_type: 'layer_norm',
        },
      },
    ],
  ])('%s', (_, expected, config) => {
    const shape = shapeFrom(config)
    expect(parameterCount(shape)).toBe(expected)
    expect(shape.count).toBe('derived')
  })
})

describe('towers', () => {
  test.each([
    // SigLIP so400m: 1152 (3*14*14 + 1) + 4096*1152 + 27 (4*1152*1153 + 2*1152*4304 + 4304 + 1152 + 4*1152) + 2*1152
    ['gemma3', { vision_config: gemmaVision() }, 416_866_032, 16],
    // CLIP ViT-L/14-336 as published with LLaVA 1.5
    ['llava', { vision_config: clipLarge(336) }, 303_507_456, 16],
    // Pixtral has no positions and no biases: 3*16*16*1024 + 1024 + 24 (4*1024^2 + 3*1024*4096 + 2*1024)
    ['mistral3', { vision_config: { model_type: 'pixtral' } }, 403_489_792, 16],
  ] as const)('%s', (type, config, expected, heads) => {
    const shape = shapeFrom({ model_type: type, ...config })
    expect(roleTotal(shape, 'vision')).toBe(expected)
    expect(shape.facts.visionHeads).toBe(heads)
  })

  test('a partial vision_config takes the defaults of its class, an absent one those of the family', () => {
    const partial = shapeFrom({ model_type: 'llava', vision_config: { model_type: 'clip_vision_model' } })
    const absent = shapeFrom({ model_type: 'llava' })
    // 12 layers of width 768 over 32-pixel patches of 224; 24 layers of width 1024 over 14-pixel patches of 336
    expect(roleTotal(partial, 'vision')).toBe(87_456_000)
    expect(roleTotal(absent, 'vision')).toBe(303_507_456)
  })

  test.each([
    ['gemma4', 0],
    ['gemma4_unified', 0],
    ['gemma3', 1],
    ['mllama', 2],
  ])('%s without vision_config builds %d vision towers', (type, count) => {
    const shape = shapeFrom({ model_type: type })
    expect(shape.towers.filter(tower => tower.role === 'vision').length).toBe(count)
  })

  test('a vision_config that is missing is said, and the count is derived', () => {
    const shape = shapeFrom({
      model_type: 'llama4',
      architectures: ['Llama4ForConditionalGeneration'],
      text_config: { model_type: 'llama4_text' },
    })
    expect(shape.count).toBe('derived')
    expect(shape.notes).toContain('vision_config missing: the default one of llama4 is counted')
  })

  test('a vision encoder of unknown class is a problem that names it', () => {
    const result = shapeOf({ model_type: 'llava', vision_config: { model_type: 'acme_vision' } })
    expect(result.ok).toBe(false)
    if (!result.ok) {
      expect(result.problem.code).toBe('architecture-unsupported')
      expect(result.problem.message).toContain('vision_config.model_type "acme_vision"')
    }
  })

  test.each([
    ['image_size', { image_size: [336, 0] }, /vision_config\.image_size is a list/],
    ['patch_size', { patch_size: '14' }, /vision_config\.patch_size is "14"/],
    ['num_hidden_layers', { num_hidden_layers: 0 }, /vision_config\.num_hidden_layers is 0/],
  ])('a malformed %s is named', (_, fields, message) => {
    const result = shapeOf({ model_type: 'llava', vision_config: { model_type: 'clip_vision_model', ...fields } })
    expect(result.ok).toBe(false)
    if (!result.ok) expect(result.problem.message).toMatch(message)
  })
})

describe('tie flags', () => {
  const text = (tie: boolean) => ({ text_config: { tie_word_embeddings: tie } })

  test.each([
    ['gemma3: the nested flag has no effect', { model_type: 'gemma3', ...text(false) }, true],
    ['gemma3: the top one counts', { model_type: 'gemma3', tie_word_embeddings: false, ...text(true) }, false],
    ['llava: either ties', { model_type: 'llava', ...text(true) }, true],
    ['llava: by default neither', { model_type: 'llava' }, false],
    ['llama4: the nested flag only', { model_type: 'llama4', tie_word_embeddings: true }, false],
    ['llama4: nested', { model_type: 'llama4', ...text(true) }, true],
    ['qwen2_audio: no flag has an effect', { model_type: 'qwen2_audio', tie_word_embeddings: true }, false],
    ['mllama: its embedding has rows the head lacks', { model_type: 'mllama', tie_word_embeddings: true }, false],
  ])('%s', (_, config, tied) => {
    expect(shapeFrom(config).tied).toBe(tied)
  })
})

describe('what layers keep', () => {
  test('towers keep nothing', () => {
    const kinds = published.flatMap(row => shapeFrom(row.config).towers.flatMap(tower => tower.stack.kinds))
    expect(kinds.length).toBeGreaterThan(25)
    expect(kinds.filter(kind => kind.cache.length > 0)).toEqual([])
  })

  test('mllama: cross-attention layers keep four tiles of image tokens, the others the text', () => {
    const row = published.find(candidate => candidate.config['model_type'] === 'mllama')!
    const shape = shapeFrom(row.config)
    const caches = shape.layers.order.flatMap(kind => shape.layers.kinds[kind]!.cache)
    const cross = caches.filter(cache => cache.kind === 'cross')
    expect(cross.length).toBe(8)
    expect(caches.filter(cache => cache.kind === 'full').length).toBe(32)
    // (560 / 14)^2 + 1 patches of each tile
    expect(cross[0]).toMatchObject({ encoderTokens: 4 * 1601, kvHeads: 8, keyDim: 128 })
  })

  test.each([
    ['gemma3', ['sliding', 'full']],
    ['llama4', ['chunked', 'full']],
    ['qwen3_5', ['gated-delta', 'full']],
    ['kimi_k25', ['mla']],
    ['paligemma', ['full']],
  ])('%s keeps what its text model keeps', (type, kinds) => {
    const shape = shapeFrom({ model_type: type })
    const found = new Set(shape.layers.kinds.flatMap(kind => kind.cache.map(cache => cache.kind)))
    expect([...found].sort()).toEqual([...kinds].sort())
  })
})

describe('heads and files', () => {
  test('a bare multimodal model has no output head', () => {
    const whole = shapeFrom({ model_type: 'qwen2_5_vl', architectures: ['Qwen2_5_VLForConditionalGeneration'] })
    const bare = shapeFrom({ model_type: 'qwen2_5_vl', architectures: ['Qwen2_5_VLModel'] })
    expect(parameterCount(whole) - parameterCount(bare)).toBe(152_064 * 8192)
    expect(bare.facts.task).toBe('embed')
  })

  test('the dtype of the whole file comes before the nested one', () => {
    const config = { model_type: 'gemma3', dtype: 'bfloat16', text_config: { dtype: 'float32' } }
    expect(shapeFrom(config).facts.dtype).toBe('bfloat16')
    expect(shapeFrom({ model_type: 'gemma3', text_config: { dtype: 'float16' } }).facts.dtype).toBe('float16')
  })

  test('old Qwen2-VL files carry the text model at the top', () => {
    const flat = { hidden_size: 3584, intermediate_size: 18944, num_hidden_layers: 28, num_attention_heads: 28 }
    const fields = { ...flat, num_key_value_heads: 4, vocab_size: 152064 }
    const vision = { vision_config: { hidden_size: 3584 } }
    expect(parameterCount(shapeFrom({ model_type: 'qwen2_vl', ...fields, ...vision }))).toBe(8_291_375_616)
    expect(parameterCount(shapeFrom({ model_type: 'qwen2_vl', text_config: fields, ...vision }))).toBe(8_291_375_616)
  })
})

function gemmaVision(): JsonObject {
  return {
    model_type: 'siglip_vision_model',
    hidden_size: 1152,
    intermediate_size: 4304,
    num_hidden_layers: 27,
    num_attention_heads: 16,
    image_size: 896,
    patch_size: 14,
    vision_use_head: false,
  }
}

function clipLarge(image: number): JsonObject {
  return {
    model_type: 'clip_vision_model',
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: image,
    patch_size: 14,
  }
}

describe('weights that engines hold and the classes of transformers do not build', () => {
  const unbuilt = (shape: ModelShape, where: 'stored' | 'loaded'): number => {
    let sum = 0
    for (const kind of shape.layers.order)
      for (const weight of shape.layers.kinds[kind]!.weights)
        if (weight.unbuilt === where) sum += weight.copies * weight.out * weight.in
    return sum
  }
  const gemma4E2b = {
    model_type: 'gemma4_text',
    hidden_size: 1536,
    num_hidden_layers: 35,
    num_kv_shared_layers: 20,
    num_attention_heads: 8,
    num_key_value_heads: 1,
    head_dim: 256,
    global_head_dim: 512,
  }

  test('keys and values of layers that share them are in the files: Hub totals of Gemma 4 E2B and Gemma 3n E2B', () => {
    // 5,123,178,051 stored, 5,104,297,504 built, 35 scalars that are no weights
    expect(unbuilt(shapeFrom(gemma4E2b), 'stored')).toBe(5_123_178_051 - 5_104_297_504 - 35)
    const gemma3n = {
      model_type: 'gemma3n_text',
      num_hidden_layers: 30,
      num_kv_shared_layers: 10,
      intermediate_size: 8192,
    }
    // 5,439,438,272 stored, 5,418,464,192 built
    expect(unbuilt(shapeFrom(gemma3n), 'stored')).toBe(5_439_438_272 - 5_418_464_192)
  })

  test('values that are the keys are copied when they are loaded', () => {
    const shape = shapeFrom({
      ...gemma4E2b,
      num_kv_shared_layers: 0,
      attention_k_eq_v: true,
      num_global_key_value_heads: 4,
    })
    const full = shape.layers.order.filter(kind => shape.layers.kinds[kind]!.name.startsWith('full')).length
    expect(full).toBe(6)
    expect(unbuilt(shape, 'loaded')).toBe(full * 4 * 512 * 1536)
    expect(unbuilt(shape, 'stored')).toBe(0)
  })
})

describe('towers that an engine takes undivided', () => {
  test('have no heads to divide and no split weights', () => {
    const configs: JsonObject[] = [
      { model_type: 'gemma4', text_config: gemma4Text, vision_config: {}, audio_config: {} },
      { model_type: 'got_ocr2', vision_config: {} },
    ]
    for (const config of configs) {
      const shape = shapeFrom(config)
      expect(shape.facts.visionHeads).toBeNull()
      const towers = shape.towers.filter(tower => tower.role === 'vision' || tower.role === 'audio')
      expect(towers.length).toBeGreaterThan(0)
      for (const tower of towers)
        for (const kind of tower.stack.kinds) for (const weight of kind.weights) expect(weight.split).toBe('none')
    }
  })
})

const gemma4Text = { model_type: 'gemma4_text', num_hidden_layers: 5 }
