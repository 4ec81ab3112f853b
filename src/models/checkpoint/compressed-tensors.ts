import { bad, good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import { byteChannel, byteTensor, fp8Block, type Layout, microscaled, nvfp4, packQuantized } from './layouts.ts'
import { type ModuleList, moduleList } from './match.ts'
import { asObject, bitsOf, everywhere, groupOf, inReach, type Reach, type Scheme, uniform } from './scheme.ts'

/** What a format usually means, for files that keep only its name. */
const FORMATS: Readonly<Record<string, Layout>> = {
  'float-quantized': byteTensor('fp8', true),
  'int-quantized': byteChannel('int8'),
  'pack-quantized': packQuantized(4, 128, true),
  'nvfp4-pack-quantized': nvfp4(2),
  'mxfp4-pack-quantized': microscaled(4),
}

interface Group {
  readonly layout: Layout
  /** Class names such as "Linear", which stand for every linear layer, or modules by name. */
  readonly classes: boolean
  readonly modules: ModuleList
}

/**
 * compressed-tensors (llm-compressor): `config_groups` with `weights` {num_bits, type, strategy, group_size, symmetric},
 * `targets`, and `ignore`. modelopt writes the same groups beside its own keys.
 */
export function compressedTensors(json: JsonObject, reach: Reach = everywhere): Result<Scheme> {
  const ignore = moduleList(json['ignore'], 'quantization_config.ignore')
  if (!ignore.ok) return ignore
  const groups: Group[] = []
  for (const [key, value] of Object.entries(asObject(json['config_groups']) ?? {})) {
    const group = groupFrom(asObject(value), json, `quantization_config.config_groups.${key}`)
    if (!group.ok) return group
    if (group.value !== null) groups.push(group.value)
  }
  if (groups.length === 0) {
    const layout = typeof json['format'] === 'string' ? FORMATS[json['format']] : undefined
    if (layout) return good(uniform(layout, { skip: ignore.value, reach, basis: 'assumed' }))
    return bad('config-invalid', 'config.json: quantization_config.config_groups names no weights')
  }
  return good({
    name: [...new Set(groups.map(group => group.layout.name))].join(' and '),
    basis: 'exact',
    byLayer: ignore.value.byLayer || groups.some(group => group.modules.byLayer),
    kvCacheDtype: cacheScheme(json['kv_cache_scheme']),
    layoutOf: (module, names) => {
      if (module.weight.kind !== 'linear') return null
      const named = groups.find(group => group.modules.matches(names))
      if (named && !ignore.value.matches(names)) return named.layout
      return inReach(module, reach) && !ignore.value.matches(names)
        ? (groups.find(group => group.classes)?.layout ?? null)
        : null
    },
  })
}

function groupFrom(group: JsonObject | null, json: JsonObject, field: string): Result<Group | null> {
  const weights = asObject(group?.['weights'])
  if (group === null || weights === null) return good(null)
  const layout = weightLayout(weights, group['format'] ?? json['format'], asObject(group['input_activations']), field)
  if (!layout.ok) return layout
  const targets = Array.isArray(group['targets']) ? group['targets'] : ['Linear']
  const isClass = (target: unknown): boolean => typeof target === 'string' && /^[A-Z]\w*$/.test(target)
  const modules = moduleList(
    targets.filter(target => !isClass(target)),
    `${field}.targets`,
  )
  return modules.ok ? good({ layout: layout.value, classes: targets.some(isClass), modules: modules.value }) : modules
}

/** The layout that `weights` of a group describe; `format` decides where types are stored alike. */
function weightLayout(weights: JsonObject, format: unknown, inputs: JsonObject | null, field: string): Result<Layout> {
  const bits = bitsOf(weights['num_bits'], 8, `${field}.weights.num_bits`)
  if (!bits.ok) return bits
  const group = groupOf(weights['group_size'], -1, `${field}.weights.group_size`)
  if (!group.ok) return group
  const strategy = weights['strategy']
  const float = weights['type'] === 'float'
  const block = weights['block_structure']
  if (float && bits.value === 4)
    return good(
      format === 'mxfp4-pack-quantized' || group.value === 32 ? microscaled(4) : nvfp4(inputs === null ? 1 : 2),
    )
  if (bits.value === 8 && (float || format === 'int-quantized' || format === 'naive-quantized')) {
    const kind = float ? 'fp8' : 'int8'
    if (float && group.value === 32) return good(microscaled(8))
    if (
      strategy === 'block' &&
      Array.isArray(block) &&
      block.length === 2 &&
      block.every(n => Number.isInteger(n) && n > 0)
    )
      return good(fp8Block(block[0] as number, block[1] as number, 2))
    if (strategy === 'channel') return good(byteChannel(kind))
    return good(byteTensor(kind, inputs !== null && inputs['dynamic'] !== true))
  }
  return good(packQuantized(bits.value, strategy === 'channel' ? -1 : group.value, weights['symmetric'] !== false))
}

/** `kv_cache_scheme` {num_bits: 8, type: float} is an fp8 cache. */
export function cacheScheme(value: unknown): string | null {
  const scheme = asObject(value)
  if (scheme === null) return null
  if (scheme['num_bits'] === 8) return scheme['type'] === 'int' ? 'int8' : 'fp8'
  return scheme['num_bits'] === 4 && scheme['type'] === 'float' ? 'nvfp4' : null
}
