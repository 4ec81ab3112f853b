import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { parseLock } from '../../../src/models/sources/lock-file.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const document = read('docs/models.md')

test('the lock file of docs/models.md is one', () => {
  const example = /^```json\n([\s\S]*?)^```$/m.exec(document)![1]!
  const lock = parseLock(example, 'docs/models.md')
  expect(lock.ok ? [...lock.value.keys()] : lock.problem.message).toEqual(['org/name'])
})

test('docs/models.md names every variable that is read, and every refusal', () => {
  const settings = read('src/models/sources/hub-settings.ts') + read('src/models/sources/file-cache.ts')
  const variables = [...settings.matchAll(/'((?:HF|HUGGING|TRANSFORMERS|XDG)_[A-Z_]+)'/g)].map(match => match[1]!)
  const codes = [...read('src/models/sources/hub-problems.ts').matchAll(/code: '([a-z-]+)'/g)].map(match => match[1]!)
  expect(variables.length).toBeGreaterThanOrEqual(7)
  expect(codes.length).toBeGreaterThanOrEqual(5)
  expect([...variables, ...codes].filter(name => !document.includes(name))).toEqual([])
})
