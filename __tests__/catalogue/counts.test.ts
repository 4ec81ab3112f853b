import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import type { JsonObject } from '../../src/models/config.ts'
import { parameterCount } from '../../src/models/count.ts'
import { shapeOf } from '../../src/models/families/index.ts'

interface Row {
  readonly id: string
  readonly config: JsonObject
  readonly weights: { readonly parameters: number | null; readonly source: string }
}
const file = new URL('../../src/catalogue/catalogue.json', import.meta.url)
const { models } = JSON.parse(readFileSync(file, 'utf8')) as { models: Row[] }

/** Rows whose count cannot come from their config, each with the reason. */
const EXPLAINED: Readonly<Record<string, string>> = {
  'moonshotai/Kimi-K3': 'no published count',
  'Qwen/Qwen3-Embedding-8B': 'says ForCausalLM, but its checkpoint holds no output head',
  'stepfun-ai/Step-3.5-Flash': 'remote code: the count of its source leaves out 0.0003 %',
}

test('every count of the catalogue is recomputed from its config', () => {
  const differing: string[] = []
  let equal = 0
  let claimedExact = 0
  for (const { id, config, weights } of models) {
    const shape = shapeOf(config)
    const count = shape.ok ? parameterCount(shape.value) : shape.problem.message
    if (shape.ok && shape.value.count === 'exact') claimedExact++
    if (count === weights.parameters) equal++
    else if (EXPLAINED[id] === undefined) differing.push(`${id}: ${count}, published ${weights.parameters}`)
  }
  expect(differing).toEqual([])
  expect(equal).toBeGreaterThanOrEqual(542)
  expect(claimedExact).toBeGreaterThan(400)
})

test('an explained difference is one: none is explained that agrees', () => {
  const agreeing = models.filter(({ id, config, weights }) => {
    const shape = shapeOf(config)
    return EXPLAINED[id] !== undefined && shape.ok && parameterCount(shape.value) === weights.parameters
  })
  expect(agreeing.map(row => row.id)).toEqual([])
  const ids = new Set(models.map(row => row.id))
  expect(Object.keys(EXPLAINED).filter(id => !ids.has(id))).toEqual([])
})
