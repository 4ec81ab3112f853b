import { good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import { awq, gptq, type Layout } from './layouts.ts'
import {
  asObject,
  bitsOf,
  decoderOnly,
  groupOf,
  type Method,
  type ModuleRule,
  moduleRules,
  SKIPPED,
  skipList,
  uniform,
} from './scheme.ts'

/** AWQ: the linear layers of the decoder, none of a tower. */
export const awqScheme: Method = ({ json }) => {
  const bits = bitsOf(json['bits'] ?? json['w_bit'], 4, 'quantization_config.bits')
  if (!bits.ok) return bits
  const group = groupOf(json['group_size'] ?? json['q_group_size'], 128, 'quantization_config.group_size')
  if (!group.ok) return group
  const skip = skipList(json, SKIPPED)
  if (!skip.ok) return skip
  const layout = awq(bits.value, group.value, json['zero_point'] !== false)
  return good(uniform(layout, { skip: skip.value, reach: decoderOnly }))
}

/**
 * GPTQ, and auto-round in its packing. `dynamic` (gptqmodel) and `extra_config` (auto-round) change modules by pattern:
 * "-:pattern" or 16 bits leaves one out, {bits, group_size} stores it otherwise.
 */
export const gptqScheme: Method = ({ json }) => {
  const bits = bitsOf(json['bits'], 4, 'quantization_config.bits')
  if (!bits.ok) return bits
  const group = groupOf(json['group_size'], 128, 'quantization_config.group_size')
  if (!group.ok) return group
  const skip = skipList(json, SKIPPED)
  if (!skip.ok) return skip
  const packing = String(json['packing_format'] ?? json['quant_method'] ?? '')
  const layoutFor = (b: number, g: number): Layout =>
    packing.includes('awq') ? awq(b, g, json['sym'] !== true) : gptq(b, g)
  const overrides = overridesOf(json, bits.value, group.value, layoutFor)
  if (!overrides.ok) return overrides
  const layout = layoutFor(bits.value, group.value)
  const plain = uniform(layout, { skip: skip.value, reach: decoderOnly })
  return good({
    ...plain,
    byLayer: plain.byLayer || overrides.value.some(each => each.modules.byLayer),
    layoutOf: (module, names) => {
      const override =
        module.weight.kind === 'linear' ? overrides.value.find(each => each.modules.matches(names)) : undefined
      if (override) return override.layout
      if (module.place === 'head' && json['lm_head'] === true && module.weight.kind === 'linear') return layout
      return plain.layoutOf(module, names)
    },
  })
}

/** Modules that `dynamic` or `extra_config` store in their own way, or leave out (layout null). */
function overridesOf(
  json: JsonObject,
  bits: number,
  group: number,
  layoutFor: (bits: number, group: number) => Layout,
): Result<readonly ModuleRule[]> {
  const entries: { pattern: string; layout: Layout | null }[] = []
  for (const key of ['dynamic', 'extra_config']) {
    for (const [pattern, value] of Object.entries(asObject(json[key]) ?? {})) {
      const row = asObject(value) ?? {}
      const out = pattern.startsWith('-:')
      // changes nothing: the file names what it leaves to the general rule, as {"lm_head": {}}
      if (!out && Object.keys(row).length === 0) continue
      const text = pattern.replace(/^[+-]:/, '')
      const expression = key === 'dynamic' || /[\\^$|()[\]]/.test(text) ? `re:${text}` : text
      const b = bitsOf(row['bits'], bits, `quantization_config.${key}.bits`)
      if (!b.ok) return b
      const g = groupOf(row['group_size'], group, `quantization_config.${key}.group_size`)
      if (!g.ok) return g
      entries.push({ pattern: expression, layout: out || b.value === 16 ? null : layoutFor(b.value, g.value) })
    }
  }
  return moduleRules(entries, 'quantization_config.dynamic or extra_config')
}
