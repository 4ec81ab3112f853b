import type { Range } from '../memory/parts.ts'
import type { Request } from './request.ts'
import type { RuleModel, RuleRow } from './rule-of-thumb.ts'

/** What an engine needs for the same model and settings, per GPU. Bytes. */
export interface EngineRow {
  readonly dtype: string
  readonly scheme: string
  readonly weights: number
  /** KV cache (and recurrent state) of `batch` sequences of `sequence` tokens. */
  readonly kvCache: number
  readonly other: Range
  readonly total: Range
  /** Why the rule of thumb is off by more than a fifth, and its total per GPU; null when it is not. */
  readonly differs: { readonly why: string; readonly rule: number } | null
}

export interface EngineTable {
  readonly engine: string
  readonly rows: readonly EngineRow[]
  readonly notes: readonly string[]
}

/** One model's calculation, ready to be printed or written. */
export interface Calculation {
  readonly name: string
  readonly architecture: string
  readonly model: RuleModel
  readonly activeParameters: number
  readonly count: 'exact' | 'derived'
  /** Parameters as the original counts them, where that differs (tied weights at each use). */
  readonly originalCount: number | null
  /** Share of the parameters that are routed experts, 0 to 1. */
  readonly routedShare: number
  /** "bfloat16" as the config says it. */
  readonly configDtype: string | null
  readonly source: string
  readonly rows: readonly RuleRow[]
  readonly detected: boolean
  readonly engine: EngineTable | null
  readonly notices: readonly string[]
  readonly request: Request
}
