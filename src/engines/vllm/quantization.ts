import type { JsonObject } from '../../models/config.ts'
import type { EngineInput } from '../engine.ts'
import { release } from './release.ts'
import type { Resolved } from './settings.ts'

/**
 * Least compute capability (times ten) of each method's kernels (vLLM layers/quantization, get_min_capability). From
 * 0.14 on Marlin runs on Turing.
 */
const LEAST: Readonly<Record<string, number>> = {
  awq: 75,
  awq_marlin: 80,
  gptq: 60,
  gptq_marlin: 80,
  fp8: 80,
  fbgemm_fp8: 80,
  mxfp4: 80,
  modelopt: 80,
  modelopt_fp4: 80,
  bitsandbytes: 70,
  gguf: 60,
  'compressed-tensors': 70,
  hqq: 80,
  experts_int8: 80,
  torchao: 75,
  quark: 70,
}
const ON_MARLIN = /^(?:awq_marlin|gptq_marlin|fp8|modelopt_fp4)$/

/** Quantisation methods and dtypes that the card's generation cannot run. */
export function quantizationFindings(input: EngineInput, r: Resolved, capability: number | null): void {
  if (capability === null || input.gpu?.maker !== 'NVIDIA') return
  const { say } = r
  const card = `${input.gpu.name} has compute capability ${input.gpu.computeCapability}`
  const method = r.quantization ?? methodOf(input.facts.config)
  const known = method === null ? undefined : LEAST[method]
  const least = r.release >= release(0, 14) && ON_MARLIN.test(method ?? '') ? 75 : known
  if (method !== null && least !== undefined && capability < least)
    say(
      'quantization-unsupported',
      'error',
      `quantization ${method} needs compute capability ${(least / 10).toFixed(1)}; ${card}`,
      input.settings.quantization,
    )
  if (input.settings.dtype !== undefined && r.dtype === 'bfloat16' && capability < 80)
    say(
      'dtype-unsupported',
      'error',
      `bfloat16 needs compute capability 8.0; ${card}: use --dtype half`,
      input.settings.dtype,
    )
}

function methodOf(config: JsonObject): string | null {
  const quantization = config['quantization_config']
  if (typeof quantization !== 'object' || quantization === null) return null
  const method = (quantization as JsonObject)['quant_method']
  return typeof method === 'string' ? method : null
}
