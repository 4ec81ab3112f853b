import { GiB } from '../units/bytes.ts'
import { rounded, roundedText } from '../units/rounding.ts'
import type { DataType } from './data.ts'

/**
 * The rule of thumb of hf-vram-calc 1.0.9, in IEEE doubles and in its order of operations, so that its documented
 * figures come out to the printed digit. Known faults of the rule are kept (KV cache and activations are in no total,
 * context does not count): it is shown as what it is, beside the engine's own accounting.
 */

/** What the rule reads of a model; names as in the original. */
export interface RuleModel {
  readonly parameters: number
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
}

export interface RuleSizes {
  readonly batch: number
  readonly sequence: number
  readonly loraRank: number
  readonly tensorParallel: number
  readonly maxNumTokens: number
}

/** All in GiB, unrounded. */
export interface RuleRow {
  readonly dtype: DataType
  readonly weights: number
  readonly activation: number
  readonly kvCache: number
  readonly inference: number
  readonly training: number
  readonly lora: number
}

/** Bytes of a KV element by the rule: 16 bit for int8 and every type below one byte, else the type's whole bytes. */
function kvBytes(dtype: DataType): number {
  if (dtype.bytesPerParameter < 1 || dtype.name === 'int8') return 2
  return Math.trunc(dtype.bytesPerParameter)
}

/** Weights x 1.2; weights x 4 x 1.3 (Adam); LoRA by a quarter of the parameters; KV and activation beside them. */
export function ruleRow(model: RuleModel, dtype: DataType, sizes: RuleSizes): RuleRow {
  const { parameters: p, hidden: h, layers, heads, kvHeads } = model
  const { batch, sequence, loraRank, tensorParallel, maxNumTokens } = sizes
  const weights = (p * dtype.bytesPerParameter) / GiB
  const headSize = heads > 0 ? Math.floor(h / heads) : h
  const kvCache = (2 * batch * sequence * headSize * kvHeads * layers * kvBytes(dtype)) / GiB
  const tokens = Math.min(maxNumTokens, sequence * batch)
  const activation = (((tokens * h) / tensorParallel) * (34 + (5 * heads * sequence) / h)) / GiB
  const adapter = ((p * 0.25 * ((2 * loraRank) / 4096)) / 1e9) * 2 * 4.0
  return {
    dtype,
    weights,
    activation,
    kvCache,
    inference: weights * 1.2,
    training: weights * 4.0 * 1.3,
    lora: (weights + adapter) * 1.2,
  }
}

/** Memory of one GPU under a parallel strategy by the rule: every size divides everything; DP changes nothing. */
export function dividedBy(inference: number, tp: number, pp: number, ep: number): number {
  let memory = inference
  if (tp > 1) memory /= tp
  if (pp > 1) memory /= pp
  if (ep > 1) memory /= ep
  return memory
}

/** The same for the sizes asked for; expert parallelism divides the routed experts, which are `routedShare` of all. */
export function requestedShare(
  inference: number,
  routedShare: number,
  { tp, pp, ep }: { readonly tp: number; readonly pp: number; readonly ep: number },
): number {
  const routed = inference * routedShare
  return (inference - routed) / tp / pp + routed / tp / pp / (routedShare > 0 ? ep : 1)
}

/** "7.24B", "405.0M": the original's short form. */
export function shortCount(n: number): string {
  if (n >= 1e9) return `${roundedText(n / 1e9, n >= 1e11 ? 0 : n >= 1e10 ? 1 : 2)}B`
  if (n >= 1e6) return `${roundedText(n / 1e6, 1)}M`
  if (n >= 1e3) return `${roundedText(n / 1e3, 1)}K`
  return String(n)
}

/** GiB as the JSON document has it. */
export const documentGib = (x: number): number => rounded(x, 2)
