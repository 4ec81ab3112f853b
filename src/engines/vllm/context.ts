import type { JsonObject } from '../../models/config.ts'
import type { ModelShape } from '../../models/shape.ts'

const EXTENDING = new Set(['linear', 'dynamic', 'yarn', 'deepseek_yarn', 'ntk', 'proportional_yarn'])
const asObject = (value: unknown): JsonObject | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null

/**
 * The longest context vLLM takes without an override: the model's positions, stretched by a rope scaling that extends
 * them (not llama3, longrope, mrope, whose positions are stretched already); yarn stretches its original positions.
 * Null when the model has no limit. Source: vLLM config/model.py, _get_and_verify_max_len.
 */
export function contextOf(shape: ModelShape, config: JsonObject): number | null {
  const positions = shape.facts.contextLength
  if (positions === null) return null
  const text = asObject(config['text_config']) ?? asObject(config['llm_config']) ?? config
  const scaling =
    asObject(text['rope_scaling']) ?? asObject(text['rope_parameters']) ?? asObject(config['rope_scaling'])
  if (scaling === null) return positions
  // Gemma 3 states its stretched positions already, although it names a linear scaling (vLLM skips it by name too).
  if (shape.modelType.startsWith('gemma3')) return positions
  const type = scaling['rope_type'] ?? scaling['type']
  const factor = scaling['factor']
  if (typeof type !== 'string' || !EXTENDING.has(type)) return positions
  if (typeof factor !== 'number' || !Number.isFinite(factor) || factor <= 0) return positions
  const original = scaling['original_max_position_embeddings']
  const base = type.includes('yarn') && typeof original === 'number' && original > 0 ? original : positions
  return Math.max(1, Math.floor(base * factor))
}
