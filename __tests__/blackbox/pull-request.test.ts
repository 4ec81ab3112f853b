import { describe, expect, test } from '@jest/globals'
import { markerLine } from '../../src/github/comment.ts'
import { runAction } from '../helpers/run-action.ts'
import { CONTEXT_LINE, manifest, pullRequestPayload, raisedContext } from '../helpers/scenario.ts'
import { githubs } from '../helpers/servers.ts'

const github = githubs()

const marker = (more: Partial<Parameters<typeof markerLine>[0]> = {}) =>
  markerLine({ key: 'gate/check', headSha: 'a'.repeat(40), runNumber: 1, runId: 1, attempt: 1, ...more })
const bot = 'github-actions[bot]'

async function pull(
  state: Parameters<typeof github>[0] = {},
  more: {
    inputs?: Record<string, string>
    env?: Record<string, string | undefined>
    fork?: boolean
    files?: Record<string, string>
  } = {},
) {
  const server = await github(state)
  const { folder, base, head } = raisedContext(more.files)
  const world = {
    workspace: folder,
    payload: pullRequestPayload({ base, head }, { fork: more.fork ?? false }),
    apiUrl: server.url,
    inputs: { 'max-retries': '2', ...more.inputs },
    ...(more.env ? { env: more.env } : {}),
  }
  const run = await runAction(world)
  return { server, run, world, base, head }
}

describe('a pull request that raises the context', () => {
  test('case 1: red, one comment that the next run updates, an annotation on the line of the flag', async () => {
    const { server, run, world, base, head } = await pull()
    expect(run.stderr).toBe('')
    expect(run.code).toBe(1)
    expect(run.outputs).toMatchObject({
      verdict: 'fail',
      passed: 'false',
      'over-limit-count': '1',
      'comment-status': 'created',
      'base-sha': base,
      'head-sha': head,
    })
    expect(server.state.comments).toHaveLength(1)
    expect(server.state.comments[0]!.body).toContain('131072')
    const errors = run.annotations.filter(annotation => annotation.level === 'error')
    expect(errors).toHaveLength(1)
    expect(errors[0]!.properties).toMatchObject({ file: 'deploy/chat.yaml', line: String(CONTEXT_LINE) })
    expect(run.summary).toContain('FAIL')
    expect(server.asked.length).toBeLessThanOrEqual(6)
    const second = await runAction({ ...world, env: { GITHUB_RUN_NUMBER: '43', GITHUB_RUN_ID: '4243' } })
    expect(second.code).toBe(1)
    expect(second.outputs['comment-status']).toBe('updated')
    expect(server.state.comments).toHaveLength(1)
  })

  test('case 18: the same report of the same run writes nothing', async () => {
    const { server, world } = await pull()
    const before = server.asked.length
    const second = await runAction(world)
    expect(second.outputs['comment-status']).toBe('unchanged')
    const writes = server.asked.slice(before).filter(request => request.method !== 'GET' && request.path !== '/graphql')
    expect(writes).toEqual([])
  })
})

describe('comments that cannot be written', () => {
  test('case 2 and 5: a fork: the verdict stands, the warning names the permission, the summary has the report', async () => {
    const refused = {
      status: 403,
      body: { message: 'Resource not accessible by integration' },
      headers: { 'x-accepted-github-permissions': 'issues=write; pull_requests=write' },
    }
    for (const [fork, env] of [
      [true, {}],
      [false, { GITHUB_ACTOR: 'dependabot[bot]' }],
    ] as const) {
      const { run, server } = await pull(
        { faults: [{ operation: 'issues/create-comment', answers: [refused] }] },
        { fork, env },
      )
      expect(run.code).toBe(1)
      expect(run.outputs['comment-status']).toBe('skipped-read-only')
      expect(
        run.annotations.find(a => a.level === 'warning' && a.message.includes('pull-requests: write')),
      ).toBeDefined()
      expect(run.summary).toContain('Llama-3.1-8B-Instruct')
      expect(run.summary).toContain('comes from a fork or from Dependabot')
      expect(
        server.asked.filter(request => request.method === 'POST' && request.path.endsWith('/comments')),
      ).toHaveLength(1)
    }
  })

  const old = { id: 5, body: `${marker()}\nold`, login: bot }
  test.each([
    ['403 on list', [{ operation: 'issues/list-comments', answers: [{ status: 403 }] }], 'skipped-read-only'],
    ['422 on create', [{ operation: 'issues/create-comment', answers: [{ status: 422 }] }], 'failed'],
    [
      '429 with Retry-After',
      [{ operation: 'issues/create-comment', answers: [{ status: 429, headers: { 'retry-after': '1' } }] }],
      'created',
    ],
    [
      '500 twice, then 201',
      [{ operation: 'issues/create-comment', answers: [{ status: 500 }, { status: 502 }] }],
      'created',
    ],
    ['a reset connection', [{ operation: 'issues/create-comment', answers: [{ status: 0, reset: true }] }], 'created'],
  ])('case 3: %s', async (_name, faults, status) => {
    const { run } = await pull({ faults })
    expect(run.code).toBe(1)
    expect(run.outputs['comment-status']).toBe(status)
  })

  test.each([404, 410])(
    'case 3: %s on update: the comment was deleted meanwhile, one fresh one is created',
    async status => {
      const { run, server } = await pull({
        comments: [{ ...old }],
        faults: [{ operation: 'issues/update-comment', answers: [{ status }] }],
      })
      expect(run.code).toBe(1)
      expect(run.outputs['comment-status']).toBe('created')
      expect(
        server.asked.filter(request => request.method === 'POST' && request.path.endsWith('/comments')),
      ).toHaveLength(1)
    },
  )

  test('case 4: no token: no request, no comment, the verdict stands', async () => {
    const { run, server } = await pull({}, { inputs: { 'github-token': '' } })
    expect(run.code).toBe(1)
    expect(run.outputs['comment-status']).toBe('skipped-read-only')
    expect(server.asked).toEqual([])
  })

  test('case 10: a locked conversation', async () => {
    const { run } = await pull({
      faults: [
        {
          operation: 'issues/create-comment',
          answers: [{ status: 403, body: { message: 'Unable to create comment because issue is locked.' } }],
        },
      ],
    })
    expect(run.code).toBe(1)
    expect(run.outputs['comment-status']).toBe('skipped-read-only')
  })
})

describe('finding our comment', () => {
  const chatter = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ id: 1000 + i, body: `comment ${i}`, login: 'someone' }))

  test.each([31, 101, 250])('case 13: among %s others, on the last page', async count => {
    const { run, server } = await pull({
      comments: [...chatter(count), { id: 9000, body: `${marker()}\nold`, login: bot }],
    })
    expect(run.outputs['comment-status']).toBe('updated')
    expect(run.outputs['comment-id']).toBe('9000')
    expect(server.state.comments).toHaveLength(count + 1)
  })

  test("case 14: the marker in a person's comment, in a quoted reply, in another bot's comment is not ours", async () => {
    const foreign = [
      { id: 1, body: `${marker()}\ncopied`, login: 'mallory' },
      { id: 2, body: `> ${marker()}\n> quoted`, login: bot },
      { id: 3, body: `${marker()}\nother`, login: 'other[bot]' },
    ]
    const { run, server } = await pull({ comments: structuredClone(foreign) })
    expect(run.outputs['comment-status']).toBe('created')
    expect(server.state.comments.slice(0, 3)).toEqual(foreign)
  })

  test('case 15: two of ours: the newest is updated, the other is collapsed, a foreign one stays', async () => {
    const { run, server } = await pull({
      comments: [
        { id: 1, body: `${marker({ runNumber: 3 })}\nolder`, login: bot },
        { id: 2, body: `${marker({ runNumber: 9 })}\nnewer`, login: bot },
        { id: 3, body: `${marker()}\nforeign`, login: 'mallory' },
      ],
    })
    expect(run.outputs).toMatchObject({ 'comment-status': 'updated', 'comment-id': '2' })
    expect(server.state.comments.find(c => c.id === 1)?.minimized).toBe(true)
    expect(server.state.comments.find(c => c.id === 3)).toEqual({
      id: 3,
      body: `${marker()}\nforeign`,
      login: 'mallory',
    })
  })

  test('case 16: ours is minimized: a new one is created', async () => {
    const { run, server } = await pull({ comments: [{ id: 1, body: `${marker()}\nold`, login: bot, minimized: true }] })
    expect(run.outputs['comment-status']).toBe('created')
    expect(server.state.comments).toHaveLength(2)
  })

  test.each(['a', 'a.*(b', 'with spaces', 'ends -->', 'line\nbreak', 'emoji 🚀', 'x'.repeat(200)])(
    'case 17: the key %j finds its own comment only',
    async key => {
      const { run, server, world } = await pull(
        { comments: [{ id: 1, body: `${marker({ key: 'a b' })}\nother key`, login: bot }] },
        { inputs: { 'comment-key': key } },
      )
      expect(run.outputs['comment-status']).toBe('created')
      const again = await runAction({ ...world, env: { GITHUB_RUN_NUMBER: '44', GITHUB_RUN_ID: '44' } })
      expect(again.outputs['comment-status']).toBe('updated')
      expect(server.state.comments).toHaveLength(2)
    },
  )

  test('case 22: the longest key and the most rows: comment and marker stay within 60,000 characters', async () => {
    const rows = Array.from({ length: 300 }, (_, i) => [`d/m${i}.yaml`, manifest(131_072 - i, { name: `模型-${i}` })])
    const { server } = await pull({}, { inputs: { 'comment-key': '键'.repeat(200) }, files: Object.fromEntries(rows) })
    const { body } = server.state.comments[0]!
    expect(body.split('\n', 1)[0]!.length).toBeGreaterThan(1800)
    expect(body.length).toBeLessThanOrEqual(60_000)
    // As much as there is room for.
    expect(body.length).toBeGreaterThan(58_000)
    expect(body).toMatch(/\*\*\d+ more deployments are not shown here\*\*; see the \[job summary\]/)
  })

  test('case 17: a key of 300 characters is refused by name', async () => {
    const { run } = await pull({}, { inputs: { 'comment-key': 'x'.repeat(300) } })
    expect(run.code).toBe(2)
    expect(run.annotations.find(a => a.level === 'error')?.message).toContain('comment-key')
  })

  test('case 19: an older run does not overwrite a newer report', async () => {
    const newer = { id: 1, body: `${marker({ runNumber: 99 })}\nnewer`, login: bot }
    const { run, server } = await pull({ comments: [{ ...newer }] })
    expect(run.code).toBe(1)
    expect(run.outputs['comment-status']).toBe('stale')
    expect(server.state.comments).toEqual([newer])
  })

  test('case 20: two runs that create at once leave one comment, the newer', async () => {
    const { run, server } = await pull({
      beforeCreate: state => {
        state.comments.push({ id: 50, body: `${marker({ runNumber: 43 })}\nthe other run`, login: bot })
      },
    })
    expect(run.code).toBe(1)
    expect(server.state.comments.map(comment => comment.id)).toEqual([50])
  })

  test('case 21: three legs with keys of their own keep a comment each', async () => {
    const { server, world } = await pull({}, { inputs: { 'comment-key': 'leg 1' } })
    for (const leg of ['leg 2', 'leg 3']) await runAction({ ...world, inputs: { ...world.inputs, 'comment-key': leg } })
    expect(server.state.comments).toHaveLength(3)
    // One setting for all legs: one comment, that of the last.
    const { server: one, world: legs } = await pull({}, { inputs: { 'comment-key': 'all' } })
    await runAction({ ...legs, env: { GITHUB_JOB: 'leg2', GITHUB_RUN_NUMBER: '43' } })
    expect(one.state.comments).toHaveLength(1)
    // Without a key each job and each leg of a matrix has its own, on every run.
    const { server: jobs, world: job } = await pull()
    await runAction({ ...job, env: { GITHUB_JOB: 'other' } })
    for (const matrix of ['{\n  "gpu": "L4"\n}', '{\n  "gpu": "T4"\n}', '{\n  "gpu": "L4"\n}', 'null'])
      await runAction({ ...job, inputs: { ...job.inputs, matrix } })
    expect(jobs.state.comments).toHaveLength(4)
  })

  test("case 14: without GraphQL the runner's bot is taken for our own account", async () => {
    const { run } = await pull({ graphql: false, comments: [{ id: 1, body: `${marker()}\nold`, login: bot }] })
    expect(run.outputs['comment-status']).toBe('updated')
  })

  test.each([
    ['recreate', 1],
    ['hide-and-recreate', 2],
  ])('mode %s leaves %s comments of ours', async (mode, count) => {
    const { run, server } = await pull(
      { comments: [{ id: 1, body: `${marker()}\nold`, login: bot }] },
      { inputs: { 'comment-mode': mode } },
    )
    expect(run.outputs['comment-status']).toBe('created')
    expect(server.state.comments).toHaveLength(count)
  })
})
