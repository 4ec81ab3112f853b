import { describe, expect, test } from '@jest/globals'
import { Text } from '../../src/deployments/text.ts'
import { at, eachMap, plainValue, stringAt, textAt, textsOf } from '../../src/deployments/tree.ts'
import { parseYaml } from '../../src/deployments/yaml.ts'

const parse = (text: string): ReturnType<typeof parseYaml> => parseYaml(Text.file('a.yaml', text))
const place = (text: string, ...path: string[]): string => {
  const found = textAt(parse(text)[0]!.root, ...path)!
  return `${found.place.line}:${found.place.column} ${found.value}`
}

describe('scalars know where they stand', () => {
  test.each([
    ['plain', 'a: b', '1:4 b'],
    ['double quoted', 'a: "b"', '1:5 b'],
    ['escapes', 'a: "x\\tb"', '1:5 x\tb'],
    ['numbers as written', 'a: 0.90', '1:4 0.90'],
    ['octal as written', 'a: 0644', '1:4 0644'],
  ])('%s', (_, text, expected) => {
    expect(place(text, 'a')).toBe(expected)
  })

  test('every line of a block scalar, literal and folded', () => {
    for (const style of ['|', '>-', '|2-']) {
      const text = textAt(parse(`k: 1\na: ${style}\n  first --x 1\n\n  second --y 2\n`)[0]!.root, 'a')!
      const second = text.slice(text.value.indexOf('--y'))
      expect([second.place.line, second.place.column]).toEqual([5, 10])
    }
  })

  test('YAML in a string in YAML', () => {
    const inner = parseYaml(textAt(parse('spec:\n  config: |\n    a:\n      b: value\n')[0]!.root, 'spec', 'config')!)
    expect(textAt(inner[0]!.root, 'a', 'b')!.place).toEqual({ file: 'a.yaml', line: 4, column: 10 })
  })
})

describe('merging, aliases, duplicates', () => {
  test('merge keys: own keys win, then the first merged mapping', () => {
    const root = parse('x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: own\n')[0]!.root
    expect(plainValue(at(root, 'z'))).toEqual({ a: 'own', b: 2, c: 4 })
  })
  test('an alias keeps the place of its anchor', () => {
    const root = parse('a: &m org/model\nb: *m\n')[0]!.root
    expect(textAt(root, 'b')!.place.line).toBe(1)
  })
  test('the last of two equal keys wins and is reported', () => {
    const [document] = parse('a: 1\nb: 2\na: 3\n')
    expect(stringAt(document!.root, 'a')).toBe('3')
    expect(document!.duplicates.map(key => key.place.line)).toEqual([3])
  })
  test('an alias bomb is walked once', () => {
    const text = `a0: &a0 {x: 1}\n${Array.from({ length: 50 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`).join('\n')}\n`
    let maps = 0
    eachMap(parse(text)[0]!.root, () => maps++)
    expect(maps).toBe(2)
  })
})

describe('broken text', () => {
  test('one bad document does not hide the others', () => {
    const documents = parse('a: 1\n---\nb: [1, 2\n---\nc: 3\n')
    expect(documents.some(one => one.errors.length > 0)).toBe(true)
    expect(documents.map(one => stringAt(one.root, 'a') ?? stringAt(one.root, 'c')).filter(Boolean)).toEqual(['1', '3'])
  })
  test('a page copied with its indentation but for the first line', () => {
    const [document] = parse('kind: A\n    spec:\n      b: org/model\n')
    expect(document!.errors.length).toBeGreaterThan(0)
    expect(textAt(document!.root, 'spec', 'b')!.place).toEqual({ file: 'a.yaml', line: 3, column: 10 })
  })
  test.each([
    ['deep brackets', `a: ${'['.repeat(5000)}`],
    ['deep indentation', Array.from({ length: 600 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
    ['a row of dashes', `${'- '.repeat(5000)}a`],
  ])('%s is refused with a message', (_, text) => {
    const [document] = parse(text)
    expect(document!.root).toBeNull()
    expect(document!.errors[0]!.message).toMatch(/nested deeper/)
  })
})

test('lists of scalars, single scalars, nothing', () => {
  const root = parse('a: [x, 1, null, {b: 1}]\nb: y\n')[0]!.root
  expect(textsOf(at(root, 'a')).map(one => one.value)).toEqual(['x', '1'])
  expect(textsOf(at(root, 'b')).map(one => one.value)).toEqual(['y'])
  expect(textsOf(at(root, 'c'))).toEqual([])
})
