import { describe, expect, test } from '@jest/globals'
import type { EngineAnswer } from '../../../src/engines/engine.ts'
import { vllm } from '../../../src/engines/vllm/index.ts'
import { configs, engineInput, type Given } from '../../helpers/engine-input.ts'

const ask = (given: Given): EngineAnswer => vllm.estimate(engineInput(given))
const codes = (answer: EngineAnswer, severity?: string): string[] =>
  answer.findings.filter(one => severity === undefined || one.severity === severity).map(one => one.code)

describe('defaults by release and card', () => {
  const rows: [string, string | null, string, Record<string, unknown>][] = [
    ['0.11.0', 'NVIDIA H100 80GB', 'before 0.20', { memoryFraction: 0.9, maxNumSeqs: 1024, maxNumBatchedTokens: 8192 }],
    ['v0.20.2', 'NVIDIA H100 80GB', 'from 0.20', { memoryFraction: 0.92, maxNumSeqs: 1024, maxNumBatchedTokens: 8192 }],
    ['0.33.0', 'NVIDIA A100 80GB', 'A100 aside', { memoryFraction: 0.92, maxNumSeqs: 256, maxNumBatchedTokens: 2048 }],
    ['0.33.0', 'NVIDIA L4', 'small', { maxNumSeqs: 256, maxNumBatchedTokens: 2048 }],
    ['0.33.0', 'NVIDIA B200', 'huge', { maxNumSeqs: 1024, maxNumBatchedTokens: 16384 }],
    ['0.24.0', 'NVIDIA B200', 'huge, before its tier', { maxNumSeqs: 1024, maxNumBatchedTokens: 8192 }],
    ['0.33.0', 'NVIDIA A800 80GB', 'no A100 by name', { maxNumSeqs: 1024, maxNumBatchedTokens: 8192 }],
    ['0.9.2', 'NVIDIA A100 80GB', 'A100 aside', { maxNumSeqs: 256, maxNumBatchedTokens: 2048 }],
    ['0.8.5', 'NVIDIA A100 80GB', 'before A100 was set aside', { maxNumSeqs: 1024, maxNumBatchedTokens: 8192 }],
    ['0.7.3', 'NVIDIA A100 40GB', 'V0', { memoryFraction: 0.9, maxNumSeqs: 256 }],
    ['0.33.0', null, 'no card', { maxNumSeqs: 256, maxNumBatchedTokens: 2048 }],
  ]
  test.each(rows)('%s on %s: %s', (version, gpu, _why, expected) => {
    const { settings } = ask({ version, gpu })
    for (const [name, value] of Object.entries(expected)) {
      expect(settings[name as 'maxNumSeqs']).toMatchObject({ value, from: 'engine-default' })
      expect(settings[name as 'maxNumSeqs']?.note).toBeTruthy()
    }
  })

  test("the length is the model's, stretched by yarn and not by llama3 scaling", () => {
    const yarn = {
      ...configs.qwen32b,
      rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32768 },
    }
    expect(ask({}).settings.maxModelLen).toMatchObject({ value: 131072, from: 'model-config' })
    expect(ask({ config: yarn }).settings.maxModelLen).toMatchObject({ value: 131072 })
    expect(
      ask({ config: { ...yarn, rope_scaling: { type: 'yarn', factor: 'x' } } }).settings.maxModelLen,
    ).toMatchObject({ value: 40960 })
  })

  test.each(['0.14.1', '0.33.0'])('auto becomes the longest that fits for certain (%s)', version => {
    const solved = ask({ config: configs.qwen32b, settings: { maxModelLen: 'auto' }, version })
    const length = Number(solved.settings.maxModelLen?.effective)
    const { kvCache, perGpu } = solved.estimate
    expect(codes(solved)).toEqual([])
    expect(kvCache?.fitsOneRequest).toBe(true)
    expect(perGpu.totalBytes.high).toBeLessThanOrEqual(perGpu.budgetBytes!)
    const with16 = (tokens: number) =>
      ask({ config: configs.qwen32b, settings: { maxModelLen: tokens + 16 }, version }).estimate
    expect(with16(length).perGpu.totalBytes.high).toBeGreaterThan(perGpu.budgetBytes!)
    // and what is expected to fit is more
    expect(kvCache?.maxModelLenThatFits).toBeGreaterThan(length)
    expect(with16(kvCache?.maxModelLenThatFits ?? 0).kvCache?.fitsOneRequest).toBe(false)
  })

  test('auto in a pool of given bytes takes the pool', () => {
    const { settings, estimate } = ask({
      settings: { maxModelLen: 'auto', kvCacheMemoryBytes: 2 ** 30 },
      version: '0.33.0',
    })
    expect(settings.maxModelLen?.effective).toBe(estimate.kvCache?.maxModelLenThatFits)
  })

  test('the dtype is 16 bits: bfloat16 where the card has it', () => {
    expect(ask({ gpu: 'NVIDIA T4' }).settings.dtype).toMatchObject({ value: 'float16' })
    expect(ask({ settings: { dtype: 'auto' } }).settings.dtype).toMatchObject({ value: 'auto', effective: 'bfloat16' })
    expect(ask({ settings: { dtype: 'half' } }).settings.dtype).toMatchObject({ value: 'half', effective: 'float16' })
  })

  test('an unknown version takes the newest rules, and says when older ones answer differently', () => {
    const given = { config: configs.qwen32b, settings: { maxModelLen: 16000 } }
    expect(ask(given).estimate.assumptions.join()).toMatch(/version unknown: the rules of 0\.33/)
    const differing = { config: configs.qwen32b, settings: { maxModelLen: 24000 } }
    expect(ask(differing).estimate.assumptions.join()).toMatch(/depends on the version.*0\.11\.0 it would lack/)
  })

  test.each([
    ['nightly', 1],
    ['0.99.9', 1],
    ['v1.2.0', 1],
    ['0.0.1', 1],
    ['0.33.5', 0],
    ['0.11.0', 0],
  ])('a version that is not known is said: %s', (version, times) => {
    const answer = ask({ version, settings: { maxModelLen: 8192 } })
    expect(codes(answer, 'warning').filter(code => code === 'version-unknown')).toHaveLength(times)
    if (times) expect(answer.settings.memoryFraction?.value).toBe(0.92)
  })
})

describe('what vLLM refuses, wastes or ignores', () => {
  const fp8 = { ...configs.qwen3Next, quantization_config: { quant_method: 'fp8', weight_block_size: [128, 128] } }
  const lora = { options: { 'enable-lora': true } }
  const dcp = (tensorParallel: number, ranks: number): Given => ({
    settings: { tensorParallel },
    options: { 'decode-context-parallel-size': String(ranks) },
  })
  const rows: [string, Given, string, string][] = [
    ['heads over ranks', { settings: { tensorParallel: 3 } }, 'heads-not-divisible', 'error'],
    [
      'KV heads over ranks',
      {
        config: { ...configs.llama8b, num_key_value_heads: 6, num_attention_heads: 24, head_dim: 128 },
        settings: { tensorParallel: 4 },
      },
      'kv-heads-not-divisible',
      'error',
    ],
    [
      'heads over KV heads',
      { config: { ...configs.llama8b, num_key_value_heads: 7, num_attention_heads: 30, head_dim: 128 } },
      'heads-not-divisible',
      'error',
    ],
    ['KV heads kept twice', { settings: { tensorParallel: 16 } }, 'kv-replication', 'notice'],
    ["context above the model's", { settings: { maxModelLen: 200000 } }, 'context-above-model', 'error'],
    [
      'the same, allowed',
      { settings: { maxModelLen: 200000 }, environment: { VLLM_ALLOW_LONG_MAX_MODEL_LEN: '1' } },
      'context-above-model',
      'warning',
    ],
    ['fraction above 1', { settings: { memoryFraction: 1.2 } }, 'fraction-out-of-range', 'error'],
    ['fraction 0', { settings: { memoryFraction: 0 } }, 'fraction-out-of-range', 'error'],
    [
      'fewer GPUs than used',
      { settings: { tensorParallel: 2 }, gpusPerReplica: 1 },
      'gpus-unequal-parallelism',
      'error',
    ],
    ['more GPUs than used', { gpusPerReplica: 8 }, 'gpus-unequal-parallelism', 'warning'],
    ['nvfp4 cache on Hopper', { settings: { kvCacheDtype: 'nvfp4' } }, 'kv-dtype-unsupported', 'error'],
    ['fp8 cache on Turing', { gpu: 'NVIDIA T4', settings: { kvCacheDtype: 'fp8' } }, 'kv-dtype-unsupported', 'error'],
    ['latent format for plain heads', { settings: { kvCacheDtype: 'fp8_ds_mla' } }, 'kv-dtype-unsupported', 'error'],
    ['unknown cache dtype', { settings: { kvCacheDtype: 'fp3' } }, 'kv-dtype-unsupported', 'error'],
    [
      'fp8 weights on Turing before 0.14',
      { gpu: 'NVIDIA T4', config: fp8, version: '0.13.0' },
      'quantization-unsupported',
      'error',
    ],
    [
      'fp8 weights on Volta',
      { gpu: 'NVIDIA V100 32GB', config: fp8, version: '0.14.1' },
      'quantization-unsupported',
      'error',
    ],
    ['bfloat16 on Turing', { gpu: 'NVIDIA T4', settings: { dtype: 'bfloat16' } }, 'dtype-unsupported', 'error'],
    [
      'fp8 blocks over ranks',
      { config: fp8, settings: { tensorParallel: 8 } },
      'quantization-block-not-divisible',
      'error',
    ],
    [
      'width over ranks',
      { config: { ...configs.llama8b, intermediate_size: 14334 }, settings: { tensorParallel: 4 } },
      'width-not-divisible',
      'error',
    ],
    ['more stages than layers', { settings: { pipelineParallel: 40 } }, 'stages-above-layers', 'error'],
    [
      'fraction beside a given pool',
      { settings: { memoryFraction: 0.8, kvCacheMemoryBytes: 2 ** 30 } },
      'no-effect',
      'notice',
    ],
    ['LoRA rank without LoRA', { settings: { maxLoraRank: 64 } }, 'no-effect', 'notice'],
    ['a LoRA rank that is none', { ...lora, settings: { maxLoraRank: 48 } }, 'setting-invalid', 'error'],
    ['auto before 0.14', { settings: { maxModelLen: 'auto' }, version: '0.13.0' }, 'setting-invalid', 'error'],
    ['more context ranks than copies of a head', dcp(16, 4), 'ranks-not-divisible', 'error'],
    ['context ranks without copies of a head', dcp(8, 8), 'ranks-not-divisible', 'error'],
    ['context ranks beside the tensor ranks', dcp(16, 3), 'ranks-not-divisible', 'error'],
    [
      'prediction layers of a model without',
      { options: { 'speculative-config': '{"method":"mtp","num_speculative_tokens":1}' } },
      'draft-unknown',
      'warning',
    ],
    ['malformed option', { options: { 'num-gpu-blocks-override': 'many' } }, 'setting-invalid', 'error'],
    ['speculation that is no JSON', { options: { 'speculative-config': '{method' } }, 'setting-invalid', 'error'],
  ]
  test.each(rows)('%s', (_name, given, code, severity) => {
    const found = ask(given).findings.filter(one => one.code === code && one.severity === severity)
    expect(found.map(one => one.message)).toHaveLength(1)
  })

  test('nothing is said about a plain deployment', () => {
    expect(codes(ask({ gpusPerReplica: 1, version: '0.11.0', settings: { maxModelLen: 8192 } }))).toEqual([])
    expect(codes(ask({ config: fp8, settings: { tensorParallel: 4, expertParallel: true } }), 'error')).toEqual([])
    expect(codes(ask({ gpu: 'NVIDIA T4', config: fp8, version: '0.14.1' }), 'error')).toEqual([])
    expect(codes(ask({ ...lora, settings: { maxLoraRank: 64 } }), 'error')).toEqual([])
    expect(codes(ask(dcp(16, 2)), 'error')).toEqual([])
  })

  test('a finding stands where the setting stands', () => {
    expect(ask({ settings: { maxModelLen: 200000 } }).findings[0]).toMatchObject({ file: 'a.yaml', line: 3 })
  })
})
