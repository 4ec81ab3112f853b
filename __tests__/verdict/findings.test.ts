import { describe, expect, test } from '@jest/globals'
import { type Deployment, noHardware } from '../../src/deployments/deployment.ts'
import type { EngineAnswer } from '../../src/engines/engine.ts'
import { gpuNamed } from '../../src/hardware/gpus.ts'
import { exactly, type Part } from '../../src/memory/parts.ts'
import { GiB } from '../../src/units/bytes.ts'
import {
  commonFindings,
  gpusUsed,
  outsideShortage,
  type Sharer,
  sharedCardFindings,
} from '../../src/verdict/findings.ts'

const place = { file: 'a.yaml', line: 3, column: 1 }
const set = (value: number) => ({ value, from: 'file' as const })
const deployment = (more: Partial<Deployment> = {}): Deployment => ({
  id: 'a.yaml#x',
  location: place,
  format: 'compose',
  workload: 'serve',
  engine: { name: 'tgi', version: null },
  model: { id: 'acme/x', revision: null },
  draftModel: null,
  adapters: [],
  unresolved: [],
  settings: {},
  options: {},
  environment: {},
  hardware: { ...noHardware, gpusAt: { ...place, line: 9 } },
  findings: [],
  ...more,
})

function answer(outsideGiB: number, budgetGiB: number, totalGiB = budgetGiB): EngineAnswer {
  const part = (name: Part['name'], inBudget: boolean, bytes: number): Part => ({
    name,
    inBudget,
    bytes: exactly(bytes * GiB),
    basis: 'modelled',
    formula: '',
    source: '',
  })
  return {
    settings: { tensorParallel: set(2), pipelineParallel: set(2) },
    findings: [],
    estimate: {
      method: 'engine',
      perGpu: {
        rank: '',
        parts: [part('weights', true, totalGiB), part('cudaGraphs', false, outsideGiB)],
        totalBytes: exactly(totalGiB * GiB),
        budgetBytes: budgetGiB * GiB,
        headroomBytes: null,
      },
      kvCache: null,
      assumptions: [],
    },
  }
}

describe('GPUs against parallel sizes', () => {
  test.each([
    [4, []],
    [null, []],
    [0, []],
    [2, ['error']],
    [8, ['warning']],
  ] as const)('%s GPUs for 2 x 2', (gpusPerReplica, severities) => {
    const found = commonFindings({ deployment: deployment(), answer: answer(0, 10), gpu: null, gpusPerReplica })
    expect(found.map(finding => finding.severity)).toEqual(severities)
    for (const finding of found)
      expect(finding).toMatchObject({
        code: 'gpus-unequal-parallelism',
        file: 'a.yaml',
        line: 9,
        message: expect.stringContaining('tensor 2 x pipeline 2 x data 1'),
      })
  })

  test('is not said twice, nor for data parallelism inside the tensor ranks', () => {
    const said = {
      ...answer(0, 10),
      findings: [{ code: 'gpus-unequal-parallelism', severity: 'error' as const, message: '' }],
    }
    expect(commonFindings({ deployment: deployment(), answer: said, gpu: null, gpusPerReplica: 2 })).toEqual([])
    const inside = deployment({ settings: { attentionDataParallel: set(2) } })
    expect(commonFindings({ deployment: inside, answer: answer(0, 10), gpu: null, gpusPerReplica: 2 })).toEqual([])
  })

  test('used GPUs: null when no size is set', () => {
    expect(gpusUsed({})).toBeNull()
    expect(gpusUsed({ tensorParallel: set(4), dataParallel: set(2) })).toBe(8)
  })
})

test('ranks on MIG instances are warned of; one alone is in order', () => {
  const gpu = { ...gpuNamed('NVIDIA A100 40GB'), name: 'NVIDIA A100 MIG 3g.20gb' }
  const found = (settings: EngineAnswer['settings']) =>
    commonFindings({ deployment: deployment(), answer: { ...answer(0, 10), settings }, gpu, gpusPerReplica: null })
  expect(found({ tensorParallel: set(2) })).toMatchObject([{ code: 'mig-ranks', severity: 'warning', line: 9 }])
  expect(found({ tensorParallel: set(1) })).toEqual([])
  expect(found({})).toEqual([])
})

describe('memory beside the budget', () => {
  const gpu = gpuNamed('NVIDIA L4')
  test('a share of the card is filled up: the rest must hold it', () => {
    expect(outsideShortage(answer(1, 21), gpu)).toBeLessThan(0)
    expect(outsideShortage(answer(1.2, 21), gpu)).toBeGreaterThan(0)
    expect(
      commonFindings({ deployment: deployment(), answer: answer(1.2, 21), gpu, gpusPerReplica: null }),
    ).toMatchObject([{ code: 'outside-budget', severity: 'warning' }])
  })
  test('with the whole card as budget only the total is taken', () => {
    expect(outsideShortage(answer(1.2, gpu.memoryBytes / GiB, 15), gpu)).toBeLessThan(0)
    expect(outsideShortage(answer(0, 21), gpu)).toBeNull()
    expect(outsideShortage(answer(1, 21), null)).toBeNull()
  })
})

describe('free memory at the start', () => {
  const vllm = deployment({ engine: { name: 'vllm', version: null } })
  const found = (budgetGiB: number, name: 'vllm' | 'tgi' = 'vllm') => {
    const base = answer(0, budgetGiB)
    const loaded = {
      ...base,
      settings: { memoryFraction: { value: 0.98, from: 'file' as const, file: 'a.yaml', line: 5 } },
    }
    const deployed = name === 'vllm' ? vllm : deployment()
    return commonFindings({
      deployment: deployed,
      answer: loaded,
      gpu: gpuNamed('NVIDIA L4'),
      gpusPerReplica: null,
    }).map(one => `${one.severity} ${one.code} ${one.line}`)
  }
  test('nearly the whole card is warned of, the whole card is refused', () => {
    expect(found(21)).toEqual([])
    expect(found(21.7)).toEqual(['warning free-memory 5'])
    expect(found(22.03)).toEqual(['error free-memory 5'])
    expect(found(22.03, 'tgi')).toEqual([])
  })
})

describe('engines that share a card', () => {
  const sharer = (id: string, card: string | null, fraction: number | null, refuses = true): Sharer => ({
    id,
    card,
    fraction,
    refuses,
    place,
  })
  test('fractions above the whole card are found for each of them', () => {
    const found = sharedCardFindings([
      sharer('a', 'gpu0', 0.6),
      sharer('b', 'gpu0', 0.5),
      sharer('c', 'gpu1', 0.9),
      sharer('d', null, 0.9),
    ])
    expect([...found.keys()]).toEqual(['a', 'b'])
    expect(found.get('a')).toMatchObject({
      code: 'card-oversubscribed',
      severity: 'error',
      message: expect.stringContaining('1.1 of its memory'),
    })
  })
  test('an engine that takes what is left is warned, and alone with one that insists neither is refused', () => {
    const found = sharedCardFindings([sharer('a', 'gpu0', 0.6), sharer('b', 'gpu0', 0.5, false)])
    expect([...found.values()].map(one => one.severity)).toEqual(['warning', 'warning'])
  })
  test('exactly the whole card is in order', () => {
    expect(sharedCardFindings([sharer('a', 'x', 0.5), sharer('b', 'x', 0.5)]).size).toBe(0)
    expect(sharedCardFindings([sharer('a', 'x', null), sharer('b', 'x', 0.9)]).size).toBe(0)
  })
})
