import { norm, outputHead, replicated, vector } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'
import { architectureOf, type HeadKind, isOwnClass, labelCount } from './architecture.ts'
import { type Dims, type DimsRules, dimsOf } from './decoder.ts'
import { decoderFacts, equalToClasses, type Family, uniformStack } from './family.ts'

/** One encoder type: what its class does differently from BERT's. */
export interface EncoderType extends DimsRules {
  readonly type: string
  readonly also?: readonly string[]
  readonly classes?: readonly string[]
  readonly defaults: JsonObject
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  readonly embedding: (d: Dims) => readonly Weight[]
  readonly layer: (d: Dims) => readonly Weight[]
  /** Layers that are stored; layers that share one set of weights count once. */
  readonly stored?: (d: Dims) => number
  /** What differs in the first layer: weights it lacks, by name. */
  readonly firstLayerLacks?: readonly string[]
  /** What follows the layers in every variant. */
  readonly body?: (d: Dims) => readonly Weight[]
  /** The pooler, which a bare `*Model` and pooled heads have. */
  readonly pooler?: (d: Dims) => readonly Weight[]
  /** The pooler of classifiers where it is not the bare model's. */
  readonly classifierPooler?: (d: Dims) => readonly Weight[]
  readonly lm: (d: Dims) => MaskedHead
  /**
   * Head of `*ForSequenceClassification`: pooler and one matrix, a dense layer of hidden width and one matrix, or the
   * language model's layers before one matrix (also of the other classifiers).
   */
  readonly sequence?: 'pooled' | 'dense' | 'transform'
  /** Heads of classes that were not built for comparison, or differ from the usual ones. */
  readonly derivedHeads?: readonly HeadKind[]
  /** Says which option of the config is counted by rule only. */
  readonly assumed?: (config: Config) => string | null
  readonly exact?: false
}

/** The head that predicts tokens. */
export interface MaskedHead {
  /** What stands before the output matrix. */
  readonly transform: readonly Weight[]
  /** Width of the output matrix's input; tied it is the embedding's. */
  readonly width: number
  /**
   * `own`: the matrix has a bias; `shared`: it shares its bias with the head's own one as long as the matrix is tied;
   * `none`.
   */
  readonly bias: 'own' | 'shared' | 'none'
  /** Where the class ignores `tie_word_embeddings`. */
  readonly tied?: boolean
}

/** dense + LayerNorm before the output matrix: h x e + e + 2e. `names` are BERT's unless said. */
export const denseTransform = (
  d: Dims,
  width = d.hidden,
  names: readonly [string, string] = ['cls.predictions.transform.dense', 'cls.predictions.transform.LayerNorm'],
): Weight[] => [replicated(names[0], width, d.hidden, { bias: true }), norm(names[1], width, true)]

/** h x h + h: the pooler of BERT and its relatives. */
export const densePooler = (d: Dims): Weight[] => [replicated('pooler.dense', d.hidden, d.hidden, { bias: true })]

export function encoder(row: EncoderType): Family {
  return {
    name: row.type,
    modelTypes: [row.type, ...(row.also ?? [])],
    verified: row.exact === false ? 'same blocks as verified types' : equalToClasses,
    shape: file => encoderShape(row, file.with({ tie_word_embeddings: true, ...row.defaults }, row.aliases)),
  }
}

/** Heads compared with the classes of transformers 5.24 for every type that does not say otherwise. */
const VERIFIED: readonly HeadKind[] = ['lm', 'none', 'sequence', 'token']

function encoderShape(row: EncoderType, config: Config): ModelShape {
  const d = dimsOf(row, config)
  const architecture = architectureOf(config)
  const own = isOwnClass(architecture, row.type, row.classes)
  const head = headOf(row, d, architecture.head)
  const verified = VERIFIED.includes(architecture.head) && !row.derivedHeads?.includes(architecture.head)
  const type = config.text('model_type') ?? row.type
  const weights = row.layer(d)
  const assumed = row.assumed?.(config) ?? null
  const first = row.firstLayerLacks ?? []
  const stored = row.stored?.(d) ?? d.layers
  const layer = { name: 'encoder', weights, cache: [] }
  return {
    family: row.type,
    modelType: type,
    count:
      own &&
      verified &&
      row.exact !== false &&
      type === row.type &&
      assumed === null &&
      !config.flag('add_cross_attention')
        ? 'exact'
        : 'derived',
    embedding: row.embedding(d),
    layers:
      first.length === 0
        ? uniformStack(stored, layer)
        : {
            kinds: [{ ...layer, name: 'first encoder', weights: weights.filter(w => !first.includes(w.name)) }, layer],
            order: Array.from({ length: stored }, (_, i) => Math.min(i, 1)),
          },
    final: [...(row.body?.(d) ?? []), ...head.weights],
    tied: head.tied,
    towers: [],
    mtp: null,
    facts: decoderFacts(config, {
      hidden: d.hidden,
      layers: d.layers,
      vocabulary: d.vocabulary,
      heads: d.heads,
      kvHeads: d.kvHeads,
      headDim: d.headDim,
      intermediate: d.width,
      task: 'embed',
    }),
    notes: [
      ...(assumed === null ? [] : [assumed]),
      ...(own ? [] : [`architectures names ${architecture.prefix}: counted as ${row.type}`]),
    ],
  }
}

/** The head of each kind of class, pooler included where the class has one. */
function headOf(row: EncoderType, d: Dims, head: HeadKind): { weights: readonly Weight[]; tied: boolean } {
  const pooler = row.pooler?.(d) ?? []
  const lm = row.lm(d)
  const tied = lm.tied ?? d.config.flag('tie_word_embeddings')
  const classifier = (labels: number) => replicated('classifier', labels, d.hidden, { bias: true })
  const before = row.sequence === 'transform' ? lm.transform : []
  switch (head) {
    case 'lm':
      return { weights: maskedHead(d, lm, tied), tied }
    case 'pretraining':
      return { weights: [...pooler, ...maskedHead(d, lm, tied), nextSentence(d)], tied }
    case 'next-sentence':
      return { weights: [...pooler, nextSentence(d)], tied: false }
    case 'sequence': {
      const dense = replicated('classifier.dense', d.hidden, d.hidden, { bias: true })
      const pooled = row.sequence === 'dense' ? [dense] : (row.classifierPooler?.(d) ?? pooler)
      return { weights: [...before, ...pooled, classifier(labelCount(d.config))], tied: false }
    }
    case 'choice':
      return { weights: [...before, ...(row.classifierPooler?.(d) ?? pooler), classifier(1)], tied: false }
    case 'token':
    case 'span':
      return { weights: [...before, classifier(labelCount(d.config))], tied: false }
    case 'none':
    case 'other':
      return { weights: pooler, tied: false }
  }
}

const nextSentence = (d: Dims): Weight => replicated('cls.seq_relationship', 2, d.hidden, { bias: true })

function maskedHead(d: Dims, lm: MaskedHead, tied: boolean): Weight[] {
  const bias = (name: string) => vector(name, d.vocabulary, 'vocab')
  const ownBias = lm.bias === 'none' ? [] : [bias('cls.predictions.bias')]
  if (tied) return [...lm.transform, ...ownBias]
  const matrix = outputHead(d.vocabulary, lm.width, lm.bias !== 'none', 'cls.predictions.decoder')
  return [...lm.transform, matrix, ...(lm.bias === 'shared' ? ownBias : [])]
}
