import { type GgmlType, ggmlBytes, ggmlTypeNamed } from './ggml-types.ts'

/** Which tensors of a layer a mix may store better than the rest. */
export type TensorPart = 'embedding' | 'output' | 'value' | 'down' | 'attentionOut' | 'expert' | 'router' | 'plain'

/** One type in some layers: `share` of a count of `layers`. */
interface TypeShare {
  readonly type: GgmlType
  readonly share: number
}

/** A quantisation of the quantise tool by its tag. */
export interface GgufMix {
  readonly tag: string
  /** Types of a part over the layers of a model. `rowLength` decides whether 256-value blocks are possible. */
  readonly types: (part: TensorPart, layers: number, rowLength: number) => readonly TypeShare[]
  /** Half the width of the weights' range: 0.02 for the tool's own mixes, more for those of publishers. */
  readonly spread: number
}

type Share = readonly [string, (layers: number) => number]

interface Recipe {
  readonly base: string
  readonly output: string
  readonly value?: readonly Share[]
  readonly down?: readonly Share[]
  readonly attentionOut?: string
}

/** `use_more_bits`: the first and last eighth and every third layer between. */
const half = (layers: number): number => {
  let count = 0
  const eighth = Math.floor(layers / 8)
  for (let i = 0; i < layers; i++)
    if (i < eighth || i >= Math.floor((7 * layers) / 8) || (i - eighth) % 3 === 2) count++
  return layers > 0 ? count / layers : 0
}
const first =
  (count: number) =>
  (layers: number): number =>
    Math.min(1, count / Math.max(1, layers))
const firstEighth = (layers: number): number => (layers > 0 ? Math.floor(layers / 8) / layers : 0)

/** The quantise tool's choices (llama.cpp llama-quant.cpp, llama_tensor_get_type); what is not named has the base type. */
const RECIPES: Readonly<Record<string, Recipe>> = {
  Q2_K: { base: 'Q2_K', output: 'Q6_K', value: [['Q4_K', () => 1]], down: [['Q3_K', () => 1]], attentionOut: 'Q3_K' },
  Q2_K_S: { base: 'Q2_K', output: 'Q6_K', value: [['Q4_K', () => 1]], down: [['Q4_K', firstEighth]] },
  Q3_K_S: { base: 'Q3_K', output: 'Q6_K' },
  Q3_K_M: {
    base: 'Q3_K',
    output: 'Q6_K',
    value: [
      ['Q5_K', first(2)],
      ['Q4_K', layers => 1 - first(2)(layers)],
    ],
    down: [['Q4_K', half]],
    attentionOut: 'Q4_K',
  },
  Q3_K_L: { base: 'Q3_K', output: 'Q6_K', value: [['Q5_K', () => 1]], down: [['Q5_K', () => 1]], attentionOut: 'Q5_K' },
  Q4_0: { base: 'Q4_0', output: 'Q6_K' },
  Q4_1: { base: 'Q4_1', output: 'Q6_K' },
  Q5_0: { base: 'Q5_0', output: 'Q6_K' },
  Q5_1: { base: 'Q5_1', output: 'Q6_K' },
  Q4_K_S: { base: 'Q4_K', output: 'Q6_K', value: [['Q5_K', first(4)]], down: [['Q5_K', firstEighth]] },
  Q4_K_M: { base: 'Q4_K', output: 'Q6_K', value: [['Q6_K', half]], down: [['Q6_K', half]] },
  Q5_K_S: { base: 'Q5_K', output: 'Q6_K' },
  Q5_K_M: { base: 'Q5_K', output: 'Q6_K', value: [['Q6_K', half]], down: [['Q6_K', half]] },
  Q6_K: { base: 'Q6_K', output: 'Q6_K' },
  Q8_0: { base: 'Q8_0', output: 'Q8_0' },
  IQ1_S: { base: 'IQ1_S', output: 'Q5_K', value: [['Q4_K', () => 1]], down: [['Q2_K', () => 1]] },
  IQ1_M: { base: 'IQ1_M', output: 'Q5_K', value: [['Q4_K', () => 1]], down: [['Q2_K', () => 1]] },
  IQ2_XXS: { base: 'IQ2_XXS', output: 'Q5_K', value: [['Q4_K', () => 1]], down: [['Q2_K', firstEighth]] },
  IQ2_XS: { base: 'IQ2_XS', output: 'Q5_K', value: [['Q4_K', () => 1]], down: [['Q2_K', firstEighth]] },
  IQ2_S: { base: 'IQ2_XS', output: 'Q5_K', value: [['Q4_K', () => 1]], down: [['IQ3_S', firstEighth]] },
  IQ2_M: { base: 'IQ2_S', output: 'Q5_K', value: [['Q4_K', () => 1]], down: [['IQ3_S', firstEighth]] },
  IQ3_XXS: { base: 'IQ3_XXS', output: 'Q5_K', value: [['Q4_K', () => 1]], down: [['Q4_K', firstEighth]] },
  IQ3_XS: { base: 'IQ3_XXS', output: 'Q6_K', value: [['Q4_K', () => 1]], down: [['Q4_K', firstEighth]] },
  IQ3_S: { base: 'IQ3_S', output: 'Q6_K', value: [['Q4_K', () => 1]] },
  IQ3_M: { base: 'IQ3_S', output: 'Q6_K', value: [['Q4_K', () => 1]], down: [['Q4_K', () => 1]], attentionOut: 'Q4_K' },
  IQ4_NL: { base: 'IQ4_NL', output: 'Q6_K', value: [['Q5_K', () => 1]], down: [['Q5_K', firstEighth]] },
  IQ4_XS: { base: 'IQ4_XS', output: 'Q6_K', value: [['Q5_K', () => 1]], down: [['Q5_K', firstEighth]] },
  TQ1_0: { base: 'TQ1_0', output: 'Q6_K' },
  TQ2_0: { base: 'TQ2_0', output: 'Q6_K' },
  MXFP4: { base: 'MXFP4', output: 'Q8_0' },
  // Ollama's own gpt-oss
  MXFP4_BF16: { base: 'MXFP4', output: 'BF16' },
  NVFP4: { base: 'NVFP4', output: 'Q8_0' },
  F16: { base: 'F16', output: 'F16' },
  BF16: { base: 'BF16', output: 'BF16' },
  F32: { base: 'F32', output: 'F32' },
}

/** Spellings of tags that stand for another recipe: publishers' names and old ones. */
const SAME: Readonly<Record<string, string>> = {
  Q3_K: 'Q3_K_M',
  Q4_K: 'Q4_K_M',
  Q5_K: 'Q5_K_M',
  Q2_K_XL: 'Q2_K',
  Q3_K_XL: 'Q3_K_L',
  Q4_K_XL: 'Q4_K_M',
  Q5_K_XL: 'Q5_K_M',
  Q6_K_XL: 'Q6_K',
  Q6_K_L: 'Q6_K',
  Q4_K_L: 'Q4_K_M',
  Q5_K_L: 'Q5_K_M',
  Q2_K_L: 'Q2_K',
  Q8_K_XL: 'Q8_0',
  Q8_0_XL: 'Q8_0',
  MXFP4_MOE: 'MXFP4',
  FP16: 'F16',
}

/** Types with blocks of 256, and what the tool takes where a row does not divide into them. */
const FALLBACK: Readonly<Record<string, string>> = {
  Q2_K: 'Q4_0',
  Q3_K: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
  IQ4_XS: 'IQ4_NL',
  TQ1_0: 'Q4_0',
  TQ2_0: 'Q4_0',
}

const TAG =
  /(?:^|[-_.:/])((?:UD-)?(?:IQ[1-4]_(?:XXS|XS|S|M|NL)|Q[2-8]_(?:K(?:_(?:XL|S|M|L))?|[01])|TQ[12]_0|MXFP4(?:_MOE|_BF16)?|NVFP4|BF16|FP16|F16|F32))(?=$|[-_.:/])/gi

/** The quantisation tag in a file name, a variant or a model tag ("m-Q4_K_M.gguf"), the last of several; null: none. */
export function ggufTag(text: string): string | null {
  let found: string | null = null
  for (const match of text.slice(-300).matchAll(TAG)) found = match[1]!.toUpperCase()
  return found
}

/** The mix of a tag; null when the tag is not known. */
export function ggufMix(tag: string): GgufMix | null {
  const upper = tag.toUpperCase()
  const plain = upper.startsWith('UD-') ? upper.slice(3) : upper
  const name = SAME[plain] ?? plain
  const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name]! : null
  if (recipe === null) return null
  const published = plain !== upper || plain in SAME
  return {
    tag: upper,
    spread: /^(?:B?F16|F32)$/.test(name) ? 0 : published ? 0.1 : 0.02,
    types: (part, layers, rowLength) =>
      sharesOf(recipe, part, layers).map(([type, share]) => ({ type: fitting(type, rowLength), share })),
  }
}

function sharesOf(recipe: Recipe, part: TensorPart, layers: number): (readonly [string, number])[] {
  if (part === 'router') return [['F32', 1]]
  if (part === 'output') return [[recipe.output, 1]]
  if (recipe.base === 'MXFP4' && part !== 'expert') return [[recipe.output, 1]]
  if (part === 'attentionOut') return [[recipe.attentionOut ?? recipe.base, 1]]
  const better = part === 'value' ? recipe.value : part === 'down' ? recipe.down : undefined
  if (!better) return [[recipe.base, 1]]
  const shares = better.map(([type, share]) => [type, share(layers)] as const)
  const rest = 1 - shares.reduce((sum, [, share]) => sum + share, 0)
  return rest > 1e-9 ? [...shares, [recipe.base, rest]] : shares
}

function fitting(name: string, rowLength: number): GgmlType {
  const type = ggmlTypeNamed(name) ?? ggmlTypeNamed('F16')!
  if (rowLength % type.block === 0) return type
  const other = ggmlTypeNamed(FALLBACK[name] ?? 'IQ4_NL')!
  return rowLength % other.block === 0 ? other : ggmlTypeNamed('F16')!
}

/** Bytes of `rows` rows of `rowLength` weights in the mix's types for the part. */
export function mixBytes(mix: GgufMix, part: TensorPart, layers: number, rows: number, rowLength: number): number {
  return mix
    .types(part, layers, rowLength)
    .reduce((sum, { type, share }) => sum + share * rows * ggmlBytes(type, rowLength), 0)
}
