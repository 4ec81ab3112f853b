import { type Part, sum } from '../memory/parts.ts'
import type { ModelShape } from '../models/shape.ts'
import { GiB, grouped, MiB } from '../units/bytes.ts'
import { computeDtype, exactPart, perGpu, rangePart, storageFor } from './answer.ts'
import { kvBytes, longestIn, type StageCache, stageCaches } from './blocks.ts'
import { weightParts } from './division.ts'
import type { Engine, EngineAnswer, EngineDefault, EngineInput } from './engine.ts'
import { contextFinding } from './model-findings.ts'
import { readSettings } from './settings-reader.ts'
import { contextOf } from './vllm/context.ts'

const generation = 'transformers generate()'

const defaults: readonly EngineDefault[] = [
  { setting: 'maxNumSeqs', value: '1 (batch)', versions: 'all', source: generation },
  { setting: 'maxModelLen', value: "the model's context (prompt and answer)", versions: 'all', source: generation },
  { setting: 'maxNumBatchedTokens', value: 'the whole length (prompt tokens)', versions: 'all', source: generation },
  {
    setting: 'pipelineParallel',
    value: 'all GPUs (device_map auto: layers in order)',
    versions: 'all',
    source: generation,
  },
  { setting: 'dtype', value: "the checkpoint's", versions: 'from 5.0', source: generation },
]

export const transformers: Engine = { name: 'transformers', title: 'transformers', defaults, estimate }

/**
 * transformers' generate (its caching allocator, measured): no pool; weights, the cache as far as it has grown, the peak of the prefill over
 * the prompt, and the CUDA context. The budget is the card. With several GPUs layers are placed in order.
 */
function estimate(input: EngineInput): EngineAnswer {
  const reader = readSettings(input)
  const { shape, settings } = input
  const gpus = input.gpusPerReplica !== null && input.gpusPerReplica > 0 ? input.gpusPerReplica : 1
  const tensor = reader.countOr('tensorParallel', 1, 'transformers default')
  const spread = Math.max(1, Math.floor(gpus / tensor))
  const pipeline = Math.min(
    reader.countOr('pipelineParallel', spread, 'device_map auto uses every GPU'),
    Math.max(1, shape.layers.order.length),
  )
  const dtype = computeDtype(reader.text('dtype'), shape)
  reader.fill('dtype', dtype, "the checkpoint's dtype", 'model-config')
  const quantization = reader.text('quantization')
  const storage = storageFor(input, { dtype, quantization }, reader)
  const context = contextOf(shape, input.facts.config)
  const given = reader.length('maxModelLen')
  const length = typeof given === 'number' ? given : (context ?? 2048)
  reader.fill('maxModelLen', length, "the model's context", 'model-config')
  const prompt = Math.min(
    length,
    reader.countOr('maxNumBatchedTokens', length, 'the prompt is the whole length', 'assumed'),
  )
  const batch = Math.max(input.concurrency, reader.countOr('maxNumSeqs', 1, 'one sequence'))
  contextFinding(length, context, 'length', 'generate', settings.maxModelLen, reader.say)

  const division = { tensor, pipeline, attentionData: 1, wholeExperts: false }
  const weights = weightParts(input, storage, division, { quantization })
  const caches = stageCaches(shape, {
    ranks: tensor,
    pipeline,
    elementBytes: 2,
    scaleBytes: 0,
    block: 1,
    windows: true,
    beams: 1,
  })
  const rest = [prefillPart(shape, prompt * batch, batch), contextPart()]
  const memory = input.gpu?.memoryBytes ?? null
  const fixed = sum(rest.map(part => part.bytes)).expected
  const free = weights.map(part => (memory === null ? null : Math.max(0, memory - part.bytes.expected - fixed)))
  const load = weights.map((part, at) => part.bytes.expected + batch * requestBytes(caches[at]!, length))
  const at = load.indexOf(Math.max(...load))
  const cache = caches[at]!
  const request = requestBytes(cache, length)
  const fitting = free.map((bytes, i) =>
    bytes === null ? null : longestIn(caches[i]!, context ?? 2 ** 24, bytes / batch, 1),
  )
  return {
    settings: reader.settings(),
    findings: reader.findings,
    estimate: {
      method: 'engine',
      perGpu: perGpu(
        `pipeline stage ${at} of ${pipeline}, tensor rank 0 of ${tensor}`,
        [weights[at]!, ...cacheParts(input, cache, length, batch), ...rest],
        memory,
      ),
      kvCache: {
        bytesPerToken: Math.round(cache.full),
        bytesPerMaxLengthRequest: request,
        availableBytes: free[at]!,
        capacityTokens: free[at] == null || request === 0 ? null : Math.floor((free[at] / request) * length),
        maxConcurrency: free[at] == null || request === 0 ? null : free[at] / request,
        fitsOneRequest: free[at] == null ? null : request <= free[at],
        maxModelLenThatFits: fitting.some(one => one === null) ? null : Math.min(...fitting.map(one => one ?? 0)),
      },
      assumptions: ['attention is computed without its whole matrix (sdpa or flash)', ...shape.notes],
    },
  }
}

const requestBytes = (cache: StageCache, length: number): number => kvBytes(cache, length, 1) + cache.state

function cacheParts(input: EngineInput, cache: StageCache, length: number, batch: number): Part[] {
  const kv = kvBytes(cache, length, 1) * batch
  const basis: Part['basis'] = input.shape.count === 'exact' ? 'exact' : 'derived'
  const times = batch > 1 ? ` x ${grouped(batch)} sequences` : ''
  const parts: Part[] = []
  if (kv > 0 || cache.state === 0)
    parts.push(
      exactPart(
        'kvCache',
        kv,
        basis,
        kv > 0 ? `${grouped(length)} tokens x ${grouped(cache.full)} B${times}` : 'no layer keeps keys and values',
        'cache grows with every token',
      ),
    )
  if (cache.state > 0)
    parts.push(
      exactPart(
        'recurrentState',
        cache.state * batch,
        basis,
        `${grouped(cache.state)} B${times}`,
        'state of every sequence',
      ),
    )
  return parts
}

/**
 * The prefill's peak: for each prompt token the hidden states of a few tensors and the widest inner ones at once, and
 * fp32 logits of the last position only, as versions since 4.45 keep them. At rest after it nothing of it is left.
 */
function prefillPart(shape: ModelShape, tokens: number, batch: number): Part {
  const { facts } = shape
  const width = (facts.intermediate ?? 4 * facts.hidden) * (facts.expertsPerToken ?? 1)
  const each = 2 * (3 * width + 6 * facts.hidden)
  const logits = batch * facts.vocabulary * 8
  const expected = tokens * each + logits
  return rangePart(
    'activations',
    { low: logits, expected, high: 1.6 * expected + 0.3 * GiB },
    'modelled',
    `${grouped(tokens)} prompt tokens x ${grouped(each)} B + ${grouped(batch)} x ${grouped(facts.vocabulary)} x 8 B`,
    'widest tensors of one layer in 16 bits',
  )
}

function contextPart(): Part {
  return rangePart(
    'context',
    { low: 300 * MiB, expected: 512 * MiB, high: 800 * MiB },
    'measured',
    '0.5 GiB for the CUDA context',
    'CUDA context: 0.3 to 0.5 GiB a process and device, more with large kernels',
  )
}
