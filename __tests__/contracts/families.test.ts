import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { Config, FieldProblem, type FieldWatch, type JsonObject } from '../../src/models/config.ts'
import { activeParameterCount, allWeights, parameterCount } from '../../src/models/count.ts'
import type { NestedReader } from '../../src/models/families/family.ts'
import { families, shapeOf } from '../../src/models/families/index.ts'
import type { LayerStack, ModelShape } from '../../src/models/shape.ts'
import { describeShared, sharedRows } from '../helpers/shared.ts'

/** A row of the parameter oracle: a config and what the class of transformers 5.24.0 built from it counts. */
interface OracleRow {
  readonly config: JsonObject
  readonly total_unique: number
}

// two rows a model type of the oracle, so that a fresh clone runs every family
const samplePath = join(dirname(fileURLToPath(import.meta.url)), '../fixtures/params-oracle-sample.jsonl')
const sample = sharedRows<OracleRow>(samplePath)
// fields of the classes changed at random and built with transformers 5.24.0 on the meta device; classifiers and bare
// models among them
const built = sharedRows<OracleRow>(join(dirname(samplePath), 'params-built-sample.jsonl'))
const known = new Set(families.flatMap(family => family.modelTypes))
const typeOf = (row: OracleRow) => String(row.config['model_type'])
const ours = sample.filter(row => known.has(typeOf(row)))

/** What is wrong with a row's shape, or null. A count may differ only where it is called derived. */
function fault(row: OracleRow): string | null {
  const result = shapeOf(row.config)
  const name = `${typeOf(row)} ${JSON.stringify(row.config).slice(0, 300)}`
  if (!result.ok) return `${name}: ${result.problem.message}`
  const shape = result.value
  const count = parameterCount(shape)
  if (shape.count === 'exact' && count !== row.total_unique)
    return `${name}: called exact, ${count} for ${row.total_unique}`
  return brokenInvariant(shape, count, name)
}

function brokenInvariant(shape: ModelShape, count: number, name: string): string | null {
  const active = activeParameterCount(shape)
  if (!(active >= 0 && active <= count)) return `${name}: active ${active} of ${count}`
  for (const { weight, times } of allWeights(shape)) {
    const sizes = [weight.out, weight.in, weight.copies, times]
    if (!sizes.every(size => Number.isSafeInteger(size) && size >= 0))
      return `${name}: ${weight.name} has sizes ${sizes}`
    if (weight.split === 'kv' && !weight.kvHeads)
      return `${name}: ${weight.name} is divided by KV heads it does not name`
    if (weight.split === 'qkv' && !(weight.kvHeads && weight.kvWidth)) return `${name}: ${weight.name} lacks kvWidth`
  }
  if (shape.towers.length === 0 && shape.facts.task === 'generate' && shape.layers.order.length !== shape.facts.layers)
    return `${name}: ${shape.layers.order.length} layers in order, facts say ${shape.facts.layers}`
  const stacks: LayerStack[] = [
    shape.layers,
    ...shape.towers.map(tower => tower.stack),
    ...(shape.mtp ? [shape.mtp] : []),
  ]
  for (const stack of stacks) {
    if (!stack.order.every(kind => stack.kinds[kind] !== undefined))
      return `${name}: an order names a kind that is not there`
    for (const kind of stack.kinds)
      for (const spec of kind.cache)
        for (const [key, value] of Object.entries(spec))
          if (typeof value === 'number' && !(Number.isFinite(value) && value >= 0))
            return `${name}: cache ${spec.kind}.${key} is ${value}`
  }
  return null
}

describe('families', () => {
  test('no model type is read by two families, every family says how it was verified', () => {
    const types = families.flatMap(family => family.modelTypes)
    expect(types.length).toBeGreaterThanOrEqual(120)
    expect(types.filter((type, i) => types.indexOf(type) !== i)).toEqual([])
    expect(families.filter(family => family.verified.length < 10).map(family => family.name)).toEqual([])
  })

  test('the sample of the oracle: exact counts are equal, shapes hold together', () => {
    expect(ours.length).toBeGreaterThanOrEqual(200)
    expect(new Set(ours.map(typeOf)).size).toBeGreaterThanOrEqual(100)
    expect(ours.map(fault).filter(text => text !== null)).toEqual([])
  })

  test('classes built with changed fields and other heads: exact counts are equal', () => {
    const rows = built.filter(row => known.has(typeOf(row)))
    expect(rows.length).toBeGreaterThanOrEqual(400)
    expect(rows.map(fault).filter(text => text !== null)).toEqual([])
    const exact = rows.filter(row => {
      const result = shapeOf(row.config)
      return result.ok && result.value.count === 'exact'
    })
    expect(exact.length / rows.length).toBeGreaterThan(0.9)
  })

  test('most of the sample is exact', () => {
    const equal = ours.filter(row => {
      const result = shapeOf(row.config)
      return result.ok && parameterCount(result.value) === row.total_unique
    })
    expect(equal.length / ours.length).toBeGreaterThan(0.95)
  })
})

describe('unknown model types', () => {
  const near = (row: OracleRow, config: JsonObject): boolean => {
    const result = shapeOf(config)
    if (!result.ok) return false
    expect([result.value.count, result.value.family]).toEqual(['derived', 'generic'])
    return Math.abs(parameterCount(result.value) / row.total_unique - 1) < 0.02
  }
  // rows with their own sizes; a row of class defaults says nothing once its class is hidden
  const full = ours.filter(row => Object.keys(row.config).length >= 8)

  test('a renamed type with a known class counts like that class', () => {
    const equal = full.filter(row => near(row, { ...row.config, model_type: 'renamed' }))
    expect(full.length).toBeGreaterThanOrEqual(100)
    expect(equal.length / full.length).toBeGreaterThan(0.95)
  })

  test('a renamed type and class counts like the family whose keys fit best', () => {
    const renamed = (value: unknown) => String(value).replace(/^.*?(?=For[A-Z]|LMHeadModel|MTModel|Model)/, 'Renamed')
    const hidden = (row: OracleRow): JsonObject => ({
      ...row.config,
      model_type: 'renamed',
      architectures: [renamed((row.config['architectures'] as string[])[0])],
    })
    const equal = full.filter(row => near(row, hidden(row)))
    expect(equal.length / full.length).toBeGreaterThan(0.7)
  })

  test.each([
    ['nothing but a type', { model_type: 'new' }],
    ['no sizes', { model_type: 'new', vocab_size: 1000, torch_dtype: 'bfloat16' }],
    ['nothing', {}],
  ])('%s is unsupported, not a default model', (_, config) => {
    const result = shapeOf(config)
    expect(result.ok ? null : result.problem.code).toBe('architecture-unsupported')
  })
})

describe('malformed configs', () => {
  const malformed: readonly unknown[] = [
    '12',
    0,
    -1,
    1e308,
    1.5,
    2 ** 40,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    true,
    null,
    {},
    [],
    [null],
  ]

  /** The config with one field changed at its path. */
  function changed(config: JsonObject, path: readonly string[], value: unknown): JsonObject {
    const [key, ...rest] = path
    if (rest.length === 0) {
      const copy = { ...config, [key!]: value }
      if (value === undefined) delete copy[key!]
      return copy
    }
    return { ...config, [key!]: changed(config[key!] as JsonObject, rest, value) }
  }

  /** Paths of all numbers and flags in a config, two objects deep. */
  function paths(config: JsonObject, depth = 0): string[][] {
    return Object.entries(config).flatMap(([key, value]) => {
      if (typeof value === 'number' || typeof value === 'boolean') return [[key]]
      if (depth < 2 && typeof value === 'object' && value !== null && !Array.isArray(value))
        return paths(value as JsonObject, depth + 1).map(rest => [key, ...rest])
      return []
    })
  }

  test('one bad field at a time gives a count or a problem that names a field, never NaN or an exception', () => {
    let inspected = 0
    let problems = 0
    const faults: string[] = []
    for (const row of ours) {
      for (const path of paths(row.config)) {
        for (const value of [undefined, ...malformed]) {
          inspected++
          const config = changed(row.config, path, value)
          const where = `${typeOf(row)} ${path.join('.')} = ${String(value)}`
          try {
            const result = shapeOf(config)
            if (!result.ok) {
              problems++
              if (!/config\.json: [\w.]+ /.test(result.problem.message))
                faults.push(`${where}: ${result.problem.message}`)
            } else if (!(parameterCount(result.value) >= 0)) faults.push(`${where}: ${parameterCount(result.value)}`)
          } catch (error) {
            faults.push(`${where}: ${String(error)}`)
          }
        }
      }
    }
    expect(faults.slice(0, 20)).toEqual([])
    expect(inspected).toBeGreaterThan(10_000)
    expect(problems).toBeGreaterThan(3_000)
  }, 60_000)

  test.each([
    ['a string', 'hidden_size', '4096', /hidden_size is "4096", expected a whole number/],
    ['zero', 'num_hidden_layers', 0, /num_hidden_layers is 0, expected a whole number/],
    ['a negative size', 'vocab_size', -5, /vocab_size is -5/],
    ['1e308', 'intermediate_size', 1e308, /intermediate_size is 1e\+308/],
    ['null', 'num_attention_heads', null, /num_attention_heads is missing/],
    ['more layers than any model', 'num_hidden_layers', 1e9, /num_hidden_layers is 1000000000, expected at most/],
    [
      'more heads than width',
      'num_attention_heads',
      4097,
      /num_attention_heads is 4097, more than the hidden size 4096/,
    ],
    ['a flag that is none', 'tie_word_embeddings', 'yes', /tie_word_embeddings is "yes", expected true or false/],
  ])('%s is named: %s', (_, key, value, message) => {
    const result = shapeOf({ model_type: 'llama', [key]: value })
    expect(result.ok).toBe(false)
    if (!result.ok) expect(result.problem.message).toMatch(message)
  })

  test.each([0, -4, 1e-9, 1e300])('a ratio that makes no width is named: %s', ratio => {
    for (const modelType of ['qwen2_vl', 'dinov2']) {
      const result = shapeOf({ model_type: modelType, mlp_ratio: ratio, vision_config: { mlp_ratio: ratio } })
      expect([modelType, result.ok || result.problem.message]).toEqual([
        modelType,
        expect.stringContaining('mlp_ratio is'),
      ])
    }
  })
})

/** Fields that the classes have but that no family needs, each with its reason. */
const unread: Readonly<Record<string, string>> = {
  'dbrx.tie_word_embeddings': 'the class does not build tied',
  'fnet.use_tpu_fourier_optimizations': 'adds buffers only',
  'granitemoehybrid.position_embedding_type': 'no weights',
  'laguna.moe_apply_router_weight_on_input': 'no weights',
  'longcat_flash.qk_head_dim': 'sum of two fields that are read',
  'mobilebert.true_hidden_size': 'the bottleneck width or the hidden size, which are read',
  'phi4_multimodal.*': 'handed on to the text model as a config of its own',
  'speecht5.num_feat_extract_layers': 'the length of conv_dim',
  'speech_to_text.num_conv_layers': 'the length of conv_kernel_sizes',
  'tapas.aggregation_labels': 'head of question answering',
  'tapas.cell_selection_preference': 'head of question answering',
  'vipllava.vision_feature_layer': 'a list; its length is read',
  'xlnet.d_head': 'read as the alias of head_dim',
  'zamba2.num_hidden_layers': 'the length of layers_block_type',
}

describeShared('class defaults', 'data/config-defaults.json', path => {
  const classes = JSON.parse(readFileSync(path, 'utf8')) as Record<string, JsonObject>
  const rows = sharedRows<OracleRow>(join(dirname(path), 'params-oracle.jsonl'))
  const byType = new Map(families.flatMap(family => family.modelTypes.map(type => [type, family] as const)))
  const nested: NestedReader = (config, otherwise) => {
    const family = byType.get(config.text('model_type') ?? otherwise ?? '')
    return family ? family.shape(config, nested) : config.invalid('model_type', 'is not known')
  }
  const isField = (name: string, value: unknown) =>
    !name.startsWith('_') && (typeof value !== 'object' || value === null || Array.isArray(value))

  test('every field that changes a count is read, and silent ones have the default of their class', () => {
    let inspected = 0
    const faults: string[] = []
    for (const [type, fields] of Object.entries(classes)) {
      const family = byType.get(type)
      if (!family) continue
      inspected++
      const read = new Set<string>()
      const defaults = new Map<string, unknown>()
      const watch: FieldWatch = (field, from, value) => {
        read.add(field)
        if (from === 'default') defaults.set(field, value)
      }
      for (const config of [{ model_type: type }, ...rows.filter(row => typeOf(row) === type).map(row => row.config)]) {
        try {
          family.shape(new Config(config, {}, {}, '', watch), nested)
        } catch (error) {
          if (!(error instanceof FieldProblem)) throw error
        }
      }
      const harmless = new Set((fields['_no_effect_alone'] as string[] | undefined) ?? [])
      for (const [name, value] of Object.entries(fields)) {
        if (!isField(name, value) || harmless.has(name)) continue
        if (!read.has(name) && !unread[`${type}.${name}`] && !unread[`${type}.*`])
          faults.push(`${type}.${name} is never read`)
        if (defaults.has(name) && !Array.isArray(value) && defaults.get(name) !== value)
          faults.push(`${type}.${name} is ${String(defaults.get(name))} when silent, the class has ${String(value)}`)
      }
    }
    expect(faults).toEqual([])
    expect(inspected).toBeGreaterThanOrEqual(150)
  })
})

describeShared('every oracle row', 'data/params-oracle.jsonl', path => {
  const rows = sharedRows<OracleRow>(path).filter(row => known.has(typeOf(row)))
  const core = new Set(JSON.parse(readFileSync(join(dirname(path), 'core-families.json'), 'utf8')).core as string[])

  test('no fault, and the core types equal to the integer', () => {
    const inspected = new Set(rows.map(typeOf))
    expect(rows.length).toBeGreaterThanOrEqual(700)
    expect([...inspected].filter(type => core.has(type)).length).toBeGreaterThanOrEqual(80)
    expect(rows.map(fault).filter(text => text !== null)).toEqual([])
    const unequal = rows.filter(row => {
      const result = shapeOf(row.config)
      return core.has(typeOf(row)) && !(result.ok && parameterCount(result.value) === row.total_unique)
    })
    expect(unequal.map(typeOf)).toEqual([])
  })

  test('all rows in under two seconds, a shape in under a millisecond', () => {
    const started = performance.now()
    for (const row of rows) shapeOf(row.config)
    const elapsed = performance.now() - started
    expect(elapsed).toBeLessThan(2000)
    expect(elapsed / rows.length).toBeLessThan(1)
  })
})
