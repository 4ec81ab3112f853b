import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { parse } from 'yaml'
import { gitRepository, projectRoot, runCli, temporaryFolder, writeFiles } from '../helpers/run-action.ts'
import { manifest } from '../helpers/scenario.ts'
import { REPORT_SCHEMA, SARIF_SCHEMA, violationsOf } from '../helpers/schemas.ts'

jest.setTimeout(60_000)

const POLICY = '.github/hf-vram-calc.yml'
const WORKFLOW = '.github/workflows/hf-vram-calc.yml'

function repository(files: Record<string, string>): string {
  const folder = temporaryFolder()
  writeFiles(folder, files)
  return folder
}
const mixed = () =>
  repository({
    'deploy/small.yaml': manifest(8192, { name: 'small' }),
    'deploy/large.yaml': manifest(131_072, { name: 'large' }),
  })
const offline = (folder: string, ...args: string[]) => runCli(folder, args, { HF_HUB_OFFLINE: '1' })
const json = async (folder: string, ...args: string[]) =>
  JSON.parse((await offline(folder, 'check', '--format', 'json', ...args)).stdout)

describe('check prints', () => {
  test('a table, with what does not fit first and a hint on what would', async () => {
    const run = await offline(mixed(), 'check')
    expect([run.code, run.stderr]).toEqual([1, ''])
    expect(run.stdout.split('\n')[0]).toMatch(/^Verdict +Deployment +Model +GPU +Needs +Has +Used/)
    expect(run.stdout).toMatch(/^exceeds +deploy\/large\.yaml:/m)
    expect(run.stdout.indexOf('\nexceeds')).toBeLessThan(run.stdout.indexOf('\nfits'))
    expect(run.stdout).toContain('--max-model-len')
    expect(run.stdout).not.toContain('\u001b')
  })

  test('JSON that conforms to the published schema', async () => {
    const report = await json(mixed())
    expect(violationsOf(REPORT_SCHEMA, report)).toEqual([])
    expect(report).toMatchObject({ schemaVersion: 1, verdict: 'fail', counts: { deployments: 2, fits: 1, exceeds: 1 } })
    expect(violationsOf(REPORT_SCHEMA, { ...report, verdict: 'maybe' })).not.toEqual([])
  })

  test('case 32: SARIF that conforms to the 2.1.0 schema, with fingerprints that do not move with the lines', async () => {
    const folder = mixed()
    const sarif = async () => JSON.parse((await offline(folder, 'check', '--format', 'sarif')).stdout)
    const before = await sarif()
    expect(violationsOf(SARIF_SCHEMA, before)).toEqual([])
    expect(violationsOf(SARIF_SCHEMA, { ...before, version: '1.0.0' })).not.toEqual([])
    writeFiles(folder, { 'deploy/large.yaml': `# one more line\n${manifest(131_072, { name: 'large' })}` })
    const after = await sarif()
    const prints = (log: typeof before) =>
      log.runs[0].results.map((result: { partialFingerprints: object }) => result.partialFingerprints)
    expect(prints(before).length).toBeGreaterThanOrEqual(1)
    expect(prints(after)).toEqual(prints(before))
    const line = (log: typeof before) => log.runs[0].results[0].locations[0].physicalLocation.region.startLine
    expect(line(after)).toBe(line(before) + 1)
  })

  test('workflow commands and markdown', async () => {
    const folder = mixed()
    expect((await offline(folder, 'check', '--format', 'github')).stdout).toMatch(
      /^::error file=deploy\/large\.yaml,line=17,col=\d+,title=[^:]+::/m,
    )
    expect((await offline(folder, 'check', '--format', 'markdown')).stdout).toMatch(/^### ❌ FAIL/)
  })

  test('several formats to files, also before a failing exit, folders made', async () => {
    const folder = mixed()
    const run = await offline(
      folder,
      'check',
      '--output',
      'json=out/report.json',
      '--output',
      'sarif=out/report.sarif',
      '--output=markdown=out/report.md',
    )
    expect(run.code).toBe(1)
    expect(violationsOf(REPORT_SCHEMA, JSON.parse(readFileSync(join(folder, 'out/report.json'), 'utf8')))).toEqual([])
    expect(violationsOf(SARIF_SCHEMA, JSON.parse(readFileSync(join(folder, 'out/report.sarif'), 'utf8')))).toEqual([])
    expect(readFileSync(join(folder, 'out/report.md'), 'utf8')).toMatch(/^### ❌ FAIL/)
  })

  test.each([
    ['max-model-len', /--max-model-len \d+/],
    ['tensor-parallel', /--tensor-parallel-size \d+|as it is/],
    ['gpu', /GB|NVIDIA|L40S|A10/],
    ['max-num-seqs', /nothing|fits|--max-num-seqs/],
  ])('--solve %s: a line for each deployment', async (kind, pattern) => {
    const run = await offline(mixed(), 'check', '--solve', kind)
    expect(run.stdout).toMatch(pattern)
    expect(run.stdout).toContain('large')
    expect(run.stdout).toContain('small')
  })

  test('what --solve max-model-len gives fits, and some tokens more do not', async () => {
    const folder = repository({ 'large.yaml': manifest(131_072) })
    const solved = /--max-model-len (\d+)/.exec((await offline(folder, 'check', '--solve', 'max-model-len')).stdout)
    const longest = Number(solved![1])
    const at = async (length: number) =>
      (await json(folder, '--set', `maxModelLen=${length}`)).deployments[0].verdict.status
    expect(await at(longest)).toBe('fits')
    expect(await at(longest + 4096)).not.toBe('fits')
  })
})

describe('flags of check', () => {
  test.each([
    [['--set', 'maxModelLen=4096'], 0, 'fits'],
    [['--target', 'H100-80GB'], 0, 'fits'],
    [['--warn-only'], 0, 'exceeds'],
    [['--warn_only=true'], 0, 'exceeds'],
    [['--warn-only=false'], 1, 'exceeds'],
    [['--fail-on', 'tight'], 0, 'exceeds'],
    [['--target', 'H100-80GB', '--headroom', '99%', '--fail-on', 'exceeds,tight'], 1, 'tight'],
    [['--target', 'H100-80GB', '--warn-at', '10%', '--fail-on', 'tight'], 1, 'tight'],
    [['--target', 'H100-80GB', '--min-concurrency', '100'], 1, 'exceeds'],
    [['--exclude', '**/*.yaml', '--on-empty', 'fail'], 1, undefined],
    [['--exclude', '**/*.yaml', '--on-empty', 'ignore'], 0, undefined],
  ])('%j: exit %s, %s', async (args, code, status) => {
    const folder = repository({ 'large.yaml': manifest(131_072) })
    const run = await offline(folder, 'check', '--format', 'json', ...args)
    expect(run.stderr).toBe('')
    expect(run.code).toBe(code)
    expect(JSON.parse(run.stdout).deployments[0]?.verdict.status).toBe(status)
  })

  test.each([
    [['check', '--fail-n', 'x'], 'did you mean --fail-on?'],
    [['check', '--format', 'tabel'], 'did you mean table?'],
    [['check', '--fail-on', 'exeeds'], 'did you mean exceeds?'],
    [['check', '--solve', 'gpus'], 'did you mean gpu?'],
    [['check', '--set', 'maxModelLn=1'], 'did you mean maxModelLen?'],
    [['check', '--target', 'H10'], 'unknown GPU'],
    [['check', 'nowhere'], 'does not exist'],
    [['check', '--config', 'nowhere.yml'], 'policy "nowhere.yml" cannot be read'],
    [['check', '--config', '../nowhere.yml'], 'policy "../nowhere.yml" cannot be read'],
    [['check', '--base', 'no-such-branch'], 'no-such-branch'],
    [['check', '--output', 'pdf=x'], 'formats: table'],
    [['check', '--warn-only=maybe'], 'expected true or false'],
    [['check', '--target'], 'needs a value'],
    [['chek'], 'did you mean check?'],
    [['list', 'gpu'], 'did you mean gpus?'],
    [['lock', '--ofline'], 'did you mean --offline?'],
    [['init', '--until', '2027-02-30', '--accept-current'], 'expected a date'],
    [['explain'], 'which deployment'],
  ])('case 73: %j is a usage error that helps', async (args, text) => {
    const { folder } = gitRepository([{ 'large.yaml': manifest(131_072) }])
    const run = await offline(folder, ...args)
    expect([run.code, run.stdout]).toEqual([2, ''])
    expect(run.stderr).toContain(text)
    expect(run.stderr).toMatch(/^hf-vram-calc: [^\n]+\n$/)
    expect(run.stderr).not.toContain('internal error')
  })

  test('every command has its help', async () => {
    for (const command of ['check', 'explain', 'lock', 'init', 'list', 'estimate']) {
      const run = await offline(projectRoot, command, '--help')
      expect([command, run.code, run.stderr]).toEqual([command, 0, ''])
      expect(run.stdout).toMatch(/^Usage: hf-vram-calc/)
    }
  })
})

describe('explain', () => {
  test('derives one deployment, found by a part of its id', async () => {
    const run = await offline(mixed(), 'explain', 'large')
    expect([run.code, run.stderr]).toEqual([0, ''])
    for (const text of [
      'deploy/large.yaml#',
      'Settings',
      'maxModelLen',
      '131072',
      '8,030,261,248',
      'Parameters by block',
    ])
      expect(run.stdout).toContain(text)
  })

  test('--json prints its part of the report', async () => {
    const folder = mixed()
    const report = await json(folder)
    const run = await offline(folder, 'explain', 'large', '--json')
    expect(JSON.parse(run.stdout)).toEqual(report.deployments.find((row: { id: string }) => row.id.includes('large')))
  })

  test.each([
    ['deploy', 'names 2 deployments'],
    ['nothing-like-it', 'no deployment is called'],
  ])('%s: %s', async (wanted, text) => {
    const run = await offline(mixed(), 'explain', wanted)
    expect(run.code).toBe(2)
    expect(run.stderr).toContain(text)
  })
})

describe('init', () => {
  test('writes a policy that is valid and a workflow with least permissions, and leaves both alone afterwards', async () => {
    const folder = mixed()
    const run = await offline(folder, 'init')
    expect([run.code, run.stderr]).toEqual([0, ''])
    expect(run.stdout).toContain(`wrote ${POLICY}\nwrote ${WORKFLOW}\n2 deployments found, 1 failing today`)
    const workflow = parse(readFileSync(join(folder, WORKFLOW), 'utf8'))
    expect(workflow.permissions).toEqual({})
    expect(workflow.jobs.gate.permissions).toEqual({ contents: 'read', 'pull-requests': 'write' })
    expect((await offline(folder, 'check')).code).toBe(1)
    expect((await offline(folder, 'init')).stdout).toContain('nothing to write')
  })

  test('--accept-current exempts what fails today; what fails anew still fails', async () => {
    const folder = mixed()
    const run = await offline(folder, 'init', '--accept-current', '--owner', 'platform', '--until', '2999-12-31')
    expect(run.stdout).toContain('exempted until 2999-12-31')
    const accepted = await json(folder)
    expect(accepted).toMatchObject({ verdict: 'pass', counts: { exempted: 1, exceeds: 0 } })
    expect(accepted.deployments.find((row: { exemption: unknown }) => row.exemption)?.exemption).toMatchObject({
      until: '2999-12-31',
    })
    writeFiles(folder, { 'deploy/new.yaml': manifest(131_072, { name: 'new' }) })
    expect((await json(folder)).verdict).toBe('fail')
    await offline(folder, 'init', '--accept-current', '--until', '2999-12-31')
    expect(await json(folder)).toMatchObject({ verdict: 'pass', counts: { exempted: 2 } })
  })

  test('--print writes nothing', async () => {
    const folder = mixed()
    const run = await offline(folder, 'init', '--print')
    expect(run.stdout).toContain(`# ${POLICY}\n`)
    expect(run.stdout).toContain(`# ${WORKFLOW}\n`)
    expect(existsSync(join(folder, '.github'))).toBe(false)
  })
})

describe('list', () => {
  test.each([
    ['types', 10],
    ['gpus', 40],
    ['instances', 50],
    ['engines', 6],
    ['formats', 10],
    ['families', 50],
    ['models', 500],
  ])('%s prints at least %s rows, as a table and as JSON', async (what, least) => {
    const data = JSON.parse((await offline(projectRoot, 'list', what, '--json')).stdout)
    expect(data.length).toBeGreaterThanOrEqual(least)
    expect((await offline(projectRoot, 'list', what)).stdout.split('\n').length).toBeGreaterThan(least)
  })
})
