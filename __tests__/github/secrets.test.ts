import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { scrubber } from '../../src/github/secrets.ts'

const secret = 'hf_AbCd/+=1234567890'
const base64 = (text: string) => Buffer.from(text).toString('base64')

test.each([
  ['as it is', `token ${secret} here`],
  ['URL-encoded', `https://x/?t=${encodeURIComponent(secret)}`],
  ['base64', base64(secret)],
  ['as basic authentication', `basic ${base64(`x-access-token:${secret}`)}`],
  ['twice', `${secret}${secret}`],
])('case 36: a secret %s is removed', (_name, text) => {
  const { scrub } = scrubber([secret])
  expect(scrub(text)).not.toContain(secret)
  expect(scrub(text)).not.toContain(encodeURIComponent(secret))
  expect(scrub(text)).not.toContain(base64(secret))
  expect(scrub(text)).toContain('***')
})

test('case 36: of several lines each is a secret of its own', () => {
  const { scrub, masks } = scrubber(['-----BEGIN KEY-----\nabcdefghijklmnop\nqrstuvwxyz012345\n'])
  expect(scrub('x abcdefghijklmnop y qrstuvwxyz012345')).toBe('x *** y ***')
  expect(masks).toEqual(expect.arrayContaining(['abcdefghijklmnop', 'qrstuvwxyz012345']))
})

test('what is short is no secret, nothing is masked for an empty one', () => {
  expect(scrubber(['', '  ', 'repo']).masks.filter(mask => mask.length < 8)).toEqual([])
  expect(scrubber(['repo']).scrub('octo/repo')).toBe('octo/repo')
})

test('no text keeps a secret', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constant(secret), fc.constant(base64(secret))), { maxLength: 6 }),
      parts => {
        const left = scrubber([secret]).scrub(parts.join(''))
        expect(left.includes(secret) || left.includes(base64(secret))).toBe(false)
      },
    ),
    { numRuns: 300, seed: 6 },
  )
})
