import { GiB, grouped } from '../units/bytes.ts'
import { computeDtype, kvElementBytes, rangePart, storageFor } from './answer.ts'
import { stageCaches } from './blocks.ts'
import { weightParts } from './division.ts'
import type { Engine, EngineAnswer, EngineDefault, EngineInput } from './engine.ts'
import { contextFinding, gpuFindings, headFindings } from './model-findings.ts'
import { contextPart, forwardPart } from './passes.ts'
import { poolAnswer } from './pooled.ts'
import { readSettings, type SettingsReader } from './settings-reader.ts'
import { contextOf } from './vllm/context.ts'
import { type OptionReader, readOptions } from './vllm/options.ts'
import { release, releaseOf } from './vllm/release.ts'

const launcher = 'launcher/src/main.rs'

const defaults: readonly EngineDefault[] = [
  {
    setting: 'memoryFraction',
    value: '1.0, of which 0.95 is used (TGI_WIGGLE_ROOM)',
    versions: 'all',
    source: launcher,
  },
  { setting: 'maxModelLen', value: '2048', versions: '1.x', source: launcher },
  { setting: 'maxModelLen', value: "4096, or the model's context where it is less", versions: '2.x', source: launcher },
  { setting: 'maxModelLen', value: "what fits, up to the model's context", versions: 'from 3.0', source: launcher },
  { setting: 'maxNumBatchedTokens', value: '4096', versions: 'all', source: launcher },
  { setting: 'maxNumSeqs', value: '128 (max-concurrent-requests)', versions: 'all', source: launcher },
  { setting: 'tensorParallel', value: 'all visible GPUs (num-shard)', versions: 'all', source: launcher },
]

export const tgi: Engine = { name: 'tgi', title: 'Text Generation Inference', defaults, estimate }

const WIGGLE_ROOM = 0.95
const NEWEST = release(3, 3)

/** TGI's names for what it quantises on load. */
const QUANTIZE: Readonly<Record<string, string>> = {
  'bitsandbytes-nf4': 'bitsandbytes-nf4',
  'bitsandbytes-fp4': 'bitsandbytes-nf4',
  eetq: 'bitsandbytes',
  marlin: 'gptq',
}

/** TGI (its launcher's options): a warm-up prefill runs beside the weights, then the cache takes what is left. */
function estimate(input: EngineInput): EngineAnswer {
  const reader = readSettings(input)
  const option = readOptions(input.options, reader.findings)
  const { shape, settings } = input
  const known = input.version === null ? null : releaseOf(input.version)
  const version = known ?? NEWEST
  const visible = input.gpusPerReplica !== null && input.gpusPerReplica > 0 ? input.gpusPerReplica : 1
  const shards = option.flag('sharded') === false ? 1 : visible
  const tensor = reader.countOr('tensorParallel', shards, 'TGI uses every visible GPU')
  const dtype = tgiDtype(computeDtype(reader.text('dtype'), shape))
  reader.fill('dtype', dtype, "the checkpoint's dtype", 'model-config')
  const asked = reader.text('quantization')
  const quantization = asked === null ? null : (QUANTIZE[asked] ?? asked)
  const storage = storageFor(input, { dtype, quantization }, reader)
  const fraction = reader.fraction('memoryFraction', 'cuda-memory-fraction') ?? 1
  reader.fill('memoryFraction', fraction, 'TGI default')
  const wiggle = Number(input.environment['TGI_WIGGLE_ROOM'] ?? Number.NaN)
  const share = fraction * (wiggle > 0 && wiggle <= 1 ? wiggle : WIGGLE_ROOM)
  const prefill = reader.countOr('maxNumBatchedTokens', 4096, 'TGI default')
  const sequences = reader.countOr('maxNumSeqs', 128, 'max-concurrent-requests by default')
  const context = contextOf(shape, input.facts.config)
  const given = reader.length('maxModelLen')
  const length = typeof given === 'number' ? given : defaultLength(version, context)
  if (length !== null) reader.fill('maxModelLen', length, 'TGI default')
  const kvDtype = kvDtypeOf(reader.text('kvCacheDtype'), storage.kvCacheDtype ?? dtype)
  if (kvElementBytes(kvDtype) === null)
    reader.say(
      'kv-dtype-unsupported',
      'error',
      `KV cache dtype ${JSON.stringify(kvDtype)} is not known: 2 B stand in for it`,
      settings.kvCacheDtype,
    )

  headFindings(shape, tensor, 'num-shard', settings.tensorParallel, reader.say)
  gpuFindings(input.gpusPerReplica, tensor, `num-shard ${tensor}`, settings.tensorParallel, reader.say)
  if (length !== null) contextFinding(length, context, 'max-total-tokens', null, settings.maxModelLen, reader.say)

  inputFinding(option, length, reader.say)

  const division = { tensor, pipeline: 1, attentionData: 1, wholeExperts: false }
  const block = version >= release(3, 0) ? 1 : 16
  return poolAnswer({
    input,
    reader,
    tensor,
    stages: weightParts(input, storage, division, { quantization }).map(part => [
      part,
      forwardPart(shape, prefill, tensor, { high: 3 }),
      logitsPart(input, prefill),
      contextPart(tensor, { low: 0.3, expected: 0.6, high: 1.2 }),
    ]),
    caches: stageCaches(shape, {
      ranks: tensor,
      pipeline: 1,
      elementBytes: kvElementBytes(kvDtype) ?? 2,
      scaleBytes: 0,
      block,
      windows: false,
      beams: 1,
    }),
    block,
    fraction: share,
    fractionText: `cuda-memory-fraction ${fraction} x wiggle room ${WIGGLE_ROOM}`,
    maxModelLen: length,
    context,
    sequences,
    maxTokens: option.count('max-batch-total-tokens'),
    kvText: `KV ${kvDtype}, blocks of ${block} tokens`,
    source: 'TGI: the pool takes what the warm-up leaves',
    assumptions: [
      `the warm-up prefills ${grouped(prefill)} tokens; its peak is modelled, few figures are public`,
      ...(known === null
        ? [
            `TGI version ${input.version === null ? 'unknown' : `${JSON.stringify(input.version)} not known`}: the defaults of 3.x are used`,
          ]
        : []),
    ],
  })
}

/** The prompt must be shorter than prompt and answer together. */
function inputFinding(option: OptionReader, length: number | null, say: SettingsReader['say']): void {
  const prompt = option.count('max-input-tokens') ?? option.count('max-input-length')
  if (prompt !== null && length !== null && prompt >= length)
    say(
      'setting-contradicts',
      'error',
      `max-input-tokens ${prompt} is not below max-total-tokens ${length}: TGI refuses to start`,
    )
}

/** TGI loads bfloat16 or float16, never 32 bits. */
const tgiDtype = (dtype: string): string => (dtype === 'float32' ? 'float16' : dtype)

function defaultLength(version: number, context: number | null): number | null {
  if (version >= release(3, 0)) return null
  const most = version >= release(2, 0) ? 4096 : 2048
  return context === null ? most : Math.min(most, context)
}

const kvDtypeOf = (given: string | null, fallback: string): string =>
  given === null || given === 'auto' ? fallback : given

/** Logits of the prompts that end in the warm-up batch: one at least, all tokens at most (prefill log-probabilities). */
function logitsPart(input: EngineInput, prefill: number) {
  const row = input.shape.facts.task === 'embed' ? 0 : input.shape.facts.vocabulary * 4
  return rangePart(
    'logits',
    { low: row, expected: row * Math.min(prefill, 64), high: row * Math.min(prefill, 512) + 0.1 * GiB },
    'modelled',
    `${grouped(Math.min(prefill, 64))} rows x ${grouped(input.shape.facts.vocabulary)} x 4 B`,
    'sampler of the warm-up prefill',
  )
}
