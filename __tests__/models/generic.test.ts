import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { JsonObject } from '../../src/models/config.ts'
import { activeParameterCount, parameterCount } from '../../src/models/count.ts'
import { shapeOf } from '../../src/models/families/index.ts'
import type { ModelShape } from '../../src/models/shape.ts'
import { describeShared, sharedRows } from '../helpers/shared.ts'

interface OracleRow {
  readonly config: JsonObject
  readonly total_unique: number
}

/** Types whose keys say what they are made of; the rest of the oracle is measured as a whole. */
const renamable = new Set(
  (
    'llama qwen2 qwen3 mixtral qwen2_moe qwen3_moe deepseek_v2 deepseek_v3 deepseek_v32 gemma2 glm glm4 glm4_moe ' +
    'gpt_oss phi3 olmo2 qwen3_next jamba granite minimax_m2 llava qwen2_5_vl qwen3_vl gemma3 mistral3'
  ).split(' '),
)

/** The row as a new family would write it: another type, another class, the same keys. */
function renamed(config: JsonObject): JsonObject {
  const names = Array.isArray(config['architectures']) ? (config['architectures'] as string[]) : []
  const architectures = names.map(name => `AcmeNew${/(For[A-Z]\w+|Model)$/.exec(name)?.[0] ?? ''}`)
  return { ...config, model_type: 'acme_new', architectures }
}

const typeOf = (row: OracleRow): string => String(row.config['model_type'])

/** Rows that give the sizes at all: a file that says nothing but its type cannot be counted under another name. */
const telling = (row: OracleRow): boolean =>
  ['hidden_size', 'text_config'].some(key => key in row.config) &&
  ['num_hidden_layers', 'text_config'].some(key => key in row.config) &&
  ['vocab_size', 'text_config'].some(key => key in row.config)

const within = (count: number, wanted: number): boolean => Math.abs(count - wanted) <= 0.02 * wanted

function shapeFrom(config: JsonObject): ModelShape {
  const result = shapeOf(config)
  if (!result.ok) throw new Error(result.problem.message)
  return result.value
}

describe('unknown model types', () => {
  const llama = {
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 128256,
  }

  test('a fine-tune that kept the class is read by the class', () => {
    const shape = shapeFrom({ ...llama, model_type: 'acme', architectures: ['LlamaForCausalLM'] })
    expect(parameterCount(shape)).toBe(8_030_261_248)
    expect([shape.count, shape.family, shape.modelType]).toEqual(['derived', 'generic', 'acme'])
    expect(shape.notes.join()).toMatch(/"acme" is not known: counted like llama/)
  })

  test('an unknown class is read by its keys', () => {
    const shape = shapeFrom({ ...llama, model_type: 'acme', architectures: ['AcmeForCausalLM'] })
    expect(within(parameterCount(shape), 8_030_261_248)).toBe(true)
    expect(shape.count).toBe('derived')
  })

  test('a wrapper is read by the type of its text model and the class of its tower', () => {
    const shape = shapeFrom({
      model_type: 'acme_vl',
      architectures: ['AcmeForConditionalGeneration'],
      text_config: { ...llama, model_type: 'llama' },
      vision_config: { model_type: 'clip_vision_model', hidden_size: 1024, intermediate_size: 4096 },
    })
    expect(shape.towers.map(tower => tower.role)).toEqual(['vision', 'projector'])
    expect(shape.facts).toMatchObject({ multimodal: true, visionHeads: 12, hidden: 4096 })
    expect(parameterCount(shape)).toBeGreaterThan(8_030_261_248)
    expect(shape.notes.join()).toMatch(/vision_config: a projector of two matrices assumed/)
  })

  test.each([
    [
      'says nothing',
      {},
      /model_type "acme" is not known, and hidden_size and num_hidden_layers and vocab_size are missing/,
    ],
    [
      'lacks the layers',
      { hidden_size: 4096 },
      /and num_hidden_layers and vocab_size are missing to count it by its keys/,
    ],
    [
      'names layers nobody knows',
      { ...llama, moe_intermediate_size: 1024 },
      /model_type "acme" is not known, and no family that is known has its keys/,
    ],
    [
      'has a second tower under a key nobody reads',
      { text_config: { ...llama, model_type: 'llama' }, high_res_vision_config: { model_type: 'acme_vision' } },
      /high_res_vision_config is a sub-model that no known family reads/,
    ],
    [
      'has an encoder beside a flat text model',
      { ...llama, encoder_config: { hidden_size: 1280, num_hidden_layers: 48 } },
      /model_type "acme" is not known, and encoder_config is a sub-model that no known family reads/,
    ],
    [
      'has layers of a kind nobody knows',
      { ...llama, layer_types: [...Array(16).fill('full_attention'), ...Array(16).fill('folding')] },
      /its layer_types holds "folding", which is not known either/,
    ],
    [
      'wraps a text model that says no sizes',
      { text_config: { model_type: 'llama', attention_bias: true } },
      /text_config\.hidden_size is missing/,
    ],
    [
      'says nothing but a class that is known',
      { architectures: ['LlamaForCausalLM'] },
      /and hidden_size and num_hidden_layers and vocab_size are missing/,
    ],
    [
      'has a tower of no known size',
      { text_config: { ...llama, model_type: 'llama' }, vision_config: { model_type: 'acme_vision' } },
      /vision_config\.hidden_size is missing/,
    ],
  ])('a config that %s is a problem', (_, config, message) => {
    const result = shapeOf({ model_type: 'acme', ...config })
    expect(result.ok).toBe(false)
    if (!result.ok) expect(result.problem.message).toMatch(message)
  })
})

/** Every figure of a shape is a whole number of elements. */
function isSound(shape: ModelShape): boolean {
  const counts = [parameterCount(shape), activeParameterCount(shape)]
  return counts.every(count => Number.isFinite(count) && count >= 0)
}

describe('hostile configs', () => {
  const keys = [
    'model_type',
    'architectures',
    'hidden_size',
    'num_hidden_layers',
    'num_attention_heads',
    'num_key_value_heads',
    'intermediate_size',
    'vocab_size',
    'head_dim',
    'num_experts',
    'moe_intermediate_size',
    'kv_lora_rank',
    'layer_types',
    'text_config',
    'vision_config',
    'audio_config',
    'image_size',
    'patch_size',
    'depth',
    'tie_word_embeddings',
  ]
  const types = ['llama', 'acme', 'llava', 'qwen2_5_vl', 'gemma3n', 'phi4_multimodal', 'mllama', 'clip_vision_model']
  const value = fc.letrec(tie => ({
    any: fc.oneof(
      { maxDepth: 3 },
      fc.integer({ min: -2, max: 200 }),
      fc.constantFrom(...types),
      fc.constantFrom(1e308, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 1.5, null, true, '12', '__proto__'),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie('any'), { maxKeys: 12 }),
    ),
  })).any

  test('any object gives a sound shape or a problem, never an exception', () => {
    let counted = 0
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 14 }), json => {
        const result = shapeOf(json)
        if (result.ok) counted++
        return result.ok ? isSound(result.value) : result.problem.message.length > 0
      }),
      { numRuns: 1500, seed: 4 },
    )
    expect(counted).toBeGreaterThan(20)
  }, 60_000)

  test('any JSON object at all', () => {
    fc.assert(
      fc.property(fc.object({ maxDepth: 3 }), json => {
        const result = shapeOf(json as JsonObject)
        return result.ok ? isSound(result.value) : result.problem.message.length > 0
      }),
      { numRuns: 500, seed: 7 },
    )
  }, 60_000)
})

const samplePath = join(dirname(fileURLToPath(import.meta.url)), '../fixtures/params-oracle-sample.jsonl')

describe('renamed families', () => {
  const rows = sharedRows<OracleRow>(samplePath).filter(row => renamable.has(typeOf(row)) && telling(row))

  test('the sample: within 2 % and derived', () => {
    expect(rows.length).toBeGreaterThanOrEqual(30)
    const off = rows.filter(row => {
      const result = shapeOf(renamed(row.config))
      if (!result.ok) return true
      return result.value.count !== 'derived' || !within(parameterCount(result.value), row.total_unique)
    })
    expect(off.map(row => `${typeOf(row)} ${JSON.stringify(row.config).slice(0, 200)}`)).toEqual([])
  })
})

describeShared('renamed rows of the oracle', 'data/params-oracle.jsonl', path => {
  const rows = sharedRows<OracleRow>(path).filter(telling)

  test('nine in ten of the usual types within 2 %, never called exact', () => {
    const usual = rows.filter(row => renamable.has(typeOf(row)))
    expect(usual.length).toBeGreaterThanOrEqual(200)
    let near = 0
    for (const row of usual) {
      const result = shapeOf(renamed(row.config))
      if (!result.ok) continue
      expect(result.value.count).toBe('derived')
      if (within(parameterCount(result.value), row.total_unique)) near++
    }
    expect(near / usual.length).toBeGreaterThanOrEqual(0.9)
  }, 60_000)
})
