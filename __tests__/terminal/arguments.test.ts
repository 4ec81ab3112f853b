import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Flag, helpFlag, helpText, readArguments } from '../../src/terminal/arguments.ts'

const flags: readonly Flag[] = [
  { name: 'format', type: 'text', values: ['table', 'json'], help: 'what to print' },
  { name: 'fail-on', type: 'text', shows: 'LIST', help: 'what fails' },
  { name: 'set', type: 'list', shows: 'KEY=VALUE', help: 'a setting' },
  { name: 'dtype', type: 'text', optional: true, help: 'data types' },
  { name: 'warn-only', type: 'boolean', help: 'never fail' },
  helpFlag,
]
const read = (...argv: string[]) => readArguments(argv, flags)
const value = (...argv: string[]) => {
  const parsed = read(...argv)
  if (!parsed.ok) throw new Error(parsed.problem.message)
  return parsed.value
}

describe('values', () => {
  test.each([
    [['--format', 'json'], { text: { format: 'json' } }],
    [['--format=json'], { text: { format: 'json' } }],
    [['--format', 'json', '--format', 'table'], { text: { format: 'table' } }],
    [['--fail_on', 'tight'], { text: { 'fail-on': 'tight' } }],
    [['--fail_on=a_b'], { text: { 'fail-on': 'a_b' } }],
    [['--set', 'a=1', '--set=b=2'], { list: { set: ['a=1', 'b=2'] } }],
    [['--warn-only'], { on: { 'warn-only': true } }],
    [['--warn_only=false'], { on: { 'warn-only': false } }],
    [['-h'], { on: { help: true } }],
    [['a', '--warn-only', 'b'], { positionals: ['a', 'b'] }],
    [['--', '--fail_on', 'x'], { positionals: ['--fail_on', 'x'], text: {} }],
    [['--dtype='], { text: {} }],
    [['--dtype', ''], { text: {} }],
  ])('%j', (argv, expected) => expect(value(...argv)).toMatchObject(expected))
})

describe('faults', () => {
  test.each([
    [['--formt', 'json'], 'unknown flag --formt', 'did you mean --format?'],
    [['--zzzzzzzzz'], 'unknown flag', 'see --help'],
    [['--format', 'jsn'], 'expected one of table, json', 'did you mean json?'],
    [['--format'], '--format needs a value', undefined],
    [['--set='], '--set needs a value: --set KEY=VALUE', undefined],
    [['--warn-only=maybe'], 'expected true or false', undefined],
    [['--no-such=1'], 'unknown flag --no-such', undefined],
  ])('%j', (argv, message, hint) => {
    const parsed = read(...argv)
    expect(parsed.ok).toBe(false)
    if (parsed.ok) return
    expect(parsed.problem.code).toBe('usage')
    expect(parsed.problem.message).toContain(message)
    if (hint) expect(parsed.problem.hint).toBe(hint)
  })

  test('no arguments throw, and `--a b` is `--a=b`', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('--format', '--set', '-h', '--', '--warn-only=', '-')), {
          maxLength: 8,
        }),
        argv => {
          expect(typeof read(...argv).ok).toBe('boolean')
        },
      ),
      { numRuns: 500, seed: 5 },
    )
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }).filter(text => !text.startsWith('-')),
        text => {
          expect(read('--fail-on', text)).toEqual(read(`--fail-on=${text}`))
        },
      ),
      { numRuns: 200, seed: 5 },
    )
  })
})

test('help lists every flag with its value', () => {
  const help = helpText('x [FLAG ...]', 'Does x.', flags, 'After.')
  for (const flag of flags) expect(help).toContain(`--${flag.name}`)
  expect(help).toContain('--set KEY=VALUE')
  expect(help).toContain('--format table|json')
  expect(help.endsWith('After.\n')).toBe(true)
})
