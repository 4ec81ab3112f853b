import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { markerLine, readMarker } from '../../src/github/comment.ts'

const hash = 'a1'.repeat(20)
const mark = { headSha: hash, runNumber: 42, runId: 4242, attempt: 2 }

describe("case 17: a comment's marker", () => {
  test('any key is read back from one line of HTML comment, and ends nothing early', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 60, unit: 'binary' }), key => {
        const line = markerLine({ key, ...mark })
        expect(line).toMatch(/^<!-- [^\n]* -->$/)
        expect(line.indexOf('-->')).toBe(line.length - 3)
        const read = readMarker(`${line}\n### text`)
        expect(read).toMatchObject(mark)
        expect(decodeURIComponent(read!.encodedKey)).toBe(key)
      }),
      { numRuns: 500, seed: 8 },
    )
  })

  test.each([
    '',
    'text',
    `> ${markerLine({ key: 'k', ...mark })}`,
    `text\n${markerLine({ key: 'k', ...mark })}`,
    '<!-- hf-vram-calc -->',
  ])('none stands in %j', body => expect(readMarker(body)).toBeNull())
})
