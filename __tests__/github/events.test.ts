import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readEvent, readWorkflowRun } from '../../src/github/events.ts'

const A = 'a'.repeat(40)
const B = 'b'.repeat(40)
const W = 'c'.repeat(40)
const pull = (more: object = {}, fork = false) => ({
  number: 7,
  pull_request: {
    number: 7,
    head: { sha: A, repo: { full_name: fork ? 'x/repo' : 'o/repo' } },
    base: { sha: B, repo: { full_name: 'o/repo' } },
    ...more,
  },
})

describe('readEvent', () => {
  test.each<[string, unknown, string, object]>([
    [
      'pull_request',
      pull(),
      'me',
      { headSha: A, baseSha: B, pullRequest: 7, fromFork: false, policyFromBase: true, headAsData: false },
    ],
    ['pull_request', pull({}, true), 'me', { fromFork: true }],
    ['pull_request', pull(), 'dependabot[bot]', { fromFork: true }],
    ['pull_request', pull({ head: { sha: A, repo: null } }), 'me', { fromFork: true, headSha: A }],
    ['pull_request_target', pull({}, true), 'me', { headAsData: true, fromFork: false, policyFromBase: true }],
    [
      'pull_request',
      pull({ head: { sha: 'main; rm -rf /' } }),
      'me',
      { headSha: W, pullRequest: null, messages: [expect.stringContaining('no head commit')] },
    ],
    [
      'merge_group',
      { merge_group: { head_sha: A, base_sha: B } },
      'me',
      { headSha: A, baseSha: B, baseIsExact: true, pullRequest: null, policyFromBase: true },
    ],
    ['push', { before: '0'.repeat(40), after: A }, 'me', { headSha: W, baseSha: null, pullRequest: null }],
    ['schedule', {}, 'me', { headSha: W, baseSha: null }],
    ['never_heard', null, 'me', { headSha: W, messages: [] }],
  ])('%s %#', (name, payload, actor, expected) => expect(readEvent(name, payload, actor, W)).toMatchObject(expected))

  test('any payload is read without an exception, and no commit is anything but a hash', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('pull_request', 'pull_request_target', 'merge_group', 'push'),
        fc.jsonValue(),
        (name, payload) => {
          for (const given of [payload, { pull_request: payload, merge_group: payload }]) {
            const facts = readEvent(name, given, '', W)
            for (const sha of [facts.headSha, facts.baseSha])
              expect(sha === null || /^[0-9a-f]{40}$/.test(sha)).toBe(true)
          }
          expect(readWorkflowRun({ workflow_run: payload }).pullRequests.every(Number.isInteger)).toBe(true)
        },
      ),
      { numRuns: 300, seed: 4 },
    )
  })
})

describe('readWorkflowRun', () => {
  test.each<[unknown, object]>([
    [null, { headSha: null, pullRequests: [], runId: null, head: null }],
    [
      {
        workflow_run: {
          id: 5,
          head_sha: A,
          head_branch: 'x',
          head_repository: { owner: { login: 'me' } },
          pull_requests: [],
        },
      },
      { headSha: A, pullRequests: [], runId: 5, head: 'me:x' },
    ],
    [
      { workflow_run: { head_sha: 'x', pull_requests: [{ number: 3 }, { number: '4' }, { number: -1 }, null] } },
      { headSha: null, pullRequests: [3] },
    ],
  ])('%j', (payload, expected) => expect(readWorkflowRun(payload)).toMatchObject(expected))
})
