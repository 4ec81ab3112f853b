import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import type { EngineInput } from '../engine.ts'
import type { Resolved } from './resolve.ts'

/**
 * The checkpoint's storage as SGLang holds it on a rank, as its wheels of 0.5.12 to 0.5.23 read:
 * - With experts behind an all-to-all (`--moe-a2a-backend`) every rank holds the shared experts whole.
 * - Of a DeepSeek-V4 with FP4 experts Hopper widens `o_a_proj` to bf16.
 * - Marlin, which runs FP4 experts on Hopper and consumer Blackwell, repacks their scales. Up to 0.5.15 the fp32 tensors
 *   that they were loaded into stay besides: 4 B for 32 weights, 22.5 GiB a rank of eight of DeepSeek-V4-Pro.
 */
export function heldStorage(input: EngineInput, r: Resolved, storage: WeightStorage): WeightStorage {
  const { capability } = r.card
  const fp4 = input.facts.config['expert_dtype'] === 'fp4' && storage.scheme.startsWith('mxfp4')
  const shared = r.given.deepep || (r.option.text('moe-a2a-backend') ?? 'none') !== 'none'
  const wide = fp4 && capability === 90
  const marlin = /^(?:auto|marlin)$/.test(r.option.text('moe-runner-backend') ?? 'auto')
  const scales = fp4 && marlin && r.rules.keepsLoadedScales && (capability === 90 || capability === 120)
  const said = [
    ...(shared ? [', shared experts whole'] : []),
    ...(wide ? [', o_a_proj bf16'] : []),
    ...(scales ? [', fp32 scales kept beside the repacked'] : []),
  ]
  if (said.length === 0) return storage
  return {
    ...storage,
    scheme: storage.scheme + said.join(''),
    bytes(weight, part, path) {
      if (wide && weight.name.endsWith('.o_a_proj')) return part.copies * part.out * part.in * 2
      const whole = shared && /shared_experts?\./.test(weight.name)
      const bytes = storage.bytes(weight, whole ? { ...part, out: weight.out, in: weight.in } : part, path)
      const kept = scales && /^expert-(?:column|row)$/.test(weight.split)
      return kept ? bytes + part.copies * part.out * Math.ceil(part.in / 32) * 4 : bytes
    },
  }
}
