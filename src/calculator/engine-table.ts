import type { CalculatedModel, EngineTabler } from '../calculate.ts'
import type { EngineName, Settings } from '../deployments/deployment.ts'
import type { Engine, EngineInput } from '../engines/engine.ts'
import { engineOf } from '../engines/index.ts'
import type { Gpu } from '../hardware/gpu.ts'
import { type Part, sum } from '../memory/parts.ts'
import type { JsonObject } from '../models/config.ts'
import { gibText } from '../units/bytes.ts'
import type { DataType } from './data.ts'
import { storedMethod } from './detect.ts'
import type { Request } from './request.ts'
import type { EngineRow } from './result.ts'
import { requestedShare } from './rule-of-thumb.ts'

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

/** The GGUF type of a data type, for engines that run GGUF files; what is not named has none. */
const GGUF_TAGS: Readonly<Record<string, string>> = {
  fp32: 'F32',
  fp16: 'F16',
  bf16: 'BF16',
  int8: 'Q8_0',
  int4: 'Q4_K_M',
  mxfp4: 'MXFP4',
  nvfp4: 'NVFP4',
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
    const refusals = new Set<string>()
    const rows = dtypes.flatMap(dtype => rowOf(engine, model, request, dtype, gpu, refusals) ?? [])
    const notes = [...refusals].map(message => `${engine.title} would refuse ${model.name}: ${message}`)
    if (gpu === null && engine.name === 'vllm')
      notes.push('For the activations the engine defaults of a card below 70 GiB are taken; give --target for another')
    const left = dtypes.map(dtype => dtype.name).filter(name => !rows.some(row => row.dtype === name))
    if (left.length > 0) notes.push(`${engine.title}: no layout is known for ${left.join(', ')}`)
    return rows.length === 0 ? null : { engine: engine.title, rows, notes }
  }
}

const set = <T>(value: T) => ({ value, from: 'flag' as const })

function rowOf(
  engine: Engine,
  model: CalculatedModel,
  request: Request,
  { name: dtype, bytesPerParameter }: DataType,
  gpu: Gpu | null,
  refusals: Set<string>,
): EngineRow | null {
  const asked = ASKED[dtype]
  const runsGguf = engine.name === 'llamacpp' || engine.name === 'ollama'
  const tag = GGUF_TAGS[dtype]
  if (asked === undefined || (runsGguf && tag === undefined)) return null
  const { quantization_config: _own, quantization: _mlx, compression_config: _old, ...rest } = model.facts.config
  const ownMethod = storedMethod(model.facts.config)
  // A checkpoint that already has this type keeps its own layout; any other type replaces it.
  const keeps = !runsGguf && asked.quantization !== null && ownMethod !== '' && sameMethod(dtype, ownMethod)
  const config: JsonObject = keeps
    ? model.facts.config
    : asked.quantization === null
      ? rest
      : { ...rest, quantization_config: asked.quantization }
  const { gguf: _file, ...facts } = model.facts
  const settings: Settings = {
    // llama-server's context is that of all its slots together.
    maxModelLen: set(request.sequence * (engine.name === 'llamacpp' ? request.batch : 1)),
    maxNumSeqs: set(request.batch),
    tensorParallel: set(request.tp),
    pipelineParallel: set(request.pp),
    ...(request.ep > 1 ? { expertParallel: set(true) } : {}),
    ...(asked.dtype === null ? {} : { dtype: set(asked.dtype) }),
    ...(runsGguf ? { quantization: set(tag!) } : {}),
    ...(request.kvDtype === null ? {} : { kvCacheDtype: set(request.kvDtype) }),
  }
  const input: EngineInput = {
    shape: model.shape,
    facts: { ...facts, config, checkpoint: { totalBytes: null, elementsByDtype: null, tensors: null } },
    settings,
    options: {},
    environment: {},
    version: null,
    gpu,
    gpusPerReplica: request.tp * request.pp,
    concurrency: request.batch,
    draft: null,
  }
  const answer = engine.estimate(input)
  for (const finding of answer.findings) if (finding.severity === 'error') refusals.add(finding.message)
  const { parts } = answer.estimate.perGpu
  const bytes = (cache: boolean) =>
    sum(parts.filter(part => part.name !== 'weights' && isCache(part) === cache).map(part => part.bytes))
  const weights = sum(parts.filter(part => part.name === 'weights').map(part => part.bytes)).expected
  const kvCache = bytes(true).expected
  const other = bytes(false)
  const effective = answer.settings.dtype?.effective ?? asked.dtype
  const row = {
    dtype,
    scheme: runsGguf ? `GGUF ${tag}` : keeps ? `as stored (${ownMethod})` : schemeOf(asked, effective),
    weights,
    kvCache,
    other,
    total: sum(parts.map(part => part.bytes)),
  }
  return { ...row, differs: difference(model, request, engine.name, asked, row, bytesPerParameter) }
}

const isCache = (part: Part): boolean => part.name === 'kvCache' || part.name === 'recurrentState'

function sameMethod(dtype: string, method: string): boolean {
  if (dtype === 'fp8') return /fp8|compressed-tensors|modelopt$/.test(method)
  if (dtype === 'awq_int4') return method === 'awq'
  if (dtype === 'gptq_int4' || dtype === 'int4') return method === 'gptq' || method === 'auto-round'
  if (dtype === 'mxfp4') return method === 'mxfp4'
  if (dtype === 'nvfp4') return /nvfp4|modelopt/.test(method)
  return (dtype === 'nf4' || dtype === 'fp4' || dtype === 'int8') && method === 'bitsandbytes'
}

const schemeOf = (asked: Asked, effective: unknown): string =>
  asked.quantization === null ? String(effective) : `${String(asked.quantization['quant_method'])} layout`

/** Names the largest reason why the rule's inference total is off by more than a fifth. */
function difference(
  model: CalculatedModel,
  request: Request,
  engine: EngineName,
  asked: Asked,
  row: Omit<EngineRow, 'differs'>,
  bytesPerParameter: number,
): EngineRow['differs'] {
  const { weights, kvCache, other, total } = row
  const rule = requestedShare(model.parameters * bytesPerParameter * 1.2, model.routedShare, request)
  if (Math.abs(rule - total.expected) <= 0.2 * total.expected) return null
  const ruleWeights = rule / 1.2
  const take = `weights take ${gibText(weights)} GiB where the rule has ${gibText(ruleWeights)}`
  // The rule's fifth covers more than the engine needs only where its weights are too many.
  if (rule > total.expected) return { why: take, rule }
  const causes = [
    ...(asked.quantization === null ? [] : ['layers in more bits, scales']),
    ...(request.tp > 1 ? ['copies on every rank'] : []),
    ...(request.pp > 1 ? [engine === 'tgi' ? 'no pipeline stages' : 'the fullest pipeline stage'] : []),
    ...(request.ep > 1 && model.routedShare > 0 ? ['EP shares experts among the TP ranks, no further'] : []),
  ]
  const reasons: [number, string][] = [
    [
      kvCache,
      `KV cache is not in the rule's total, ${gibText(kvCache)} GiB at batch ${request.batch} x ${request.sequence} tokens`,
    ],
    [weights - ruleWeights, causes.length > 0 ? `${take} (${causes.join('; ')})` : take],
    [
      other.expected - 0.2 * ruleWeights,
      `working memory does not scale with the weights, ${gibText(other.expected)} GiB where the rule adds ${gibText(0.2 * ruleWeights)}`,
    ],
  ]
  return { why: reasons.reduce((a, b) => (b[0] > a[0] ? b : a))[1], rule }
}

/** "BF16 needs 78.14, the rule says 16.19". */
export const needText = ({ dtype, total, differs }: EngineRow): string =>
  `${dtype.toUpperCase()} needs ${gibText(total.expected)}, the rule says ${gibText(differs?.rule ?? 0)}`
