import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { git, gitRepository, runAction, runCli, temporaryFolder, writeFiles } from '../helpers/run-action.ts'
import { manifest, pullRequestPayload } from '../helpers/scenario.ts'
import { REPORT_SCHEMA, violationsOf } from '../helpers/schemas.ts'
import { githubs } from '../helpers/servers.ts'

jest.setTimeout(60_000)

const github = githubs()
const POLICY = '.github/hf-vram-calc.yml'
type Steps = readonly Readonly<Record<string, string | null>>[]

async function checked(steps: Steps, ...args: string[]) {
  const { folder, commits } = gitRepository(steps)
  const run = await runCli(folder, ['check', '--format', 'json', ...args], { HF_HUB_OFFLINE: '1' })
  return { run, report: run.stdout === '' ? null : JSON.parse(run.stdout), folder, commits }
}
const onBase = (before: Record<string, string>, after: Record<string, string | null>, ...args: string[]) =>
  checked([before, after], '--base', 'HEAD~1', ...args)
const single = (files: Record<string, string>, ...args: string[]) => checked([files], ...args)

describe('comparing with a base', () => {
  test('an unchanged tree has no delta, and its report conforms to the schema', async () => {
    const { report } = await onBase({ 'a.yaml': manifest(131_072) }, {}, '--warn-only')
    expect(violationsOf(REPORT_SCHEMA, report)).toEqual([])
    expect(report.deployments[0].baseline).toMatchObject({ change: 'unchanged', deltaBytes: 0, causes: [] })
    expect(report.removed).toEqual([])
  })

  test('the delta has its causes by setting, and they sum to it', async () => {
    const { report } = await onBase(
      { 'a.yaml': manifest(8192) },
      { 'a.yaml': manifest(16_384).replace('--max-num-seqs=16', '--max-num-seqs=32') },
    )
    const { baseline } = report.deployments[0]
    expect(baseline.change).toBe('changed')
    expect(baseline.causes.map((cause: { setting: string }) => cause.setting)).toContain('maxModelLen')
    const sum = baseline.causes.reduce((all: number, cause: { deltaBytes: number }) => all + cause.deltaBytes, 0)
    expect(sum).toBe(baseline.deltaBytes)
    expect(baseline.deltaBytes).toBeGreaterThanOrEqual(2 ** 30)
  })

  test('a change of the GPU alone says so', async () => {
    const { report } = await onBase(
      { 'a.yaml': manifest(8192) },
      { 'a.yaml': manifest(8192, { gpu: 'nvidia-h100-80gb' }) },
    )
    const settings = report.deployments[0].baseline.causes.map((cause: { setting: string }) => cause.setting)
    expect(settings).toContain('gpu')
    expect(settings).not.toContain('maxModelLen')
  })

  test('a revision that is none, and a folder without git, are refused by name', async () => {
    const { run } = await checked([{ 'a.yaml': manifest(8192) }], '--base', 'nowhere')
    expect([run.code, run.stderr]).toEqual([2, expect.stringContaining('nowhere')])
    const folder = temporaryFolder()
    writeFiles(folder, { 'a.yaml': manifest(8192) })
    expect((await runCli(folder, ['check', '--base', 'main'])).code).toBe(2)
  })
})

describe('case 61: only-new', () => {
  const old = { 'a.yaml': manifest(131_072) }
  test('what the base already failed warns', async () => {
    const { run, report } = await onBase(old, { 'README.md': 'x' }, '--only-new')
    expect([run.code, report.verdict]).toEqual([0, 'warn'])
  })
  test('the same violation grown fails', async () => {
    const { run } = await onBase(
      old,
      { 'a.yaml': manifest(131_072, { extra: '            - --max-num-batched-tokens=65536\n' }) },
      '--only-new',
    )
    expect(run.code).toBe(1)
  })
  test('a new one fails beside an old one; without only-new both do', async () => {
    const fresh = { 'b.yaml': manifest(131_072, { name: 'b' }) }
    expect((await onBase(old, fresh, '--only-new')).run.code).toBe(1)
    expect((await onBase(old, {})).run.code).toBe(1)
  })
  test('without a base everything is new', async () => {
    expect((await single(old, '--only-new')).run.code).toBe(1)
  })
  test('total and increase differ: a shrunk violation passes only-new, growth of what fits fails max-increase', async () => {
    expect((await onBase(old, { 'a.yaml': manifest(100_000) }, '--only-new')).run.code).toBe(0)
    const grown = [{ 'a.yaml': manifest(8192) }, { 'a.yaml': manifest(16_384) }] as const
    expect((await onBase(...grown, '--only-new')).run.code).toBe(0)
    expect((await onBase(...grown, '--only-new', '--max-increase', '512MiB')).run.code).toBe(1)
  })
})

describe('case 62: max-increase', () => {
  const grown = [{ 'a.yaml': manifest(8192) }, { 'a.yaml': manifest(16_384) }] as const
  test('exactly the limit passes, one byte less fails', async () => {
    const { report } = await onBase(...grown)
    const delta = report.deployments[0].baseline.deltaBytes
    expect(delta).toBeGreaterThan(0)
    expect((await onBase(...grown, '--max-increase', `${delta}B`)).run.code).toBe(0)
    expect((await onBase(...grown, '--max-increase', `${delta - 1}B`)).run.code).toBe(1)
  })
  test.each([
    ['1%', 1],
    ['50%', 0],
    ['0', 1],
    ['100GiB', 0],
  ])('%s of growth allowed: exit %s', async (limit, code) => {
    expect((await onBase(...grown, '--max-increase', limit)).run.code).toBe(code)
  })
  test('shrinking passes, and what is new has no base to grow from', async () => {
    const smaller = await onBase({ 'a.yaml': manifest(16_384) }, { 'a.yaml': manifest(8192) }, '--max-increase', '0')
    expect(smaller.run.code).toBe(0)
    expect(smaller.report.deployments[0].baseline.deltaBytes).toBeLessThan(0)
    const fresh = await onBase({ README: 'x' }, { 'a.yaml': manifest(8192) }, '--max-increase', '0')
    expect(fresh.run.code).toBe(0)
    expect(fresh.report.deployments[0].baseline).toMatchObject({ change: 'new', deltaBytes: null })
  })
})

describe('case 46: exemptions', () => {
  const day = (offset: number) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10)
  const policy = (lines: string) => `version: 1\nexemptions:\n${lines}`
  const one = (deployment: string, more = '') =>
    policy(`  - { deployment: ${JSON.stringify(deployment)}, reason: known${more} }\n`)
  const id = 'deploy/a.yaml#Deployment/chat/vllm'
  const rows: [string, string, number][] = [
    ['the exact id', one(id), 0],
    ['a glob', one('deploy/**'), 0],
    ['another case', one(id.toUpperCase()), 1],
    ['until tomorrow', one(id, `, until: ${day(1)}`), 0],
    ['until today, UTC', one(id, `, until: ${day(0)}`), 0],
    ['until yesterday', one(id, `, until: ${day(-1)}`), 1],
    ['an invalid date', one(id, ', until: 2026-02-30'), 2],
    ['no reason', policy(`  - { deployment: ${JSON.stringify(id)} }\n`), 2],
    [
      'two that overlap, one expired',
      policy(
        `  - { deployment: "deploy/**", reason: a, until: ${day(-1)} }\n  - { deployment: ${JSON.stringify(id)}, reason: b }\n`,
      ),
      0,
    ],
  ]
  test.each(rows.map(([name, text, code]) => [name, code, text] as const))('%s: exit %s', async (_name, code, text) => {
    const { run, report } = await single({ 'deploy/a.yaml': manifest(131_072), [POLICY]: text })
    expect(run.code).toBe(code)
    if (code === 0) expect(report.counts).toMatchObject({ exempted: 1, exceeds: 0 })
    if (code === 2) expect(run.stderr).toMatch(/hf-vram-calc\.yml:3:\d+: /)
  })

  test('it holds in the table, the comment, SARIF, the annotations and the outputs', async () => {
    const { folder } = gitRepository([{ 'deploy/a.yaml': manifest(131_072), [POLICY]: one(id) }])
    const run = await runAction({ workspace: folder, event: 'push', inputs: { 'sarif-file': 'out.sarif' } })
    expect(run.code).toBe(0)
    expect(run.outputs).toMatchObject({
      verdict: 'pass',
      passed: 'true',
      'over-limit-count': '0',
      'exempted-count': '1',
    })
    expect(run.summary).toMatch(/^### ✅ PASS: 1 deployment is exempted/)
    expect(run.summary).toContain('exceeds, exempted')
    expect(run.stdout).toContain('exceeds (exempt)')
    expect(run.annotations.filter(a => a.level === 'error' || a.level === 'warning')).toEqual([])
    const { results } = JSON.parse(readFileSync(join(folder, 'out.sarif'), 'utf8')).runs[0]
    expect(results.map((result: { level: string }) => result.level)).toEqual(['note'])
  })

  test('an unused one is said, and one that expired fails with its date', async () => {
    const unused = await single({ 'deploy/a.yaml': manifest(8192), [POLICY]: one(id) })
    expect(unused.report.policy.messages.map((said: { message: string }) => said.message).join()).toContain('exemption')
    const expired = await single({ 'deploy/a.yaml': manifest(131_072), [POLICY]: one(id, `, until: ${day(-1)}`) })
    expect(expired.report.deployments[0].exemption).toMatchObject({ expired: true, until: day(-1) })
  })
})

describe('case 75: exit by verdict, fail-on, warn-only and on-unknown', () => {
  const statuses = {
    fits: manifest(8192),
    exceeds: manifest(131_072),
    // Fits as expected, not with the upper end of its range.
    tight: manifest(36_000),
    unknown: manifest(8192, { model: 'nobody/knows-this-one' }),
  }
  const rows: [keyof typeof statuses, string, string, boolean, number][] = []
  for (const status of ['fits', 'exceeds', 'tight', 'unknown'] as const)
    for (const failOn of ['exceeds', 'exceeds,tight,unknown', 'unknown'])
      for (const onUnknown of ['fail', 'warn', 'ignore'])
        for (const warnOnly of [false, true]) {
          const fails =
            status === 'exceeds'
              ? failOn.includes('exceeds')
              : status === 'tight'
                ? failOn.includes('tight')
                : status === 'unknown' && (onUnknown === 'fail' || (onUnknown === 'warn' && failOn.includes('unknown')))
          rows.push([status, failOn, onUnknown, warnOnly, fails && !warnOnly ? 1 : 0])
        }
  test.each(rows)(
    '%s, fail-on %s, on-unknown %s, warn-only %s: exit %s',
    async (status, failOn, onUnknown, warnOnly, code) => {
      const folder = temporaryFolder()
      writeFiles(folder, { 'a.yaml': statuses[status] })
      const run = await runCli(
        folder,
        ['check', '--fail-on', failOn, '--on-unknown', onUnknown, `--warn-only=${warnOnly}`, '--format', 'json'],
        { HF_HUB_OFFLINE: '1' },
      )
      const report = JSON.parse(run.stdout)
      expect(report.deployments[0].verdict.status).toBe(status)
      expect([run.code, report.enforced]).toEqual([code, !warnOnly])
      // Under warn-only the verdict keeps its word.
      if (!warnOnly) expect(report.verdict === 'fail').toBe(code === 1)
    },
  )
  test('the table is whole', () => expect(rows).toHaveLength(72))

  test.each([
    ['warn', 0],
    ['fail', 1],
    ['ignore', 0],
  ])('case 56: nothing found, on-empty %s: exit %s', async (onEmpty, code) => {
    const { run } = await single({ 'README.md': 'nothing' }, '--on-empty', onEmpty)
    expect(run.code).toBe(code)
  })

  test('case 74: warn-only never fails, except for what is wrong with the configuration', async () => {
    expect((await single({ 'a.yaml': statuses.exceeds, [POLICY]: 'version: 1\nwarn-only: true\n' })).run.code).toBe(0)
    expect(
      (await single({ 'a.yaml': statuses.exceeds, [POLICY]: 'version: 1\nwarn-only: true\nfail-off: x\n' })).run.code,
    ).toBe(2)
    expect((await single({ 'a.yaml': statuses.exceeds }, '--warn-only', '--warn-at', 'much')).run.code).toBe(2)
  })
})

describe('files', () => {
  test('case 54: a named pipe, a folder with a file name, an unreadable and a large file: bounded, said, the rest is judged', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, {
      'a.yaml': manifest(8192),
      'large.yaml': `${manifest(8192, { name: 'large' })}\n# ${'x'.repeat(3 * 1024 * 1024)}\n`,
    })
    mkdirSync(join(folder, 'folder.yaml'))
    execFileSync('mkfifo', [join(folder, 'pipe.yaml')])
    const run = await runCli(folder, ['check', '--format', 'json'], { HF_HUB_OFFLINE: '1' })
    const report = JSON.parse(run.stdout)
    expect(report.counts.deployments).toBe(1)
    expect(report.notUnderstood).toEqual([expect.objectContaining({ file: 'large.yaml', reason: 'file-too-large' })])
  })

  test('case 54: the inputs max-files and max-file-size bound what is read, and that is said', async () => {
    const folder = temporaryFolder()
    writeFiles(
      folder,
      Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`m${i}.yaml`, manifest(8192, { name: `m${i}` })])),
    )
    const few = await runAction({ workspace: folder, event: 'push', inputs: { 'max-files': '5' } })
    expect(few.outputs['checked-count']).toBe('5')
    expect(JSON.parse(few.outputs['report']!).problems).toEqual([expect.objectContaining({ code: 'too-many-files' })])
    expect(few.outputs['verdict']).toBe('warn')
    const small = await runAction({ workspace: folder, event: 'push', inputs: { 'max-file-size': '100B' } })
    expect(JSON.parse(small.outputs['report']!).notUnderstood).toHaveLength(12)
    const wrong = await runAction({
      workspace: folder,
      event: 'push',
      inputs: { 'max-file-size': '80', 'max-files': '0' },
    })
    expect(wrong.code).toBe(2)
    expect(wrong.annotations.filter(a => a.level === 'error')).toHaveLength(2)
  })

  test('case 55: one model in three packages, two targets, limits by glob; the order is that of the paths', async () => {
    const files = {
      'c/x.yaml': manifest(16_384, { name: 'c' }),
      'a/x.yaml': manifest(16_384, { name: 'a', gpu: 'nvidia-h100-80gb' }),
      'b/x.yaml': manifest(16_384, { name: 'b' }),
      [POLICY]: 'version: 1\nrules:\n  - paths: ["b/**"]\n    min-concurrency: 50\n',
    }
    const { report } = await single(files, '--warn-only')
    expect(
      report.deployments.map((row: { location: { file: string }; verdict: { status: string } }) => [
        row.location.file,
        row.verdict.status,
      ]),
    ).toEqual([
      ['a/x.yaml', 'fits'],
      ['b/x.yaml', 'exceeds'],
      ['c/x.yaml', 'fits'],
    ])
  })

  test('case 57: one name in two namespaces, two files and twice in one file: ids are unique and stable', async () => {
    const spaced = (space: string) => manifest(8192).replace('  name: chat', `  name: chat\n  namespace: ${space}`)
    const files = {
      'a.yaml': `${spaced('one')}---\n${spaced('two')}---\n${spaced('two')}`,
      'b.yaml': spaced('one'),
    }
    const ids = async () => (await single(files)).report.deployments.map((row: { id: string }) => row.id) as string[]
    const first = await ids()
    // The third object of a.yaml is the second once more; with another context it is one of its own.
    expect(first).toHaveLength(3)
    expect(new Set(first).size).toBe(3)
    expect(await ids()).toEqual(first)
    files['a.yaml'] += `---\n${spaced('two').replace('8192', '131072')}`
    expect(await ids()).toHaveLength(4)
  })
})

describe('case 45: a policy of another repository', () => {
  const sha = 'c'.repeat(40)
  const strict = 'version: 1\nfail-on: [exceeds, tight, unknown]\n'
  const files = { [sha]: { 'gates/gpu.yml': strict }, main: { 'gates/gpu.yml': 'version: 1\nwarn-only: true\n' } }
  async function judged(
    configFile: string,
    more: { faults?: never[]; token?: string; policy?: string; status?: number } = {},
  ) {
    const server = await github({
      files,
      faults: more.status ? [{ operation: 'repos/get-content', answers: [{ status: more.status }] }] : [],
    })
    const folder = temporaryFolder()
    writeFiles(folder, { 'a.yaml': manifest(131_072), [POLICY]: more.policy ?? 'version: 1\nwarn-only: true\n' })
    const run = await runAction({
      workspace: folder,
      event: 'push',
      apiUrl: server.url,
      inputs: { 'config-file': configFile, 'config-token': more.token ?? 'ghs_configtoken654321', 'max-retries': '0' },
    })
    return { run, server }
  }

  test('pinned: it decides, whatever this repository says, and its own token reads it', async () => {
    const { run, server } = await judged(`org/policies/gates/gpu.yml@${sha}`)
    expect(run.code).toBe(1)
    expect(JSON.parse(run.outputs['report']!).policy).toMatchObject({ from: 'remote', messages: [] })
    expect(server.asked.map(asked => [asked.path, asked.authorization])).toEqual([
      ['/repos/org/policies/contents/gates%2Fgpu.yml', 'token ghs_configtoken654321'],
    ])
    const said = run.stdout.replaceAll(/^::add-mask::.*$/gm, '') + run.summary + JSON.stringify(run.outputs)
    expect(said).not.toContain('ghs_configtoken654321')
  })

  test('not pinned to a commit: a warning', async () => {
    const { run } = await judged('org/policies/gates/gpu.yml@main')
    expect(run.code).toBe(0)
    expect(JSON.parse(run.outputs['report']!).policy.messages).toEqual([
      { level: 'warning', message: expect.stringContaining('not pinned to a commit') },
    ])
  })

  test.each([404, 403, 500])('HTTP %s is a configuration error, never an open gate', async status => {
    const { run } = await judged(`org/policies/gates/gpu.yml@${sha}`, { status })
    expect(run.code).toBe(2)
    expect(run.outputs['verdict']).toBe('error')
    expect(run.annotations.find(a => a.level === 'error')?.message).toContain('org/policies/gates/gpu.yml')
  })

  test('a moved or missing ref, a missing file, and a file of this repository that is not there', async () => {
    for (const name of ['org/policies/gates/gpu.yml@gone', `org/policies/gates/other.yml@${sha}`, 'gates/not-here.yml'])
      expect((await judged(name)).run.code).toBe(2)
  })
})

test('case 9: what a fork ran is not kept as a baseline: the base is always judged anew from its own files', async () => {
  const server = await github()
  const { folder, commits } = gitRepository([{ 'a.yaml': manifest(8192) }, { 'a.yaml': manifest(131_072) }])
  const run = await runAction({
    workspace: folder,
    payload: pullRequestPayload({ base: commits[0]!, head: commits[1]! }, { fork: true }),
    apiUrl: server.url,
  })
  const { baseline } = JSON.parse(run.outputs['report']!).deployments[0]
  expect(baseline).toMatchObject({ status: 'fits', change: 'changed' })
  expect(git(folder, 'status', '--porcelain')).toBe('')
})
