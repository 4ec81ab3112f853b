import { bad, good, type Result } from '../../problem.ts'
import type { CacheSpec, LayerKind, ModelShape, Weight } from '../shape.ts'
import type { GgufFacts, GgufTensor } from './gguf.ts'

/**
 * The shape of a model that is known by its GGUF header alone: its tensors by block, counted as the file has them. The
 * llama.cpp engine reads the header itself; this gives counts, and every other engine something to say no to.
 * Problem: `checkpoint-invalid` for a header without width, blocks or vocabulary.
 */
export function shapeOfGguf(gguf: GgufFacts): Result<ModelShape> {
  const number = (key: string): number | null => {
    const value = gguf.keys[key]
    const first = Array.isArray(value) ? value[0] : value
    return typeof first === 'number' && Number.isInteger(first) && first > 0 ? first : null
  }
  const hidden = number('embedding_length')
  const layers = number('block_count')
  const vocabulary = number('vocab_size') ?? gguf.vocabulary
  if (hidden === null || layers === null || vocabulary === null || layers > 10_000)
    return bad(
      'checkpoint-invalid',
      `the GGUF header of ${gguf.architecture} lacks embedding_length, block_count or a vocabulary`,
      {
        hint: 'the file may be broken; convert it again',
      },
    )
  const heads = number('attention.head_count')
  const kvHeads = number('attention.head_count_kv') ?? heads
  const headDim = number('attention.key_length') ?? (heads === null ? null : Math.floor(hidden / heads))
  const cache: CacheSpec[] =
    kvHeads === null || headDim === null
      ? []
      : [{ kind: 'full', kvHeads, keyDim: headDim, valueDim: number('attention.value_length') ?? headDim }]
  const blocks = new Map<number, Weight[]>()
  const embedding: Weight[] = []
  const final: Weight[] = []
  for (const tensor of gguf.tensors) {
    const block = /^blk\.(\d+)\./.exec(tensor.name)
    const weight = weightOf(tensor, block ? tensor.name.slice(block[0].length) : tensor.name)
    if (block) blocks.set(Number(block[1]), [...(blocks.get(Number(block[1])) ?? []), weight])
    else if (tensor.name.startsWith('output')) final.push(weight)
    else embedding.push(weight)
  }
  const kinds: LayerKind[] = []
  const seen = new Map<string, number>()
  const order = Array.from({ length: layers }, (_, layer) => {
    const weights = blocks.get(layer) ?? []
    const key = JSON.stringify(weights)
    const known = seen.get(key)
    if (known !== undefined) return known
    seen.set(key, kinds.length)
    return kinds.push({ name: 'block', weights, cache }) - 1
  })
  return good({
    family: 'gguf',
    modelType: gguf.architecture,
    count: 'derived',
    embedding,
    layers: { kinds, order },
    final,
    tied: !gguf.tensors.some(tensor => tensor.name === 'output.weight'),
    towers: [],
    mtp: null,
    facts: {
      hidden,
      layers,
      vocabulary,
      heads,
      kvHeads,
      headDim,
      intermediate: number('feed_forward_length'),
      contextLength: number('context_length'),
      experts: number('expert_count'),
      expertsPerToken: number('expert_used_count'),
      visionHeads: null,
      multimodal: false,
      task: 'generate',
      dtype: 'float16',
      stateDtype: null,
    },
    notes: layers > 0 ? [`counted from the header of a ${gguf.fileType ?? 'GGUF'} file`] : [],
  })
}

/** A tensor as the file has it: `dims` are innermost first, the outermost of three are experts. */
function weightOf(tensor: GgufTensor, name: string): Weight {
  const [input = 1, out = 1, copies = 1] = tensor.dims
  const vector = tensor.dims.length < 2
  return {
    name: name.replace(/\.weight$/, ''),
    out: vector ? input : out,
    in: vector ? 1 : input,
    copies,
    bias: false,
    kind: vector ? 'norm' : name.includes('embd') ? 'embedding' : 'linear',
    split: 'none',
  }
}
