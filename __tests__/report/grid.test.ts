import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { displayWidth, grid, plainStyle, wrap } from '../../src/report/grid.ts'

const boxed = { ...plainStyle, boxes: true, width: 60 }

describe('tables', () => {
  test.each([
    ['abc', 3],
    ['模型', 4],
    ['🚀', 2],
    ['é', 1],
    ['✓', 1],
  ])('the width of %s is %s', (text, width) => expect(displayWidth(text)).toBe(width))

  test('wrapped lines fit and lose nothing but the spaces at the cuts', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), fc.integer({ min: 4, max: 30 }), (text, width) => {
        const lines = wrap(text, width)
        for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width)
        expect(lines.join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''))
      }),
    )
  })

  test.each<[string, number, string[]]>([
    ['room for 3.4 requests of 131,072 tokens', 29, ['room for 3.4 requests of', '131,072 tokens']],
    ['name it: { "nim:meta/llama": { id: org/name } }', 20, ['name it: {', '"nim:meta/llama": {', 'id: org/name } }']],
    ['part of one line', 7, ['part of', 'one', 'line']],
    ['deploy/some/path/manifest.yaml:120', 20, ['deploy/some/path/', 'manifest.yaml:120']],
    ["or the checkpoint's scheme", 14, ['or the', "checkpoint's", 'scheme']],
    ['abcdefgh', 3, ['abc', 'def', 'gh']],
  ])('%j in %i columns keeps words whole where it can', (text, width, lines) => {
    expect(wrap(text, width)).toEqual(lines)
  })

  test('flexible columns give way until the table fits; every line of a box is as wide', () => {
    const text = grid(
      [{ title: 'Verdict' }, { title: 'Deployment', flexible: true }, { title: 'GiB', align: 'right' }],
      [
        ['exceeds', 'deploy/some/very/long/path/to/a/manifest.yaml:120', '31.40'],
        ['fits', 'a', '1.00'],
      ],
      boxed,
    )
    const widths = new Set(text.trimEnd().split('\n').map(displayWidth))
    expect([...widths]).toHaveLength(1)
    expect([...widths][0]).toBeLessThanOrEqual(60)
  })

  test('cells that are not flexible wrap at their words before a table sticks out', () => {
    const text = grid(
      [{ title: 'Part' }, { title: 'GiB', align: 'right' }, { title: 'Formula', flexible: true }],
      [['cudaGraphs (outside)', '-11.60 (-11.80 to -11.44)', 'what is left of the budget']],
      { ...boxed, width: 46 },
    )
    for (const line of text.trimEnd().split('\n')) expect(displayWidth(line)).toBe(46)
    for (const word of ['cudaGraphs', '(outside)', '-11.60', '(-11.80', '-11.44)']) expect(text).toContain(word)
  })

  test('a frame for which there is no room is left out, and only then', () => {
    const columns = ['Size', 'Total', 'Training'].map(title => ({ title, align: 'right' as const }))
    const rows = [['1249.88', '1499.86', '6499.40']]
    const wide = 3 * 7 + 1 + 3 * 3
    expect(grid(columns, rows, { ...boxed, width: wide + 1 })).toContain('┌')
    const bare = grid(columns, rows, { ...boxed, width: 3 * 7 + 1 + 2 * 2 })
    expect(bare).toBe(grid(columns, rows, { ...plainStyle, width: 3 * 7 + 1 + 2 * 2 }))
    expect(bare).not.toMatch(/[│┌]/)
  })

  test('plain columns are aligned without boxes', () => {
    expect(
      grid(
        [{ title: 'a' }, { title: 'n', align: 'right' }],
        [
          ['x', '1'],
          ['long', '22'],
        ],
        plainStyle,
      ),
    ).toBe('a      n\n----  --\nx      1\nlong  22\n')
  })
})
