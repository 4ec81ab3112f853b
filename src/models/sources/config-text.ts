import { bad, good, type Place, type Result } from '../../problem.ts'
import { parseShardIndex, type ShardIndex } from '../checkpoint/safetensors.ts'
import { type JsonObject, parseConfigText } from '../config.ts'

/** Bounds of what is read of an untrusted model, those of the Hub's own library. */
export const CONFIG_LIMIT = 10 * 1024 * 1024
export const INDEX_LIMIT = 250 * 1024 * 1024

/** A config.json's text as an object; `where` names it in the message. Problem: `config-invalid`. */
export function configObject(text: string, where: string, at?: Place): Result<JsonObject> {
  const more = { hint: 'the file must be the config.json of a model', ...(at ? { at } : {}) }
  try {
    const json = parseConfigText(text)
    if (isObject(json)) return good(json)
    return bad('config-invalid', `${where} holds no JSON object`, more)
  } catch (error) {
    return bad('config-invalid', `${where} is not JSON: ${(error as Error).message.split('\n')[0]}`, more)
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Does the config itself name a quantisation? */
export function isQuantised(config: JsonObject): boolean {
  const text = config['text_config']
  return ['quantization_config', 'quantization', 'compression_config'].some(
    key => isObject(config[key]) || (isObject(text) && isObject(text[key])),
  )
}

/**
 * A config with what hf_quant_config.json says where the config itself names no quantisation: older checkpoints of
 * NVIDIA's ModelOpt say it only there. The key's name is the one vLLM reads.
 */
export function withQuantConfig(config: JsonObject, quantText: string | null): JsonObject {
  if (quantText === null || isQuantised(config)) return config
  const read = configObject(quantText, 'hf_quant_config.json')
  if (!read.ok) return config
  const { quantization, producer } = read.value
  if (!isObject(quantization)) return config
  return {
    ...config,
    quantization_config: { quant_method: 'modelopt', ...(isObject(producer) ? { producer } : {}), ...quantization },
  }
}

/** An index.json's text as what it says of its shards. Problem: `checkpoint-invalid`. */
export function shardIndex(text: string): Result<ShardIndex> {
  try {
    return parseShardIndex(JSON.parse(text))
  } catch {
    return bad('checkpoint-invalid', 'index.json is not JSON')
  }
}
