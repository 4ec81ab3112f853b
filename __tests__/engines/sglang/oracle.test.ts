import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { resolve } from '../../../src/engines/sglang/resolve.ts'
import { inputOf, poolFrom, type Row } from '../../helpers/sglang-rows.ts'
import { describeShared, sharedRows } from '../../helpers/shared.ts'

/**
 * What SGLang's own argument parser and pool sizing made of flags, card and free memory: a sample of rows over ten
 * releases, 14 cards and 27 models (the published wheels ran with a mocked nvidia-smi and made-up free memory).
 */
const fixture = join(dirname(fileURLToPath(import.meta.url)), '../../fixtures/sglang-sample.jsonl')
const rows = readFileSync(fixture, 'utf8')
  .split('\n')
  .filter(Boolean)
  .map(line => JSON.parse(line) as Row)
const ofTask = (task: Row['task']): Row[] => rows.filter(row => row.task === task)
const label = (row: Row): string => `${row.release} ${row.model} on ${row.card[0]} ${JSON.stringify(row.flags)}`

function argumentsOf(row: Row): { fraction: number; chunk: unknown } {
  const r = resolve(inputOf(row))
  const chunk = r.reader.settings().maxNumBatchedTokens
  return { fraction: r.server.fraction, chunk: chunk?.effective ?? chunk?.value }
}

describe('a sample of rows', () => {
  test('fraction and chunk', () => {
    const sample = ofTask('arguments')
    expect(sample.length).toBeGreaterThan(150)
    for (const row of sample) {
      const { fraction, chunk } = argumentsOf(row)
      expect(`${label(row)}: ${chunk}`).toBe(`${label(row)}: ${row.chunk}`)
      if (Math.abs(fraction - (row.fraction ?? 0)) >= 0.00051) expect(`${label(row)}: ${fraction}`).toBe(row.fraction)
    }
  })

  test('pool tokens, states and running requests', () => {
    const sample = ofTask('pool')
    expect(sample.length).toBeGreaterThan(100)
    for (const row of sample) {
      const pool = poolFrom(row)
      if (row.refused !== undefined) {
        expect(`${label(row)}: ${pool.problem !== null}`).toBe(`${label(row)}: true`)
        continue
      }
      expect(`${label(row)}: ${pool.tokens}`).toBe(`${label(row)}: ${row.tokens}`)
      if (row.running !== undefined) expect(`${label(row)}: ${pool.maxRunning}`).toBe(`${label(row)}: ${row.running}`)
      if (row.slots !== undefined) expect(pool.slots).toBe(row.slots)
    }
  })
})

interface OracleRow {
  readonly task: string
  readonly sglang_version: string
  readonly gpu: { readonly name: string; readonly memory_mib: number; readonly compute_capability: string }
  readonly model: { readonly id: string }
  readonly flags: Row['flags']
  readonly resolved?: { readonly mem_fraction_static: number; readonly chunked_prefill_size: number }
  readonly free_before_gib?: number
  readonly free_after_gib?: number
  readonly result?: { readonly max_total_num_tokens: number }
  readonly result_per_pp_rank?: readonly { readonly max_total_num_tokens: number }[]
  readonly error?: { readonly message: string }
}

function rowOf(row: OracleRow): Row {
  return {
    task: row.task === 'kv-pool' ? 'pool' : 'arguments',
    release: row.sglang_version,
    card: [row.gpu.name, row.gpu.memory_mib, row.gpu.compute_capability],
    model: row.model.id,
    flags: row.flags,
    before: row.free_before_gib ?? 0,
    after: row.free_after_gib ?? 0,
  }
}

describeShared('all rows', 'data/sglang-oracle.jsonl', path => {
  const all = sharedRows<OracleRow>(path)

  test('fraction and chunk are right on 98 %', () => {
    const asked = all.filter(row => row.task === 'server-args' && row.resolved)
    const right = asked.filter(row => {
      const { fraction, chunk } = argumentsOf(rowOf(row))
      return (
        Math.abs(fraction - row.resolved!.mem_fraction_static) < 0.00051 && chunk === row.resolved!.chunked_prefill_size
      )
    })
    expect(asked.length).toBeGreaterThan(800)
    expect(right.length / asked.length).toBeGreaterThanOrEqual(0.98)
  })

  test('pools are right to the token on 95 %', () => {
    const asked = all.filter(row => row.task === 'kv-pool')
    const right = asked.filter(row => {
      const pool = poolFrom(rowOf(row))
      if (row.error) return pool.problem !== null
      const ranks = row.result_per_pp_rank ?? [row.result!]
      return pool.tokens === Math.min(...ranks.map(rank => rank.max_total_num_tokens))
    })
    expect(asked.length).toBeGreaterThan(350)
    expect(right.length / asked.length).toBeGreaterThanOrEqual(0.95)
  })
})
