import { describe, expect, test } from '@jest/globals'
import { checkpointBytes } from '../../../src/models/checkpoint/checkpoint-bytes.ts'
import { storageOf } from '../../../src/models/checkpoint/storage.ts'
import type { JsonObject } from '../../../src/models/config.ts'
import { allWeights } from '../../../src/models/count.ts'
import { shapeOf } from '../../../src/models/families/index.ts'
import type { ModelShape } from '../../../src/models/shape.ts'

function shaped(config: JsonObject): ModelShape {
  const shape = shapeOf(config)
  if (!shape.ok) throw new Error(shape.problem.message)
  return shape.value
}

const bytesOf = (config: JsonObject): number | undefined => checkpointBytes(shaped(config), config)?.bytes

/** Bytes in memory of every weight whose name ends so, at TP 1. */
function memoryOf(config: JsonObject, ending: string, quantization: string | null = null): number {
  const shape = shaped(config)
  const storage = storageOf(shape, config, { dtype: 'bfloat16', quantization })
  if (!storage.ok) throw new Error(storage.problem.message)
  let bytes = 0
  for (const { weight, times } of allWeights(shape)) {
    if (!weight.name.endsWith(ending)) continue
    const part = { out: weight.out, in: weight.in, copies: weight.copies, bias: weight.bias ? weight.out : 0 }
    bytes += times * storage.value.bytes(weight, part, weight.name)
  }
  return bytes
}

const llama8b: JsonObject = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
  torch_dtype: 'bfloat16',
}
/** Weights of the linear layers, and what stays in 16 bits: embedding, head, 65 norms. */
const LINEAR = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
const REST = 2 * (2 * 128256 * 4096 + 65 * 4096)
const ROWS = 32 * (4096 + 2 * 1024 + 4096 + 2 * 14336 + 4096)
const MATRICES = 32 * 7

const qwen14b: JsonObject = {
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  hidden_size: 5120,
  intermediate_size: 17408,
  num_hidden_layers: 40,
  num_attention_heads: 40,
  num_key_value_heads: 8,
  head_dim: 128,
  vocab_size: 151936,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
}

const gptOss = (layers: number, experts: number): JsonObject => ({
  architectures: ['GptOssForCausalLM'],
  model_type: 'gpt_oss',
  hidden_size: 2880,
  intermediate_size: 2880,
  num_hidden_layers: layers,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  head_dim: 64,
  num_local_experts: experts,
  num_experts_per_tok: 4,
  vocab_size: 201088,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  quantization_config: {
    quant_method: 'mxfp4',
    modules_to_not_convert: ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head'],
  },
})

/** DeepSeek-V4-Flash; Pro is wider and compresses its first two layers too. */
const deepseekV4: JsonObject = {
  architectures: ['DeepseekV4ForCausalLM'],
  model_type: 'deepseek_v4',
  expert_dtype: 'fp4',
  num_hash_layers: 3,
  torch_dtype: 'bfloat16',
  compress_ratios: [0, 0, ...Array.from({ length: 41 }, (_, i) => (i % 2 ? 128 : 4)), 0],
  quantization_config: { quant_method: 'fp8', scale_fmt: 'ue8m0', weight_block_size: [128, 128] },
}
const deepseekV4Pro: JsonObject = {
  ...deepseekV4,
  hidden_size: 7168,
  moe_intermediate_size: 3072,
  n_routed_experts: 384,
  num_attention_heads: 128,
  num_hidden_layers: 61,
  o_groups: 16,
  q_lora_rank: 1536,
  compress_ratios: [128, 128, ...Array.from({ length: 59 }, (_, i) => (i % 2 ? 128 : 4)), 0],
}

/** What the config of DeepSeek-V4-Flash-0731 says of its draft; headers of its files hold mtp.0 to mtp.2. */
const DSPARK: JsonObject = { dspark_markov_rank: 256, dspark_target_layer_ids: [40, 41, 42] }

const group = (weights: object, more: object = {}) => ({ group_0: { targets: ['Linear'], weights, ...more } })

/** Bytes of the whole checkpoint of an 8B Llama under each declaration, counted by hand. */
const declarations: readonly (readonly [string, JsonObject, number])[] = [
  ['none', {}, 2 * LINEAR + REST],
  ['fp8 block', { quant_method: 'fp8', weight_block_size: [128, 128] }, LINEAR + 4 * (LINEAR / 128 ** 2) + REST],
  ['fp8 tensor, static', { quant_method: 'fp8', activation_scheme: 'static' }, LINEAR + 8 * MATRICES + REST],
  [
    'compressed-tensors fp8 dynamic',
    {
      quant_method: 'compressed-tensors',
      format: 'float-quantized',
      config_groups: group(
        { num_bits: 8, type: 'float', strategy: 'channel' },
        { input_activations: { dynamic: true } },
      ),
      ignore: ['lm_head'],
    },
    LINEAR + 2 * ROWS + REST,
  ],
  [
    'compressed-tensors w4a16',
    {
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      config_groups: group({ num_bits: 4, type: 'int', strategy: 'group', group_size: 128, symmetric: true }),
      ignore: ['lm_head'],
    },
    LINEAR / 2 + (2 * LINEAR) / 128 + 16 * MATRICES + REST,
  ],
  [
    'compressed-tensors nvfp4',
    {
      quant_method: 'compressed-tensors',
      format: 'nvfp4-pack-quantized',
      config_groups: group({ num_bits: 4, type: 'float', group_size: 16 }, { input_activations: { dynamic: 'local' } }),
      ignore: ['lm_head'],
    },
    LINEAR / 2 + LINEAR / 16 + 8 * MATRICES + REST,
  ],
  ['modelopt nvfp4', { quant_method: 'modelopt', quant_algo: 'NVFP4' }, LINEAR / 2 + LINEAR / 16 + 8 * MATRICES + REST],
  ['modelopt fp8', { quant_algo: 'FP8', exclude_modules: ['lm_head'] }, LINEAR + 8 * MATRICES + REST],
  [
    'hf_quant_config',
    {
      producer: { name: 'modelopt' },
      quantization: { quant_algo: 'FP8', exclude_modules: ['lm_head', 'model.layers.0*'] },
    },
    LINEAR + LINEAR / 32 + 8 * 31 * 7 + REST,
  ],
  [
    'awq',
    { quant_method: 'awq', bits: 4, group_size: 128, zero_point: true },
    LINEAR / 2 + (2 * LINEAR) / 128 + LINEAR / 256 + REST,
  ],
  [
    'gptq',
    { quant_method: 'gptq', bits: 4, group_size: 128 },
    LINEAR / 2 + (2 * LINEAR) / 128 + LINEAR / 256 + 4 * 32 * (6 * 4096 + 14336) + REST,
  ],
  [
    'bitsandbytes nf4',
    { quant_method: 'bitsandbytes', load_in_4bit: true },
    LINEAR / 2 + (4 * LINEAR) / 64 + 146 * MATRICES + REST,
  ],
  ['bitsandbytes int8', { quant_method: 'bitsandbytes', load_in_8bit: true }, LINEAR + 4 * ROWS + REST],
  [
    'hqq',
    { quant_method: 'hqq', quant_config: { weight_quant_params: { nbits: 4, group_size: 64 } } },
    LINEAR / 2 + (4 * LINEAR) / 64 + REST,
  ],
  ['torchao int4', { quant_method: 'torchao', quant_type: 'int4_weight_only' }, LINEAR / 2 + (4 * LINEAR) / 128 + REST],
  [
    'quark fp8',
    {
      quant_method: 'quark',
      global_quant_config: { weight: { dtype: 'fp8_e4m3', qscheme: 'per_tensor' } },
      exclude: ['lm_head'],
    },
    LINEAR + 8 * MATRICES + REST,
  ],
  ['fbgemm', { quant_method: 'fbgemm_fp8' }, LINEAR + 2 * ROWS + REST],
]

describe('bytes of a checkpoint by its declaration', () => {
  test.each(declarations)('%s', (_name, quantization_config, bytes) => {
    expect(bytesOf({ ...llama8b, quantization_config })).toBe(bytes)
  })

  test('published sums: gpt-oss in MXFP4 and Qwen3-14B in MLX', () => {
    // 57,330,892,800 packed + 3,583,180,800 scales + 2 x 2,167,371,072; and the 20B likewise (header sums of the files).
    expect(bytesOf(gptOss(36, 128))).toBe(65_248_815_744)
    expect(bytesOf(gptOss(24, 32))).toBe(13_761_264_768)
    expect(bytesOf({ ...qwen14b, quantization: { bits: 4, group_size: 64 } })).toBe(8_307_783_680)
  })

  test('published sums: DeepSeek-V4 with the draft of each, MiniMax-M2 with its routers in float32', () => {
    // metadata.total_size of the indices; for MiniMax-M2 the sum over its headers.
    expect(bytesOf(deepseekV4)).toBe(159_609_485_896)
    expect(bytesOf(deepseekV4Pro)).toBe(864_704_792_696)
    expect(bytesOf({ ...deepseekV4, ...DSPARK })).toBe(166_878_536_440)
    expect(bytesOf({ ...deepseekV4, ...DSPARK, n_routed_experts: 160 })).toBe(107_803_320_952)
    const { expert_dtype: _, ...silent } = deepseekV4
    expect(bytesOf(silent)).toBe(159_609_485_896)
    const quantization_config = {
      quant_method: 'fp8',
      weight_block_size: [128, 128],
      modules_to_not_convert: ['gate', 'e_score_correction_bias', 'lm_head'],
    }
    expect(bytesOf({ model_type: 'minimax_m2', torch_dtype: 'bfloat16', quantization_config })).toBe(230_121_630_720)
  })

  test('a tied head is counted once, but twice in the files of Falcon; memory holds it once', () => {
    const falcon: JsonObject = { architectures: ['FalconForCausalLM'], model_type: 'falcon', torch_dtype: 'bfloat16' }
    expect(bytesOf(falcon)).toBe(2 * 7_217_189_760)
    expect(bytesOf({ ...falcon, tie_word_embeddings: false })).toBe(2 * 7_217_189_760)
    expect(memoryOf(falcon, '')).toBe(2 * 6_921_720_704)
    expect(bytesOf({ ...qwen14b, tie_word_embeddings: true })).toBe(bytesOf(qwen14b)! - 2 * 151936 * 5120)
  })

  test('a declaration in the text model does not reach the tower', () => {
    const quantization_config = { quant_method: 'fp8', weight_block_size: [128, 128] }
    const nested = { ...llama8b, quantization_config }
    const vision = {
      hidden_size: 1024,
      num_hidden_layers: 2,
      num_attention_heads: 16,
      intermediate_size: 4096,
      image_size: 336,
      patch_size: 14,
    }
    const config = (declared: JsonObject): JsonObject => ({
      architectures: ['LlavaForConditionalGeneration'],
      model_type: 'llava',
      vision_config: { model_type: 'clip_vision_model', ...vision },
      ...declared,
    })
    const inside = bytesOf(config({ text_config: nested, torch_dtype: 'bfloat16' }))!
    const outside = bytesOf(config({ text_config: llama8b, quantization_config, torch_dtype: 'bfloat16' }))!
    const skipped = bytesOf(
      config({
        text_config: llama8b,
        quantization_config: {
          ...quantization_config,
          modules_to_not_convert: ['vision_tower', 'multi_modal_projector'],
        },
        torch_dtype: 'bfloat16',
      }),
    )
    expect(outside).toBeLessThan(inside)
    expect(skipped).toBe(inside)
  })

  test('in memory: doubled maxima of bitsandbytes are unpacked, row scales are float32, experts alone can be int8', () => {
    const q = 4096 * 4096
    const nf4 = {
      ...llama8b,
      quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_use_double_quant: true },
    }
    expect(memoryOf(nf4, 'q_proj')).toBe(32 * (q / 2 + (4 * q) / 64))
    expect(memoryOf(llama8b, 'q_proj', 'ptpc_fp8')).toBe(32 * (q + 4 * 4096))
    expect(memoryOf(llama8b, 'q_proj', 'fp8')).toBe(32 * (q + 4))
    expect(memoryOf(llama8b, 'lm_head', 'fp8')).toBe(2 * 128256 * 4096)
    expect(memoryOf(gptOss(24, 32), 'q_proj', 'fp8')).toBe(24 * 2 * (2880 * 4096 + 4096))
  })

  test('modules with a layout of their own: mixed precision, GPTQ dynamic, auto-round, MLX, Quark', () => {
    const up = 4096 * 14336
    const bytes = (quantization_config: JsonObject, ending: string): number =>
      memoryOf({ ...llama8b, quantization_config }, ending)
    const mixed = {
      quant_method: 'modelopt',
      quant_algo: 'MIXED_PRECISION',
      quantized_layers: {
        'model.layers.*.mlp.up_proj': { quant_algo: 'NVFP4', group_size: 16 },
        'model.layers.0.self_attn.q_proj': { quant_algo: 'FP8' },
        lm_head: { quant_algo: 'FP8' },
      },
    }
    expect(bytes(mixed, 'up_proj')).toBe(32 * ((up * 9) / 16 + 8))
    expect(bytes(mixed, 'q_proj')).toBe(31 * 2 * 4096 ** 2 + 4096 ** 2 + 8)
    expect(bytes(mixed, 'down_proj')).toBe(32 * 2 * up)
    expect(bytes(mixed, 'lm_head')).toBe(128256 * 4096 + 8)
    const gptq4 = (o: number, i: number): number => (o * i) / 2 + (i / 128) * (2 * o + o / 2) + 4 * i
    const dynamic = {
      quant_method: 'gptq',
      bits: 4,
      group_size: 128,
      dynamic: { '-:.*attn.*': {}, '.*up_proj.*': { bits: 8 }, lm_head: {} },
    }
    expect(bytes(dynamic, 'lm_head')).toBe(2 * 128256 * 4096)
    expect(bytes(dynamic, 'q_proj')).toBe(32 * 2 * 4096 ** 2)
    expect(bytes(dynamic, 'down_proj')).toBe(32 * gptq4(4096, 14336))
    expect(bytes(dynamic, 'up_proj')).toBe(32 * (up + 32 * (2 * 14336 + 14336) + 4 * 4096))
    const rounded = {
      quant_method: 'auto-round',
      bits: 4,
      group_size: 128,
      extra_config: { 'model.layers.3.mlp.up_proj': { bits: 16 } },
    }
    expect(bytes(rounded, 'up_proj')).toBe(31 * gptq4(14336, 4096) + 2 * up)
    const mlx: JsonObject = {
      ...llama8b,
      quantization: { bits: 4, group_size: 64, 'model.embed_tokens': { bits: 8 }, lm_head: false },
    }
    expect(memoryOf(mlx, 'embed_tokens')).toBe(128256 * (4096 + 256))
    expect(memoryOf(mlx, 'lm_head')).toBe(128256 * 4096 * 2)
    const quark = {
      quant_method: 'quark',
      global_quant_config: { weight: { dtype: 'fp4', group_size: 32 } },
      layer_quant_config: { '*down_proj': { weight: { dtype: 'fp8_e4m3' } } },
      exclude: ['re:.*self_attn.*', 'lm_head'],
    }
    expect(bytes(quark, 'up_proj')).toBe(32 * ((up * 17) / 32))
    expect(bytes(quark, 'down_proj')).toBe(32 * (up + 8))
    expect(bytes(quark, 'q_proj')).toBe(32 * 2 * 4096 ** 2)
  })

  test('a map of thousands of modules stays quick', () => {
    const quantized_layers: Record<string, JsonObject> = {}
    for (let layer = 0; layer < 32; layer++)
      for (let i = 0; i < 300; i++)
        quantized_layers[`model.layers.${layer}.mlp.experts.${i}.up_proj`] = { quant_algo: 'NVFP4' }
    const config = { ...llama8b, quantization_config: { quant_algo: 'MIXED_PRECISION', quantized_layers } }
    const before = performance.now()
    expect(bytesOf(config)).toBe(2 * LINEAR + REST)
    expect(performance.now() - before).toBeLessThan(500)
  })

  test('the KV dtype that the checkpoint brings', () => {
    const kv = (quantization_config: JsonObject): string | null => {
      const config = { ...llama8b, quantization_config }
      const storage = storageOf(shaped(config), config, { dtype: 'bfloat16', quantization: null })
      return storage.ok ? storage.value.kvCacheDtype : 'problem'
    }
    expect(kv({ quant_method: 'modelopt', quant_algo: 'FP8', kv_cache_quant_algo: 'FP8' })).toBe('fp8')
    expect(kv({ quant_method: 'modelopt', quant_algo: 'NVFP4', kv_cache_scheme: { num_bits: 8, type: 'float' } })).toBe(
      'fp8',
    )
    expect(kv({ quant_method: 'fp8' })).toBeNull()
  })

  test('what cannot be read is a problem, never a number', () => {
    const problems = [
      { quant_method: 'unheard-of' },
      { quant_method: 'awq', bits: '4' },
      { quant_method: 'gptq', bits: 4, group_size: 0 },
      { quant_method: 'fp8', weight_block_size: [0, 128] },
      { quant_method: 'fp8', modules_to_not_convert: 'lm_head' },
      { quant_method: 'compressed-tensors', config_groups: {} },
      { quant_method: 'modelopt', quant_algo: 'FP3' },
      { quant_method: 'compressed-tensors', format: 'int-quantized', ignore: ['re:(a+)+$'] },
      { quant_method: '__proto__' },
    ]
    for (const quantization_config of problems) {
      const config = { ...llama8b, quantization_config }
      const storage = storageOf(shaped(config), config, { dtype: 'bfloat16', quantization: null })
      expect([quantization_config, storage.ok]).toEqual([quantization_config, false])
    }
    for (const quantization of ['awq', 'gptq_marlin', 'nonsense']) {
      const storage = storageOf(shaped(llama8b), llama8b, { dtype: 'bfloat16', quantization })
      expect(storage.ok ? 'accepted' : storage.problem.code).toBe('setting-invalid')
    }
  })
})
