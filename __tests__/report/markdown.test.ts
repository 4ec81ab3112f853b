import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { code, encodedPath, prose, shortened, told } from '../../src/report/escape.ts'
import { bar, type MarkdownContext, reportMarkdown } from '../../src/report/markdown.ts'
import { reportTable } from '../../src/report/table.ts'
import { deployment, report, withStatus } from '../helpers/reports.ts'

const context: MarkdownContext = {
  files: 'https://github.com/octo/repo/blob/abc/',
  headSha: 'abcdef0123456789',
  runUrl: 'https://github.com/octo/repo/actions/runs/1',
  notices: [],
  collapseUnchanged: true,
}
const chars = (limit: number) => ({ limit, measure: (text: string) => text.length, elsewhere: 'the job summary' })

/** Rows of every table in a markdown text: cells split at unescaped pipes outside of nothing, as GitHub does. */
const cells = (line: string): number => line.replace(/\\\|/g, '').split('|').length

describe('text from the repository', () => {
  test('a code span shows any text, in one line, and keeps a table whole', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), text => {
        const span = code(text)
        expect(span).not.toMatch(/[\r\n]/)
        const fence = /^`+/.exec(span)![0]
        expect(span.endsWith(fence)).toBe(true)
        expect(span.slice(fence.length, -fence.length)).not.toContain(fence.length === 1 ? '`' : fence)
        expect(cells(`| a | ${span} | b |`)).toBe(5)
      }),
    )
  })

  test('prose has no markup, HTML, link, mention or reference left', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), text => {
        const shown = prose(`${text} @octo #12 <b> [x](http://e.vil) 1http://e.vil _http://e.vil _www.evil.com`)
        expect(shown).not.toMatch(/(^|[^\\])[<>]|@octo|#12|http:|www\.evil|(^|[^\\])\[x/)
      }),
    )
  })

  test('a message shows what it quotes as code, and nothing of it is markup', () => {
    /** The text without its code spans, read as CommonMark reads them: a run of backticks ends at the next equal one. */
    const outside = (text: string) =>
      text.replace(/(\\[\s\S])|(`+)(?!`)[\s\S]*?(?<!`)\2(?!`)/g, (_span, escaped) => escaped ?? 'CODE')
    const pieces = [
      '`',
      '``',
      '\\',
      '--a=',
      '--b',
      'models: {',
      '}',
      'A_B',
      'f#g',
      ' ',
      '|',
      '<b>',
      '@octo',
      '](x)',
      'hf-vram-calc lock',
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), parts => {
        const shown = told(parts.join(''))
        expect(outside(shown)).not.toMatch(/(^|[^\\])[<>`]|@octo|(^|[^\\])\]/)
        expect(cells(`| a | ${shown} | b |`)).toBe(5)
      }),
      { numRuns: 2000 },
    )
    expect(told('set by --max-model-len=8192 (line 17)')).toBe('set by `--max-model-len=8192` \\(line 17\\)')
    expect(told('refused unless VLLM_ALLOW=1: run hf-vram-calc lock for a/b.yaml#c')).toBe(
      'refused unless `VLLM_ALLOW=1`: run `hf-vram-calc lock` for `a/b.yaml#c`',
    )
  })

  test.each(['\u202eevil', '\u200b', '\u0000', '\u001b[31mred', '\ufeff'])('%j is made visible or dropped', text => {
    expect(code(text)).not.toContain(text)
    expect(prose(text)).not.toContain(text)
  })

  test('a cut never falls inside a surrogate pair', () => {
    for (let most = 2; most < 12; most++)
      expect(shortened('a🚀b🚀c🚀d', most)).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/)
  })

  test('paths are encoded segment by segment', () => {
    expect(encodedPath('a b/(c)/ü#?.yaml')).toBe('a%20b/%28c%29/%C3%BC%23%3F.yaml')
  })
})

describe('the comment', () => {
  const failing = withStatus('exceeds', {
    remedies: [
      {
        change: [{ setting: 'maxModelLen', from: 131_072, to: 28_992, flag: '--max-model-len 28992' }],
        totalBytes: { low: 1, expected: 2, high: 3 },
        status: 'fits',
        note: 'longest context that fits',
      },
    ],
    baseline: {
      status: 'fits',
      totalBytes: { low: 1, expected: 1, high: 1 },
      deltaBytes: 4 * 2 ** 30,
      change: 'changed',
      causes: [{ setting: 'maxModelLen', from: 8192, to: 131_072, deltaBytes: 4 * 2 ** 30 }],
    },
  })
  const calm = deployment({
    id: 'b',
    baseline: {
      status: 'fits',
      totalBytes: { low: 1, expected: 1, high: 1 },
      deltaBytes: 0,
      change: 'unchanged',
      causes: [],
    },
  })

  test('verdict line, table with link and cause, remedies, folded parts, footer', () => {
    const text = reportMarkdown(report([failing, calm]), context, chars(60_000))
    expect(text).toMatch(/^### ❌ FAIL: 1 deployment exceeds its GPU, 1 fits/)
    expect(text).toContain('](https://github.com/octo/repo/blob/abc/deploy/chat.yaml#L15)')
    expect(text).toContain('+4.00 GiB: `maxModelLen` `8192`&nbsp;→&nbsp;`131072`')
    expect(text).toContain('`--max-model-len 28992`')
    expect(text.match(/<details>/g)).toHaveLength(2)
    expect(text).toContain('<summary>1 unchanged</summary>')
    expect(text).toContain('commit `abcdef012345`')
  })

  test('case 22: any budget is kept, whole rows only, what is missing is counted', () => {
    const rows = Array.from({ length: 400 }, (_, i) =>
      withStatus('exceeds', { id: `d${i}`, model: { ...failing.model, id: `org/模型🚀-${i}` } }),
    )
    for (const limit of [59_999, 60_000, 65_535, 200_000, 9_000, 3_000]) {
      const text = reportMarkdown(report(rows), context, chars(limit))
      expect(text.length).toBeLessThanOrEqual(limit)
      expect(text).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/)
      expect(text.match(/<details>/g)?.length ?? 0).toBe(text.match(/<\/details>/g)?.length ?? 0)
      const shown = text.split('\n').filter(line => line.startsWith('| ❌')).length
      const missing = Number(/\*\*(\d+) more deployments? (?:is|are) not shown here\*\*/.exec(text)?.[1] ?? 0)
      expect(shown + missing).toBe(400)
    }
  })

  test('what is unknown for one reason is one row that names every place, and one block on a terminal', () => {
    const rows = Array.from({ length: 40 }, (_, i) =>
      withStatus('unknown', {
        id: `d${i}.yaml#chat`,
        location: { file: `d${i}.yaml`, line: 7, column: 1 },
        verdict: { ...withStatus('unknown').verdict, reasons: [{ code: 'model-unknown', message: 'nobody knows it' }] },
      }),
    )
    const text = reportMarkdown(report(rows), context, chars(60_000))
    expect(text.match(/^\| ❓/gm)).toHaveLength(1)
    expect(text.match(/d\d+\.yaml#L7\)/g)).toHaveLength(40)
    expect(text.match(/Nobody knows it/g)).toHaveLength(1)
    const table = reportTable(report(rows), { width: 120, boxes: false, paint: (_tone, shown) => shown })
    expect(table.match(/^unknown d\d+\.yaml#chat$/gm)).toHaveLength(40)
    expect(table.match(/nobody knows it/g)).toHaveLength(1)
    const cut = reportMarkdown(report(rows), context, chars(2_500))
    expect(cut.length).toBeLessThanOrEqual(2_500)
    expect(cut).toContain('and 30 more')
  })

  test('worst first, whatever the order they were found in', () => {
    const rows = [
      withStatus('fits', { id: 'a' }),
      withStatus('unknown', { id: 'b' }),
      withStatus('exceeds', { id: 'c' }),
      withStatus('tight', { id: 'd' }),
    ]
    const order = (list: typeof rows) =>
      [...reportMarkdown(report(list), context, chars(60_000)).matchAll(/^\| (❌|⚠️|❓|✅)/gm)].map(match => match[1])
    expect(order(rows)).toEqual(['❌', '⚠️', '❓', '✅'])
    expect(order([...rows].reverse())).toEqual(order(rows))
  })

  test('case 25: $&, $1 and backslashes survive', () => {
    const text = reportMarkdown(
      report([withStatus('exceeds', { model: { ...failing.model, id: 'a$&b$1c\\d' } })]),
      context,
      chars(60_000),
    )
    expect(text).toContain('`a$&b$1c\\d`')
  })

  test.each([
    [0, '░░░░░░░░░░░░'],
    [0.5, '██████░░░░░░'],
    [1.58, '████████████'],
  ])('the bar of %s', (share, text) => expect(bar(share)).toBe(text))
})
