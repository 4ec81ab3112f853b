import { sides } from '../blocks/vision.ts'
import { column, replicated, row } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'

/** Patch projection over several images as a matrix; `channels` of one image. */
export function patchMatrix(name: string, config: Config, hidden: number, frames: number, channels: number): Weight {
  const [height, width] = sides(config, 'patch_size')
  return replicated(name, hidden, channels * height * width * frames)
}

/** Two matrices from a tower to the language model. */
export const throughInner = (input: number, inner: number, out: number, bias: boolean): Weight[] => [
  column('linear_1', inner, input, { bias }),
  row('linear_2', out, inner, { bias }),
]
