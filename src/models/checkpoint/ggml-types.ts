/** A tensor type of GGML: `block` values take `bytes`. */
export interface GgmlType {
  readonly name: string
  readonly block: number
  readonly bytes: number
}

/**
 * Tensor types by their number in a file: name, values of a block, bytes of a block (gguf 0.19.0 GGML_QUANT_SIZES; the
 * missing numbers were withdrawn).
 */
const ROWS: readonly (readonly [number, string, number, number])[] = [
  [0, 'F32', 1, 4],
  [1, 'F16', 1, 2],
  [2, 'Q4_0', 32, 18],
  [3, 'Q4_1', 32, 20],
  [6, 'Q5_0', 32, 22],
  [7, 'Q5_1', 32, 24],
  [8, 'Q8_0', 32, 34],
  [10, 'Q2_K', 256, 84],
  [11, 'Q3_K', 256, 110],
  [12, 'Q4_K', 256, 144],
  [13, 'Q5_K', 256, 176],
  [14, 'Q6_K', 256, 210],
  [15, 'Q8_K', 256, 292],
  [16, 'IQ2_XXS', 256, 66],
  [17, 'IQ2_XS', 256, 74],
  [18, 'IQ3_XXS', 256, 98],
  [19, 'IQ1_S', 256, 50],
  [20, 'IQ4_NL', 32, 18],
  [21, 'IQ3_S', 256, 110],
  [22, 'IQ2_S', 256, 82],
  [23, 'IQ4_XS', 256, 136],
  [24, 'I8', 1, 1],
  [25, 'I16', 1, 2],
  [26, 'I32', 1, 4],
  [27, 'I64', 1, 8],
  [28, 'F64', 1, 8],
  [29, 'IQ1_M', 256, 56],
  [30, 'BF16', 1, 2],
  [34, 'TQ1_0', 256, 54],
  [35, 'TQ2_0', 256, 66],
  [39, 'MXFP4', 32, 17],
  [40, 'NVFP4', 64, 36],
  [41, 'Q1_0', 128, 18],
]

const byNumber = new Map(ROWS.map(([number, name, block, bytes]) => [number, { name, block, bytes }] as const))
const byName = new Map([...byNumber.values()].map(type => [type.name, type]))

/** The type with that number in a GGUF file; null when it is not known. */
export function ggmlTypeOf(number: number): GgmlType | null {
  return byNumber.get(number) ?? null
}

/** The type with that name, in any case ("q8_0"); null when it is not known. */
export function ggmlTypeNamed(name: string): GgmlType | null {
  return byName.get(name.toUpperCase()) ?? null
}

/** Bytes of `count` values in blocks of the type; a part of a block counts whole. */
export function ggmlBytes(type: GgmlType, count: number): number {
  return Math.ceil(count / type.block) * type.bytes
}
