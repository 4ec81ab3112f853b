import { good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import { schemeOf } from './methods.ts'
import { asObject, everywhere, type Reach, type Scheme, textModel } from './scheme.ts'

const KEYS = ['quantization_config', 'compression_config', 'hf_quant_config'] as const
const NESTED = ['text_config', 'language_config', 'llm_config', 'thinker_config'] as const

/**
 * The quantisation that a config.json declares: `quantization_config`, `compression_config`, the contents of
 * hf_quant_config.json under that key, the same in the text model's config (then it does not reach the towers), or the
 * `quantization` of MLX. Null: none. Problems: `config-invalid`.
 */
export function declaredScheme(config: JsonObject): Result<Scheme | null> {
  for (const key of KEYS) {
    const json = asObject(config[key])
    if (json !== null) return from(json, config, everywhere)
  }
  const quantization = asObject(config['quantization'])
  if (quantization !== null) return schemeOf('mlx', { json: quantization, config, reach: everywhere })
  for (const outer of NESTED) {
    const text = asObject(config[outer])
    if (text === null) continue
    for (const key of KEYS) {
      const json = asObject(text[key])
      if (json !== null) return from(json, config, textModel)
    }
  }
  return good(null)
}

function from(json: JsonObject, config: JsonObject, reach: Reach): Result<Scheme | null> {
  const method = methodOf(json, asObject(config['quantization']) !== null)
  if (method === null) return good(null)
  return schemeOf(method, { json, config, reach })
}

/** `quant_method`; where it is missing the keys tell: modelopt's algorithm, config groups, bitsandbytes flags, MLX. */
function methodOf(json: JsonObject, mlxToo: boolean): string | null {
  const named = json['quant_method']
  if (typeof named === 'string' && named !== '') return named.toLowerCase()
  if (json['quant_algo'] !== undefined || asObject(json['quantization']) !== null) return 'modelopt'
  if (asObject(json['config_groups']) !== null) return 'compressed-tensors'
  if (json['load_in_4bit'] === true || json['load_in_8bit'] === true) return 'bitsandbytes'
  if (mlxToo || (typeof json['bits'] === 'number' && typeof json['group_size'] === 'number')) return 'mlx'
  return null
}
