import { bad, good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import { compressedTensors } from './compressed-tensors.ts'
import { awqScheme, gptqScheme } from './grouped.ts'
import { bitsAndBytes4, bitsAndBytes8, byteChannel, byteTensor, fp8Block, type Layout, microscaled } from './layouts.ts'
import { modelopt } from './modelopt.ts'
import { otherMethods } from './other-methods.ts'
import { type Declaration, type Method, type Reach, type Scheme, SKIPPED, skipList, uniform } from './scheme.ts'

/** DeepSeek, Qwen, Mistral: one byte a weight, scales by block, or one for the matrix. */
const fp8: Method = ({ json, config, reach }) => {
  const skip = skipList(json, SKIPPED)
  if (!skip.ok) return skip
  // With experts in 4 bits (what DeepSeek-V4 is where it does not say) the scales of fp8 blocks are one-byte exponents.
  const fourBit = (config['expert_dtype'] ?? (config['model_type'] === 'deepseek_v4' ? 'fp4' : null)) === 'fp4'
  const block = json['weight_block_size']
  let layout: Layout
  if (block === undefined || block === null) layout = byteTensor('fp8', json['activation_scheme'] === 'static')
  else if (Array.isArray(block) && block.length === 2 && block.every(n => Number.isInteger(n) && n > 0))
    layout = fp8Block(block[0] as number, block[1] as number, fourBit ? 1 : 4)
  else return bad('config-invalid', `config.json: quantization_config.weight_block_size is ${JSON.stringify(block)}`)
  const scheme = uniform(layout, { skip: skip.value, reach })
  const base = fourBit ? fourBitExperts(scheme) : scheme
  return json['quant_algo'] === 'MIXED_PRECISION' ? modelopt(json, base) : good(base)
}

/** DeepSeek-V4 stores its routed experts in MXFP4 beside fp8 blocks (`expert_dtype`). */
function fourBitExperts(base: Scheme): Scheme {
  const layout = microscaled(4)
  return {
    ...base,
    name: `${layout.name} experts, ${base.name}`,
    layoutOf: (module, names) => (isExpert(module.weight.split) ? layout : base.layoutOf(module, names)),
  }
}

const isExpert = (split: string): boolean => split === 'expert-column' || split === 'expert-row'

/** gpt-oss: only the routed experts. */
const mxfp4: Method = ({ json }) => {
  const skip = skipList(json, SKIPPED)
  if (!skip.ok) return skip
  const layout = microscaled(4)
  return good({
    name: `${layout.name} experts`,
    basis: 'exact',
    byLayer: skip.value.byLayer,
    kvCacheDtype: null,
    layoutOf: (module, names) => (isExpert(module.weight.split) && !skip.value.matches(names) ? layout : null),
  })
}

const bitsandbytes: Method = ({ json, reach }) => {
  const skip = skipList(json, SKIPPED)
  if (!skip.ok) return skip
  const eight = json['load_in_8bit'] === true || json['_load_in_8bit'] === true
  const layout = eight ? bitsAndBytes8 : bitsAndBytes4(json['bnb_4bit_use_double_quant'] === true)
  return good(uniform(layout, { skip: skip.value, reach }))
}

/** Every method by the name that `quant_method` has in files. */
const methods: Readonly<Record<string, Method>> = {
  fp8,
  mxfp4,
  gpt_oss_mxfp4: mxfp4,
  awq: awqScheme,
  gptq: gptqScheme,
  marlin: gptqScheme,
  'auto-round': gptqScheme,
  'intel/auto-round': gptqScheme,
  inc: gptqScheme,
  bitsandbytes,
  'compressed-tensors': ({ json, reach }) => compressedTensors(json, reach),
  modelopt: ({ json }) => modelopt(json),
  modelopt_fp4: ({ json }) => modelopt(json),
  modelopt_mixed: ({ json }) => modelopt(json),
  fbgemm_fp8: ({ json, reach }) => skipping(json, byteChannel('fp8'), reach),
  eetq: ({ json, reach }) => skipping(json, byteChannel('int8'), reach),
  ...otherMethods,
}

function skipping(json: JsonObject, layout: Layout, reach: Reach): Result<Scheme> {
  const skip = skipList(json, SKIPPED)
  return skip.ok ? good(uniform(layout, { skip: skip.value, reach })) : skip
}

/** The scheme of a declaration. Problems: `config-invalid` for a method that is not known or malformed keys. */
export function schemeOf(method: string, declaration: Declaration): Result<Scheme> {
  const found = Object.hasOwn(methods, method) ? methods[method] : undefined
  return found
    ? found(declaration)
    : bad('config-invalid', `config.json: quant_method ${JSON.stringify(method.slice(0, 40))} is not known`)
}
