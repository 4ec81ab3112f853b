import { afterEach, describe, expect, test } from '@jest/globals'
import { type FakeGitHub, fakeGitHub } from '../helpers/github-server.ts'
import { runAction } from '../helpers/run-action.ts'
import { CONTEXT_LINE, pullRequestPayload, raisedContext } from '../helpers/scenario.ts'

const open: FakeGitHub[] = []
afterEach(async () => {
  for (const server of open.splice(0)) {
    expect(server.violations).toEqual([])
    await server.close()
  }
})
async function github(state: Parameters<typeof fakeGitHub>[0] = {}): Promise<FakeGitHub> {
  const server = await fakeGitHub(state)
  open.push(server)
  return server
}

describe('a pull request that raises the context', () => {
  test('case 1: red, one comment that the second run updates, an annotation on the line of the flag', async () => {
    const server = await github()
    const { folder, base, head } = raisedContext()
    const world = { workspace: folder, payload: pullRequestPayload({ base, head }), apiUrl: server.url }
    const first = await runAction(world)
    expect(first.stderr).toBe('')
    expect(first.code).toBe(1)
    expect(first.outputs).toMatchObject({ verdict: 'fail', passed: 'false', 'over-limit-count': '1', 'comment-status': 'created', 'base-sha': base, 'head-sha': head })
    expect(server.state.comments).toHaveLength(1)
    expect(server.state.comments[0]!.body).toContain('131072')
    const errors = first.annotations.filter(annotation => annotation.level === 'error')
    expect(errors).toHaveLength(1)
    expect(errors[0]!.properties).toMatchObject({ file: 'deploy/chat.yaml', line: String(CONTEXT_LINE) })
    expect(first.summary).toContain('FAIL')

    const second = await runAction({ ...world, env: { GITHUB_RUN_NUMBER: '43', GITHUB_RUN_ID: '4243' } })
    expect(second.code).toBe(1)
    expect(second.outputs['comment-status']).toBe('updated')
    expect(server.state.comments).toHaveLength(1)
  })

  test('case 18: the same report of the same run writes nothing', async () => {
    const server = await github()
    const { folder, base, head } = raisedContext()
    const world = { workspace: folder, payload: pullRequestPayload({ base, head }), apiUrl: server.url }
    await runAction(world)
    const before = server.asked.length
    expect(before).toBeLessThanOrEqual(6)
    const second = await runAction(world)
    expect(second.outputs['comment-status']).toBe('unchanged')
    expect(server.asked.slice(before).filter(request => request.method !== 'GET' && request.path !== '/graphql')).toEqual([])
  })
})
