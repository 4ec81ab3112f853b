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

const args = 'TensorRT-LLM LlmArgs and memory page'

const defaults: readonly EngineDefault[] = [
  { setting: 'memoryFraction', value: '0.9 of what is free after engine and buffers', versions: 'all', source: args },
  { setting: 'maxNumSeqs', value: '2048', versions: 'all', source: args },
  { setting: 'maxNumBatchedTokens', value: '8192', versions: 'all', source: args },
  { setting: 'maxModelLen', value: "the model's context", versions: 'all', source: args },
  { setting: 'blockSize', value: '32', versions: 'all', source: args },
  { setting: 'max_beam_width', value: '1', versions: 'all', source: args },
  { setting: 'backend', value: 'pytorch', versions: 'from 1.0', source: args },
]

export const trtllm: Engine = { name: 'trtllm', title: 'TensorRT-LLM', defaults, estimate }

/**
 * TensorRT-LLM (its LlmArgs and memory page): weights and buffers first, buffers by the limits and not the load; then the cache takes a
 * fraction of what is free.
 */
function estimate(input: EngineInput): EngineAnswer {
  const reader = readSettings(input)
  const option = readOptions(input.options, reader.findings)
  const { shape, settings } = input
  const tensor = reader.countOr('tensorParallel', 1, 'TensorRT-LLM default')
  const pipeline = Math.min(reader.count('pipelineParallel') ?? 1, Math.max(1, shape.layers.order.length))
  const contextRanks = reader.count('contextParallel') ?? 1
  const attentionData = Math.min(tensor, reader.count('attentionDataParallel') ?? 1)
  const dtype = computeDtype(reader.text('dtype'), shape)
  reader.fill('dtype', dtype, "the checkpoint's dtype", 'model-config')
  const sequences = reader.countOr('maxNumSeqs', 2048, 'TensorRT-LLM default')
  const tokens = reader.countOr('maxNumBatchedTokens', 8192, 'TensorRT-LLM default')
  const context = contextOf(shape, input.facts.config)
  const length = lengthOf(reader.length('maxModelLen'), context)
  reader.fill('maxModelLen', length, "the model's context", 'model-config')
  const fraction = reader.fraction('memoryFraction', 'free_gpu_memory_fraction') ?? 0.9
  reader.fill('memoryFraction', fraction, 'TensorRT-LLM default')
  const block = reader.countOr('blockSize', 32, 'TensorRT-LLM default')
  const quantization = algorithm(reader.text('quantization'))
  const storage = storageFor(input, { dtype, quantization }, reader)
  const kvDtype = kvDtypeOf(reader.text('kvCacheDtype'), storage.kvCacheDtype ?? dtype)
  if (kvElementBytes(kvDtype) === null)
    reader.say(
      'kv-dtype-unsupported',
      'error',
      `KV cache dtype ${JSON.stringify(kvDtype)} is not known: 2 B stand in for it`,
      settings.kvCacheDtype,
    )
  const beams = option.count('max-beam-width') ?? 1
  const ranks = Math.max(1, Math.floor(tensor / attentionData))

  headFindings(
    shape,
    ranks,
    attentionData > 1 ? 'attention ranks (tp / attention DP)' : 'tp_size',
    settings.tensorParallel,
    reader.say,
  )
  gpuFindings(
    input.gpusPerReplica,
    tensor * pipeline * contextRanks,
    `tp ${tensor} x pp ${pipeline} x cp ${contextRanks}`,
    settings.tensorParallel,
    reader.say,
  )
  contextFinding(length, context, 'max_seq_len', null, settings.maxModelLen, reader.say)

  const wholeExperts = typeof settings.expertParallel?.value === 'number' && settings.expertParallel.value > 1
  const weights = weightParts(input, storage, { tensor, pipeline, attentionData, wholeExperts }, { quantization })
  const buffers = [forwardPart(shape, tokens, tensor), logitsPart(input, sequences * beams), contextPart(tensor, OTHER)]
  const windows = windowsOf(option, reader.say)
  return poolAnswer({
    input,
    reader,
    tensor,
    stages: weights.map(part => [part, ...buffers]),
    caches: stageCaches(shape, {
      ranks,
      pipeline,
      elementBytes: kvElementBytes(kvDtype) ?? 2,
      scaleBytes: 0,
      block,
      windows,
      beams,
    }),
    block,
    fraction,
    fractionText: `free_gpu_memory_fraction ${fraction}`,
    maxModelLen: length,
    context,
    sequences,
    maxTokens: option.count('max-tokens'),
    kvText: `KV ${kvDtype}, blocks of ${block} tokens${beams > 1 ? `, ${beams} beams` : ''}`,
    source: 'TensorRT-LLM memory page',
    assumptions: [
      `max_num_tokens ${grouped(tokens)} and max_batch_size ${grouped(sequences)} size the buffers, whatever the load`,
      ...(input.version === null ? ['TensorRT-LLM version unknown: the defaults of 1.x are used'] : []),
      ...(windows !== false ? [] : ['without max_attention_window every layer keeps every token']),
    ],
  })
}

/** GiB beside weights, passes and NCCL: context, runtime and decoder buffers, workspaces; 1 to 3.5 in public figures. */
const OTHER = { low: 0.6, expected: 1.5, high: 3.5 }

const lengthOf = (given: number | 'auto' | null, context: number | null): number =>
  typeof given === 'number' ? given : (context ?? 2048)

/** Logits in fp32 for every sequence that the limits allow. */
function logitsPart(input: EngineInput, sequences: number) {
  const expected = sequences * input.shape.facts.vocabulary * 4
  return rangePart(
    'logits',
    { low: 0.5 * expected, expected, high: 2 * expected + 0.1 * GiB },
    'modelled',
    `${grouped(sequences)} sequences x ${grouped(input.shape.facts.vocabulary)} x 4 B`,
    'buffers by max_batch_size',
  )
}

/** `auto` and quant_config's algorithms by the names that checkpoints use. */
function algorithm(name: string | null): string | null {
  if (name === null || /^(?:no_quant|none)$/i.test(name)) return null
  if (/^fp8/i.test(name)) return 'fp8'
  return /^nvfp4/i.test(name) ? 'modelopt_fp4' : name.toLowerCase()
}

function kvDtypeOf(given: string | null, fallback: string): string {
  return given === null || given === 'auto' ? fallback : given.toLowerCase()
}

/** `max_attention_window`: one window a layer, repeated over the layers. Without it the manager keeps every token. */
function windowsOf(option: OptionReader, say: SettingsReader['say']): readonly number[] | false {
  const text = option.text('max-attention-window')
  if (text === null) return false
  const windows = (text.match(/\d{1,9}/g) ?? []).map(Number).filter(tokens => tokens > 0)
  if (windows.length > 0) return windows
  say('setting-invalid', 'error', `max_attention_window ${JSON.stringify(text.slice(0, 60))}: expected whole numbers`)
  return false
}
