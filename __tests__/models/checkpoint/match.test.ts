import { describe, expect, test } from '@jest/globals'
import { globMatches, moduleList } from '../../../src/models/checkpoint/match.ts'

function matches(list: unknown, name: string): boolean {
  const modules = moduleList(list, 'ignore')
  if (!modules.ok) throw new Error(modules.problem.message)
  return modules.value.matches([name])
}

describe('lists of modules', () => {
  test.each([
    ['lm_head', 'lm_head', true],
    ['lm_head', 'language_model.lm_head', true],
    ['model.layers.3', 'model.layers.3.mlp.up_proj', true],
    ['model.layers.3', 'model.layers.30.mlp.up_proj', false],
    ['visual', 'model.visual.blocks.0.attn.qkv', true],
    ['gate', 'model.layers.0.mlp.gate', true],
    ['gate', 'model.layers.0.mlp.gate_proj', false],
    ['model.layers.*.mlp.gate', 'model.layers.7.mlp.gate', true],
    ['model.layers.*.mlp.gate', 'model.layers.7.mlp.gate_proj', false],
    ['model.layers.*.self_attn*', 'model.layers.7.self_attn.q_proj', true],
    ['model.layers.0*', 'model.layers.0.mlp.up_proj', true],
    ['model.layers.0*', 'model.layers.10.mlp.up_proj', false],
    ['*.mlp.shared_expert.*', 'model.layers.1.mlp.shared_expert.up_proj', true],
    ['re:.*mlp.gate$', 'model.layers.1.mlp.gate', true],
    ['re:mlp', 'model.layers.1.mlp.gate', false],
    ['re:.*mlp\\.(gate|up|gate_up|down)_proj.*', 'model.layers.0.mlp.up_proj', true],
    ['re:.*mlp\\.(gate|up|gate_up|down)_proj.*', 'model.layers.1.mlp.experts.0.up_proj', false],
  ])('%s on %s: %s', (entry, name, expected) => {
    expect(matches([entry], name)).toBe(expected)
  })

  test('knows when an entry names a layer', () => {
    const byLayer = (entry: string): boolean => {
      const modules = moduleList([entry], 'ignore')
      return modules.ok && modules.value.byLayer
    }
    expect(byLayer('model.layers.61*')).toBe(true)
    expect(byLayer('re:.*layers\\.0\\..*')).toBe(true)
    expect(byLayer('model.layers.*.self_attn*')).toBe(false)
  })

  test('refuses what is no list of names and expressions that could run away', () => {
    for (const list of [
      'lm_head',
      [1],
      {},
      ['re:(a+)+b'],
      ['re:(.*)*'],
      ['re:(?<=a)b'],
      ['re:('],
      [`re:${'.*a'.repeat(9)}`],
    ])
      expect([list, moduleList(list, 'ignore').ok]).toEqual([list, false])
    expect(moduleList(undefined, 'ignore').ok).toBe(true)
  })

  test('a glob of many stars stays quick', () => {
    const before = performance.now()
    expect(globMatches('*a'.repeat(200), `${'a'.repeat(5000)}b`)).toBe(false)
    expect(performance.now() - before).toBeLessThan(500)
  })
})
