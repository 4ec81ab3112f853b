import { describe, expect, test } from '@jest/globals'
import { type Overrides, withOverrides } from '../../src/policy/overrides.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { defaultPolicy, effectiveFor, type Policy } from '../../src/policy/policy.ts'
import { problemText } from '../../src/problem.ts'

const subject = { id: 'a.yaml#x', file: 'a.yaml', engine: 'vllm', models: [] }

async function strict(): Promise<Policy> {
  const result = await parsePolicy(
    'version: 1\nfail-on: [tight]\nmax-increase: 5%\nwarn-at: 80%\nonly-new: true\nwarn-only: true\non-unknown: fail\non-empty: fail\non-network-error: fail\nexclude: [old/**]\ndefaults: { target: L4, headroom: 10%, min-concurrency: 8, gpus-per-replica: 2, settings: { maxModelLen: 1 } }\n',
    'p.yml',
  )
  if (!result.ok) throw new Error('policy')
  return result.value
}
const over = (policy: Policy, overrides: Overrides) => {
  const result = withOverrides(policy, overrides)
  if (!result.ok) throw new Error(result.problems.map(problemText).join('\n'))
  return result.value
}
const refusals = (overrides: Overrides, name?: (key: string) => string) => {
  const result = withOverrides(defaultPolicy, overrides, name)
  return result.ok ? [] : result.problems.map(problemText)
}

describe('what the command line says wins over the file', () => {
  test.each<[Overrides, object]>([
    [{ 'fail-on': 'exceeds, increase' }, { gate: { failOn: ['exceeds', 'increase'] } }],
    [{ 'max-increase': '0' }, { gate: { maxIncrease: { bytes: 0 } } }],
    [{ 'max-increase': '2GiB' }, { gate: { maxIncrease: { bytes: 2 ** 31 } } }],
    [{ 'warn-at': '95%' }, { warnAt: 0.95 }],
    [{ 'only-new': 'false' }, { gate: { onlyNew: false } }],
    [{ 'warn-only': 'False' }, { warnOnly: false }],
    [{ 'on-unknown': 'ignore' }, { gate: { onUnknown: 'ignore', onEmpty: 'fail' } }],
    [{ 'on-empty': 'warn' }, { gate: { onEmpty: 'warn' } }],
    [{ 'on-network-error': 'warn' }, { gate: { onNetworkError: 'warn' } }],
    [
      { include: ['x/**'], exclude: ['x/y'] },
      { include: ['x/**'], exclude: ['old/**', 'x/y'] },
    ],
    [
      { 'fail-on': '', 'warn-only': ' ' },
      { gate: { failOn: ['tight'] }, warnOnly: true },
    ],
  ])('%j', async (overrides, expected) => {
    expect(over(await strict(), overrides)).toMatchObject(expected)
  })

  test('also over rules and defaults of a deployment', async () => {
    const policy = over(await strict(), {
      target: 'H100-80GB x2',
      headroom: '0',
      'min-concurrency': '1',
      'gpus-per-replica': '0',
      set: [
        'max-model-len=4096',
        'dtype=float16',
        'enforceEager=true',
        'cpuOffloadBytes=4GiB',
        'loraTargets=q_proj,v_proj',
      ],
    })
    expect(effectiveFor(policy, subject)).toEqual({
      target: { value: 'H100-80GB x2', text: '--target H100-80GB x2', from: 'flag' },
      headroom: { value: { bytes: 0 }, text: '--headroom 0', from: 'flag' },
      minConcurrency: { value: 1, text: '--min-concurrency 1', from: 'flag' },
      gpusPerReplica: { value: 0, text: '--gpus-per-replica 0', from: 'flag' },
      settings: {
        maxModelLen: { value: 4096, from: 'flag', text: '--set max-model-len=4096' },
        dtype: { value: 'float16', from: 'flag', text: '--set dtype=float16' },
        enforceEager: { value: true, from: 'flag', text: '--set enforceEager=true' },
        cpuOffloadBytes: { value: 4 * 1024 ** 3, from: 'flag', text: '--set cpuOffloadBytes=4GiB' },
        loraTargets: { value: ['q_proj', 'v_proj'], from: 'flag', text: '--set loraTargets=q_proj,v_proj' },
      },
      ignore: false,
      rule: null,
    })
  })
})

describe('what cannot be read is refused, all at once', () => {
  test.each<[Overrides, unknown[]]>([
    [
      { 'fail-on': 'exeeds' },
      ['--fail-on is "exeeds", expected one of exceeds, tight, increase, unknown, finding (did you mean exceeds?)'],
    ],
    [{ 'only-new': 'yes' }, ['--only-new is "yes", expected true or false']],
    [
      { set: ['dtype=bf17'] },
      [
        '--set: dtype is "bf17", expected one of auto, bfloat16, float16, float32, half, float, bf16, fp16, fp32 (give one such value)',
      ],
    ],
    [{ set: ['maxModelLen'] }, ['--set "maxModelLen" gives no value (write --set maxModelLen=8192)']],
    [{ set: ['max-modle-len=1'] }, ['--set: unknown setting "max-modle-len" (did you mean maxModelLen?)']],
    [
      { set: ['maxModelLen=8k'] },
      ['--set: maxModelLen is "8k", expected a whole number of tokens of at least 1, or auto (give one such value)'],
    ],
    [
      { 'on-empty': 'x', headroom: '2', set: ['a=b'], target: 'H1000' },
      [
        expect.stringContaining('--target: unknown GPU "H1000"'),
        expect.stringContaining('--on-empty'),
        expect.stringContaining('--headroom is "2"'),
        expect.stringContaining('--set'),
      ],
    ],
  ])('%j', (overrides, expected) => {
    const found = refusals(overrides)
    expect(found).toHaveLength(expected.length)
    expect([...found].sort()).toEqual(expect.arrayContaining(expected))
  })

  test.each(['abc', '-1', '1e3', '0x10', '80', '80 ', 'NaN', 'Infinity', '1,5GiB', '10 percent', '٣GiB'])(
    'headroom %j',
    text => {
      expect(refusals({ headroom: text })).toHaveLength(1)
    },
  )
  test.each(['abc', '-1', '1e3', '0x10', '1.5', '0', 'NaN', '99999999999999999999'])('min-concurrency %j', text => {
    expect(refusals({ 'min-concurrency': text })).toHaveLength(1)
  })

  test('a door spells keys its own way', () => {
    expect(refusals({ 'warn-at': '90' }, key => `input ${key}`)).toEqual([
      'input warn-at is "90", expected a percentage of at most 100% such as 90%',
    ])
  })
})
