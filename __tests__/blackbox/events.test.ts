import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { git, gitRepository, runAction, temporaryFolder, writeFiles } from '../helpers/run-action.ts'
import { manifest, pullRequestPayload, raisedContext } from '../helpers/scenario.ts'
import { githubs } from '../helpers/servers.ts'

const github = githubs()
const POLICY = '.github/hf-vram-calc.yml'

describe('events', () => {
  test('case 6: pull_request_target reads the head as data and leaves the checkout alone', async () => {
    const server = await github()
    // Programs of the repository that would say so if anything of it ran: modules beside it, hooks, filters, a wrapper.
    const ran = join(temporaryFolder(), 'ran')
    const tell = `require('node:fs').writeFileSync(${JSON.stringify(ran)}, 'x')`
    const { folder, base, head } = raisedContext({
      'node_modules/yaml/index.js': tell,
      'node_modules/@actions/core/index.js': tell,
      '.hf-vram-calc.js': tell,
      'package.json': '{"type": "commonjs"}',
      '.gitattributes': '*.yaml filter=own\n',
    })
    git(folder, 'config', 'filter.own.smudge', `touch ${ran}`)
    git(folder, 'config', 'filter.own.clean', `touch ${ran}; cat`)
    git(folder, 'config', 'core.fsmonitor', `touch ${ran}; false`)
    git(folder, 'checkout', '-q', base)
    writeFileSync(join(folder, '.git/hooks/post-checkout'), `#!/bin/sh\ntouch ${ran}\n`, { mode: 0o755 })
    const before = git(folder, 'status', '--porcelain=v2', '--branch')
    rmSync(ran, { force: true })
    const run = await runAction({
      workspace: folder,
      event: 'pull_request_target',
      payload: pullRequestPayload({ base, head }, { fork: true }),
      apiUrl: server.url,
    })
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'head-sha': head, 'base-sha': base })
    expect(existsSync(ran)).toBe(false)
    expect(git(folder, 'status', '--porcelain=v2', '--branch')).toBe(before)
  })

  test('case 6: a head that the clone lacks is read through the API', async () => {
    const { folder, base } = raisedContext()
    const head = 'b'.repeat(40)
    const server = await github({
      files: { [head]: { 'deploy/chat.yaml': manifest(131_072), 'readme.md': '' } },
      compare: { mergeBase: base, files: [{ filename: 'deploy/chat.yaml', status: 'modified' }] },
    })
    const run = await runAction({
      workspace: folder,
      event: 'pull_request_target',
      payload: pullRequestPayload({ base, head }, { fork: true }),
      apiUrl: server.url,
    })
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'head-sha': head })
  })

  test('case 7: merge_group compares with its base, does not comment, reports the verdict', async () => {
    const server = await github()
    const { folder, base, head } = raisedContext()
    const run = await runAction({
      workspace: folder,
      event: 'merge_group',
      payload: { merge_group: { base_sha: base, head_sha: head } },
      apiUrl: server.url,
    })
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'base-sha': base, 'comment-status': 'skipped-no-pr' })
    expect(server.asked).toEqual([])
  })

  test.each([
    ['push', { before: '0'.repeat(40) }],
    ['push', { ref: 'refs/tags/v1' }],
    ['schedule', {}],
    ['workflow_dispatch', {}],
    ['workflow_call', {}],
    ['repository_dispatch', {}],
    ['something_new', { surprising: [1, null] }],
  ])('case 8: %s checks the head only', async (event, payload) => {
    const server = await github()
    const { folder } = raisedContext()
    const run = await runAction({ workspace: folder, event, payload, apiUrl: server.url })
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({
      verdict: 'fail',
      'base-sha': '',
      'comment-status': 'skipped-no-pr',
      'delta-gib': '',
    })
    expect(server.asked).toEqual([])
  })

  test.each([
    ['missing', undefined],
    ['empty', ''],
    ['no JSON', '{"pull_request": '],
    ['of 10 MB', JSON.stringify({ filler: 'x'.repeat(10_000_000) })],
  ])('case 12: an event file that is %s: the head is checked, one clear message', async (_name, text) => {
    const { folder } = raisedContext()
    const file = join(temporaryFolder(), 'event.json')
    if (text !== undefined) writeFileSync(file, text)
    const run = await runAction({ workspace: folder, env: { GITHUB_EVENT_PATH: file } })
    expect(run.code).toBe(1)
    expect(run.outputs['verdict']).toBe('fail')
    expect(run.annotations.filter(a => a.level === 'warning').length).toBe(1)
  })

  test('case 12: GITHUB_EVENT_PATH is not set', async () => {
    const { folder } = raisedContext()
    const run = await runAction({ workspace: folder, env: { GITHUB_EVENT_PATH: undefined } })
    expect(run.code).toBe(1)
    expect(run.annotations.some(a => a.message.includes('GITHUB_EVENT_PATH'))).toBe(true)
  })
})

describe('the base', () => {
  test('case 58: a shallow clone without the base: read from the origin, nothing of the clone changes', async () => {
    const { folder: origin, base, head } = raisedContext()
    git(origin, 'config', 'uploadpack.allowAnySHA1InWant', 'true')
    const clone = temporaryFolder()
    git(clone, 'clone', '-q', '--depth=1', `file://${origin}`, 'work')
    const work = join(clone, 'work')
    const server = await github({
      compare: { mergeBase: base, files: [{ filename: 'deploy/chat.yaml', status: 'modified' }] },
    })
    const facts = () =>
      [
        git(work, 'status', '--porcelain=v2', '--branch'),
        git(work, 'for-each-ref'),
        git(work, 'rev-parse', '--is-shallow-repository'),
        git(work, 'rev-list', '--all', '--count'),
      ].join('\n')
    const before = facts()
    const run = await runAction({ workspace: work, payload: pullRequestPayload({ base, head }), apiUrl: server.url })
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'base-sha': base })
    expect(Number(run.outputs['delta-gib'])).toBeGreaterThan(10)
    expect(facts()).toBe(before)
  })

  test('case 58: no origin to fetch from: the API has the changed files of the merge base', async () => {
    const { folder: origin, base, head } = raisedContext()
    const clone = temporaryFolder()
    git(clone, 'clone', '-q', '--depth=1', `file://${origin}`, 'work')
    const work = join(clone, 'work')
    rmSync(origin, { recursive: true })
    const server = await github({
      compare: { mergeBase: base, files: [{ filename: 'deploy/chat.yaml', status: 'modified' }] },
      files: { [base]: { 'deploy/chat.yaml': manifest(8192) } },
    })
    const run = await runAction({ workspace: work, payload: pullRequestPayload({ base, head }), apiUrl: server.url })
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'base-sha': base })
    expect(Number(run.outputs['delta-gib'])).toBeGreaterThan(10)
  })

  test('case 59 and 63: no base anywhere, and no git at all: no comparison, the verdict stands', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, { 'deploy/chat.yaml': manifest(131_072) })
    const server = await github()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: 'c'.repeat(40), head: 'd'.repeat(40) }),
      apiUrl: server.url,
    })
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'base-sha': '' })
    expect(run.annotations.some(a => a.level === 'warning' && a.message.includes('no comparison'))).toBe(true)
  })

  test.each([
    ['git is not on the machine', { PATH: '/nonexistent' }],
    ['git refuses a folder of another owner', { GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' }],
  ])('case 63: %s: the API compares, the verdict stands', async (_name, env) => {
    const { folder, base, head } = raisedContext()
    const server = await github({
      compare: { mergeBase: base, files: [{ filename: 'deploy/chat.yaml', status: 'modified' }] },
      files: { [base]: { 'deploy/chat.yaml': manifest(8192) } },
    })
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base, head }),
      apiUrl: server.url,
      env,
    })
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'base-sha': base, 'delta-gib': '15.00' })
    expect(server.asked.length).toBeLessThanOrEqual(6)
  })

  test('case 63: submodules, LFS pointers and a sparse checkout: what is not there is not judged, and nothing breaks', async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 12345\n`
    const { folder, commits } = gitRepository([
      { 'deploy/chat.yaml': manifest(8192), 'other/x.yaml': manifest(4096, { name: 'x' }), 'big.yaml': pointer },
    ])
    git(folder, 'update-index', '--add', '--cacheinfo', `160000,${'d'.repeat(40)},vendored`)
    writeFiles(folder, { 'deploy/chat.yaml': manifest(16_384) })
    git(folder, 'add', 'deploy')
    git(folder, 'commit', '-qm', 'raise')
    const head = git(folder, 'rev-parse', 'HEAD')
    git(folder, 'sparse-checkout', 'set', 'deploy')
    const server = await github()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head }),
      apiUrl: server.url,
    })
    expect([run.code, run.stderr]).toEqual([0, ''])
    const report = JSON.parse(run.outputs['report']!)
    expect(report.deployments.map((row: { id: string }) => row.id)).toEqual(['deploy/chat.yaml#Deployment/chat/vllm'])
    expect(report.deployments[0].baseline).toMatchObject({ change: 'changed' })
    expect(report.removed).toEqual([])
  })

  test('case 59: a base without common history, and one whose file is broken: no baseline, the verdict stands', async () => {
    const { folder, base } = raisedContext()
    git(folder, 'checkout', '-q', '--orphan', 'alone')
    git(folder, 'commit', '-qm', 'alone')
    const head = git(folder, 'rev-parse', 'HEAD')
    const server = await github()
    const payload = (before: string, after: string) => ({
      workspace: folder,
      payload: pullRequestPayload({ base: before, head: after }),
      apiUrl: server.url,
    })
    const apart = await runAction(payload(base, head))
    expect([apart.code, apart.outputs['base-sha']]).toEqual([1, ''])
    expect(apart.annotations.find(a => a.message.includes('no comparison'))?.level).toBe('warning')
    const broken = gitRepository([
      { 'a.yaml': `${manifest(8192)}\n  bad: [\n`.replace('kind: Deployment', 'kind: [Deployment') },
      { 'a.yaml': manifest(131_072) },
    ])
    const run = await runAction({
      workspace: broken.folder,
      payload: pullRequestPayload({ base: broken.commits[0]!, head: broken.commits[1]! }),
      apiUrl: server.url,
    })
    expect(run.code).toBe(1)
    const [row] = JSON.parse(run.outputs['report']!).deployments
    expect(row.baseline).toMatchObject({ change: 'new', deltaBytes: null })
    expect(run.summary).not.toContain('100 %)')
  })

  test('case 60: the base moved on: the comparison is with the merge base', async () => {
    const { folder, commits } = gitRepository([
      { 'deploy/chat.yaml': manifest(8192) },
      { 'deploy/other.yaml': manifest(4096, { name: 'other' }) },
    ])
    git(folder, 'checkout', '-q', '-b', 'feature', commits[0]!)
    writeFiles(folder, { 'deploy/chat.yaml': manifest(16_384) })
    git(folder, 'commit', '-qam', 'raise')
    const head = git(folder, 'rev-parse', 'HEAD')
    const server = await github()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[1]!, head }),
      apiUrl: server.url,
    })
    expect(run.outputs).toMatchObject({ verdict: 'pass', 'base-sha': commits[0]! })
    expect(run.outputs['delta-gib']).toBe('1.00')
    expect(run.outputs['summary-markdown']).not.toContain('Removed')
  })

  test('case 59: renamed, removed and new deployments are told apart', async () => {
    const { folder, commits } = gitRepository([
      { 'a/chat.yaml': manifest(8192), 'a/gone.yaml': manifest(4096, { name: 'gone' }) },
      {
        'a/chat.yaml': null,
        'b/chat.yaml': manifest(8192),
        'a/gone.yaml': null,
        'a/fresh.yaml': manifest(2048, { name: 'fresh' }),
      },
    ])
    const server = await github()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head: commits[1]! }),
      apiUrl: server.url,
    })
    expect(run.code).toBe(0)
    const report = JSON.parse(run.outputs['report']!)
    const changes = Object.fromEntries(
      report.deployments.map((d: { location: { file: string }; baseline: { change: string } }) => [
        d.location.file,
        d.baseline.change,
      ]),
    )
    expect(changes).toEqual({ 'b/chat.yaml': 'renamed', 'a/fresh.yaml': 'new' })
    expect(report.removed.map((d: { id: string }) => d.id)).toEqual(['a/gone.yaml#Deployment/gone/vllm'])
  })

  test('the causes of a change sum to it, and a change of the GPU alone is named', async () => {
    const { folder, commits } = gitRepository([
      { 'chat.yaml': manifest(8192) },
      { 'chat.yaml': manifest(8192, { gpu: 'nvidia-tesla-t4' }) },
    ])
    const server = await github()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head: commits[1]! }),
      apiUrl: server.url,
    })
    const [deployment] = JSON.parse(run.outputs['report']!).deployments
    expect(deployment.baseline.causes.map((cause: { setting: string }) => cause.setting)).toEqual(['gpu'])
    const sum = deployment.baseline.causes.reduce(
      (total: number, cause: { deltaBytes: number }) => total + cause.deltaBytes,
      0,
    )
    expect(sum).toBe(deployment.baseline.deltaBytes)
  })
})

describe('whose policy decides', () => {
  const strict = 'version: 1\n'
  const loose = 'version: 1\nwarn-only: true\n'
  const pull = async (steps: Parameters<typeof gitRepository>[0]) => {
    const server = await github()
    const { folder, commits } = gitRepository(steps)
    return runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head: commits.at(-1)! }),
      apiUrl: server.url,
    })
  }

  test('case 44: a pull request that loosens the policy is judged by the base, and both verdicts are shown', async () => {
    const run = await pull([
      { [POLICY]: strict, 'chat.yaml': manifest(8192) },
      { [POLICY]: loose, 'chat.yaml': manifest(131_072) },
    ])
    expect(run.code).toBe(1)
    expect(run.outputs['verdict']).toBe('fail')
    expect(run.outputs['summary-markdown']).toContain(
      "changes the gate's policy. The base branch's policy applies: fail. With the changed policy the verdict would be: fail \\(warn-only\\).",
    )
    expect(run.summary).toContain("changes the gate's policy")
    const { policy } = JSON.parse(run.outputs['report']!)
    expect(policy).toMatchObject({ from: 'base', edited: { verdictWithHeadPolicy: 'fail' } })
  })

  test('case 44: an exemption added in the head does not count yet', async () => {
    const exemption = 'exemptions:\n  - deployment: "**"\n    reason: please\n'
    const run = await pull([
      { [POLICY]: strict, 'chat.yaml': manifest(8192) },
      { [POLICY]: strict + exemption, 'chat.yaml': manifest(131_072) },
    ])
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({ verdict: 'fail', 'exempted-count': '0' })
  })

  test('case 44: first adoption: the head has a policy, the base none: it decides, and that is said', async () => {
    const run = await pull([{ 'chat.yaml': manifest(8192) }, { [POLICY]: loose, 'chat.yaml': manifest(131_072) }])
    expect(run.code).toBe(0)
    expect(run.outputs).toMatchObject({ verdict: 'fail', passed: 'false' })
    expect(run.outputs['summary-markdown']).toContain('First adoption')
  })
})
