import { bad, good, type Result } from '../../problem.ts'
import {
  bitsAndBytes4,
  bitsAndBytes8,
  byteChannel,
  byteTensor,
  fp8Block,
  type Layout,
  microscaled,
  packQuantized,
} from './layouts.ts'
import { type Scheme, uniform } from './scheme.ts'

/**
 * Quantisation that an engine does while it loads an unquantised checkpoint, by the engines' own names (vLLM and SGLang
 * `--quantization`, TGI `--quantize`).
 */
const ONLINE: Readonly<Record<string, Layout>> = {
  fp8: byteTensor('fp8', false),
  fp8_per_tensor: byteTensor('fp8', false),
  fp8_per_block: fp8Block(128, 128),
  ptpc_fp8: byteChannel('fp8'),
  w8a8_fp8: byteChannel('fp8'),
  fbgemm_fp8: byteChannel('fp8'),
  w8a8_int8: byteChannel('int8'),
  int8: byteChannel('int8'),
  eetq: byteChannel('int8'),
  bitsandbytes: bitsAndBytes4(true),
  'bitsandbytes-nf4': bitsAndBytes4(true),
  'bitsandbytes-fp4': bitsAndBytes4(true),
  'bitsandbytes-int8': bitsAndBytes8,
  mxfp4: microscaled(4),
  mxfp8: microscaled(8),
  rtn: packQuantized(4, 128, true),
}

/** Methods that only describe a checkpoint already quantised; on a plain one they say nothing. */
const CHECKPOINT_ONLY = new Set([
  'awq',
  'awq_marlin',
  'gptq',
  'gptq_marlin',
  'marlin',
  'compressed-tensors',
  'modelopt',
  'modelopt_fp4',
  'modelopt_fp8',
  'modelopt_mixed',
  'auto-round',
  'aqlm',
  'hqq',
  'torchao',
  'quark',
  'moe_wna16',
])

/**
 * The scheme an engine's flag asks for on an unquantised checkpoint; null when the flag changes nothing. Problems:
 * `setting-invalid` for a method that needs another checkpoint, or that is not known.
 */
export function onlineScheme(asked: string): Result<Scheme | null> {
  const name = asked.toLowerCase()
  if (name === 'none' || name === 'auto' || name === '') return good(null)
  if (name === 'experts_int8') return good(expertsOnly(byteChannel('int8')))
  const layout = Object.hasOwn(ONLINE, name) ? ONLINE[name] : undefined
  if (layout) return good(uniform(layout, { basis: 'derived' }))
  return CHECKPOINT_ONLY.has(name)
    ? bad('setting-invalid', `quantization ${name} needs a checkpoint in that format; config.json declares none`)
    : bad('setting-invalid', `quantization ${JSON.stringify(asked.slice(0, 40))} is not known`)
}

function expertsOnly(layout: Layout): Scheme {
  return {
    name: `${layout.name} experts`,
    basis: 'derived',
    byLayer: false,
    kvCacheDtype: null,
    layoutOf: module => (module.weight.split.startsWith('expert') ? layout : null),
  }
}
