import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import type { EngineInput } from '../engine.ts'
import type { Resolved } from './resolve.ts'

/**
 * The checkpoint's storage with what SGLang holds besides of a DeepSeek-V4 with FP4 experts, as its wheels of 0.5.12 to
 * 0.5.23 read:
 * - Marlin, which runs these experts on Hopper and consumer Blackwell, repacks their scales. Up to 0.5.15 the fp32
 *   tensors that they were loaded into stay besides: 4 B for 32 weights, 22.5 GiB a rank of eight of DeepSeek-V4-Pro.
 * - Hopper widens `o_a_proj` to bf16.
 */
export function heldStorage(input: EngineInput, r: Resolved, storage: WeightStorage): WeightStorage {
  const { capability } = r.card
  if (input.facts.config['expert_dtype'] !== 'fp4' || !storage.scheme.startsWith('mxfp4')) return storage
  const hopper = capability === 90
  const marlin =
    (hopper || capability === 120) && /^(?:auto|marlin)$/.test(r.option.text('moe-runner-backend') ?? 'auto')
  const scales = marlin && r.rules.keepsLoadedScales
  if (!scales && !hopper) return storage
  return {
    ...storage,
    scheme: `${storage.scheme}${hopper ? ', o_a_proj bf16' : ''}${scales ? ', fp32 scales kept beside the repacked' : ''}`,
    bytes(weight, part, path) {
      if (hopper && weight.name.endsWith('.o_a_proj')) return part.copies * part.out * part.in * 2
      const bytes = storage.bytes(weight, part, path)
      const kept = scales && /^expert-(?:column|row)$/.test(weight.split)
      return kept ? bytes + part.copies * part.out * Math.ceil(part.in / 32) * 4 : bytes
    },
  }
}
