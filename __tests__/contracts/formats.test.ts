import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { commandLines } from '../../src/deployments/command-lines/index.ts'
import { formats } from '../../src/deployments/formats/index.ts'
import { extractFrom } from '../helpers/files.ts'

interface Example {
  readonly format: string
  readonly path: string
  readonly text: string
  readonly finds: string
  /** Files beside it: the blocks before the last. */
  readonly beside: Readonly<Record<string, string>>
}

/** The examples of docs/formats.md: heading, block with the file's path, what is found. */
function examples(): Example[] {
  const docs = readFileSync(join(dirname(fileURLToPath(import.meta.url)), '../../docs/formats.md'), 'utf8')
  return [...docs.matchAll(/^### (\S+)\n([\s\S]*?)\nFinds: (.+)$/gm)].map(match => {
    const blocks = [...match[2]!.matchAll(/^```\w+ (\S+)\n([\s\S]*?)\n```$/gm)].map(
      block => [block[1]!, `${block[2]!}\n`] as const,
    )
    const [path, text] = blocks.pop() ?? ['', '']
    return { format: match[1]!, path, text, finds: match[3]!, beside: Object.fromEntries(blocks) }
  })
}

const all = examples()

describe('every format', () => {
  test('has an example in the documentation', () => {
    expect(all.map(one => one.format).sort()).toEqual(formats.map(one => one.name).sort())
    expect(formats.length).toBeGreaterThanOrEqual(17)
  })

  test.each(all)('$format finds what its example says', async ({ format, path, text, finds, beside }) => {
    const { deployments, notUnderstood, problems } = await extractFrom({ ...beside, [path]: text })
    expect(deployments.map(one => [one.format, `${one.engine.name} ${one.model.id}`])).toEqual([[format, finds]])
    expect([notUnderstood, problems]).toEqual([[], []])
    const [found] = deployments
    expect(found!.id.startsWith(`${path}#`)).toBe(true)
    // Every piece of evidence stands where it says: the model's text begins at its line and column.
    const files: Readonly<Record<string, string>> = { ...beside, [path]: text }
    const line = files[found!.location.file]!.split('\n')[found!.location.line - 1]!
    expect(line.length).toBeGreaterThanOrEqual(found!.location.column)
    for (const setting of Object.values(found!.settings)) {
      expect(setting.from).toBe('file')
      expect(Object.keys(files)).toContain(setting.file)
      expect(setting.line).toBeLessThanOrEqual(files[setting.file!]!.split('\n').length)
    }
  })

  test.each(all)(
    '$format reads its example in pieces, with CRLF, tabs, a BOM, and cut anywhere, without failing',
    async ({ path, text, beside }) => {
      const cuts = Array.from({ length: 40 }, (_, index) => Math.floor((text.length * index) / 40))
      const variants = [
        text.replaceAll('\n', '\r\n'),
        text.replaceAll('  ', '\t'),
        `\uFEFF${text}`,
        text.toUpperCase(),
        ...cuts.map(cut => text.slice(0, cut)),
        ...cuts.map(cut => text.slice(cut)),
      ]
      for (const variant of variants) {
        const found = await extractFrom({ ...beside, [path]: variant })
        expect(Array.isArray(found.deployments)).toBe(true)
      }
      expect(variants).toHaveLength(84)
    },
  )

  test.each(all)('$format finds the same with Windows line ends', async ({ path, text, finds, beside }) => {
    const { deployments } = await extractFrom({ ...beside, [path]: text.replaceAll('\n', '\r\n') })
    expect(deployments.map(one => `${one.engine.name} ${one.model.id}`)).toEqual([finds])
  })

  test.each(all)('$format survives hostile edits of its example', async ({ path, text, beside }) => {
    const hostile = fc.constantFrom(
      '{{',
      '}}',
      '$(',
      '${',
      '"',
      "'",
      '`',
      '&a',
      '*a',
      '<<: *a',
      '---',
      '\n',
      '\t',
      '\0',
      '[[[[',
      '{{ .Values.x }}',
      '|',
      '>-',
      '--',
      '-',
      '=',
      '\\',
      '\\\n',
      '<<EOF\n',
      'if',
      'case',
      'for',
      '((',
      '!!binary',
      '%YAML',
      '?',
      ':',
    )
    let runs = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(text.length), hostile, fc.nat(12)), { minLength: 1, maxLength: 8 }),
        async edits => {
          let edited = text
          for (const [at, insert, drop] of edits) edited = edited.slice(0, at) + insert + edited.slice(at + drop)
          const found = await extractFrom({ ...beside, [path]: edited })
          for (const one of found.deployments) {
            expect(one.location.line).toBeGreaterThan(0)
            expect(one.model.id).not.toBe('')
            expect(JSON.stringify(one)).not.toContain('NaN')
          }
          runs++
        },
      ),
      { numRuns: 60 },
    )
    expect(runs).toBeGreaterThanOrEqual(60)
  })
})

test('names of formats and engines are unique, marks are lower case', () => {
  expect(new Set(formats.map(one => one.name)).size).toBe(formats.length)
  expect(new Set(commandLines.map(one => one.engine)).size).toBe(commandLines.length)
  for (const mark of [...formats, ...commandLines].flatMap(one => one.marks)) expect(mark).toBe(mark.toLowerCase())
})
