import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { parsePolicy } from '../../src/policy/parse.ts'
import { choiceEntries, policySchema } from '../../src/policy/schema.ts'
import { settingNames } from '../../src/policy/settings.ts'
import { problemText } from '../../src/problem.ts'

const document = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
const examples = [...document.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(match => match[1]!)

test('every example of docs/policy.md is a policy', async () => {
  expect(examples.length).toBeGreaterThanOrEqual(7)
  for (const example of examples) {
    const result = await parsePolicy(example, 'docs/policy.md')
    expect(result.ok ? [] : result.problems.map(problemText)).toEqual([])
  }
})

test('docs/policy.md shows every key in an example and names every setting', () => {
  const shown = examples.join('\n')
  const keys = [...Object.keys(policySchema.entries), ...Object.keys(choiceEntries)]
  expect(keys.length).toBeGreaterThanOrEqual(19)
  expect(keys.filter(key => !new RegExp(`^[ -]*${key}:`, 'm').test(shown))).toEqual([])
  expect(settingNames.filter(name => !document.includes(`\`${name}\``))).toEqual([])
})

test("docs/policy.md's error messages are the program's", async () => {
  const result = await parsePolicy(
    'version: 1\n\ndefaults:\n  headrom: 1GiB\n\n\n\n\non-unknown: wran\n',
    '.github/hf-vram-calc.yml',
  )
  const shown = result.ok ? [] : result.problems.map(problemText)
  expect(shown).toHaveLength(2)
  for (const line of shown) expect(document).toContain(line)
})
