import type { Option, Setting, Settings } from '../../src/deployments/deployment.ts'
import type { EngineInput } from '../../src/engines/engine.ts'
import { gpuNamed } from '../../src/hardware/gpus.ts'
import type { JsonObject } from '../../src/models/config.ts'
import { type ModelFacts, unknownCheckpoint } from '../../src/models/facts.ts'
import { shapeOf } from '../../src/models/families/index.ts'

/** Configs of public models, trimmed to what memory depends on. */
export const configs = {
  llama8b: {
    model_type: 'llama',
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 128256,
    max_position_embeddings: 131072,
    rope_scaling: { rope_type: 'llama3', factor: 8, original_max_position_embeddings: 8192 },
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
  },
  qwen32b: {
    model_type: 'qwen3',
    hidden_size: 5120,
    intermediate_size: 25600,
    num_hidden_layers: 64,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    vocab_size: 151936,
    max_position_embeddings: 40960,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
  },
  gemma2: {
    model_type: 'gemma2',
    hidden_size: 3584,
    intermediate_size: 14336,
    num_hidden_layers: 42,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 256,
    vocab_size: 256000,
    sliding_window: 4096,
    max_position_embeddings: 8192,
    torch_dtype: 'bfloat16',
  },
  bert: {
    model_type: 'bert',
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    vocab_size: 30522,
    max_position_embeddings: 512,
    type_vocab_size: 2,
  },
  qwen3Next: {
    model_type: 'qwen3_next',
    hidden_size: 2048,
    intermediate_size: 5120,
    num_hidden_layers: 48,
    num_attention_heads: 16,
    num_key_value_heads: 2,
    head_dim: 256,
    vocab_size: 151936,
    tie_word_embeddings: false,
    num_experts: 512,
    num_experts_per_tok: 10,
    moe_intermediate_size: 512,
    shared_expert_intermediate_size: 512,
    decoder_sparse_step: 1,
    full_attention_interval: 4,
    linear_conv_kernel_dim: 4,
    linear_key_head_dim: 128,
    linear_num_key_heads: 16,
    linear_num_value_heads: 32,
    linear_value_head_dim: 128,
    mlp_only_layers: [],
    max_position_embeddings: 262144,
    torch_dtype: 'bfloat16',
  },
} as const satisfies Record<string, JsonObject>

/** Facts of a model of which only the config is known. */
export const factsOf = (config: JsonObject): ModelFacts => ({
  id: 'acme/model',
  revision: null,
  source: 'local',
  asOf: null,
  config,
  checkpoint: unknownCheckpoint,
})

export interface Given extends Partial<Omit<EngineInput, 'settings' | 'options' | 'gpu' | 'shape' | 'facts'>> {
  readonly config?: JsonObject
  readonly settings?: Readonly<Record<string, unknown>>
  readonly options?: Readonly<Record<string, string | boolean>>
  /** Name of a card of the catalogue; null: none known. */
  readonly gpu?: string | null
}

/** An engine's input: Llama 8B on one H100 unless said. Throws for a config without a shape: a mistake of the test. */
export function engineInput(given: Given = {}): EngineInput {
  const { config = configs.llama8b, settings = {}, options = {}, gpu = 'NVIDIA H100 80GB', ...rest } = given
  const shape = shapeOf(config)
  if (!shape.ok) throw new Error(shape.problem.message)
  const at = { file: 'a.yaml', line: 3, column: 5 }
  return {
    shape: shape.value,
    facts: factsOf(config),
    settings: Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [
        name,
        { value, from: 'file', file: at.file, line: at.line } satisfies Setting,
      ]),
    ) as Settings,
    options: Object.fromEntries(
      Object.entries(options).map(([name, value]) => [
        name,
        { value, at, text: `--${name} ${value}` } satisfies Option,
      ]),
    ),
    environment: {},
    version: null,
    gpu: gpu === null ? null : gpuNamed(gpu),
    gpusPerReplica: null,
    concurrency: 1,
    draft: null,
    ...rest,
  }
}
