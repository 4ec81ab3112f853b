/** A modelled quantity: bytes, low <= expected <= high. */
export interface Range {
  readonly low: number
  readonly expected: number
  readonly high: number
}

export const exactly = (bytes: number): Range => ({ low: bytes, expected: bytes, high: bytes })
const nothing: Range = exactly(0)
export const sum = (ranges: readonly Range[]): Range =>
  ranges.reduce((a, b) => ({ low: a.low + b.low, expected: a.expected + b.expected, high: a.high + b.high }), nothing)

/** Whole bytes: low down, high up. */
export const whole = (range: Range): Range => ({
  low: Math.floor(range.low),
  expected: Math.round(range.expected),
  high: Math.ceil(range.high),
})

export type PartName =
  | 'weights'
  | 'kvCache'
  | 'recurrentState'
  | 'activations'
  | 'cudaGraphs'
  | 'communication'
  | 'context'
  | 'adapters'
  | 'draftWeights'
  | 'gradients'
  | 'optimizerStates'
  | 'masterWeights'
  | 'logits'
  | 'buffers'
  | 'fragmentation'

/** A part of the memory in words: "KV cache", "CUDA graphs", "draft weights". */
export const partText = (name: PartName): string =>
  name
    .replace(/^(kv|cuda)(?=[A-Z])/, word => word.toUpperCase())
    .replace(/[A-Z](?=[a-z])/g, letter => ` ${letter.toLowerCase()}`)

/** How well a figure is known. */
export type Basis = 'exact' | 'derived' | 'measured' | 'modelled' | 'assumed'

/** One named part of a GPU's memory, as the report prints it. */
export interface Part {
  readonly name: PartName
  /** Does the engine charge it against its budget (the fraction), or does it lie outside? */
  readonly inBudget: boolean
  readonly bytes: Range
  readonly basis: Basis
  /** The formula with the numbers put in: "8,030,261,248 parameters x 2 B / TP 1". */
  readonly formula: string
  readonly source: string
}
