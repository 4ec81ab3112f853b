/** How one matrix of `out` x `in` weights lies in memory when it is quantised; the bias is not part of it. */
export interface Layout {
  /** "fp8 block 128x128", "awq 4-bit group 128". */
  readonly name: string
  /** Bytes in the file: packed weights, scales, zero points, and what else the format stores beside them. */
  readonly stored: (out: number, input: number) => number
  /** Bytes in an engine's memory, where it keeps them otherwise than the file. */
  readonly loaded?: (out: number, input: number) => number
}

const up = Math.ceil

/** One byte a weight and a float32 scale for each block of rows x columns (DeepSeek, Qwen). */
export function fp8Block(rows: number, columns: number, scaleBytes = 4): Layout {
  return {
    name: `fp8 block ${rows}x${columns}`,
    stored: (out, input) => out * input + scaleBytes * up(out / rows) * up(input / columns),
  }
}

/** One byte a weight, one scale an output row: 2 bytes in files of compressed-tensors, loaded as float32. */
export function byteChannel(kind: 'fp8' | 'int8'): Layout {
  return {
    name: `${kind} per channel`,
    stored: (out, input) => out * (input + 2),
    loaded: (out, input) => out * (input + 4),
  }
}

/** One byte a weight, a float32 scale for the matrix and, when inputs are scaled statically, one for them. */
export function byteTensor(kind: 'fp8' | 'int8', inputScale: boolean): Layout {
  return { name: `${kind} per tensor`, stored: (out, input) => out * input + (inputScale ? 8 : 4) }
}

/** Half a byte a weight, an fp8 scale for 16, and two float32 scalars (weights and inputs). */
export function nvfp4(scalars = 2): Layout {
  return { name: 'nvfp4 group 16', stored: (out, input) => out * (up(input / 2) + up(input / 16)) + 4 * scalars }
}

/** Microscaling formats: `bits` a weight and a one-byte exponent for 32. */
export function microscaled(bits: 4 | 6 | 8): Layout {
  return { name: `mxfp${bits} group 32`, stored: (out, input) => out * (up((input * bits) / 8) + up(input / 32)) }
}

/** 32-bit words hold 32 / bits weights; 3 bits are packed without gaps over 32 words (10.67 a word). */
const packed = (count: number, bits: number): number => 4 * up((count * bits) / 32)

/** AWQ gemm: qweight, qzeros and 16-bit scales, a group of `group` inputs each. */
export function awq(bits: number, group: number, zeroPoint: boolean): Layout {
  return {
    name: `awq ${bits}-bit group ${group}`,
    stored: (out, input) => {
      const groups = up(input / width(group, input))
      return input * packed(out, bits) + groups * (2 * out + (zeroPoint ? packed(out, bits) : 0))
    },
  }
}

/** GPTQ: qweight, qzeros, 16-bit scales, and a 32-bit group index for each input. */
export function gptq(bits: number, group: number): Layout {
  return {
    name: `gptq ${bits}-bit group ${group}`,
    stored: (out, input) => {
      const groups = up(input / width(group, input))
      return out * packed(input, bits) + groups * (2 * out + packed(out, bits)) + 4 * input
    },
  }
}

/** A group of -1 is the whole row. */
const width = (group: number, input: number): number => (group > 0 ? group : Math.max(1, input))

/** compressed-tensors pack-quantized: words along the inputs, 16-bit scales, 16 bytes of shape. */
export function packQuantized(bits: number, group: number, symmetric: boolean): Layout {
  return {
    name: `int${bits} ${group > 0 ? `group ${group}` : 'per channel'}, packed`,
    stored: (out, input) => {
      const groups = up(input / width(group, input))
      return out * packed(input, bits) + groups * (2 * out + (symmetric ? 0 : packed(out, bits))) + 16
    },
  }
}

/**
 * bitsandbytes 4 bit: half a byte a weight and a float32 maximum for 64 of them; `double` stores the maxima in a byte
 * each with a float32 for 256. The file adds lookup tables (16 and 256 float32) and a JSON of about 100 bytes a matrix.
 * vLLM from 0.9 unpacks the doubled maxima while it loads (bitsandbytes_loader: dequantize_dq), so memory holds float32
 * ones.
 */
export function bitsAndBytes4(double: boolean): Layout {
  const half = (out: number, input: number): number => up((out * input) / 2)
  const blocks = (out: number, input: number): number => up((out * input) / 64)
  return {
    name: double ? 'bitsandbytes 4-bit, double quantised' : 'bitsandbytes 4-bit',
    stored: (out, input) =>
      double
        ? half(out, input) + blocks(out, input) + 4 * up(blocks(out, input) / 256) + 4 * (16 + 256) + 100
        : half(out, input) + 4 * blocks(out, input) + 4 * 16 + 82,
    loaded: (out, input) => half(out, input) + 4 * blocks(out, input),
  }
}

/** bitsandbytes LLM.int8: a byte a weight and a float32 a row. */
export const bitsAndBytes8: Layout = { name: 'bitsandbytes 8-bit', stored: (out, input) => out * (input + 4) }

/** Affine groups with a 16-bit scale and a 16-bit offset each (MLX, HQQ, torchao int4). */
export function affine(method: string, bits: number, group: number): Layout {
  return {
    name: `${method} ${bits}-bit group ${group}`,
    stored: (out, input) => out * (up((input * bits) / 8) + 4 * up(input / width(group, input))),
  }
}

/** `bits` a weight (may be a fraction) and a 16-bit scale for each row: methods whose files vary more than this. */
export function bitsPerWeight(method: string, bits: number): Layout {
  return {
    name: `${method}, about ${bits} bits a weight`,
    stored: (out, input) => up((out * input * bits) / 8) + 2 * out,
  }
}
