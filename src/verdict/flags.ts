import type { EngineName, SettingName } from '../deployments/deployment.ts'
import { GiB } from '../units/bytes.ts'

type Spelling = Partial<Record<SettingName, string>>

/** How each engine spells a setting; a text that ends in ` ` or `=` is followed by the value. */
const VLLM: Spelling = {
  maxModelLen: '--max-model-len ',
  memoryFraction: '--gpu-memory-utilization ',
  maxNumSeqs: '--max-num-seqs ',
  maxNumBatchedTokens: '--max-num-batched-tokens ',
  tensorParallel: '--tensor-parallel-size ',
  pipelineParallel: '--pipeline-parallel-size ',
  expertParallel: '--enable-expert-parallel',
  kvCacheDtype: '--kv-cache-dtype ',
  quantization: '--quantization ',
  enforceEager: '--enforce-eager',
  cpuOffloadBytes: '--cpu-offload-gb ',
  kvCacheMemoryBytes: '--kv-cache-memory-bytes ',
}

/** vLLM's settings inside another file: under a prefix, with another dash. */
function inside(prefix: string, dash: string): Spelling {
  const {
    expertParallel: _experts,
    enforceEager: _eager,
    cpuOffloadBytes: _offload,
    kvCacheMemoryBytes: _pool,
    ...kept
  } = VLLM
  return Object.fromEntries(
    Object.entries(kept).map(([setting, flag]) => [
      setting,
      `${prefix}${flag.slice(2).trim().replaceAll('-', dash)}: `,
    ]),
  )
}

const SPELLINGS: Partial<Record<EngineName, Spelling>> = {
  vllm: VLLM,
  'kserve-hf': VLLM,
  sglang: {
    maxModelLen: '--context-length ',
    memoryFraction: '--mem-fraction-static ',
    maxNumSeqs: '--max-running-requests ',
    maxNumBatchedTokens: '--chunked-prefill-size ',
    tensorParallel: '--tp-size ',
    pipelineParallel: '--pp-size ',
    kvCacheDtype: '--kv-cache-dtype ',
    quantization: '--quantization ',
    enforceEager: '--disable-cuda-graph',
    cpuOffloadBytes: '--cpu-offload-gb ',
  },
  tgi: {
    maxModelLen: '--max-total-tokens ',
    memoryFraction: '--cuda-memory-fraction ',
    maxNumSeqs: '--max-batch-size ',
    maxNumBatchedTokens: '--max-batch-prefill-tokens ',
    tensorParallel: '--num-shard ',
    kvCacheDtype: '--kv-cache-dtype ',
    quantization: '--quantize ',
  },
  trtllm: {
    maxModelLen: '--max_seq_len ',
    memoryFraction: '--kv_cache_free_gpu_memory_fraction ',
    maxNumSeqs: '--max_batch_size ',
    maxNumBatchedTokens: '--max_num_tokens ',
    tensorParallel: '--tp_size ',
    pipelineParallel: '--pp_size ',
    kvCacheDtype: 'kv_cache_config.dtype: ',
  },
  kaito: inside('vllm.', '-'),
  llamacpp: { maxModelLen: '--ctx-size ', maxNumSeqs: '--parallel ', maxNumBatchedTokens: '--ubatch-size ' },
  ollama: {
    maxModelLen: 'OLLAMA_CONTEXT_LENGTH=',
    maxNumSeqs: 'OLLAMA_NUM_PARALLEL=',
    kvCacheDtype: 'OLLAMA_KV_CACHE_TYPE=',
  },
  lmdeploy: {
    maxModelLen: '--session-len ',
    memoryFraction: '--cache-max-entry-count ',
    maxNumSeqs: '--max-batch-size ',
    tensorParallel: '--tp ',
  },
  nim: { maxModelLen: 'NIM_MAX_MODEL_LEN=' },
  'ray-llm': inside('engine_kwargs.', '_'),
}

/** "--max-model-len 28992": a setting as the engine's user writes it; null when the engine has no such flag. */
export function flagText(engine: EngineName, setting: SettingName, value: unknown): string | null {
  if (engine === 'llamacpp' && setting === 'kvCacheDtype') return `--cache-type-k ${value} --cache-type-v ${value}`
  const flag = SPELLINGS[engine]?.[setting]
  if (flag === undefined) return null
  if (!/[ =]$/.test(flag)) return flag
  const shown = setting === 'cpuOffloadBytes' && typeof value === 'number' ? value / GiB : value
  return `${flag}${String(shown)}`
}

/** What an engine calls an 8-bit KV cache; null when it has none. */
export function eightBitKv(engine: EngineName): string | null {
  if (engine === 'llamacpp' || engine === 'ollama') return 'q8_0'
  if (engine === 'sglang') return 'fp8_e4m3'
  if (engine === 'tgi') return 'fp8_e4m3fn'
  return ['vllm', 'kserve-hf', 'ray-llm', 'kaito', 'trtllm'].includes(engine) ? 'fp8' : null
}
