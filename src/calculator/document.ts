import { needText } from './engine-table.ts'
import type { Calculation } from './result.ts'
import { documentGib, shortCount } from './rule-of-thumb.ts'

/** The original's --output_json document, with our engine's figures beside it under `engine_estimate`. */
export function document(calculation: Calculation): unknown {
  const { request, model } = calculation
  return {
    model: {
      name: calculation.name,
      architecture: calculation.architecture,
      parameters: model.parameters,
      parameters_formatted: shortCount(model.parameters),
      original_torch_dtype: calculation.configDtype === null ? null : `torch.${calculation.configDtype}`,
      user_specified_dtype: request.dtypesTyped?.toUpperCase() ?? null,
      active_parameters: calculation.activeParameters,
      count: calculation.count,
      source: calculation.source,
    },
    memory_requirements: calculation.rows.map(row => ({
      dtype: row.dtype.name.toUpperCase(),
      batch_size: request.batch,
      sequence_length: request.sequence,
      lora_rank: request.loraRank,
      tensor_parallel_size: request.tp,
      max_num_tokens: request.maxNumTokens,
      model_size_gib: documentGib(row.weights),
      kv_cache_size_gib: documentGib(row.kvCache),
      inference_total_gib: documentGib(row.inference),
      training_gib: documentGib(row.training),
      lora_size_gib: documentGib(row.lora),
      activation_size_gib: documentGib(row.activation),
    })),
    engine_estimate:
      calculation.engine === null
        ? null
        : {
            engine: calculation.engine.engine,
            per_gpu: calculation.engine.rows.map(row => ({
              dtype: row.dtype.toUpperCase(),
              weights_scheme: row.scheme,
              weights_bytes: row.weights,
              kv_cache_bytes: row.kvCache,
              other_bytes: row.other,
              total_bytes: row.total,
              rule_of_thumb_differs: row.differs && `${row.differs.why}: ${needText(row)}`,
            })),
            notes: calculation.engine.notes,
          },
  }
}
