import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import type { ContextOptions } from '../../src/engines/llamacpp/context.ts'
import { modelFromKeys } from '../../src/engines/llamacpp/model-from-keys.ts'
import { refusal, startOf } from '../../src/engines/llamacpp/start.ts'
import { tensorsOfMix } from '../../src/engines/llamacpp/tensors.ts'
import { ggmlTypeNamed } from '../../src/models/checkpoint/ggml-types.ts'
import { ggufMix } from '../../src/models/checkpoint/gguf-mixes.ts'
import type { JsonObject } from '../../src/models/config.ts'
import { shapeOf } from '../../src/models/families/index.ts'
import { MiB } from '../../src/units/bytes.ts'
import { describeShared, sharedPath, sharedRows } from '../helpers/shared.ts'

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

/** Rows of real shapes whose types are a mix of the quantise tool's, the model whose config has that shape, and its tag. */
const shapes: readonly (readonly [string, string, string])[] = [
  ['llama-3.1-8b', 'meta-llama/Llama-3.1-8B-Instruct', 'Q4_K_M'],
  ['llama-3.2-1b', 'meta-llama/Llama-3.2-1B-Instruct', 'Q8_0'],
  ['llama-3.3-70b', 'meta-llama/Llama-3.3-70B-Instruct', 'Q4_K_M'],
  ['qwen2.5-7b', 'Qwen/Qwen2.5-7B-Instruct', 'Q8_0'],
  ['qwen3-8b', 'Qwen/Qwen3-8B', 'Q4_K_M'],
  ['qwen3-0.6b', 'Qwen/Qwen3-0.6B', 'F16'],
  ['qwen3-30b-a3b', 'Qwen/Qwen3-30B-A3B', 'Q4_K_M'],
  ['qwen3-next-80b', 'Qwen/Qwen3-Next-80B-A3B-Instruct', 'Q4_K_M'],
  ['granite-3.3-8b', 'ibm-granite/granite-3.3-8b-instruct', 'Q8_0'],
  ['gpt-oss-20b', 'openai/gpt-oss-20b', 'MXFP4'],
]

describeShared('weights by a config and a tag', 'data/llamacpp-oracle.jsonl', path => {
  const rows = sharedRows<Row & { readonly name: string; readonly tensor_bytes: number }>(path)
  const models = new Map(
    sharedRows<{ id: string; config: JsonObject }>(sharedPath('data/models.json')!).map(row => [row.id, row.config]),
  )

  test.each(shapes)('%s: bytes of all tensors within 0.1 %%', (name, id, tag) => {
    const shape = shapeOf(models.get(id)!)
    const mix = ggufMix(tag)
    const row = rows.find(each => each.name === name)!
    if (!shape.ok || mix === null) throw new Error(id)
    const t = tensorsOfMix(shape.value, mix)
    const blocks = t.blocks.reduce((sum, block) => sum + block.other + block.experts, 0)
    // A tied output is a second copy of the embedding in GPU memory only.
    const bytes = blocks + t.output + (shape.value.tied ? 0 : t.embedding)
    expect(Math.abs(bytes / row.tensor_bytes - 1)).toBeLessThan(0.001)
  })
})
