import { bad, good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import {
  affine,
  bitsPerWeight,
  byteChannel,
  byteTensor,
  type Layout,
  microscaled,
  nvfp4,
  packQuantized,
} from './layouts.ts'
import {
  asObject,
  bitsOf,
  type Declaration,
  groupOf,
  type Method,
  moduleRules,
  type Scheme,
  SKIPPED,
  skipList,
  uniform,
} from './scheme.ts'

/** Methods whose layouts are known by description, not verified against a file: every figure is `derived`. */
function derived(make: (json: JsonObject) => Result<Layout>): Method {
  return ({ json, reach }: Declaration) => {
    const layout = make(json)
    if (!layout.ok) return layout
    const skip = skipList(json, SKIPPED)
    return skip.ok ? good(uniform(layout.value, { skip: skip.value, reach, basis: 'derived' })) : skip
  }
}

/** Groups with scale and offset: `bits` and `group_size` under the names of the method. */
function grouped(method: string, bitKeys: readonly string[], group: number): Method {
  return derived(json => {
    const inner = asObject(asObject(json['quant_config'])?.['weight_quant_params']) ?? json
    const given = bitKeys.map(key => inner[key] ?? json[key]).find(value => value !== undefined)
    const bits = bitsOf(given, 4, `quantization_config.${bitKeys[0]}`)
    if (!bits.ok) return bits
    const size = groupOf(inner['group_size'] ?? json['group_size'], group, 'quantization_config.group_size')
    return size.ok ? good(affine(method, bits.value, size.value)) : size
  })
}

/** AQLM: `num_codebooks` codes of `nbits_per_codebook` for `in_group_size` weights. */
const aqlm = derived(json => {
  const books = bitsOf(json['num_codebooks'], 1, 'quantization_config.num_codebooks')
  const bits = bitsOf(json['nbits_per_codebook'], 16, 'quantization_config.nbits_per_codebook')
  const group = groupOf(json['in_group_size'], 8, 'quantization_config.in_group_size')
  if (!books.ok) return books
  if (!bits.ok) return bits
  if (!group.ok) return group
  return good(bitsPerWeight('aqlm', (books.value * bits.value) / Math.max(1, group.value)))
})

/** torchao: `quant_type` is a name ("int4_weight_only") or {default: {_type: "Int4WeightOnlyConfig", _data: {...}}}. */
const torchao = derived(json => {
  const type = JSON.stringify(json['quant_type'] ?? '').toLowerCase()
  const size = /"group_size":\s*(\d{1,6})/.exec(type)
  const group = size ? Number(size[1]) : 128
  if (type.includes('int4') || type.includes('uint4')) return good(affine('torchao', 4, group))
  if (type.includes('nvfp4')) return good(nvfp4(1))
  if (type.includes('mxfp4') || (type.includes('mx') && type.includes('float4'))) return good(microscaled(4))
  if (type.includes('float8') || type.includes('fp8')) return good(byteChannel('fp8'))
  if (type.includes('int8')) return good(byteChannel('int8'))
  return bad('config-invalid', 'config.json: quantization_config.quant_type of torchao is not known')
})

const QUANTO: Readonly<Record<string, Layout>> = {
  int8: byteChannel('int8'),
  float8: byteChannel('fp8'),
  int4: affine('quanto', 4, 128),
  int2: affine('quanto', 2, 128),
}

const quanto = derived(json => {
  const layout = QUANTO[String(json['weights'] ?? 'int8')]
  return layout
    ? good(layout)
    : bad('config-invalid', 'config.json: quantization_config.weights of quanto is not known')
})

/** One `weight` object of Quark: {dtype, qscheme, group_size}. */
function quarkLayout(weight: JsonObject | null): Result<Layout | null> {
  if (weight === null) return good(null)
  const dtype = String(weight['dtype'] ?? '')
  const scheme = String(weight['qscheme'] ?? 'per_tensor')
  const group = groupOf(weight['group_size'], 128, 'quantization_config.weight.group_size')
  if (!group.ok) return group
  if (/^fp8/.test(dtype)) return good(scheme === 'per_channel' ? byteChannel('fp8') : byteTensor('fp8', true))
  if (dtype === 'fp4' || dtype === 'mxfp4' || dtype === 'mx') return good(microscaled(4))
  if (/^(fp6|mxfp6)/.test(dtype)) return good(microscaled(6))
  if (dtype === 'mxfp8') return good(microscaled(8))
  if (dtype === 'int8' || dtype === 'uint8') return good(byteChannel('int8'))
  if (dtype === 'int4' || dtype === 'uint4') return good(packQuantized(4, group.value, dtype === 'int4'))
  return bad(
    'config-invalid',
    `config.json: quantization_config.weight.dtype ${JSON.stringify(dtype)} of quark is not known`,
  )
}

/** AMD Quark: a global layout, one by pattern in `layer_quant_config`, and `exclude`. */
const quark: Method = ({ json, reach }) => {
  const whole = quarkLayout(asObject(asObject(json['global_quant_config'])?.['weight']))
  if (!whole.ok) return whole
  const skip = skipList(json, SKIPPED)
  if (!skip.ok) return skip
  const entries: { pattern: string; layout: Layout | null }[] = []
  for (const [pattern, value] of Object.entries(asObject(json['layer_quant_config']) ?? {})) {
    const layout = quarkLayout(asObject(asObject(value)?.['weight']))
    if (!layout.ok) return layout
    entries.push({ pattern, layout: layout.value })
  }
  const found = moduleRules(entries, 'quantization_config.layer_quant_config')
  if (!found.ok) return found
  const rules = found.value
  const plain: Scheme | null =
    whole.value === null ? null : uniform(whole.value, { skip: skip.value, reach, basis: 'derived' })
  return good({
    name: `quark ${plain?.name ?? 'by layer'}`,
    basis: 'derived',
    byLayer: skip.value.byLayer || rules.some(rule => rule.modules.byLayer),
    kvCacheDtype: quarkCache(json),
    layoutOf: (module, names) => {
      if (module.weight.kind !== 'linear' || skip.value.matches(names)) return null
      const rule = rules.find(each => each.modules.matches(names))
      return rule ? rule.layout : (plain?.layoutOf(module, names) ?? null)
    },
  })
}

function quarkCache(json: JsonObject): string | null {
  const text = JSON.stringify(json['kv_cache_quant_config'] ?? asObject(json['export'])?.['kv_cache_group'] ?? null)
  return /fp8/.test(text) ? 'fp8' : null
}

/** MLX: embedding and head are quantised too; a module's own entry wins ({bits, group_size} or false). */
const mlx: Method = ({ json }) => {
  const bits = bitsOf(json['bits'], 4, 'quantization.bits')
  if (!bits.ok) return bits
  const group = groupOf(json['group_size'], 64, 'quantization.group_size')
  if (!group.ok) return group
  const layout = mlxLayout(json['mode'], bits.value, group.value)
  const entries: { pattern: string; layout: Layout | null }[] = []
  for (const [pattern, value] of Object.entries(json)) {
    const own = asObject(value)
    if (own === null && value !== false) continue
    const b = bitsOf(own?.['bits'], bits.value, `quantization.${pattern}.bits`)
    if (!b.ok) return b
    const g = groupOf(own?.['group_size'], group.value, `quantization.${pattern}.group_size`)
    if (!g.ok) return g
    entries.push({ pattern, layout: own === null ? null : mlxLayout(own['mode'] ?? json['mode'], b.value, g.value) })
  }
  const found = moduleRules(entries, 'quantization')
  if (!found.ok) return found
  const rules = found.value
  return good({
    name: layout.name,
    basis: 'exact',
    byLayer: rules.some(rule => rule.modules.byLayer),
    kvCacheDtype: null,
    layoutOf: (module, names) => {
      const { weight, place } = module
      if ((weight.kind !== 'linear' && weight.kind !== 'embedding') || place === 'tower') return null
      const rule = rules.find(each => each.modules.matches(names))
      return rule ? rule.layout : layout
    },
  })
}

function mlxLayout(mode: unknown, bits: number, group: number): Layout {
  if (mode === 'mxfp4') return microscaled(4)
  if (mode === 'mxfp8') return microscaled(8)
  if (mode === 'nvfp4') return nvfp4(0)
  return affine('mlx', bits, group)
}

export const otherMethods: Readonly<Record<string, Method>> = {
  mlx,
  metal: grouped('metal', ['bits'], 64),
  hqq: grouped('hqq', ['nbits', 'bits'], 64),
  sinq: grouped('sinq', ['nbits', 'bits'], 64),
  torchao,
  quanto,
  quark,
  aqlm,
  vptq: derived(() => good(bitsPerWeight('vptq', 2.3))),
  higgs: grouped('higgs', ['bits'], 256),
  spqr: derived(() => good(bitsPerWeight('spqr', 4.6))),
  bitnet: derived(() => good(bitsPerWeight('bitnet', 2))),
  fp_quant: derived(json => good(json['forward_dtype'] === 'nvfp4' ? nvfp4(2) : microscaled(4))),
  fouroversix: derived(() => good(nvfp4(2))),
  nvfp4: derived(() => good(nvfp4(2))),
  mxfp8: derived(() => good(microscaled(8))),
  deepspeedfp: derived(json => {
    const bits = bitsOf(json['bits'], 8, 'quantization_config.bits')
    return bits.ok ? good(affine('deepspeed fp', bits.value, 512)) : bits
  }),
}
