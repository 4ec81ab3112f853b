import { outputHead, replicated } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { LayerStack, ModelShape, ShapeFacts, Tower, Weight } from '../shape.ts'
import { architectureOf, type HeadKind, isOwnClass, labelCount } from './architecture.ts'
import { decoderFacts, noLayers } from './family.ts'

/** The two halves of an encoder-decoder once its config is read. */
export interface EncoderDecoderParts {
  readonly type: string
  readonly classes?: readonly string[]
  readonly exact: boolean
  /** Tables both halves share, or the decoder's own. */
  readonly embedding: readonly Weight[]
  readonly encoder: { readonly weights: readonly Weight[]; readonly stack: LayerStack }
  readonly decoder: LayerStack
  /** What follows the decoder's last layer. */
  readonly final: readonly Weight[]
  /** Copies of the table that an untied model keeps for its halves. */
  readonly untiedCopies: readonly Weight[]
  readonly tied: boolean
  readonly headBias?: boolean
  /** Rows of the output head where they are not the vocabulary. */
  readonly headRows?: number
  /** A classifier's layers for the given number of labels, one matrix with bias unless said. */
  readonly classifier?: (labels: number) => readonly Weight[]
  readonly verifiedHeads?: readonly HeadKind[]
  readonly facts: Pick<ShapeFacts, 'hidden' | 'layers' | 'vocabulary'> & Partial<ShapeFacts>
}

/**
 * Encoder as a tower, decoder as the layers. `*EncoderModel` has no decoder, `*ForCausalLM` no encoder, `*Model` no
 * head.
 */
export function assembleEncoderDecoder(config: Config, parts: EncoderDecoderParts): ModelShape {
  const architecture = architectureOf(config)
  const { head, ending } = architecture
  const own = isOwnClass(architecture, parts.type, parts.classes)
  const verified = ending !== 'ForCausalLM' && ['lm', 'none', ...(parts.verifiedHeads ?? [])].includes(head)
  const encoderOnly = ending === 'EncoderModel'
  const decoderOnly = ending === 'ForCausalLM'
  const lm = head === 'lm' || head === 'other'
  const hidden = parts.facts.hidden
  // of the halves' own tables a part of the model keeps its own only
  const copies = parts.tied || decoderOnly ? [] : encoderOnly ? parts.untiedCopies.slice(0, 1) : parts.untiedCopies
  const rows = parts.headRows ?? parts.facts.vocabulary
  const plain = (n: number) => [replicated('classifier', n, hidden, { bias: true })]
  const classifier = head === 'sequence' ? (parts.classifier ?? plain) : plain
  const labels = head === 'choice' ? 1 : labelCount(config)
  const tower: Tower = { name: 'encoder', role: 'encoder', ...parts.encoder }
  const output = lm && !parts.tied ? [outputHead(rows, hidden, parts.headBias)] : []
  const heads = head === 'none' ? [] : lm ? output : classifier(labels)
  return {
    family: parts.type,
    modelType: config.text('model_type') ?? parts.type,
    count: parts.exact && own && verified ? 'exact' : 'derived',
    embedding: [...parts.embedding, ...copies],
    layers: encoderOnly ? noLayers : parts.decoder,
    final: encoderOnly ? [] : [...parts.final, ...heads],
    tied: lm && parts.tied,
    towers: decoderOnly ? [] : [tower],
    mtp: null,
    facts: decoderFacts(config, { task: encoderOnly ? 'embed' : 'encoder-decoder', ...parts.facts }),
    notes: own ? [] : [`architectures names ${architecture.prefix}: counted as ${parts.type}`],
  }
}
