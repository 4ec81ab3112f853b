import type { CalculatedModel, EngineTabler } from '../calculate.ts'
import type { EngineName, Settings } from '../deployments/deployment.ts'
import type { Engine, EngineInput } from '../engines/engine.ts'
import { engineOf } from '../engines/index.ts'
import type { Gpu } from '../hardware/gpu.ts'
import { type Part, type Range, sum } from '../memory/parts.ts'
import type { JsonObject } from '../models/config.ts'
import { gibText } from '../units/bytes.ts'
import type { Request } from './request.ts'
import type { EngineRow } from './result.ts'

/** How a data type of the rule is asked of an engine: a compute dtype, and the quantisation a checkpoint would have. */
interface Asked {
  readonly dtype: string | null
  readonly quantization: JsonObject | null
}

const PACKED = { bits: 4, group_size: 128 }
const ASKED: Readonly<Record<string, Asked>> = {
  fp32: { dtype: 'float32', quantization: null },
  fp16: { dtype: 'float16', quantization: null },
  bf16: { dtype: 'bfloat16', quantization: null },
  fp8: {
    dtype: null,
    quantization: { quant_method: 'fp8', activation_scheme: 'dynamic', weight_block_size: [128, 128] },
  },
  int8: { dtype: null, quantization: { quant_method: 'bitsandbytes', load_in_8bit: true } },
  int4: { dtype: null, quantization: { quant_method: 'gptq', ...PACKED, sym: true, desc_act: false } },
  gptq_int4: { dtype: null, quantization: { quant_method: 'gptq', ...PACKED, sym: true, desc_act: false } },
  awq_int4: { dtype: null, quantization: { quant_method: 'awq', ...PACKED, zero_point: true, version: 'gemm' } },
  nf4: { dtype: null, quantization: { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' } },
  fp4: { dtype: null, quantization: { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'fp4' } },
  mxfp4: { dtype: null, quantization: { quant_method: 'quark', global_quant_config: { weight: { dtype: 'fp4' } } } },
  nvfp4: { dtype: null, quantization: { quant_method: 'modelopt', quant_algo: 'NVFP4', group_size: 16 } },
}

/**
 * The engine's table for the calculator: the same engine accounting as the gate's, for `batch` sequences of `sequence`
 * tokens, on `gpu` or else without a card. Data types that the checkpoint does not have are laid over its config as
 * the usual layout of that type. Null for an engine whose accounting is not known.
 */
export function engineTable(engineName: string, gpu: Gpu | null): EngineTabler {
  const engine = engineOf(engineName as EngineName)
  return (model, request, dtypes) => {
    if (engine === null) return null
    const rows = dtypes.flatMap(dtype => {
      const row = rowOf(engine, model, request, dtype, gpu)
      return row === null ? [] : [row]
    })
    const notes: string[] = []
    if (gpu === null)
      notes.push('For the activations the engine defaults of a card below 70 GiB are taken; give --target for another')
    const left = dtypes.filter(dtype => !(dtype in ASKED))
    if (left.length > 0) notes.push(`No engine layout is known for ${left.join(', ')}`)
    return rows.length === 0 ? null : { engine: engine.title, rows, notes }
  }
}

const set = <T>(value: T) => ({ value, from: 'flag' as const })

function rowOf(
  engine: Engine,
  model: CalculatedModel,
  request: Request,
  dtype: string,
  gpu: Gpu | null,
): EngineRow | null {
  const asked = ASKED[dtype]
  if (asked === undefined) return null
  const { quantization_config: own, quantization: _mlx, compression_config: _old, ...rest } = model.facts.config
  const ownMethod = typeof own === 'object' && own !== null ? String((own as JsonObject)['quant_method'] ?? '') : ''
  // A checkpoint that already has this type keeps its own layout; any other type replaces it.
  const keeps = asked.quantization !== null && ownMethod !== '' && sameMethod(dtype, ownMethod)
  const config: JsonObject = keeps
    ? model.facts.config
    : asked.quantization === null
      ? rest
      : { ...rest, quantization_config: asked.quantization }
  const settings: Settings = {
    maxModelLen: set(request.sequence),
    maxNumSeqs: set(request.batch),
    tensorParallel: set(request.tp),
    pipelineParallel: set(request.pp),
    ...(request.ep > 1 ? { expertParallel: set(true) } : {}),
    ...(asked.dtype === null ? {} : { dtype: set(asked.dtype) }),
    ...(request.kvDtype === null ? {} : { kvCacheDtype: set(request.kvDtype) }),
  }
  const input: EngineInput = {
    shape: model.shape,
    facts: { ...model.facts, config, checkpoint: { totalBytes: null, elementsByDtype: null, tensors: null } },
    settings,
    options: {},
    environment: {},
    version: null,
    gpu,
    gpusPerReplica: request.tp * request.pp,
    concurrency: request.batch,
    draft: null,
  }
  const { estimate } = engine.estimate(input)
  const parts = estimate.perGpu.parts
  const named = (names: readonly string[]) =>
    sum(parts.filter(part => names.includes(part.name)).map(part => part.bytes)).expected
  const weights = named(['weights'])
  const kvCache = named(['kvCache', 'recurrentState'])
  const other = sum(
    parts.filter(part => !['weights', 'kvCache', 'recurrentState'].includes(part.name)).map(part => part.bytes),
  )
  const total = sum(parts.map(part => part.bytes))
  return {
    dtype,
    scheme: schemeOf(parts, asked, keeps ? ownMethod : null),
    weights,
    kvCache,
    other,
    total,
    differs: difference(model, request, dtype, weights, kvCache, other, total),
  }
}

function sameMethod(dtype: string, method: string): boolean {
  if (dtype === 'fp8') return /fp8|compressed-tensors|modelopt$/.test(method)
  if (dtype === 'awq_int4') return method === 'awq'
  if (dtype === 'gptq_int4' || dtype === 'int4') return method === 'gptq' || method === 'auto-round'
  if (dtype === 'mxfp4') return method === 'mxfp4'
  if (dtype === 'nvfp4') return /nvfp4|modelopt/.test(method)
  return (dtype === 'nf4' || dtype === 'fp4' || dtype === 'int8') && method === 'bitsandbytes'
}

function schemeOf(parts: readonly Part[], asked: Asked, own: string | null): string {
  if (own !== null) return `as stored (${own})`
  if (asked.dtype !== null) return asked.dtype
  const method = String(asked.quantization?.['quant_method'] ?? '')
  return parts.length > 0 ? `a usual ${method} layout` : method
}

/** Bytes a parameter of the rule's table takes. */
const RULE_BYTES: Readonly<Record<string, number>> = { fp32: 4, fp16: 2, bf16: 2, fp8: 1, int8: 1 }

/** One line that names the largest reason why the rule's inference total is off by more than a fifth. */
function difference(
  model: CalculatedModel,
  request: Request,
  dtype: string,
  weights: number,
  kvCache: number,
  other: Range,
  total: Range,
): string | null {
  const ruleTotal = (model.parameters * (RULE_BYTES[dtype] ?? 0.5) * 1.2) / request.tp / request.pp
  if (Math.abs(ruleTotal - total.expected) <= 0.2 * total.expected) return null
  const says = `the rule says ${gibText(ruleTotal)}, the engine needs ${gibText(total.expected)}`
  const ruleWeights = ruleTotal / 1.2
  const reasons: [number, string][] = [
    [
      kvCache,
      `KV cache is not in the rule's total: ${gibText(kvCache)} GiB at batch ${request.batch} x ${request.sequence} tokens`,
    ],
    [
      weights - ruleWeights,
      `weights that stay in 16 bit, scales and copies on every rank: ${gibText(weights)} GiB where the rule divides to ${gibText(ruleWeights)}`,
    ],
    [
      other.expected - 0.2 * ruleWeights,
      `working memory does not scale with the weights: ${gibText(other.expected)} GiB where the rule adds a fifth, ${gibText(0.2 * ruleWeights)}`,
    ],
  ]
  const under = ruleTotal < total.expected
  const [, why] = under
    ? reasons.reduce((a, b) => (b[0] > a[0] ? b : a))
    : [
        0,
        `the rule adds a fifth of the weights, ${gibText(0.2 * ruleWeights)} GiB, where the engine needs ${gibText(kvCache + other.expected)} GiB beside them`,
      ]
  return `${why} (${says})`
}
