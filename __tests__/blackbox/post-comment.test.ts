import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { gitRepository, runAction, temporaryFolder } from '../helpers/run-action.ts'
import { manifest, pullRequestPayload, raisedContext } from '../helpers/scenario.ts'
import { githubs } from '../helpers/servers.ts'

jest.setTimeout(60_000)

const github = githubs()

/** A fork's pull request run: red, and its report as the artifact that a second workflow downloads. */
async function forkRun() {
  const server = await github({
    faults: [{ operation: 'issues/create-comment', answers: [{ status: 403 }] }],
  })
  const { folder, base, head } = raisedContext()
  const run = await runAction({
    workspace: folder,
    payload: pullRequestPayload({ base, head }, { fork: true }),
    apiUrl: server.url,
  })
  expect(run.code).toBe(1)
  return { report: run.outputs['report']!, head }
}

const workflowRun = (head: string, pullRequests: number[] = []) => ({
  workflow_run: {
    id: 991,
    head_sha: head,
    head_branch: 'patch-1',
    head_repository: { owner: { login: 'stranger' } },
    pull_requests: pullRequests.map(number => ({ number })),
  },
})

async function post(
  report: string,
  head: string,
  more: {
    pulls?: { number: number; head: string }[]
    inputs?: Record<string, string>
    payload?: unknown
    named?: number[]
  } = {},
) {
  const server = await github({ pulls: more.pulls ?? [{ number: 7, head }] })
  const workspace = temporaryFolder()
  writeFileSync(join(workspace, 'report.json'), report)
  const world = {
    workspace,
    event: 'workflow_run',
    payload: more.payload ?? workflowRun(head, more.named),
    apiUrl: server.url,
    inputs: { mode: 'comment', 'report-file': 'report.json', 'max-retries': '0', ...more.inputs },
  }
  return { server, world, run: await runAction(world) }
}

describe('case 9: mode comment after a run of a fork', () => {
  test('the pull request is found by the head commit, the comment rendered from the data; the same report again writes nothing', async () => {
    const { report, head } = await forkRun()
    const { server, world, run } = await post(report, head)
    expect([run.code, run.stderr]).toEqual([0, ''])
    expect(run.outputs).toMatchObject({ 'comment-status': 'created', verdict: 'fail', 'head-sha': head })
    const [comment] = server.state.comments
    expect(comment!.body).toContain('Llama-3.1-8B-Instruct')
    expect(comment!.body).toContain('131,072 tokens')
    expect(comment!.body).toContain(`/octo/repo/blob/${head}/deploy/chat.yaml`)
    expect(comment!.body).toContain('/octo/repo/actions/runs/991')
    expect(server.asked[0]).toMatchObject({ path: '/repos/octo/repo/pulls', query: { head: 'stranger:patch-1' } })
    const again = await runAction({ ...world, env: { GITHUB_RUN_NUMBER: '43', GITHUB_RUN_ID: '4243' } })
    expect(again.outputs['comment-status']).toBe('unchanged')
    expect(server.state.comments).toHaveLength(1)
  })

  test('a head that no pull request has any more is refused', async () => {
    const { report, head } = await forkRun()
    for (const more of [
      { pulls: [{ number: 7, head: 'f'.repeat(40) }] },
      { pulls: [{ number: 7, head: 'f'.repeat(40) }], named: [7] },
      { pulls: [{ number: 8, head }], inputs: { 'pr-number': '7' } },
      { pulls: [] },
    ]) {
      const { server, run } = await post(report, head, more)
      expect(run.code).toBe(2)
      expect(run.outputs['verdict']).toBe('error')
      expect(server.state.comments).toEqual([])
      expect(server.asked.filter(asked => asked.method !== 'GET')).toEqual([])
    }
  })

  test('text of the report is text: no markup, mention or foreign link gets through', async () => {
    const { report, head } = await forkRun()
    const evil = '<img src=x onerror=alert(1)> @octo/team [x](https://evil.example) \u202e --> | `'
    const data = JSON.parse(report)
    data.deployments[0].model.id = evil
    data.deployments[0].location.file = `a${evil}.yaml`
    data.deployments[0].verdict.reasons[0].message = evil
    data.policy.messages = [{ level: 'notice', message: evil }]
    const { server, run } = await post(JSON.stringify(data), head)
    expect(run.code).toBe(0)
    // Code spans show their text as it is.
    const body = server.state.comments[0]!.body.replace(/(`+) .*? \1/g, '')
    expect(body).not.toMatch(/<img|[^\\]\[x\]\(https:\/\/evil|(?<![\u200b\w`])@octo\/team/)
    expect(body).not.toContain('\u202e')
    for (const [, address] of body.matchAll(/\]\(([^)\s]+)\)/g))
      expect(address).toMatch(/^https:\/\/github\.com\/octo\/repo\//)
  })

  test.each([
    ['no JSON', () => '{"schemaVersion": 1'],
    ['another version', (text: string) => text.replace('"schemaVersion": 1', '"schemaVersion": 2')],
    ['another verdict', (text: string) => text.replace('"verdict": "fail"', '"verdict": "great"')],
    ['a count that is text', (text: string) => text.replace(/"deployments": \d+/, '"deployments": "many"')],
    ['a list for a report', () => '[]'],
    ['nothing', () => ''],
  ])('a report that is %s is refused', async (_name, tampered) => {
    const { report, head } = await forkRun()
    const { server, run } = await post(tampered(report), head)
    expect(run.code).toBe(2)
    expect(run.annotations.find(a => a.level === 'error')?.message).toContain('report')
    expect(server.state.comments).toEqual([])
  })

  test('without a report, a token or a payload of a run it says what is missing', async () => {
    const { report, head } = await forkRun()
    const missing = [
      { inputs: { 'report-file': '' }, says: 'report-file' },
      { inputs: { 'report-file': 'other.json' }, says: 'other.json' },
      { inputs: { 'github-token': '' }, says: 'github-token' },
      { payload: {}, says: 'workflow_run' },
    ]
    for (const { says, ...more } of missing) {
      const { run } = await post(report, head, more)
      expect(run.code).toBe(2)
      expect(run.annotations.find(a => a.level === 'error')?.message).toContain(says)
    }
  })
})

describe('case 80: the same run again', () => {
  test('attempt 2 updates the comment of attempt 1 or leaves it, and makes no second one', async () => {
    const server = await github()
    const { folder, base, head } = raisedContext()
    const world = { workspace: folder, payload: pullRequestPayload({ base, head }), apiUrl: server.url }
    await runAction(world)
    const second = await runAction({ ...world, env: { GITHUB_RUN_ATTEMPT: '2' } })
    expect(second.code).toBe(1)
    expect(['updated', 'unchanged']).toContain(second.outputs['comment-status'])
    expect(server.state.comments).toHaveLength(1)
  })
})

describe('case 10: pull requests in other states', () => {
  test('a closed one and a draft are judged and told as any other', async () => {
    const { folder, base, head } = raisedContext()
    for (const [action, change] of [
      ['closed', { state: 'closed', merged: true }],
      ['synchronize', { draft: true }],
    ] as const) {
      const server = await github()
      const payload = pullRequestPayload({ base, head }, { action }) as { pull_request: object }
      Object.assign(payload.pull_request, change)
      const run = await runAction({ workspace: folder, payload, apiUrl: server.url })
      expect([run.code, run.outputs['comment-status']]).toEqual([1, 'created'])
    }
  })

  test('a given pull request that does not exist: the verdict stands, a warning', async () => {
    const server = await github({
      faults: [
        { operation: 'issues/list-comments', answers: [{ status: 404 }] },
        { operation: 'issues/create-comment', answers: [{ status: 404 }] },
      ],
    })
    const { folder } = raisedContext()
    const run = await runAction({
      workspace: folder,
      event: 'workflow_dispatch',
      payload: {},
      apiUrl: server.url,
      inputs: { 'pr-number': '999' },
    })
    expect(run.code).toBe(1)
    expect(run.outputs['comment-status']).toBe('failed')
    expect(run.annotations.some(a => a.level === 'warning')).toBe(true)
  })
})

describe('cases 23 and 24: when to comment', () => {
  test('case 23: on-change without a change writes nothing; case 24: on-failure turns a red comment into a resolved one', async () => {
    const fine = gitRepository([{ 'a.yaml': manifest(8192) }, { 'README.md': 'x' }])
    const quiet = await github()
    const run = await runAction({
      workspace: fine.folder,
      payload: pullRequestPayload({ base: fine.commits[0]!, head: fine.commits[1]! }),
      apiUrl: quiet.url,
    })
    expect(run.code).toBe(0)
    expect(quiet.state.comments).toEqual([])

    const red = gitRepository([
      { 'a.yaml': manifest(8192) },
      { 'a.yaml': manifest(131_072) },
      { 'a.yaml': manifest(4096) },
    ])
    for (const comment of ['on-failure', 'on-change']) {
      const server = await github()
      const world = (head: string, run: string) => ({
        workspace: red.folder,
        payload: pullRequestPayload({ base: red.commits[0]!, head }),
        apiUrl: server.url,
        inputs: { comment },
        env: { GITHUB_RUN_NUMBER: run, GITHUB_RUN_ID: run },
      })
      const checkout = (sha: string) => execFileSync('git', ['checkout', '-q', sha], { cwd: red.folder })
      checkout(red.commits[1]!)
      expect((await runAction(world(red.commits[1]!, '1'))).code).toBe(1)
      expect(server.state.comments[0]!.body).toContain('FAIL')
      checkout(red.commits[2]!)
      const fixed = await runAction(world(red.commits[2]!, '2'))
      expect([fixed.code, fixed.outputs['comment-status']]).toEqual([0, 'updated'])
      expect(server.state.comments).toHaveLength(1)
      expect(server.state.comments[0]!.body).not.toContain('❌')
      expect(server.state.comments[0]!.body).toContain('PASS')
    }
  })
})
