import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from '@jest/globals'
import { projectRoot } from './helpers/run-action.ts'

/** Which test covers which numbered case; `UPDATE_GOLDENS=1 npm run unit -- test-cases` writes the document anew. */

const DOCUMENT = join(projectRoot, 'docs/test-cases.md')
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
/** The cases of the pull-request experience, each of which must have a test. */
const REQUIRED = [...range(1, 48), ...range(56, 69), ...range(72, 76), 80]

interface Covered {
  readonly file: string
  readonly title: string
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? testFiles(path) : entry.name.endsWith('.test.ts') ? [path] : []
  })
}

/** Titles that name cases ("case 7: ...", "case 50, 51 and 52: ...", "cases 23 and 24: ..."), by number. */
function coverage(): Map<number, Covered[]> {
  const found = new Map<number, Covered[]>()
  for (const path of testFiles(join(projectRoot, '__tests__')).sort()) {
    const file = relative(projectRoot, path).replaceAll('\\', '/')
    if (file === '__tests__/test-cases.test.ts') continue
    for (const [, , title] of readFileSync(path, 'utf8').matchAll(/(?:test|describe|\))\(\s*(['"`])(cases? \d.*?)\1,/g))
      for (const [, numbers] of title!.matchAll(/cases? ([\d, and]+):/g))
        for (const number of numbers!.match(/\d+/g) ?? [])
          found.set(Number(number), [...(found.get(Number(number)) ?? []), { file, title: title! }])
  }
  return found
}

function documentOf(found: ReadonlyMap<number, readonly Covered[]>): string {
  const cell = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll('<', '&lt;')
  const rows = [...found]
    .sort(([a], [b]) => a - b)
    .map(([number, tests]) => {
      const byFile = new Map<string, string[]>()
      for (const { file, title } of tests) byFile.set(file, [...new Set([...(byFile.get(file) ?? []), title])])
      const where = [...byFile].map(
        ([file, titles]) => `[${file.replace('__tests__/', '')}](../${file}): ${titles.map(cell).join('; ')}`,
      )
      return `| ${number} | ${where.join('<br>')} |`
    })
  return [
    '# Which test covers which case',
    '',
    'The cases of a gate on pull requests by number: token and event 1-12, comment 13-25, summary, annotations and outputs',
    '26-33, injection 34-35, secrets 36-40, configuration 41-48, files 49-57, base and head 58-63, network 64-69, runtime',
    '70-80. The tests run the bundles as processes against a loopback GitHub and Hub. This table is made from the titles of',
    'the tests: `UPDATE_GOLDENS=1 npm run unit -- test-cases`.',
    '',
    '| case | tests |',
    '| ---: | --- |',
    ...rows,
    '',
  ].join('\n')
}

test('every required case has a test, and docs/test-cases.md says which', () => {
  const found = coverage()
  expect(found.size).toBeGreaterThanOrEqual(REQUIRED.length)
  expect(REQUIRED.filter(number => !found.has(number))).toEqual([])
  const text = documentOf(found)
  if (process.env['UPDATE_GOLDENS'] === '1') writeFileSync(DOCUMENT, text)
  expect(readFileSync(DOCUMENT, 'utf8')).toBe(text)
})
