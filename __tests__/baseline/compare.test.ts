import { describe, expect, test } from '@jest/globals'
import { compare, type Judged } from '../../src/baseline/compare.ts'
import { vllm } from '../../src/engines/vllm/index.ts'
import { noLimits } from '../../src/verdict/judge.ts'
import { configs, engineInput, type Given } from '../helpers/engine-input.ts'
import { deployment } from '../helpers/reports.ts'

/** A deployment that vLLM really accounts for. */
function judged(id: string, given: Given = {}): Judged {
  const input = engineInput({
    version: '0.11.0',
    gpu: 'NVIDIA L4',
    ...given,
    settings: { maxModelLen: 8192, ...given.settings },
  })
  const answer = vllm.estimate(input)
  const row = deployment({
    id,
    settings: answer.settings,
    estimate: answer.estimate,
    target: { ...deployment().target!, gpu: input.gpu?.name ?? null },
  })
  return { row, question: { engine: vllm, input, answer, limits: noLimits }, sharesDevices: false }
}
const only = (head: Judged, base: Judged) => compare([head], [base]).baselines[0]!

describe('matching', () => {
  test('new, removed, unchanged and changed, in the order of the head', () => {
    const { baselines, removed } = compare(
      [judged('c'), judged('a', { settings: { maxModelLen: 16_384 } }), judged('n', { settings: { maxNumSeqs: 7 } })],
      [judged('a'), judged('c'), judged('gone', { settings: { maxNumSeqs: 9 } })],
    )
    expect(baselines.map(baseline => baseline.change)).toEqual(['unchanged', 'changed', 'new'])
    expect(baselines[2]).toMatchObject({ status: 'unknown', totalBytes: null, deltaBytes: null, causes: [] })
    expect(removed.map(row => row.id)).toEqual(['gone'])
  })
  test('a renamed file is no new one: the same content under another id, each once', () => {
    const { baselines, removed } = compare([judged('new/a'), judged('new/b')], [judged('old/a')])
    expect(baselines.map(baseline => baseline.change)).toEqual(['renamed', 'new'])
    expect(baselines[0]!.deltaBytes).toBe(0)
    expect(removed).toEqual([])
  })
  test('an id that stands wins over a likeness', () => {
    const { baselines } = compare([judged('x'), judged('a')], [judged('a')])
    expect(baselines.map(baseline => baseline.change)).toEqual(['new', 'unchanged'])
  })
})

describe('causes', () => {
  test.each<[string, Given, Given, string[]]>([
    ['a longer context', {}, { settings: { maxModelLen: 32_768 } }, ['maxModelLen']],
    ['cache in 8 bits', {}, { settings: { kvCacheDtype: 'fp8' } }, ['kvCacheDtype']],
    [
      'the card alone',
      {},
      { gpu: 'NVIDIA H100 80GB', settings: { maxNumSeqs: 16, maxNumBatchedTokens: 2048 } },
      ['maxNumSeqs', 'gpu'],
    ],
    [
      'a larger share of the card: no need of its own, still told',
      {},
      { settings: { memoryFraction: 0.8 } },
      ['memoryFraction'],
    ],
    ['two ranks', {}, { settings: { tensorParallel: 2 } }, ['tensorParallel']],
    [
      'two things at once',
      {},
      { settings: { maxModelLen: 16_384, tensorParallel: 2 } },
      ['maxModelLen', 'tensorParallel'],
    ],
    ['an option', {}, { options: { 'enforce-eager': true } }, []],
  ])('%s', (_name, before, after, settings) => {
    const baseline = only(judged('a', after), judged('a', before))
    for (const setting of settings) expect(baseline.causes.map(cause => cause.setting)).toContain(setting)
    expect(baseline.causes.reduce((sum, cause) => sum + cause.deltaBytes, 0)).toBe(baseline.deltaBytes)
  })
  test('another model is the first cause', () => {
    const head = judged('a', { config: configs.qwen32b })
    const base = judged('a')
    const { causes, deltaBytes } = only(
      { ...head, row: { ...head.row, model: { ...head.row.model, id: 'org/other' } } },
      base,
    )
    expect(causes[0]).toMatchObject({ setting: 'model', from: 'org/model', to: 'org/other' })
    expect(causes.reduce((sum, cause) => sum + cause.deltaBytes, 0)).toBe(deltaBytes)
  })
  test('what could not be estimated has no delta', () => {
    const blind: Judged = { row: deployment({ id: 'a', estimate: null }), question: null, sharesDevices: false }
    expect(only(judged('a'), blind)).toMatchObject({ deltaBytes: null, causes: [], totalBytes: null })
    expect(only(blind, blind)).toMatchObject({ deltaBytes: null, causes: [] })
  })
})
