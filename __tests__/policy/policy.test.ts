import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { loadPolicy, POLICY_FILES } from '../../src/policy/load.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { defaultPolicy, effectiveFor, type Policy, type PolicySubject } from '../../src/policy/policy.ts'
import { problemText } from '../../src/problem.ts'

const FILE = '.github/hf-vram-calc.yml'

async function policyOf(text: string): Promise<Policy> {
  const result = await parsePolicy(text, FILE)
  if (!result.ok) throw new Error(result.problems.map(problemText).join('\n'))
  return result.value
}
async function problemsOf(text: string): Promise<string[]> {
  const result = await parsePolicy(text, FILE)
  return result.ok ? [] : result.problems.map(problem => problemText(problem).replace(`${FILE}:`, ''))
}

const WHOLE = `version: 1
include: ["deploy/**"]
exclude: ["deploy/legacy/**"]
defaults:
  target: H100-80GB
  gpus-per-replica: 1
  headroom: 2GiB
  min-concurrency: 4
  settings: { maxModelLen: 8192, kvCacheMemoryBytes: 4GiB }
rules:
  - paths: ["deploy/edge/**"]
    models: ["org/*"]
    engines: [vllm]
    deployments: ["deploy/edge/a.yaml#**"]
    target: L4
    settings: { dtype: float16 }
  - paths: ["sandbox/**"]
    ignore: true
models:
  /models/assistant: { id: meta-llama/Llama-3.1-8B-Instruct, revision: 0e9e39f }
  acme/private-13b: { path: models/private-13b }
fail-on: [exceeds, tight]
max-increase: 10%
warn-at: 90%
only-new: true
warn-only: false
on-unknown: fail
on-empty: ignore
on-network-error: warn
exemptions:
  - deployment: "deploy/big.yaml#**"
    reason: "runs on the shared H200 pool until the move"
    owner: ml-platform
    until: 2027-03-31
`

describe('a policy file', () => {
  test('with every key is read whole', async () => {
    const policy = await policyOf(WHOLE)
    expect(policy).toMatchObject({
      file: FILE,
      include: ['deploy/**'],
      exclude: ['deploy/legacy/**'],
      defaults: {
        target: {
          value: 'H100-80GB',
          text: 'target: H100-80GB',
          from: 'policy',
          at: { file: FILE, line: 5, column: 11 },
        },
        gpusPerReplica: { value: 1 },
        headroom: { value: { bytes: 2 * 1024 ** 3 }, text: 'headroom: 2GiB' },
        minConcurrency: { value: 4 },
        settings: {
          maxModelLen: { value: 8192, from: 'policy', file: FILE, line: 9, column: 28, text: 'maxModelLen: 8192' },
          kvCacheMemoryBytes: { value: 4 * 1024 ** 3, text: 'kvCacheMemoryBytes: 4GiB' },
        },
      },
      gate: {
        failOn: ['exceeds', 'tight'],
        onUnknown: 'fail',
        onEmpty: 'ignore',
        onNetworkError: 'warn',
        onlyNew: true,
        maxIncrease: { fraction: 0.1 },
      },
      warnAt: 0.9,
      warnOnly: false,
    })
    expect(policy.models.get('/models/assistant')).toMatchObject({
      id: 'meta-llama/Llama-3.1-8B-Instruct',
      revision: '0e9e39f',
      path: null,
    })
    expect(policy.models.get('acme/private-13b')).toMatchObject({ id: null, path: 'models/private-13b' })
    expect(policy.exemptions[0]).toMatchObject({ owner: 'ml-platform', until: '2027-03-31', at: { line: 31 } })
  })

  test('that only says its version is all defaults', async () => {
    expect({ ...(await policyOf('version: 1\n')), file: null }).toEqual(defaultPolicy)
  })

  test.each<[string, string, string[]]>([
    [
      'a GPU that nobody knows',
      'version: 1\ndefaults: { target: L4 x 0 }\nrules:\n  - paths: [a]\n    target: H1000\n',
      [
        '2:21: defaults.target: "L4 x 0" asks for 0 GPUs (give a count of 1 or more)',
        '5:13: rules[0].target: unknown GPU "H1000" (did you mean NVIDIA H100 80GB? Else give the memory that the engine sees, as in 79.18GiB)',
      ],
    ],
    ['an unknown key', 'version: 1\nfail_onn: [exceeds]\n', ['2:1: unknown key "fail_onn" (did you mean fail-on?)']],
    [
      'an unknown key in a rule',
      'version: 1\nrules:\n  - path: ["a"]\n    target: L4\n',
      ['3:5: unknown key "path" in rules[0] (did you mean paths?)'],
    ],
    [
      'an unknown setting',
      'version: 1\ndefaults: { settings: { max-model-length: 8192 } }\n',
      ['2:25: unknown key "max-model-length" in defaults.settings (did you mean maxModelLen?)'],
    ],
    ['no version', 'fail-on: [exceeds]\n', ['1:1: version is missing (start the file with version: 1)']],
    ['another version', 'version: 2\n', ['1:10: version is 2, expected 1']],
    [
      'a misspelt choice',
      'version: 1\non-unknown: wran\n',
      ['2:13: on-unknown is "wran", expected one of fail, warn, ignore (did you mean warn?)'],
    ],
    [
      'a misspelt entry of a list',
      'version: 1\nfail-on:\n  - exceeds\n  - thight\n',
      ['4:5: fail-on[1] is "thight", expected one of exceeds, tight, increase, unknown, finding (did you mean tight?)'],
    ],
    ['text for a list', 'version: 1\nfail-on: exceeds\n', ['2:10: fail-on is "exceeds", expected a list']],
    [
      'a size without a unit',
      'version: 1\ndefaults: { headroom: 2 }\n',
      ['2:23: defaults.headroom is 2, expected a size with its unit such as 2GiB, or a percentage such as 10%'],
    ],
    [
      'a headroom of all',
      'version: 1\ndefaults: { headroom: 100% }\n',
      ['2:23: defaults.headroom is "100%", expected a size with its unit such as 2GiB, or a percentage such as 10%'],
    ],
    [
      'a share above all',
      'version: 1\nwarn-at: 101%\n',
      ['2:10: warn-at is "101%", expected a percentage of at most 100% such as 90%'],
    ],
    [
      'a fraction for a count',
      'version: 1\ndefaults:\n  min-concurrency: 1.5\n',
      ['3:20: defaults.min-concurrency is 1.5, expected a whole number of requests'],
    ],
    [
      'a negative count',
      'version: 1\ndefaults: { gpus-per-replica: -1 }\n',
      ['2:31: defaults.gpus-per-replica is -1, expected a whole number of at least 0'],
    ],
    ['text for true or false', 'version: 1\nonly-new: yes\n', ['2:11: only-new is "yes", expected true or false']],
    [
      'a setting of the wrong kind',
      'version: 1\ndefaults:\n  settings: { maxModelLen: 8k, memoryFraction: 1.5 }\n',
      [
        '3:28: defaults.settings.maxModelLen is "8k", expected a whole number of tokens of at least 1, or auto',
        '3:48: defaults.settings.memoryFraction is 1.5, expected a fraction above 0 and at most 1 such as 0.9',
      ],
    ],
    [
      'an exemption without reason and with a day that is not',
      'version: 1\nexemptions:\n  - deployment: "a#*"\n    until: 2027-02-30\n  - deployment: "b#*"\n    reason: "x"\n    until: soon\n',
      [
        '3:5: exemptions[0].reason is missing (say why the failure is accepted)',
        '4:12: exemptions[0].until is "2027-02-30", which is no date (write year-month-day)',
        '7:12: exemptions[1].until is "soon", expected a date such as 2027-03-31',
      ],
    ],
    [
      'a day that is not',
      'version: 1\nexemptions:\n  - { deployment: "a#*", reason: x, until: 2027-02-30 }\n',
      ['3:44: exemptions[0].until is "2027-02-30", which is no date (write year-month-day)'],
    ],
    [
      'model entries that say nothing, or point outside',
      'version: 1\nmodels:\n  a/b: {}\n  c/d: { path: ../x }\n  e/f: { path: m, revision: abc }\n',
      [
        '3:8: models["a/b"] says neither id nor path (give { id: org/name } or { path: folder })',
        '4:16: models["c/d"].path is "../x", outside the repository (give a path relative to its root)',
        '5:29: models["e/f"].revision has no effect without id (a path is read as it stands in the repository)',
      ],
    ],
    [
      'a rule that hides the next',
      'version: 1\nrules:\n  - target: L4\n  - { paths: [a], target: T4 }\n',
      [
        '3:5: rules[0] has no selector and hides the rules after it (add paths, models, engines or deployments, or use defaults)',
      ],
    ],
    ['a key given twice', 'version: 1\nwarn-at: 80%\nwarn-at: 90%\n', ['3:1: the key stands twice in one map']],
    ['an empty file', '', ['1:1: the policy is empty (start it with version: 1, or delete the file)']],
    ['only comments', '# later\n', ['1:1: the policy is empty (start it with version: 1, or delete the file)']],
    ['a list', '- a\n', ['1:1: the policy is ["a"], expected keys such as version, defaults and rules']],
    [
      'keys of the prototype',
      'version: 1\n__proto__: { warn-only: true }\nconstructor: 1\n',
      ['2:1: unknown key "__proto__"', '3:1: unknown key "constructor"'],
    ],
    [
      'lists where maps belong',
      'version: 1\ndefaults: [a]\nmodels: [b]\n',
      [
        '2:11: defaults is ["a"], expected a map of keys',
        '3:9: models is ["b"], expected a map of keys',
        '3:10: models.0 is "b", expected { id: org/name } or { path: folder }',
      ],
    ],
    ['a merge key', 'version: 1\ndefaults:\n  <<: { target: L4 }\n', ['3:3: unknown key "<<" in defaults']],
  ])('is refused for %s', async (_what, text, expected) => {
    const found = await problemsOf(text)
    expect(found.map((line, i) => (expected[i]?.includes('(') ? line : line.replace(/ \(.*\)$/, '')))).toEqual(expected)
  })

  test('shows all its mistakes at once, in the order of the file', async () => {
    const found = await problemsOf(
      'version: 3\nwarnat: 5\ndefaults: { headroom: lots, min-concurrency: 0 }\non-empty: perhaps\n',
    )
    expect(found.map(line => line.split(': ')[0])).toEqual(['1:10', '2:1', '3:23', '3:46', '4:11'])
    // Those of form beside those of meaning, and none twice.
    const mixed = await problemsOf(
      'version: 1\nfail_on: [tight]\ndefaults: { targt: L4, target: H1000 }\nrules:\n  - { path: [a], target: L4 x 0 }\n  - 7\n  - { paths: [b], ignore: true }\nmodels: { a: x, b: { path: ../x } }\nexemptions: { until: 2027-02-30 }\n',
    )
    expect(mixed.map(line => line.split(': ')[0])).toEqual([
      '2:1',
      '3:13',
      '3:32',
      '5:7',
      '5:26',
      '6:5',
      '8:14',
      '8:28',
      '9:13',
    ])
  })

  test.each<[string, string, RegExp]>([
    ['broken YAML', 'version: 1\ndefaults: { target: L4\n', /^2:\d+|^3:1: not valid YAML/],
    ['a tab', 'version: 1\ndefaults:\n\ttarget: L4\n', /^3:\d+: not valid YAML/],
    ['a code tag', 'version: !!js/function "x"\n', /^1:10: not valid YAML: Unresolved tag/],
    ['two documents', 'version: 1\n---\nversion: 1\n', /multiple documents/],
    ['deep nesting', `version: 1\nrules: ${'['.repeat(20_000)}`, /nested too deeply|not valid YAML/],
    [
      'an alias bomb',
      `version: 1\na: &a [1,1,1,1,1,1,1,1,1]\n${'bcdefghi'
        .split('')
        .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)
        .join('\n')}\n`,
      /alias/i,
    ],
    ['a cycle', 'version: &a\n  b: *a\n', /./],
    ['five megabytes', `version: 1\n#${'x'.repeat(5_000_000)}`, /larger than 1 MiB/],
  ])('is refused for %s, in bounds', async (_what, text, expected) => {
    expect((await problemsOf(text))[0]).toMatch(expected)
  })

  test('with byte order mark, CRLF and anchors is read', async () => {
    const policy = await policyOf(
      '\uFEFFversion: 1\r\ndefaults: &d { target: L4 }\r\nrules:\r\n  - { paths: [a], target: T4 }\r\n',
    )
    expect(policy.defaults.target).toMatchObject({ value: 'L4', at: { line: 2 } })
    expect(policy.rules[0]!.target).toMatchObject({ value: 'T4', at: { line: 4 } })
  })

  test('never throws, whatever the text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 200 }), async text => {
        expect(typeof (await parsePolicy(`version: 1\n${text}`, FILE)).ok).toBe('boolean')
      }),
      { numRuns: 300 },
    )
  })
})

describe('the policy of a deployment', () => {
  const edge: PolicySubject = {
    id: 'deploy/edge/a.yaml#Deployment/x',
    file: 'deploy/edge/a.yaml',
    engine: 'vllm',
    models: ['org/m'],
  }

  test('is the first rule whose selectors all match, over the defaults', async () => {
    const policy = await policyOf(WHOLE)
    expect(effectiveFor(policy, edge)).toMatchObject({
      target: { value: 'L4' },
      minConcurrency: { value: 4 },
      settings: { maxModelLen: { value: 8192 }, dtype: { value: 'float16' } },
      ignore: false,
      rule: { line: 11 },
    })
    const others: PolicySubject[] = [
      { ...edge, file: 'deploy/core/a.yaml' },
      { ...edge, models: ['other/m'] },
      { ...edge, models: [] },
      { ...edge, engine: 'sglang' },
      { ...edge, id: 'deploy/edge/b.yaml#x' },
    ]
    for (const other of others)
      expect(effectiveFor(policy, other)).toMatchObject({ target: { value: 'H100-80GB' }, rule: null })
    expect(effectiveFor(policy, { ...edge, file: 'sandbox/x.yaml' })).toMatchObject({
      ignore: true,
      target: { value: 'H100-80GB' },
    })
  })

  test.each([
    ['deploy/*.yaml', 'deploy/a.yaml', true],
    ['deploy/*.yaml', 'deploy/b/a.yaml', false],
    ['deploy/**', 'deploy/b/a.yaml', true],
    ['**/.hidden/*', 'x/.hidden/a', true],
    ['deploy/a[1].yaml', 'deploy/a[1].yaml', true],
    ['Deploy/**', 'deploy/a.yaml', false],
  ])('glob %s on %s: %s', async (glob, file, expected) => {
    const policy = await policyOf(`version: 1\nrules:\n  - paths: ["${glob}"]\n    ignore: true\n`)
    expect(effectiveFor(policy, { ...edge, file }).ignore).toBe(expected)
  })
})

describe('the policy of a repository', () => {
  const files = (texts: Record<string, string | Uint8Array>) => ({
    read: async (path: string) => (typeof texts[path] === 'string' ? texts[path] : null),
    readBytes: async (path: string) => (texts[path] === undefined ? null : new Uint8Array(1)),
  })

  test('that cannot be read as text is refused, not passed over', async () => {
    const result = await loadPolicy(files({ [FILE]: new Uint8Array([0]) }))
    expect(result.ok ? [] : result.problems.map(problemText)).toEqual([
      `${FILE}:1:1: the policy is no text of at most 1 MiB (write it in UTF-8)`,
    ])
  })

  test.each(POLICY_FILES)('is found at %s', async file => {
    const result = await loadPolicy(files({ [file]: 'version: 1\n' }))
    expect(result.ok ? result.value.file : null).toBe(file)
  })

  test('is all defaults where there is none, the named one where one is named', async () => {
    const none = await loadPolicy(files({}))
    expect(none.ok ? none.value : null).toEqual(defaultPolicy)
    const named = await loadPolicy(files({ 'x/p.yml': 'version: 1\nwarn-only: true\n' }), 'x/p.yml')
    expect(named.ok ? named.value.warnOnly : null).toBe(true)
  })

  test('is refused when the named one is missing, or two stand side by side', async () => {
    const missing = await loadPolicy(files({}), 'p.yml')
    expect(missing.ok ? [] : missing.problems.map(p => [p.code, p.message])).toEqual([
      ['path-missing', 'policy "p.yml" cannot be read'],
    ])
    const two = await loadPolicy(files({ 'hf-vram-calc.yml': 'version: 1', '.github/hf-vram-calc.yml': 'version: 1' }))
    expect(two.ok ? [] : two.problems.map(p => p.message)).toEqual([
      '.github/hf-vram-calc.yml and hf-vram-calc.yml are both policies',
    ])
  })
})
