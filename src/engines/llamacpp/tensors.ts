import type { Basis } from '../../memory/parts.ts'
import type { GgufFacts } from '../../models/checkpoint/gguf.ts'
import { type GgufMix, mixBytes, type TensorPart } from '../../models/checkpoint/gguf-mixes.ts'
import type { ModelShape, Weight } from '../../models/shape.ts'

/** Weights of one block: what always goes with it, and its routed experts, which can be kept in host memory. */
interface BlockWeights {
  readonly other: number
  readonly experts: number
}

/** A model's weights as llama.cpp spreads them: by block, and the two ends. */
export interface TensorBytes {
  readonly blocks: readonly BlockWeights[]
  /** Token embedding: always in host memory. */
  readonly embedding: number
  /** Output head and norm: with the last layer's device; a tied head is a copy of the embedding. */
  readonly output: number
  /** Vision and audio towers with their projector: the file given with --mmproj, all on the first device. */
  readonly towers: number
  /** The largest tensor of routed experts, which is copied to the device when experts stay in host memory. */
  readonly largestExpert: number
  /** Half the width of the range, as a share. */
  readonly spread: number
  readonly basis: Basis
  readonly source: string
}

const HALF = 2

/** CUDA aligns tensors to 128 bytes. */
const aligned = (bytes: number): number => Math.ceil(bytes / 128) * 128

/** The weights by the tensors of the file itself. */
export function tensorsOfFile(gguf: GgufFacts, blockCount: number): TensorBytes {
  const blocks = Array.from({ length: blockCount }, () => ({ other: 0, experts: 0 }))
  const sums = { embedding: 0, output: 0, head: false, largestExpert: 0 }
  for (const tensor of gguf.tensors) {
    const bytes = aligned(tensor.bytes)
    const number = /^blk\.(\d{1,5})\./.exec(tensor.name)
    const block = number ? blocks[Number(number[1])] : undefined
    if (block && tensor.name.includes('_exps')) {
      block.experts += bytes
      sums.largestExpert = Math.max(sums.largestExpert, bytes)
    } else if (block) block.other += bytes
    else if (/^(?:token_embd|per_layer_token_embd)\b/.test(tensor.name)) sums.embedding += bytes
    else sums.output += bytes
    if (tensor.name === 'output.weight') sums.head = true
  }
  const tied = gguf.tensors.find(tensor => tensor.name === 'token_embd.weight')
  if (!sums.head && tied) sums.output += aligned(tied.bytes)
  return {
    blocks,
    embedding: sums.embedding,
    output: sums.output,
    towers: 0,
    largestExpert: sums.largestExpert,
    spread: 0,
    basis: 'exact',
    source: `GGUF header${gguf.fileType ? `, ${gguf.fileType}` : ''}`,
  }
}

/** The weights a quantised conversion of the model has, by the mix of its tag. */
export function tensorsOfMix(shape: ModelShape, mix: GgufMix): TensorBytes {
  const layers = shape.layers.order.length
  const bytesOf = (weight: Weight): number => weightBytes(weight, mix, layers, shape)
  const kinds = shape.layers.kinds.map(kind => {
    const block = { other: 0, experts: 0, largest: 0 }
    for (const weight of kind.weights) {
      if (weight.transformersOnly || weight.unbuilt === 'loaded') continue
      const bytes = bytesOf(weight)
      if (weight.split.startsWith('expert')) {
        block.experts += bytes
        block.largest = Math.max(block.largest, bytes)
      } else block.other += bytes
    }
    return block
  })
  const embedding = shape.embedding.reduce((sum, weight) => sum + bytesOf(weight), 0)
  const final = shape.final.reduce((sum, weight) => sum + bytesOf(weight), 0)
  const copy = shape.tied
    ? shape.embedding.filter(weight => weight.split === 'vocab').reduce((sum, weight) => sum + bytesOf(weight), 0)
    : 0
  return {
    blocks: shape.layers.order.map(kind => kinds[kind]!),
    embedding,
    output: final + copy,
    towers: towerBytes(shape),
    largestExpert: Math.max(0, ...kinds.map(kind => kind.largest)),
    spread: mix.spread,
    basis: mix.spread === 0 ? 'derived' : 'modelled',
    source: `${mix.tag} by the quantise tool's choice of types`,
  }
}

/** Towers are published in 16 bits beside the model. */
function towerBytes(shape: ModelShape): number {
  let bytes = 0
  const add = (weight: Weight): void => {
    bytes += HALF * weight.copies * (weight.out * weight.in + (weight.bias ? weight.out : 0))
  }
  for (const tower of shape.towers) {
    tower.weights.forEach(add)
    for (const kind of tower.stack.order) tower.stack.kinds[kind]!.weights.forEach(add)
  }
  return bytes
}

function weightBytes(weight: Weight, mix: GgufMix, layers: number, shape: ModelShape): number {
  const biases = 4 * (weight.bias ? weight.copies * weight.out : 0)
  if (weight.kind !== 'linear' && weight.kind !== 'embedding')
    return 4 * weight.copies * weight.out * weight.in + biases
  const part = partOf(weight, shape.tied)
  // gpt-oss is trained in MXFP4: every conversion but a 16-bit one keeps its experts so.
  if (shape.modelType === 'gpt_oss' && weight.split.startsWith('expert'))
    return (weight.copies * weight.out * weight.in * 17) / 32 + biases
  return mixBytes(mix, part, layers, weight.copies * weight.out, weight.in) + biases
}

function partOf(weight: Weight, tied: boolean): TensorPart {
  if (weight.kind === 'embedding') return tied && weight.split === 'vocab' ? 'output' : 'embedding'
  if (weight.split === 'vocab') return 'output'
  if (weight.split === 'none' && /(?:^|\.)(?:gate|router|shared_expert_gate)$/.test(weight.name)) return 'router'
  if (/(?:^|\.)v_proj$/.test(weight.name)) return 'value'
  if (/(?:^|\.)(?:down_proj|w2)$/.test(weight.name)) return 'down'
  if (/(?:^|\.)o_proj$/.test(weight.name)) return 'attentionOut'
  return weight.split.startsWith('expert') ? 'expert' : 'plain'
}
