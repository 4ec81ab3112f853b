import { describe, expect, test } from '@jest/globals'
import { sglang } from '../../../src/engines/sglang/index.ts'
import { engineInput, type Given } from '../../helpers/engine-input.ts'

/** DeepSeek-V4 in small: 2 layers, 8 experts of 3 x 256 x 512. */
const v4 = {
  architectures: ['DeepseekV4ForCausalLM'],
  model_type: 'deepseek_v4',
  expert_dtype: 'fp4',
  compress_ratios: [128, 4],
  hc_mult: 4,
  head_dim: 128,
  hidden_size: 512,
  index_head_dim: 128,
  index_n_heads: 8,
  index_topk: 64,
  max_position_embeddings: 65536,
  moe_intermediate_size: 256,
  n_routed_experts: 8,
  n_shared_experts: 1,
  num_attention_heads: 8,
  num_experts_per_tok: 2,
  num_hash_layers: 1,
  num_hidden_layers: 2,
  num_key_value_heads: 1,
  num_nextn_predict_layers: 0,
  o_groups: 2,
  o_lora_rank: 128,
  q_lora_rank: 128,
  qk_rope_head_dim: 64,
  sliding_window: 128,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  vocab_size: 4096,
  quantization_config: {
    quant_method: 'fp8',
    fmt: 'e4m3',
    activation_scheme: 'dynamic',
    weight_block_size: [128, 128],
  },
}
const experts = 2 * 8 * 3 * 256 * 512
const groupedOutput = 2 * (2 * 128) * 512

const weights = (given: Given): number =>
  sglang
    .estimate(engineInput({ config: v4, version: '0.5.16', ...given }))
    .estimate.perGpu.parts.find(part => part.name === 'weights')!.bytes.expected

describe('FP4 experts beside fp8 (DeepSeek-V4)', () => {
  const stored = weights({ gpu: 'NVIDIA B200' })
  const hopper = weights({ gpu: 'NVIDIA H200 141GB' })
  const scales = (experts / 32) * 4

  test('Hopper holds o_a_proj in bf16', () => {
    // one byte a weight more, less the scales of its 128 x 128 blocks
    expect(hopper - stored).toBe(groupedOutput - groupedOutput / (128 * 128))
  })

  test.each([
    ['0.5.15', 'NVIDIA H200 141GB', 'marlin', hopper + scales],
    ['0.5.12', 'NVIDIA H200 141GB', undefined, hopper + scales],
    ['0.5.16', 'NVIDIA H200 141GB', 'marlin', hopper],
    ['0.5.15', 'NVIDIA H200 141GB', 'flashinfer_mxfp4', hopper],
    ['0.5.15', 'NVIDIA RTX PRO 6000 Blackwell', 'marlin', stored + scales],
    ['0.5.15', 'NVIDIA B200', 'marlin', stored],
  ])('release %s on %s with runner %s', (version, gpu, runner, bytes) => {
    expect(weights({ version, gpu, options: runner === undefined ? {} : { 'moe-runner-backend': runner } })).toBe(bytes)
  })

  test('other checkpoints lie as they are stored', () => {
    const plain = { ...v4, expert_dtype: 'fp8' }
    expect(weights({ config: plain, version: '0.5.15' })).toBe(weights({ config: plain, version: '0.5.16' }))
  })
})

test('behind an all-to-all every rank holds the shared experts whole', () => {
  const shared = 2 * 3 * 256 * 512
  const more = (options: NonNullable<Given['options']>) => {
    const given = { gpu: 'NVIDIA B200', settings: { tensorParallel: 2 } }
    return weights({ ...given, options }) - weights(given)
  }
  const scaleBlocks = (bytes: number): number => bytes / (128 * 128)
  expect(more({ 'moe-a2a-backend': 'deepep' })).toBe((shared + scaleBlocks(shared)) / 2)
  expect(more({ 'enable-deepep-moe': true })).toBe((shared + scaleBlocks(shared)) / 2)
  expect(more({ 'moe-a2a-backend': 'none' })).toBe(0)
})
