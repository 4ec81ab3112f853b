import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'
import { writeText } from '../../src/repository/write-text.ts'

const folder = mkdtempSync(join(tmpdir(), 'write-text-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('a file is written', () => {
  test('with the folders it lacks, and over an older one', () => {
    const path = join(folder, 'a/b/c.json')
    expect([writeText(path, 'one'), writeText(path, 'two')]).toEqual([null, null])
    expect(readFileSync(path, 'utf8')).toBe('two')
  })

  test.each([
    ['the name of a folder', '.'],
    ['a folder inside a file', 'file/x/y.json'],
    // There is no making folders in /proc; asked for them at once, Node tries for ever.
    ['a place that answers "no such file"', process.platform === 'linux' ? '/proc/nope/x.json' : 'file/x.json'],
  ])('or it says what hindered: %s', (_what, name) => {
    writeText(join(folder, 'file'), 'x')
    expect(writeText(name.startsWith('/') ? name : join(folder, name), 'x')).toMatch(/\bE[A-Z]{4,}: /)
  })
})
