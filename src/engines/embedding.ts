import { GiB, grouped } from '../units/bytes.ts'
import { computeDtype, perGpu, rangePart, storageFor } from './answer.ts'
import { weightParts } from './division.ts'
import type { Engine, EngineAnswer, EngineDefault, EngineInput } from './engine.ts'
import { contextFinding } from './model-findings.ts'
import { contextPart } from './passes.ts'
import { readSettings } from './settings-reader.ts'
import { contextOf } from './vllm/context.ts'
import { readOptions } from './vllm/options.ts'

interface Server {
  readonly name: 'tei' | 'infinity'
  readonly title: string
  readonly defaults: readonly EngineDefault[]
  /** Tokens of one batch where the file does not say. */
  readonly batchTokens: (batch: number | null, length: number) => { readonly tokens: number; readonly note: string }
}

const router = 'text-embeddings-router options'
const options = 'infinity_emb v2 options'

const tei: Server = {
  name: 'tei',
  title: 'Text Embeddings Inference',
  defaults: [
    { setting: 'maxNumBatchedTokens', value: '16384 (max-batch-tokens)', versions: 'all', source: router },
    { setting: 'dtype', value: 'float16 on GPUs', versions: 'all', source: router },
  ],
  batchTokens: () => ({ tokens: 16384, note: 'max-batch-tokens by default' }),
}

const infinity: Server = {
  name: 'infinity',
  title: 'Infinity',
  defaults: [
    { setting: 'maxNumSeqs', value: '32 (batch-size)', versions: 'all', source: options },
    { setting: 'dtype', value: 'float16 on GPUs', versions: 'all', source: options },
  ],
  batchTokens: (batch, length) => ({ tokens: (batch ?? 32) * length, note: `${batch ?? 32} texts of full length` }),
}

/** Embedding servers keep no cache: weights and the pass of one batch. */
export const embeddingServers: readonly Engine[] = [tei, infinity].map(server => ({
  name: server.name,
  title: server.title,
  defaults: server.defaults,
  estimate: input => estimate(server, input),
}))

function estimate(server: Server, input: EngineInput): EngineAnswer {
  const reader = readSettings(input)
  const option = readOptions(input.options, reader.findings)
  const { shape, settings } = input
  const asked = reader.text('dtype')
  const dtype = asked === null || asked === 'auto' ? 'float16' : computeDtype(asked, shape)
  reader.fill('dtype', dtype, 'float16 on GPUs')
  const storage = storageFor(input, { dtype, quantization: reader.text('quantization') }, reader)
  const context = contextOf(shape, input.facts.config)
  const given = reader.length('maxModelLen')
  const length = typeof given === 'number' ? given : (context ?? 512)
  reader.fill('maxModelLen', length, "the model's context", 'model-config')
  contextFinding(length, context, 'length', server.title, settings.maxModelLen, reader.say)
  const batch = server.batchTokens(option.count('batch-size'), length)
  const tokens = reader.countOr('maxNumBatchedTokens', batch.tokens, batch.note)
  const weights = weightParts(
    input,
    storage,
    { tensor: 1, pipeline: 1, attentionData: 1, wholeExperts: false },
    { quantization: reader.text('quantization') },
  )
  const memory = input.gpu?.memoryBytes ?? null
  const parts = [weights[0]!, passPart(input, tokens), contextPart(1, { low: 0.3, expected: 0.5, high: 0.9 })]
  return {
    settings: reader.settings(),
    findings: reader.findings,
    estimate: {
      method: 'engine',
      perGpu: perGpu('pipeline stage 0 of 1, tensor rank 0 of 1', parts, memory),
      kvCache: null,
      assumptions: [
        `${server.title} keeps no cache: weights and one batch of ${grouped(tokens)} tokens`,
        ...shape.notes,
      ],
    },
  }
}

/** Hidden states and the inner width of one layer for every token of a batch, in 16 bits. */
function passPart(input: EngineInput, tokens: number) {
  const { facts } = input.shape
  const each = 2 * (2 * (facts.intermediate ?? 4 * facts.hidden) + 6 * facts.hidden)
  const expected = tokens * each
  return rangePart(
    'activations',
    { low: 0.3 * expected, expected, high: 2 * expected + 0.2 * GiB },
    'modelled',
    `${grouped(tokens)} tokens x ${grouped(each)} B`,
    'widest tensors of one layer in 16 bits',
  )
}
