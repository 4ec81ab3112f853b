import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import type { ContextOptions } from '../../src/engines/llamacpp/context.ts'
import { modelFromKeys } from '../../src/engines/llamacpp/model-from-keys.ts'
import { refusal, startOf } from '../../src/engines/llamacpp/start.ts'
import { ggmlTypeNamed } from '../../src/models/checkpoint/ggml-types.ts'
import { MiB } from '../../src/units/bytes.ts'
import { describeShared, sharedRows } from '../helpers/shared.ts'

interface Row {
  readonly id: string
  readonly arch: string
  readonly gguf: Readonly<Record<string, unknown>>
  readonly context: {
    readonly n_ctx: number
    readonly n_batch: number
    readonly n_ubatch: number
    readonly n_seq_max: number
    readonly type_k: string
    readonly type_v: string
    readonly flash_attn: 'auto' | 'on' | 'off'
    readonly swa_full: boolean
    readonly kv_unified: boolean
    readonly n_outputs_max?: number
    readonly embeddings?: boolean
    readonly n_rs_seq?: number
  }
  readonly load: { readonly simulated: boolean }
  readonly error?: string
  readonly printed: { readonly rs_mib: number | null; readonly output_mib: number }
  readonly exact: { readonly context: number; readonly compute: number }
}

function optionsOf(context: Row['context']): ContextOptions {
  return {
    context: context.n_ctx,
    batch: context.n_batch,
    microBatch: context.n_ubatch,
    sequences: context.n_seq_max,
    typeK: ggmlTypeNamed(context.type_k)!,
    typeV: ggmlTypeNamed(context.type_v)!,
    flashAttention: context.flash_attn,
    windowFull: context.swa_full,
    unified: context.kv_unified,
    outputs: context.n_outputs_max ?? null,
    embeddings: context.embeddings ?? false,
    snapshots: context.n_rs_seq ?? 0,
  }
}

const modelOf = (row: Row) => modelFromKeys(row.arch, row.gguf, null)!
const startAt = (row: Row) => startOf(modelOf(row), optionsOf(row.context))
const computeError = (row: Row): number => Math.abs(startAt(row).computeBytes / row.exact.compute - 1)

/** Rows of real starts: how many, how many of them refused, and server-like ones of real shapes. */
interface Counts {
  readonly rows: number
  readonly refused: number
  readonly server: number
}

function starts(rows: readonly Row[], counts: Counts): void {
  test('refused starts are refused, and no other', () => {
    const refused = (row: Row): boolean => refusal(modelOf(row), optionsOf(row.context)) !== null
    expect(rows.filter(row => refused(row) !== (row.error !== undefined)).map(row => row.id)).toEqual([])
    expect(rows).toHaveLength(counts.rows)
    expect(rows.filter(refused)).toHaveLength(counts.refused)
  })

  const started = rows.filter(row => row.error === undefined)

  test('KV and recurrent state are equal to the byte, the state and the output buffer as printed', () => {
    const wrong = started.filter(row => {
      const start = startAt(row)
      // The compressors of DeepSeek-V4 are charged to the context and not printed as a recurrent state.
      const state = row.arch === 'deepseek4' ? 0 : start.stateBytes
      return (
        start.cacheBytes + start.stateBytes !== row.exact.context ||
        Math.abs(state / MiB - (row.printed.rs_mib ?? 0)) > 0.0051 ||
        Math.abs(start.outputBytes / MiB - row.printed.output_mib) > 0.0051
      )
    })
    expect(wrong.map(row => row.id)).toEqual([])
    expect(started).toHaveLength(counts.rows - counts.refused)
  })

  test('the compute buffer of server-like starts of real shapes is within 10 %', () => {
    const server = started.filter(row => row.load.simulated && row.context.n_outputs_max !== undefined)
    expect(server.filter(row => computeError(row) > 0.1).map(row => row.id)).toEqual([])
    expect(server).toHaveLength(counts.server)
  })
}

// two starts an architecture, one refusal of each kind, one server-like start of each real architecture
const samplePath = join(dirname(fileURLToPath(import.meta.url)), '../fixtures/llamacpp-sample.jsonl')
describe('starts of real llama.cpp', () => starts(sharedRows<Row>(samplePath), { rows: 156, refused: 7, server: 19 }))

describeShared('every start of real llama.cpp', 'data/llamacpp-oracle.jsonl', path => {
  const rows = sharedRows<Row>(path)
  starts(rows, { rows: 740, refused: 19, server: 45 })

  test('over all starts of real shapes nine in ten compute buffers are within 10 %', () => {
    const real = rows.filter(row => row.load.simulated && row.error === undefined)
    expect(real).toHaveLength(166)
    expect(real.filter(row => computeError(row) <= 0.1).length / real.length).toBeGreaterThan(0.9)
  })
})
