import { computeDtype, kvElementBytes, storageFor } from './answer.ts'
import { stageCaches } from './blocks.ts'
import { weightParts } from './division.ts'
import type { Engine, EngineAnswer, EngineDefault, EngineInput } from './engine.ts'
import { contextFinding, gpuFindings, headFindings } from './model-findings.ts'
import { contextPart, forwardPart } from './passes.ts'
import { poolAnswer } from './pooled.ts'
import { readSettings } from './settings-reader.ts'
import { contextOf } from './vllm/context.ts'
import { readOptions } from './vllm/options.ts'

const parser = 'lmdeploy serve api_server, parser of 0.18.0'

const defaults: readonly EngineDefault[] = [
  {
    setting: 'memoryFraction',
    value: '0.8 of what is free after the weights (cache-max-entry-count)',
    versions: 'from 0.2.1',
    source: parser,
  },
  { setting: 'maxNumBatchedTokens', value: '8192 (max-prefill-token-num)', versions: 'all', source: parser },
  { setting: 'blockSize', value: '64 (cache-block-seq-len)', versions: 'all', source: parser },
  { setting: 'maxModelLen', value: "the model's context (session-len)", versions: 'all', source: parser },
  { setting: 'maxNumSeqs', value: '128; by card in the engine', versions: 'all', source: 'assumed' },
]

export const lmdeploy: Engine = { name: 'lmdeploy', title: 'LMDeploy', defaults, estimate }

/** LMDeploy: the weights first, then the cache takes a fraction of what is free; the passes live beside it. */
function estimate(input: EngineInput): EngineAnswer {
  const reader = readSettings(input)
  const option = readOptions(input.options, reader.findings)
  const { shape, settings } = input
  const tensor = reader.countOr('tensorParallel', 1, 'LMDeploy default')
  const data = reader.count('dataParallel') ?? 1
  const dtype = computeDtype(reader.text('dtype'), shape)
  reader.fill('dtype', dtype, "the checkpoint's dtype", 'model-config')
  const quantization = reader.text('quantization')
  const storage = storageFor(input, { dtype, quantization }, reader)
  const fraction = reader.fraction('memoryFraction', 'cache-max-entry-count') ?? 0.8
  reader.fill('memoryFraction', fraction, 'LMDeploy default')
  const prefill = reader.countOr('maxNumBatchedTokens', 8192, 'LMDeploy default')
  const sequences = reader.countOr('maxNumSeqs', 128, 'assumed: the engine chooses by card', 'assumed')
  const block = reader.countOr('blockSize', 64, 'LMDeploy default')
  const context = contextOf(shape, input.facts.config)
  const given = reader.length('maxModelLen')
  const length = typeof given === 'number' ? given : (context ?? 2048)
  reader.fill('maxModelLen', length, "the model's context", 'model-config')
  const kv = cacheFormat(reader.text('kvCacheDtype'), dtype)
  if (kv === null)
    reader.say(
      'kv-dtype-unsupported',
      'error',
      `KV cache dtype ${JSON.stringify(settings.kvCacheDtype?.value)} is not known: ${dtype} stands in for it`,
      settings.kvCacheDtype,
    )

  headFindings(shape, tensor, 'tp', settings.tensorParallel, reader.say)
  gpuFindings(input.gpusPerReplica, tensor * data, `tp ${tensor} x dp ${data}`, settings.tensorParallel, reader.say)
  contextFinding(length, context, 'session-len', null, settings.maxModelLen, reader.say)

  const wholeExperts = typeof settings.expertParallel?.value === 'number' && settings.expertParallel.value > 1
  const division = { tensor, pipeline: 1, attentionData: 1, wholeExperts }
  return poolAnswer({
    input,
    reader,
    tensor,
    stages: weightParts(input, storage, division, { quantization }).map(part => [
      part,
      forwardPart(shape, prefill, tensor),
      contextPart(tensor, { low: 0.3, expected: 0.8, high: 1.5 }),
    ]),
    caches: stageCaches(shape, {
      ranks: tensor,
      pipeline: 1,
      elementBytes: kv?.elementBytes ?? 2,
      scaleBytes: kv?.scaleBytes ?? 0,
      block,
      windows: false,
      beams: 1,
    }),
    block,
    fraction,
    fractionText: `cache-max-entry-count ${fraction}`,
    maxModelLen: length,
    context,
    sequences,
    maxTokens: option.has('num-gpu-blocks') ? (option.count('num-gpu-blocks') ?? 0) * block || null : null,
    kvText: `KV ${kv?.name ?? dtype}, blocks of ${block} tokens`,
    source: 'LMDeploy: a fraction of the free memory',
    assumptions: input.version === null ? ['LMDeploy version unknown: the defaults of 0.18 are used'] : [],
  })
}

/** quant-policy: int8 and int4 keep a scale and a zero point in 16 bits for each head and token. Null: not known. */
function cacheFormat(
  name: string | null,
  dtype: string,
): { readonly name: string; readonly elementBytes: number; readonly scaleBytes: number } | null {
  if (name === null || name === 'auto') return { name: dtype, elementBytes: kvElementBytes(dtype) ?? 2, scaleBytes: 0 }
  if (name === 'int8') return { name, elementBytes: 1, scaleBytes: 4 }
  if (name === 'int4') return { name, elementBytes: 0.5, scaleBytes: 4 }
  const elementBytes = kvElementBytes(name)
  return elementBytes === null ? null : { name, elementBytes, scaleBytes: 0 }
}
