import { describe, expect, test } from '@jest/globals'
import { listInput, readInputs } from '../../src/github/inputs.ts'

const read = (given: Record<string, string> = {}) => readInputs(name => given[name] ?? '')
const value = (given: Record<string, string>) => {
  const inputs = read(given)
  if (!inputs.ok) throw new Error(JSON.stringify(inputs))
  return inputs.value
}

test('nothing given: the documented defaults, and no policy key that would beat the file', () => {
  expect(value({})).toMatchObject({
    hfEndpoint: 'https://huggingface.co',
    workingDirectory: '.',
    comment: 'on-change',
    commentMode: 'update',
    collapseUnchanged: true,
    jobSummary: true,
    annotations: true,
    mode: 'check',
    offline: false,
    requestTimeoutMs: 10_000,
    maxRetries: 3,
    timeoutMs: 300_000,
    policy: {},
    settings: {},
    configSource: null,
    prNumber: null,
  })
})

describe('case 43 and 47: values', () => {
  test.each<[Record<string, string>, object]>([
    [{ 'warn-only': 'false', headroom: '0' }, { policy: { 'warn-only': 'false', headroom: '0' } }],
    [{ 'warn-only': '', headroom: '  ' }, { policy: {} }],
    [{ 'context-length': '8192', 'kv-cache-dtype': 'fp8' }, { settings: { maxModelLen: '8192', kvCacheDtype: 'fp8' } }],
    [
      { offline: 'TRUE', annotations: 'False' },
      { offline: true, annotations: false },
    ],
    [
      { timeout: '90s', 'request-timeout': '500ms' },
      { timeoutMs: 90_000, requestTimeoutMs: 500 },
    ],
    [
      { 'max-files': '10', 'max-file-size': '512KiB' },
      { maxFiles: 10, maxFileSize: 524_288 },
    ],
    [
      { 'pr-number': '7', 'max-retries': '0' },
      { prNumber: 7, maxRetries: 0 },
    ],
    [{ 'hf-token': ' hf_x\n' }, { hfToken: 'hf_x' }],
    [{ files: 'a/**, b/**\n# c\n!d/** # not these' }, { files: ['a/**', 'b/**', '!d/**'] }],
    [{ 'model-ids': 'org/a maxModelLen=1,2\n\n# no\norg/b' }, { modelIds: ['org/a maxModelLen=1,2', 'org/b'] }],
  ])('%j', (given, expected) => expect(value(given)).toMatchObject(expected))
})

describe('case 47 and 48: faults, all together', () => {
  const wrong: Record<string, string> = {
    'pr-number': '1e3',
    'max-retries': '0x10',
    'max-files': '-1',
    'max-file-size': '80',
    timeout: '5',
    'request-timeout': '0s',
    offline: 'yes',
    comment: 'allways',
    'comment-mode': 'replace',
    'config-source': 'tail',
    workload: 'sleep',
    mode: 'chek',
    'comment-key': 'x'.repeat(201),
  }
  test.each(Object.entries(wrong))('%s: %s', (name, text) => {
    const inputs = read({ [name]: text })
    expect(inputs.ok).toBe(false)
    if (inputs.ok || !('problems' in inputs)) return
    expect(inputs.problems).toHaveLength(1)
    expect(inputs.problems[0]!.message).toContain(`input ${name} is`)
  })
  test('one problem each', () => {
    const inputs = read(wrong)
    expect(!inputs.ok && 'problems' in inputs ? inputs.problems.length : 0).toBe(Object.keys(wrong).length)
  })
})

test.each([
  ['', []],
  ['a', ['a']],
  ['a,b\nc , ,', ['a', 'b', 'c']],
  ['# only\n  # comments', []],
  ['a#b', ['a#b']],
])('a list from %j', (text, expected) => expect(listInput(text)).toEqual(expected))
