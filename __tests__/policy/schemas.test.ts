import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { Ajv } from 'ajv'
import { schemaFiles } from '../../scripts/make-schemas.mjs'

const committed = (file: string) => readFileSync(new URL(`../../schema/${file}`, import.meta.url), 'utf8')

test.each(schemaFiles())('schema/%s is what the program checks: node scripts/make-schemas.mjs', (file, text) => {
  expect(committed(file)).toBe(text)
})

test('the published policy schema accepts and refuses as the program does', () => {
  const validate = new Ajv({ strict: false }).compile(JSON.parse(committed('policy.schema.json')))
  expect(validate({ version: 1, defaults: { headroom: '10%', target: 'L4' }, models: { 'a/b': { path: 'm' } } })).toBe(
    true,
  )
  const refused = [
    {},
    { version: 1, x: 1 },
    { version: 1, 'fail-on': ['exeeds'] },
    { version: 1, defaults: { headroom: 2 } },
  ]
  expect(refused.map(value => validate(value))).toEqual(refused.map(() => false))
})
