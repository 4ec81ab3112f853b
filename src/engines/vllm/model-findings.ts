import { partOf } from '../../memory/shares.ts'
import type { JsonObject } from '../../models/config.ts'
import type { EngineInput } from '../engine.ts'
import { contextFinding, stageFinding } from '../model-findings.ts'
import { release } from './release.ts'
import { parallelismOf, type Resolved } from './settings.ts'

/** Model types that releases stopped serving, with the first one that does (vLLM's release notes). */
const DROPPED: Readonly<Record<string, readonly [number, number]>> = {
  minimax: [0, 24],
  minimax_text_01: [0, 24],
  minimax_m1: [0, 24],
  RefinedWeb: [0, 29],
  RefinedWebModel: [0, 29],
  mpt: [0, 29],
  bamba: [0, 33],
}

/** What the model itself forbids: lengths, divisions, releases that do not serve it. */
export function modelFindings(input: EngineInput, r: Resolved): void {
  const { say } = r
  const { context, maxModelLen } = r
  const override = 'VLLM_ALLOW_LONG_MAX_MODEL_LEN=1'
  const allowed = input.environment['VLLM_ALLOW_LONG_MAX_MODEL_LEN'] === '1' ? override : null
  const unless = `: vLLM refuses it unless ${override}`
  contextFinding(maxModelLen ?? 0, context, 'max-model-len', allowed, input.settings.maxModelLen, say, unless)
  widths(input, r)
  const { layers, modelType } = input.shape
  stageFinding(input, say)
  const dropped = DROPPED[modelType]
  if (dropped !== undefined && r.release >= release(...dropped))
    say('architecture-unsupported', 'error', `vLLM does not serve ${modelType} since ${dropped.join('.')}`)
  if (layers.kinds.some(kind => kind.cache.some(spec => spec.kind === 'rwkv')))
    say('architecture-unsupported', 'error', `vLLM does not serve ${modelType}`)
}

/**
 * Divided matrices must divide evenly, and with block-scaled fp8 into whole blocks (vLLM layers/linear.py,
 * validate_fp8_block_shape). KV projections and vocabularies have rules of their own. One finding each at most.
 */
function widths(input: EngineInput, r: Resolved): void {
  const parallel = parallelismOf(r)
  const block = fp8Block(input.facts.config)
  const at = input.settings.tensorParallel
  const said = new Set<string>()
  const once = (code: string, message: string): void => {
    if (!said.has(code)) r.say(code, 'error', message, at)
    said.add(code)
  }
  for (const kind of input.shape.layers.kinds)
    for (const weight of kind.weights) {
      const expert = weight.split === 'expert-column' || weight.split === 'expert-row'
      if (weight.kind !== 'linear' || !(expert || weight.split === 'column' || weight.split === 'row')) continue
      const cut = expert ? (parallel.expert > 1 ? 1 : (parallel.expertTensor ?? 1)) : parallel.tensor
      if (cut === 1) continue
      const width = weight.split.endsWith('column') ? weight.out : weight.in
      if (width % cut !== 0) once('width-not-divisible', `${weight.name}: ${width} does not divide by ${cut} ranks`)
      else if (block !== null && width % block === 0 && partWidth(weight, parallel) % block !== 0)
        once(
          'quantization-block-not-divisible',
          `${weight.name}: ${width} over ${cut} ranks is no multiple of the fp8 block of ${block}${expert ? '; with enable-expert-parallel experts stay whole' : ''}`,
        )
    }
}

function partWidth(weight: Parameters<typeof partOf>[0], parallel: Parameters<typeof partOf>[1]): number {
  const part = partOf(weight, parallel)
  return weight.split.endsWith('column') ? part.out : part.in
}

function fp8Block(config: JsonObject): number | null {
  const quantization = config['quantization_config']
  if (typeof quantization !== 'object' || quantization === null) return null
  const { quant_method: method, weight_block_size: sizes } = quantization as JsonObject
  if (method !== 'fp8' || !Array.isArray(sizes)) return null
  const size: unknown = sizes[0]
  return typeof size === 'number' && Number.isSafeInteger(size) && size > 0 ? size : null
}
