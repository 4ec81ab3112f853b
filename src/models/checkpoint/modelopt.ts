import { bad, good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import { cacheScheme, compressedTensors } from './compressed-tensors.ts'
import { affine, awq, byteChannel, byteTensor, fp8Block, type Layout, microscaled, nvfp4 } from './layouts.ts'
import { type ModuleList, moduleList } from './match.ts'
import { asObject, everywhere, groupOf, inReach, moduleRules, type Scheme } from './scheme.ts'

/**
 * NVIDIA modelopt: `quant_algo`, `exclude_modules` or `ignore`, and for MIXED_PRECISION `quantized_layers` (module ->
 * algorithm). The keys stand in config.json's quantization_config, or under `quantization` of hf_quant_config.json.
 * `base` is what the other modules have in a file that mixes with another method (DeepSeek-V4: fp8 blocks).
 */
export function modelopt(file: JsonObject, base: Scheme | null = null): Result<Scheme> {
  const json = asObject(file['quantization']) ?? file
  const algorithm = typeof json['quant_algo'] === 'string' ? json['quant_algo'].toUpperCase() : null
  const kvCacheDtype = cacheAlgorithm(json['kv_cache_quant_algo']) ?? cacheScheme(json['kv_cache_scheme'])
  if (algorithm === 'MIXED_PRECISION' || (algorithm === null && asObject(json['quantized_layers']) !== null))
    return mixed(json, kvCacheDtype, base)
  if (algorithm === null) {
    const groups = compressedTensors(json)
    return groups.ok ? good({ ...groups.value, kvCacheDtype: kvCacheDtype ?? groups.value.kvCacheDtype }) : groups
  }
  const layout = algorithmLayout(algorithm, json['group_size'], 'quantization_config')
  if (!layout.ok) return layout
  const skip = exceptions(json)
  if (!skip.ok) return skip
  return good({
    name: layout.value.name,
    basis: 'exact',
    byLayer: skip.value.byLayer,
    kvCacheDtype,
    layoutOf: (module, names) => (inReach(module, everywhere) && !skip.value.matches(names) ? layout.value : null),
  })
}

function mixed(json: JsonObject, kvCacheDtype: string | null, base: Scheme | null): Result<Scheme> {
  const layers = asObject(json['quantized_layers'])
  if (layers === null) {
    const groups = compressedTensors(json)
    return groups.ok ? good({ ...groups.value, kvCacheDtype: kvCacheDtype ?? groups.value.kvCacheDtype }) : groups
  }
  const entries: { pattern: string; layout: Layout }[] = []
  for (const [pattern, value] of Object.entries(layers)) {
    const row = asObject(value)
    const algorithm = typeof row?.['quant_algo'] === 'string' ? row['quant_algo'].toUpperCase() : ''
    const layout = algorithmLayout(algorithm, row?.['group_size'], `quantization_config.quantized_layers.${pattern}`)
    if (!layout.ok) return layout
    entries.push({ pattern, layout: layout.value })
  }
  const rules = moduleRules(entries, 'quantization_config.quantized_layers')
  if (!rules.ok) return rules
  return good({
    name: `mixed: ${[...rules.value.map(rule => rule.layout?.name), ...(base ? [base.name] : [])].join(', ')}`,
    basis: 'exact',
    byLayer: rules.value.some(rule => rule.modules.byLayer) || (base?.byLayer ?? false),
    kvCacheDtype,
    layoutOf: (module, names) => {
      const rule = module.weight.kind === 'linear' ? rules.value.find(each => each.modules.matches(names)) : undefined
      return rule?.layout ?? base?.layoutOf(module, names) ?? null
    },
  })
}

function exceptions(json: JsonObject): Result<ModuleList> {
  for (const key of ['exclude_modules', 'ignore', 'modules_to_not_convert'])
    if (json[key] !== undefined && json[key] !== null) return moduleList(json[key], `quantization_config.${key}`)
  return moduleList(null, '')
}

function algorithmLayout(algorithm: string, groupSize: unknown, field: string): Result<Layout> {
  const group = groupOf(groupSize, 128, `${field}.group_size`)
  if (!group.ok) return group
  switch (algorithm) {
    case 'FP8':
      return good(byteTensor('fp8', true))
    case 'FP8_PER_CHANNEL_PER_TOKEN':
      return good(byteChannel('fp8'))
    case 'FP8_PB_WO':
    case 'FP8_PB_REAL':
      return good(fp8Block(128, 128))
    case 'NVFP4':
    case 'NVFP4_AWQ':
    case 'W4A8_NVFP4_FP8':
      return good(nvfp4(2))
    case 'W4A16_NVFP4':
      return good(nvfp4(1))
    case 'MXFP4':
    case 'W4A8_MXFP4_FP8':
      return good(microscaled(4))
    case 'MXFP8':
      return good(microscaled(8))
    case 'W8A8_SQ_PER_CHANNEL':
    case 'INT8_SQ':
    case 'W8A16':
      return good(byteChannel('int8'))
    case 'W4A16_AWQ':
    case 'INT4_AWQ':
    case 'W4A8_AWQ':
      return good(awq(4, group.value, false))
    case 'W4A16':
      return good(affine('int', 4, group.value))
    default:
      return bad('config-invalid', `config.json: ${field}.quant_algo ${JSON.stringify(algorithm)} is not known`)
  }
}

function cacheAlgorithm(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const name = value.toLowerCase()
  return ['fp8', 'nvfp4', 'int8'].includes(name) ? name : null
}
