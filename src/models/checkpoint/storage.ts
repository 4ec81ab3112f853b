import type { Basis } from '../../memory/parts.ts'
import { bad, good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'
import { declaredScheme } from './declared.ts'
import type { Layout } from './layouts.ts'
import { type Module, moduleNamed, modulesOf } from './modules.ts'
import { onlineScheme } from './online.ts'
import type { Scheme } from './scheme.ts'

/** A rank's part of a weight: `copies` matrices of `out` x `in`, and `bias` bias elements a copy. */
export interface WeightPart {
  readonly out: number
  readonly in: number
  readonly copies: number
  readonly bias: number
}

/** How a model's weights lie in GPU memory. */
export interface WeightStorage {
  /** "bfloat16", "fp8 block 128x128", "awq 4-bit group 128": for formulas and explain. */
  readonly scheme: string
  readonly basis: Basis
  /**
   * Bytes of a part of a weight, scales and zero points included; where the layers of a kind are stored in different
   * ways their mean, which may be a fraction. `path` is block and name, for skip lists.
   */
  readonly bytes: (weight: Weight, part: WeightPart, path: string) => number
  /** Compute dtype: "bfloat16", "float16", "float32". */
  readonly dtype: string
  /** KV cache dtype that the checkpoint itself asks for ("fp8"), else null. */
  readonly kvCacheDtype: string | null
}

const BYTES: Readonly<Record<string, number>> = { float32: 4, float16: 2, bfloat16: 2, float64: 8 }

/** Bytes of an element of a dtype as configs spell it; null when it is not a plain one. */
export const dtypeBytes = (dtype: string): number | null => (Object.hasOwn(BYTES, dtype) ? BYTES[dtype]! : null)

/**
 * Decides the storage from the checkpoint's own quantisation and what the engine is asked for.
 * `quantization` is the engine's flag (null: none given), `dtype` the compute dtype already resolved. A quantised
 * checkpoint keeps its format whatever the flag says; the flag decides for a plain one. `memory` is what an engine
 * holds, `file` what the checkpoint stores, where a format differs in the two.
 */
export function storageOf(
  shape: ModelShape,
  config: JsonObject,
  asked: { readonly dtype: string; readonly quantization: string | null; readonly where?: 'memory' | 'file' },
): Result<WeightStorage> {
  const size = dtypeBytes(asked.dtype)
  if (size === null) return bad('setting-invalid', `dtype ${asked.dtype} is not known`)
  const declared = declaredScheme(config)
  if (!declared.ok) return declared
  const online = declared.value === null && asked.quantization !== null ? onlineScheme(asked.quantization) : good(null)
  if (!online.ok) return online
  const scheme = declared.value ?? online.value
  if (scheme === null)
    return good({
      scheme: asked.dtype,
      basis: 'exact',
      bytes: plainBytes(size),
      dtype: asked.dtype,
      kvCacheDtype: null,
    })
  return good({
    scheme: scheme.name,
    basis: scheme.basis,
    bytes: quantisedBytes(shape, scheme, size, asked.where ?? 'memory'),
    dtype: asked.dtype,
    kvCacheDtype: scheme.kvCacheDtype,
  })
}

function plainBytes(size: number): WeightStorage['bytes'] {
  return (weight, part) =>
    weight.transformersOnly ? 0 : part.copies * (part.out * part.in + part.bias) * (weight.elementBytes ?? size)
}

/** One layout and the share of a weight's layers that have it; null: the model's dtype. */
interface Share {
  readonly layout: Layout | null
  readonly share: number
}

function quantisedBytes(
  shape: ModelShape,
  scheme: Scheme,
  size: number,
  where: 'memory' | 'file',
): WeightStorage['bytes'] {
  const plain = plainBytes(size)
  let modules: ReadonlyMap<Weight, Module> | null = null
  const known = new Map<Weight, readonly Share[]>()
  const sharesOf = (weight: Weight, path: string): readonly Share[] => {
    const found = known.get(weight)
    if (found) return found
    modules ??= modulesOf(shape)
    const shares = layoutShares(scheme, modules.get(weight) ?? moduleNamed(weight, path))
    known.set(weight, shares)
    return shares
  }
  return (weight, part, path) => {
    if (weight.kind !== 'linear' && weight.kind !== 'embedding') return plain(weight, part, path)
    let bytes = 0
    for (const { layout, share } of sharesOf(weight, path)) {
      const matrix = layout === null ? null : where === 'memory' ? (layout.loaded ?? layout.stored) : layout.stored
      bytes +=
        share *
        (matrix === null ? plain(weight, part, path) : part.copies * (matrix(part.out, part.in) + part.bias * size))
    }
    return bytes
  }
}

/** Layers of one kind are asked one by one only where the scheme names layers by number. */
function layoutShares(scheme: Scheme, module: Module): readonly Share[] {
  const layers = scheme.byLayer ? module.layers : module.layers.slice(0, 1)
  const counts = new Map<Layout | null, number>()
  for (const layer of layers) {
    const layout = scheme.layoutOf(module, module.names(layer))
    counts.set(layout, (counts.get(layout) ?? 0) + 1)
  }
  return [...counts].map(([layout, count]) => ({ layout, share: count / layers.length }))
}
