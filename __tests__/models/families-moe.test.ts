import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { elements } from '../../src/models/blocks/weights.ts'
import type { JsonObject } from '../../src/models/config.ts'
import { activeParameterCount, allWeights, parameterCount, stackTotal } from '../../src/models/count.ts'
import { shapeOf } from '../../src/models/families/index.ts'
import type { CacheSpec, ModelShape, Weight } from '../../src/models/shape.ts'
import { describeShared, sharedRows } from '../helpers/shared.ts'

function shape(config: JsonObject): ModelShape {
  const result = shapeOf(config)
  if (!result.ok) throw new Error(result.problem.message)
  return result.value
}

const weightNamed = (s: ModelShape, name: string): Weight => {
  const found = allWeights(s).find(entry => entry.weight.name === name)
  if (!found) throw new Error(`no weight ${name}`)
  return found.weight
}

const routed = (s: ModelShape): number =>
  allWeights(s)
    .filter(({ weight }) => weight.split.startsWith('expert'))
    .reduce((sum, { weight, times }) => sum + times * elements(weight), 0)

const deepseekV3: JsonObject = { model_type: 'deepseek_v3', architectures: ['DeepseekV3ForCausalLM'] }

describe('counts of mixtures and hybrids', () => {
  // integers of the published checkpoints (Hub totals without prediction layers and router biases)
  test.each<[string, JsonObject, number]>([
    ['DeepSeek-V3', deepseekV3, 671_026_404_352],
    ['DeepSeek-V3.2', { model_type: 'deepseek_v32' }, 671_877_929_216],
    [
      'Kimi-K2',
      {
        ...deepseekV3,
        model_type: 'kimi_k2',
        first_k_dense_replace: 1,
        n_routed_experts: 384,
        num_attention_heads: 64,
        num_key_value_heads: 64,
        vocab_size: 163840,
      },
      1_026_408_209_408,
    ],
    [
      'Mixtral-8x7B',
      { model_type: 'mixtral', vocab_size: 32000, num_hidden_layers: 32, num_local_experts: 8 },
      46_702_792_704,
    ],
    ['Qwen3-Next-80B', { model_type: 'qwen3_next' }, 79_674_391_296],
    ['Jamba-Mini', { model_type: 'jamba' }, 51_570_323_328],
    ['gpt-oss-120b', { model_type: 'gpt_oss' }, 116_829_156_672],
    [
      'DeepSeek-MoE 16B, MHA and a dense first layer',
      {
        model_type: 'deepseek',
        hidden_size: 2048,
        intermediate_size: 10944,
        moe_intermediate_size: 1408,
        num_hidden_layers: 28,
        num_attention_heads: 16,
        num_key_value_heads: 16,
        n_routed_experts: 64,
        n_shared_experts: 2,
        num_experts_per_tok: 6,
        first_k_dense_replace: 1,
        vocab_size: 102400,
      },
      16_375_728_128,
    ],
    ['MiMo-7B without its prediction layer', { model_type: 'mimo', num_nextn_predict_layers: 1 }, 7_622_619_136],
  ])('%s', (_, config, count) => {
    const s = shape(config)
    expect(parameterCount(s)).toBe(count)
    expect(s.count).toBe('exact')
  })

  test('routed experts are 653,908,770,816 of DeepSeek-V3, and a token touches 8 of 256', () => {
    const s = shape(deepseekV3)
    expect(routed(s)).toBe(58 * 256 * 3 * 7168 * 2048)
    expect(activeParameterCount(s)).toBe(671_026_404_352 - 58 * 248 * 3 * 7168 * 2048)
    expect([s.facts.experts, s.facts.expertsPerToken]).toEqual([256, 8])
  })

  test("LongCat's identity experts are counted as the class allocates them, and marked", () => {
    const s = shape({ model_type: 'longcat_flash' })
    const idle = allWeights(s).filter(({ weight }) => weight.transformersOnly)
    const size = idle.reduce((sum, { weight, times }) => sum + times * elements(weight), 0)
    expect(size).toBe(28 * 256 * 2 * 6144 * 2048)
    expect(parameterCount(s)).toBe(741_053_585_408)
    expect(s.layers.kinds[0]!.cache).toHaveLength(2)
  })

  test('types that share tensors with a verified one are derived', () => {
    expect(shape({ model_type: 'minimax_m1' }).count).toBe('derived')
    expect(shape({ model_type: 'step3p5', architectures: ['Step3p5ForCausalLM'] }).count).toBe('derived')
  })
})

describe('prediction layers', () => {
  // sizes of the stored layers less router biases
  test.each<[string, JsonObject, number]>([
    ['DeepSeek-V3 with embedding and head', { ...deepseekV3, num_nextn_predict_layers: 1 }, 13_463_426_304 - 256],
    ['Qwen3-Next, which no key announces', { model_type: 'qwen3_next' }, 1_650_471_424],
    ['GLM-5 without copies', { model_type: 'glm_moe_dsa', num_nextn_predict_layers: 1 }, 9_952_920_576 - 256],
    ['Qwen3.5-35B-A3B', { model_type: 'qwen3_5_moe_text', mtp_num_hidden_layers: 1 }, 844_640_768],
  ])('%s', (_, config, size) => {
    const { mtp } = shape(config)
    expect(mtp && stackTotal(mtp)).toBe(size)
  })

  test('are not in the count', () => {
    expect(parameterCount(shape({ ...deepseekV3, num_nextn_predict_layers: 1 }))).toBe(
      parameterCount(shape(deepseekV3)),
    )
  })
})

describe('roles under parallelism', () => {
  test.each<[string, JsonObject, string, Weight['split']]>([
    ['latent down-projection', deepseekV3, 'self_attn.kv_a_proj_with_mqa', 'none'],
    ['query down-projection', deepseekV3, 'self_attn.q_a_proj', 'none'],
    ['query up-projection', deepseekV3, 'self_attn.q_b_proj', 'column'],
    ['latent up-projection', deepseekV3, 'self_attn.kv_b_proj', 'column'],
    ['output', deepseekV3, 'self_attn.o_proj', 'row'],
    ['router', deepseekV3, 'mlp.gate', 'none'],
    ['routed gate', deepseekV3, 'mlp.experts.gate_proj', 'expert-column'],
    ['routed down', deepseekV3, 'mlp.experts.down_proj', 'expert-row'],
    ['shared down', deepseekV3, 'mlp.shared_experts.down_proj', 'row'],
    ['indexer', { model_type: 'deepseek_v32' }, 'self_attn.indexer.wq_b', 'none'],
    ['delta net input', { model_type: 'qwen3_next' }, 'linear_attn.in_proj_qkvz', 'column'],
    ['delta net output', { model_type: 'qwen3_next' }, 'linear_attn.out_proj', 'row'],
    ['mamba input', { model_type: 'bamba' }, 'mamba.in_proj', 'column'],
    ['keys', { model_type: 'qwen3_moe' }, 'self_attn.k_proj', 'kv'],
    ['fused keys', { model_type: 'dbrx' }, 'norm_attn_norm.attn.Wqkv', 'qkv'],
  ])('%s', (_, config, name, split) => {
    expect(weightNamed(shape(config), name).split).toBe(split)
  })

  test('routed experts are copies of one matrix with their number a token uses', () => {
    const gate = weightNamed(shape({ model_type: 'qwen3_moe' }), 'mlp.experts.gate_proj')
    expect([gate.out, gate.in, gate.copies, gate.active]).toEqual([768, 2048, 128, 8])
  })
})

interface KvRow {
  readonly config: JsonObject
  readonly tp: number
  readonly draft: number
  readonly layers: readonly KvLayers[]
}

/** Layers of one kind as vLLM 0.33.0 charges them on rank 0, before pages are padded. */
interface KvLayers {
  readonly kind: string
  readonly count: number
  readonly sliding_window?: number
  readonly chunk?: number
  readonly block_size: number
  readonly unpadded_page_bytes: number
  readonly dtype: string
}

const widthOf = (dtype: string): number => (dtype === 'float32' ? 4 : dtype === 'uint8' ? 1 : 2)

/** "full 1024 x12": the kind, bytes a token (attention) or a sequence (state), and how many layers. */
function charged(layers: KvLayers): string {
  const perToken = layers.unpadded_page_bytes / layers.block_size
  const names: Readonly<Record<string, string>> = {
    FullAttentionSpec: `full ${perToken}`,
    SlidingWindowSpec: `sliding-${layers.sliding_window} ${perToken}`,
    ChunkedLocalAttentionSpec: `chunked-${layers.chunk} ${perToken}`,
    MLAAttentionSpec: `mla ${perToken}`,
    MambaSpec: `state ${layers.unpadded_page_bytes}`,
  }
  return `${names[layers.kind] ?? layers.kind} x${layers.count}`
}

/** The same from our specs; state widths by vLLM's mamba_utils.py. */
function ours(spec: CacheSpec, row: KvRow): string {
  const { tp, draft } = row
  const dtypes = row.layers.find(l => l.kind === 'MambaSpec')?.dtype.match(/\w+/g) ?? []
  const [conv, state] = [widthOf(dtypes[0] ?? ''), widthOf(dtypes[1] ?? '')]
  const heads = (n: number) => Math.max(1, Math.floor(n / tp))
  const recurrent = (convWidth: number, kernel: number, recurrentWidth: number) =>
    `state ${(convWidth / tp) * (kernel - 1 + draft) * conv + (recurrentWidth / tp) * state}`
  switch (spec.kind) {
    case 'full':
      return `full ${heads(spec.kvHeads) * (spec.keyDim + spec.valueDim) * 2}`
    case 'sliding':
      return `sliding-${spec.window} ${heads(spec.kvHeads) * (spec.keyDim + spec.valueDim) * 2}`
    case 'chunked':
      return `chunked-${spec.chunk} ${heads(spec.kvHeads) * (spec.keyDim + spec.valueDim) * 2}`
    case 'mla':
      return `mla ${(spec.latent + spec.rope) * 2}`
    case 'indexer':
      return `mla ${spec.dim + 4}`
    case 'mamba1':
      return recurrent(spec.inner, spec.kernel, spec.inner * spec.state)
    case 'mamba2': {
      const groups = spec.groups % tp === 0 ? spec.groups : tp
      return recurrent(spec.inner + 2 * groups * spec.state, spec.kernel, spec.heads * spec.headDim * spec.state)
    }
    case 'gated-delta': {
      const keys = 2 * spec.keyHeads * spec.keyDim
      const values = spec.valueHeads * spec.valueDim
      return recurrent(keys + values, spec.kernel, values * spec.keyDim)
    }
    case 'kda':
      return recurrent(3 * spec.heads * spec.headDim, spec.kernel, spec.heads * spec.headDim ** 2)
    case 'short-conv':
      return recurrent(spec.width, spec.kernel, 0)
    default:
      return spec.kind
  }
}

function differs(row: KvRow): string | null {
  const s = shape(row.config)
  const counts = new Map<string, number>()
  for (const kind of s.layers.order)
    for (const spec of s.layers.kinds[kind]!.cache) {
      const key = ours(spec, row)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  const got = [...counts].map(([key, n]) => `${key} x${n}`).sort()
  const want = row.layers.map(charged).sort()
  return JSON.stringify(got) === JSON.stringify(want)
    ? null
    : `${row.config['model_type']} tp${row.tp}: ${got.join(', ')} for ${want.join(', ')}`
}

describe('what layers keep, as vLLM charges it', () => {
  const folder = join(dirname(fileURLToPath(import.meta.url)), '../fixtures')
  // the shortest rows a type of what vLLM 0.33.0's own model classes report, built without a GPU
  const sample = sharedRows<KvRow>(join(folder, 'kv-layers-sample.jsonl'))
  const plain = sample.filter(row => row.config['model_type'] !== 'deepseek_v4')

  test('the sample: kinds, widths and layer numbers', () => {
    expect(plain.length).toBeGreaterThanOrEqual(35)
    expect(new Set(plain.map(row => row.config['model_type'])).size).toBeGreaterThanOrEqual(25)
    expect(plain.map(differs).filter(text => text !== null)).toEqual([])
  })

  test('DeepSeek-V4: one compressed entry a layer, by ratio', () => {
    const rows = sample.filter(row => row.config['model_type'] === 'deepseek_v4')
    expect(rows.length).toBeGreaterThanOrEqual(1)
    for (const row of rows) {
      const s = shape(row.config)
      const ratios = s.layers.order.map(kind => {
        const spec = s.layers.kinds[kind]!.cache[0]!
        return spec.kind === 'compressed-mla' ? spec.ratio : -1
      })
      const layersOf = (dtype: string, window: number | undefined) =>
        row.layers.find(l => l.dtype === dtype && l.sliding_window === window)?.count
      expect(ratios.length).toBe(row.layers[0]!.count)
      expect(ratios.filter(r => r === 4).length).toBe(layersOf('float32', 8))
      expect(ratios.filter(r => r === 128).length).toBe(layersOf('float32', 128))
    }
  })

  test('Falcon-H1 keeps two caches a layer, Nemotron-H none on its feed-forward layers', () => {
    const falcon = shape({ model_type: 'falcon_h1' })
    expect(falcon.layers.kinds.map(kind => kind.cache.map(c => c.kind))).toEqual([['full', 'mamba2']])
    const nemotron = shape({ model_type: 'nemotron_h', hybrid_override_pattern: 'M-*E' })
    expect(nemotron.layers.kinds.map(kind => kind.cache.map(c => c.kind))).toEqual([['mamba2'], [], ['full'], []])
  })

  test('GLM-5.2 keeps index keys on the layers that run the indexer', () => {
    const s = shape({ model_type: 'glm_moe_dsa', num_hidden_layers: 6, index_topk_pattern: 'FSSFSS' })
    const entries = s.layers.order.map(kind => s.layers.kinds[kind]!.cache.length)
    expect(entries).toEqual([2, 1, 1, 2, 1, 1])
  })
})

interface OracleRow extends Omit<KvRow, 'tp' | 'draft'> {
  readonly engine: {
    readonly tensor_parallel_size: number
    readonly pipeline_parallel_size: number
    readonly kv_cache_dtype: string
    readonly speculative_config?: { readonly num_speculative_tokens: number }
  }
}

describeShared('every KV row of these types', 'data/kv-oracle.jsonl', path => {
  const folder = join(dirname(fileURLToPath(import.meta.url)), '../fixtures')
  const types = new Set(
    sharedRows<KvRow>(join(folder, 'kv-layers-sample.jsonl'))
      .map(row => row.config['model_type'])
      .filter(type => type !== 'deepseek_v4'),
  )
  const rows = sharedRows<OracleRow>(path)
    .filter(r => types.has(r.config['model_type']) && r.engine.pipeline_parallel_size === 1 && r.layers)
    .filter(r => r.engine.kv_cache_dtype === 'auto')
    .map(r => ({
      config: r.config,
      layers: r.layers,
      tp: r.engine.tensor_parallel_size,
      draft: r.engine.speculative_config?.num_speculative_tokens ?? 0,
    }))

  test('kinds, widths and layer numbers', () => {
    expect(rows.length).toBeGreaterThanOrEqual(150)
    expect(rows.map(differs).filter(text => text !== null)).toEqual([])
  })
})
