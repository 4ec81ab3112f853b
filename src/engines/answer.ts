import { exactly, type Part, type PartName, type Range, sum, whole } from '../memory/parts.ts'
import { rememberedStorage } from '../memory/weights.ts'
import { storageOf, type WeightStorage } from '../models/checkpoint/storage.ts'
import type { ModelFacts } from '../models/facts.ts'
import type { ModelShape } from '../models/shape.ts'
import type { Estimate } from './engine.ts'
import type { SettingsReader } from './settings-reader.ts'

/** A part that is known to the byte. */
export function exactPart(name: PartName, bytes: number, basis: Part['basis'], formula: string, source: string): Part {
  return { name, inBudget: true, bytes: exactly(Math.round(bytes)), basis, formula, source }
}

/** A part known as a range, in the budget unless said. */
export function rangePart(
  name: PartName,
  bytes: Range,
  basis: Part['basis'],
  formula: string,
  source: string,
  inBudget = true,
): Part {
  return { name, inBudget, bytes: whole(bytes), basis, formula, source }
}

/** Total and headroom of the parts in the budget. */
export function perGpu(rank: string, parts: readonly Part[], budgetBytes: number | null): Estimate['perGpu'] {
  const totalBytes = sum(parts.filter(part => part.inBudget).map(part => part.bytes))
  const headroomBytes =
    budgetBytes === null
      ? null
      : {
          low: budgetBytes - totalBytes.high,
          expected: budgetBytes - totalBytes.expected,
          high: budgetBytes - totalBytes.low,
        }
  return { rank, parts, totalBytes, budgetBytes, headroomBytes }
}

/** The checkpoint's storage; a method nobody knows is a finding, and 16 bits stand in for it. */
export function storageFor(
  model: { readonly shape: ModelShape; readonly facts: ModelFacts },
  asked: Parameters<typeof storageOf>[2],
  reader: Pick<SettingsReader, 'say'>,
): WeightStorage {
  const result = rememberedStorage(model.shape, model.facts.config, asked)
  if (result.ok) return result.value
  reader.say('quantization-unsupported', 'error', result.problem.message)
  const plain = storageOf(model.shape, {}, { dtype: 'bfloat16', quantization: null })
  if (plain.ok) return { ...plain.value, basis: 'assumed' }
  throw new Error(plain.problem.message)
}

const DTYPES: Readonly<Record<string, string>> = {
  half: 'float16',
  float: 'float32',
  bf16: 'bfloat16',
  fp16: 'float16',
  fp32: 'float32',
}

/** A dtype by its full name; `auto` is the checkpoint's, 32 bits being run in 16. */
export function computeDtype(asked: string | null, shape: ModelShape): string {
  if (asked !== null && asked !== 'auto') return DTYPES[asked] ?? asked
  const own = shape.facts.dtype
  return own === 'float16' || own === 'half' ? 'float16' : 'bfloat16'
}

/** Widths of an element in a KV cache by the names that engines use; null for one that is not known. */
export function kvElementBytes(name: string): number | null {
  if (/^(?:fp8|int8|e4m3|e5m2)/.test(name)) return 1
  if (name === 'float32' || name === 'fp32') return 4
  if (/^(?:bfloat16|float16|bf16|fp16|half)$/.test(name)) return 2
  return null
}
