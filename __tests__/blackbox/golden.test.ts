import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { version } from '../../src/version.ts'
import { scenarios } from '../helpers/golden-scenarios.ts'
import { gitRepository, projectRoot, runAction, runCli } from '../helpers/run-action.ts'
import { pullRequestPayload } from '../helpers/scenario.ts'
import { githubs } from '../helpers/servers.ts'

jest.setTimeout(60_000)

/** Whole pull requests with what a reader sees of them. `UPDATE_GOLDENS=1 npm run unit -- golden` writes them anew. */

const github = githubs()
const updating = process.env['UPDATE_GOLDENS'] === '1'
/** Of a longer text the golden keeps so much of its beginning and a quarter of that of its end, whole lines. */
const MOST_KEPT = 20_000

function kept(text: string): string {
  if (text.length <= MOST_KEPT) return text
  const start = text.lastIndexOf('\n', MOST_KEPT)
  const end = text.indexOf('\n', text.length - MOST_KEPT / 4)
  return `${text.slice(0, start)}\n[${end - start} characters are not kept]${text.slice(end)}`
}

describe.each(scenarios)('$name', ({ name, base, head, code }) => {
  test('comment, summary and table are as reviewed', async () => {
    const { folder, commits } = gitRepository([base, head])
    const [before, after] = commits as [string, string]
    const server = await github()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: before, head: after }),
      apiUrl: server.url,
      inputs: { comment: 'always' },
    })
    expect([run.code, run.stderr]).toEqual([code, ''])
    const table = await runCli(folder, ['check', '--base', before, '--offline', '--warn-only'])
    const steady = (text: string) =>
      text
        .replaceAll(after, 'HEAD')
        .replaceAll(after.slice(0, 12), 'HEAD')
        .replaceAll(before, 'BASE')
        .replaceAll(before.slice(0, 12), 'BASE')
        .replaceAll(`hf-vram-calc ${version}`, 'hf-vram-calc VERSION')
    const { body } = server.state.comments[0]!
    expect(body.length).toBeLessThanOrEqual(65_536)
    expect(Buffer.byteLength(run.summary)).toBeLessThanOrEqual(2 ** 20)
    const seen = { 'comment.md': body, 'summary.md': run.summary, 'table.txt': table.stdout }
    let compared = 0
    for (const [file, text] of Object.entries(seen)) {
      expect(text.length).toBeGreaterThan(100)
      const path = join(projectRoot, '__tests__/golden', name, file)
      if (updating) {
        mkdirSync(join(path, '..'), { recursive: true })
        writeFileSync(path, kept(steady(text)))
      }
      expect(existsSync(path)).toBe(true)
      expect(kept(steady(text))).toBe(readFileSync(path, 'utf8'))
      compared++
    }
    expect(compared).toBe(3)
  })
})
