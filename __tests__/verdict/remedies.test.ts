import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Engine } from '../../src/engines/engine.ts'
import { sglang } from '../../src/engines/sglang/index.ts'
import { vllm } from '../../src/engines/vllm/index.ts'
import { gpuNamed } from '../../src/hardware/gpus.ts'
import type { Remedy } from '../../src/report/report.ts'
import { GiB } from '../../src/units/bytes.ts'
import { flagText } from '../../src/verdict/flags.ts'
import { noLimits, statusOf } from '../../src/verdict/judge.ts'
import { remediesFor } from '../../src/verdict/remedies.ts'
import { choices, SOLVABLE, solve } from '../../src/verdict/solve.ts'
import { largest, type Question } from '../../src/verdict/trial.ts'
import { configs, engineInput, type Given } from '../helpers/engine-input.ts'

function ask(given: Given, more: Partial<Question> = {}): Question {
  const input = engineInput({ version: '0.11.0', ...given })
  return { engine: vllm, input, answer: vllm.estimate(input), limits: noLimits, ...more }
}

/** The deployment with a remedy's changes made, by its report form only. */
function applied(question: Question, remedy: Remedy): Question {
  const { input } = question
  const settings: Record<string, unknown> = { ...input.settings }
  let { gpu, gpusPerReplica } = input
  for (const { setting, to } of remedy.change) {
    if (setting === 'target') gpu = gpuNamed(String(to))
    else if (setting === 'gpusPerReplica') gpusPerReplica = Number(to)
    else settings[setting] = { value: to, from: 'file' }
  }
  const changed = { ...input, settings, gpu, gpusPerReplica } as Question['input']
  return { ...question, input: changed, answer: vllm.estimate(changed) }
}

const flags = (remedies: readonly Remedy[]) =>
  remedies.map(remedy => remedy.change.map(change => change.flag ?? `${change.setting} ${String(change.to)}`).join(' '))
const on = (gpu: string, settings: Record<string, unknown> = {}, config: Given['config'] = configs.llama8b) =>
  ask({ gpu, settings, config })

describe('remedies', () => {
  test('a context that nobody asked for is given up first', () => {
    expect(flags(remediesFor(on('NVIDIA L4')))[0]).toBe('--max-model-len 26944')
  })

  test('a context that is asked for is kept as long as something cheaper fits', () => {
    const found = flags(remediesFor(on('NVIDIA L4', { maxModelLen: 32768 })))
    expect(found.slice(0, 4)).toEqual([
      '--gpu-memory-utilization 0.94',
      '--max-num-seqs 64',
      '--kv-cache-dtype fp8',
      '--max-model-len 26944',
    ])
  })

  test('what is tight and cannot be made to fit for certain is offered nothing', () => {
    const limits = { headroom: { fraction: 0.99 }, warnAt: null }
    const question = { ...on('NVIDIA H100 80GB', { maxModelLen: 8192 }), limits }
    expect(statusOf(question.answer.estimate, limits)?.status).toBe('tight')
    expect(remediesFor(question)).toEqual([])
  })

  test('more of the card and fewer requests together, where neither fits alone', () => {
    const settings = { memoryFraction: 0.69, maxNumSeqs: 4096, maxNumBatchedTokens: 4096, maxModelLen: 1024 }
    const found = remediesFor(on('NVIDIA L4', settings))
    expect(flags(found)[0]).toBe('--gpu-memory-utilization 0.95 --max-num-seqs 1024')
    expect(found.filter(remedy => remedy.change.some(change => change.setting === 'maxNumSeqs'))).toHaveLength(1)
  })

  test('more ranks with the GPUs they need, and the next larger card', () => {
    const found = remediesFor(on('NVIDIA L4', { maxModelLen: 131072 }))
    expect(flags(found)).toEqual(
      expect.arrayContaining(['--tensor-parallel-size 2 gpusPerReplica 2', 'target NVIDIA A100 40GB']),
    )
    const idle = remediesFor(ask({ gpu: 'NVIDIA L4', gpusPerReplica: 2, settings: { maxModelLen: 131072 } }))
    expect(idle.find(remedy => remedy.change[0]?.setting === 'tensorParallel')?.note).toBe(
      'uses 2 of the 2 GPUs that are asked for',
    )
  })

  test('what fits needs nothing; without a GPU the smallest sets are listed', () => {
    expect(remediesFor(on('NVIDIA H100 80GB'))).toEqual([])
    expect(flags(remediesFor(ask({ gpu: null, settings: { maxModelLen: 8192 } })))[0]).toBe('target NVIDIA L4')
    const declared = ask({ gpu: null, settings: { maxModelLen: 8192, tensorParallel: 2 } })
    expect(flags(remediesFor(declared))).toHaveLength(1)
  })

  test('a quantised sibling that is handed in', () => {
    const question = on('NVIDIA L4', { maxModelLen: 16384 }, configs.qwen32b)
    const small = on('NVIDIA L4', { maxModelLen: 16384 })
    const sibling = { id: 'acme/small', shape: small.input.shape, facts: small.input.facts }
    expect(remediesFor({ ...question, siblings: [sibling] }).map(remedy => remedy.change[0]?.to)).toContain(
      'acme/small',
    )
  })

  test('nothing that the engine refuses is offered', () => {
    const refusing: Engine = {
      ...vllm,
      estimate: input => {
        const answer = vllm.estimate(input)
        const changed = input.settings.kvCacheDtype !== undefined
        return changed ? { ...answer, findings: [{ code: 'x', severity: 'error', message: 'refused' }] } : answer
      },
    }
    const question = on('NVIDIA L4', { maxModelLen: 32768 })
    expect(flags(remediesFor(question))).toContain('--kv-cache-dtype fp8')
    expect(flags(remediesFor({ ...question, engine: refusing }))).not.toContain('--kv-cache-dtype fp8')
  })

  test('a fixed KV pool is enlarged', () => {
    const found = remediesFor(on('NVIDIA H100 80GB', { maxModelLen: 32768, kvCacheMemoryBytes: 1 * GiB }))
    expect(found[0]?.change[0]).toMatchObject({
      setting: 'kvCacheMemoryBytes',
      flag: expect.stringMatching(/^--kv-cache-memory-bytes \d+$/),
    })
  })

  test('a fixed KV pool that the card has no room for is made as small as the request allows', () => {
    const [first] = remediesFor(on('NVIDIA L4', { maxModelLen: 8192, kvCacheMemoryBytes: 20 * GiB }))
    expect(first).toMatchObject({ status: 'fits', change: [{ setting: 'kvCacheMemoryBytes', from: 20 * GiB }] })
    expect(first!.change[0]!.to).toBeLessThan(1.1 * GiB)
  })

  test('attention data ranks live inside the tensor ranks: more stages do not multiply them', () => {
    const given = { settings: { tensorParallel: 4, dataParallel: 4, attentionDataParallel: 4 }, gpusPerReplica: 4 }
    const input = engineInput({ gpu: 'NVIDIA L4', config: configs.qwen32b, version: '0.5.10', ...given })
    const found = remediesFor({ engine: sglang, input, answer: sglang.estimate(input), limits: noLimits })
    const stages = found.flatMap(one => one.change).filter(change => change.setting === 'pipelineParallel')
    const gpus = found.flatMap(one => one.change).filter(change => change.setting === 'gpusPerReplica')
    expect(gpus.map(change => change.to)).toEqual(stages.map(change => 4 * Number(change.to)))
    expect(gpus).toHaveLength(1)
  })

  test('no more ranks on MIG instances, which cannot reach each other', () => {
    const gpu = { ...gpuNamed('NVIDIA A100 40GB'), name: 'NVIDIA A100 MIG 1g.10gb', memoryBytes: 9.75 * GiB }
    const input = { ...engineInput({ version: '0.11.0', settings: { maxModelLen: 8192 } }), gpu }
    const question: Question = { engine: vllm, input, answer: vllm.estimate(input), limits: noLimits }
    expect(flags(remediesFor(question))).toEqual(['target NVIDIA L4'])
    expect(solve('tensor-parallel', question).ok).toBe(false)
  })

  test('the status of a remedy is the one the changed deployment has', () => {
    let inspected = 0
    fc.assert(
      fc.property(
        fc.constantFrom('NVIDIA L4', 'NVIDIA A100 40GB', 'NVIDIA H100 80GB', 'NVIDIA RTX 4090', null),
        fc.constantFrom(configs.llama8b, configs.qwen32b, configs.gemma2, configs.qwen3Next),
        fc.integer({ min: 256, max: 131072 }),
        fc.constantFrom('0.8.5', '0.11.0', '0.24.0', null),
        fc.constantFrom(1, 4),
        (gpu, config, maxModelLen, version, concurrency) => {
          const question = ask({ gpu, config, settings: { maxModelLen }, version, concurrency })
          for (const remedy of remediesFor(question)) {
            const there = applied(question, remedy)
            expect(statusOf(there.answer.estimate, noLimits)?.status).toBe(remedy.status)
            expect(there.answer.estimate.perGpu.totalBytes).toEqual(remedy.totalBytes)
            expect(there.answer.findings.filter(finding => finding.severity === 'error')).toEqual([])
            inspected++
          }
        },
      ),
      { numRuns: 60 },
    )
    expect(inspected).toBeGreaterThan(50)
  })
})

describe('malformed settings', () => {
  test('never throw or hang, whatever the engine makes of them', () => {
    const odd = fc.constantFrom(0, -1, 0.5, Number.NaN, 1e12, 'x', null)
    const settings = fc.record(
      {
        maxModelLen: odd,
        tensorParallel: odd,
        pipelineParallel: odd,
        memoryFraction: odd,
        maxNumSeqs: odd,
        maxNumBatchedTokens: odd,
        cpuOffloadBytes: odd,
        kvCacheMemoryBytes: odd,
      },
      { requiredKeys: [] },
    )
    const trusting: Engine = {
      ...vllm,
      estimate: input => ({
        ...vllm.estimate(input),
        findings: [],
        settings: { ...vllm.estimate(input).settings, ...input.settings },
      }),
    }
    fc.assert(
      fc.property(settings, fc.constantFrom(vllm, trusting), (given, engine) => {
        const question = ask({ gpu: 'NVIDIA L4', settings: given })
        const asked = { ...question, engine, answer: engine.estimate(question.input) }
        remediesFor(asked)
        for (const kind of SOLVABLE) solve(kind, asked)
        choices(asked)
        return true
      }),
      { numRuns: 200 },
    )
  })
})

describe('the inverse question', () => {
  const question = on('NVIDIA H100 80GB', { maxModelLen: 8192 })
  const answers = SOLVABLE.map(kind => {
    const found = solve(kind, question)
    return found.ok ? flags([found.value])[0] : found.problem.message
  })

  test('each kind has its answer', () => {
    expect(answers).toEqual([
      '--max-model-len 131072',
      expect.stringMatching(/^--max-num-seqs \d+$/),
      '--tensor-parallel-size 1 gpusPerReplica 1',
      'target NVIDIA L4',
    ])
  })

  test('the longest context fits and a block more does not', () => {
    const small = on('NVIDIA L4')
    const found = solve('max-model-len', small)
    if (!found.ok) throw new Error(found.problem.message)
    const length = Number(found.value.change[0]?.to)
    const status = (maxModelLen: number) => statusOf(on('NVIDIA L4', { maxModelLen }).answer.estimate, noLimits)?.status
    expect([status(length), status(length + 16)]).toEqual(['fits', 'tight'])
  })

  test('the most requests fit and one more does not', () => {
    const found = solve('max-num-seqs', question)
    if (!found.ok) throw new Error(found.problem.message)
    const most = Number(found.value.change[0]?.to)
    const status = (n: number) =>
      statusOf(ask({ settings: { maxModelLen: 8192, maxNumSeqs: n }, concurrency: n }).answer.estimate, noLimits)
        ?.status
    expect([status(most), status(most + 1)]).toEqual(['fits', 'tight'])
  })

  test('without a GPU only the GPU can be solved; what never fits is a problem with a hint', () => {
    expect(solve('max-model-len', ask({ gpu: null }))).toMatchObject({ ok: false, problem: { code: 'no-target' } })
    expect(solve('gpu', ask({ gpu: null, settings: { maxModelLen: 4096 } })).ok).toBe(true)
    expect(solve('max-model-len', on('NVIDIA T4', {}, configs.qwen32b))).toMatchObject({
      ok: false,
      problem: { hint: expect.stringContaining('GPU') },
    })
  })

  test('choices: none beats another', () => {
    const list = choices(question)
    expect(list.length).toBeGreaterThan(4)
    expect(list[0]?.gpus).toBe('1 x NVIDIA H100 80GB')
    for (const a of list)
      for (const b of list)
        expect(
          a !== b && a.gpus === b.gpus && a.maxModelLen! >= b.maxModelLen! && a.concurrency! >= b.concurrency!,
        ).toBe(false)
    expect(choices(ask({ gpu: null }))).toEqual([])
  })
})

describe('parts of the search', () => {
  test('largest finds the last number that passes, with and without proposals', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 0, max: 10_001 }),
        fc.integer({ min: -5, max: 20_000 }),
        fc.boolean(),
        (high, limit, guess, proposes) => {
          let probes = 0
          const found = largest(high, guess, n => {
            probes++
            return { passes: n <= limit, steps: proposes ? limit - n : null }
          })
          return found === Math.min(high, limit) && probes <= 24
        },
      ),
    )
  })

  test('flags in the words of each engine', () => {
    expect(flagText('vllm', 'maxModelLen', 28992)).toBe('--max-model-len 28992')
    expect(flagText('sglang', 'maxModelLen', 28992)).toBe('--context-length 28992')
    expect(flagText('vllm', 'enforceEager', true)).toBe('--enforce-eager')
    expect(flagText('vllm', 'cpuOffloadBytes', 4 * GiB)).toBe('--cpu-offload-gb 4')
    expect(flagText('llamacpp', 'kvCacheDtype', 'q8_0')).toBe('--cache-type-k q8_0 --cache-type-v q8_0')
    expect(flagText('ollama', 'maxModelLen', 4096)).toBe('OLLAMA_CONTEXT_LENGTH=4096')
    expect(flagText('tei', 'maxModelLen', 512)).toBeNull()
  })
})
