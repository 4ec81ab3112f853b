import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { vllm } from '../../../src/engines/vllm/index.ts'
import type { JsonObject } from '../../../src/models/config.ts'
import { shapeOf } from '../../../src/models/families/index.ts'
import { engineInput } from '../../helpers/engine-input.ts'
import { describeShared, sharedRows } from '../../helpers/shared.ts'

/** A start of vLLM 0.33 on a stand-in card: what its own code charged for the cache. */
interface OracleRow {
  readonly model: string
  readonly config: JsonObject
  readonly engine: Readonly<Record<string, unknown>>
  readonly device: string
  readonly case: string
  readonly vllm_version: string
  readonly available_bytes: number
  readonly bytes_for_one_max_len_request: number
  readonly bytes_for_one_max_len_request_per_pp_rank?: readonly number[]
  readonly fits: boolean
  readonly max_concurrency: number | null
  readonly kv_cache_tokens: number | null
  readonly estimated_max_model_len?: number | null
}

const SETTINGS: Readonly<Record<string, string>> = {
  kv_cache_dtype: 'kvCacheDtype',
  block_size: 'blockSize',
  tensor_parallel_size: 'tensorParallel',
  pipeline_parallel_size: 'pipelineParallel',
  decode_context_parallel_size: 'contextParallel',
  max_model_len: 'maxModelLen',
  max_num_batched_tokens: 'maxNumBatchedTokens',
  max_num_seqs: 'maxNumSeqs',
}
const OPTIONS = [
  'mamba_ssm_cache_dtype',
  'num_gpu_blocks_override',
  'enable_prefix_caching',
  'async_scheduling',
  'disable_hybrid_kv_cache_manager',
]

/** Ours and the row's figures side by side; null: the family is not read. */
function compared(row: OracleRow): { ours: object; theirs: object } | null {
  if (!shapeOf(row.config).ok) return null
  const { engine } = row
  const settings: Record<string, unknown> = { kvCacheMemoryBytes: row.available_bytes }
  for (const [name, setting] of Object.entries(SETTINGS))
    if (engine[name] != null) settings[setting] = engine[name] === -1 ? 'auto' : engine[name]
  const options: Record<string, string | boolean> = {}
  for (const name of OPTIONS) {
    const value = engine[name]
    if (value != null) options[name.replaceAll('_', '-')] = typeof value === 'boolean' ? value : String(value)
  }
  const speculative = engine['speculative_config']
  if (speculative) {
    options['speculative-config'] = JSON.stringify(speculative)
    settings['speculativeTokens'] = (speculative as JsonObject)['num_speculative_tokens']
  }
  const environment = (engine['env'] ?? {}) as Record<string, string>
  const gpu = `NVIDIA ${row.device.replace(/ \(.*/, '')}`
  const { kvCache } = vllm.estimate(
    engineInput({ config: row.config, settings, options, environment, gpu, version: row.vllm_version }),
  ).estimate
  const stages = row.bytes_for_one_max_len_request_per_pp_rank
  const overridden = engine['num_gpu_blocks_override'] != null
  const solo = row.max_concurrency !== null && stages === undefined
  return {
    ours: {
      request: kvCache?.bytesPerMaxLengthRequest,
      fits: overridden ? null : kvCache?.fitsOneRequest,
      tokens: solo ? kvCache?.capacityTokens : null,
      concurrency: solo ? kvCache?.maxConcurrency?.toFixed(6) : null,
      longest: row.estimated_max_model_len == null ? null : kvCache?.maxModelLenThatFits,
    },
    theirs: {
      request: stages ? Math.max(...stages) : row.bytes_for_one_max_len_request,
      fits: overridden ? null : row.fits,
      tokens: solo ? row.kv_cache_tokens : null,
      concurrency: solo ? row.max_concurrency?.toFixed(6) : null,
      longest: row.estimated_max_model_len ?? null,
    },
  }
}

/** Compares every row and says how many families were read. */
function inspect(rows: readonly OracleRow[]): number {
  let read = 0
  for (const row of rows) {
    const both = compared(row)
    if (both === null) continue
    read++
    expect({ model: row.model, case: row.case, ...both.ours }).toEqual({
      model: row.model,
      case: row.case,
      ...both.theirs,
    })
  }
  return read
}

const sample = join(dirname(fileURLToPath(import.meta.url)), '../../fixtures/vllm-kv-sample.jsonl')

describe('KV cache and recurrent state as vLLM 0.33 charges them', () => {
  test('a sample of its own starts: each model type and each kind of case', () => {
    const rows = sharedRows<OracleRow>(sample)
    expect(rows.length).toBeGreaterThan(80)
    expect(inspect(rows)).toBe(rows.length)
  })
})

describeShared('every start of the oracle', 'data/kv-oracle.jsonl', path => {
  test('bytes, fit, concurrency, tokens and longest length are equal', () => {
    const rows = sharedRows<OracleRow>(path)
    expect(rows.length).toBeGreaterThanOrEqual(665)
    expect(inspect(rows)).toBe(rows.length)
  })
})
