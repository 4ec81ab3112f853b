import { afterEach, expect } from '@jest/globals'
import { type FakeGitHub, fakeGitHub, type GitHubState } from './github-server.ts'

const open: FakeGitHub[] = []

/** Loopback GitHubs of one test; afterwards none may have seen or sent anything that GitHub's description forbids. */
export function githubs(): (state?: Partial<GitHubState>) => Promise<FakeGitHub> {
  afterEach(async () => {
    const servers = open.splice(0)
    for (const server of servers) await server.close()
    for (const server of servers) expect(server.violations).toEqual([])
  })
  return async state => {
    const server = await fakeGitHub(state)
    open.push(server)
    return server
  }
}
