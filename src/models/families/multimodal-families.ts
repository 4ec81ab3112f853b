import type { Family } from './family.ts'
import { llava } from './llava.ts'
import { qwenVl } from './qwen-vl.ts'

/** Families of models that read more than text, in one list. */
export const multimodalFamilies: readonly Family[] = [...llava, ...qwenVl]
