import { keyUses, lastValue, optionsOf, walkFlags } from '../flags/flags.ts'
import { teiFlags, tgiFlags } from '../flags/tgi.ts'
import { Collector, fraction, integer, modelFrom, type Parse, positive, word } from '../values.ts'
import { baseName, type CommandLine, type EngineReading, type Start } from './command-line.ts'
import { environmentUses } from './environment.ts'

const style = { underscores: false, prefixes: false, dotted: false }

export const tgi: CommandLine = {
  engine: 'tgi',
  title: 'Text Generation Inference: text-generation-launcher, image entry point, environment',
  marks: ['text-generation-', 'num_shard', 'max_total_tokens', 'tgi-', '-tgi', '/tgi', '_tgi'],
  program: argv =>
    /^text-generation-(?:launcher|server|router)$/.test(baseName(argv[0] ?? '')) ? (argv[1] === 'serve' ? 2 : 1) : 0,
  image: /text-generation-inference|(?:^|[/-])tgi(?:-[a-z0-9-]+)?$/,
  environment:
    /^(?:MAX_(?:TOTAL|INPUT|BATCH)_|NUM_SHARD|SHARDED|QUANTIZE|DTYPE|KV_CACHE_DTYPE|CUDA_|TGI_|ATTENTION|PREFILL_CHUNKING)/,
  signature: env =>
    env.has('MODEL_ID') && (env.has('NUM_SHARD') || env.has('MAX_TOTAL_TOKENS') || env.has('MAX_INPUT_LENGTH')),
  read: async start => readTgi(start),
}

const NUMBERS: Readonly<Record<string, readonly [string, Parse<number>]>> = {
  maxModelLen: ['max-total-tokens', positive],
  memoryFraction: ['cuda-memory-fraction', fraction],
  maxNumSeqs: ['max-batch-size', positive],
  maxNumBatchedTokens: ['max-batch-prefill-tokens', positive],
  tensorParallel: ['num-shard', positive],
}

function readTgi(start: Start): EngineReading | null {
  const { env } = start.command
  const walked = walkFlags(start.args, tgiFlags, style)
  const keyed = start.keys ? keyUses(start.keys, tgiFlags, style).filter(use => use.known) : []
  const uses = [...environmentUses(env, tgiFlags), ...keyed, ...walked.uses]
  const collector = new Collector()
  for (const hole of walked.holes) collector.holes(hole)
  for (const [name, [flag, parse]] of Object.entries(NUMBERS)) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name as 'maxNumSeqs', written, parse)
  }
  const shards = env.get('SM_NUM_GPUS')
  if (shards && !lastValue(uses, 'num-shard'))
    collector.set('tensorParallel', { value: shards, text: `SM_NUM_GPUS=${shards.value}` }, positive)
  for (const [name, flag] of [
    ['quantization', 'quantize'],
    ['dtype', 'dtype'],
    ['kvCacheDtype', 'kv-cache-dtype'],
  ] as const) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name, written, word)
  }
  const speculate = lastValue(uses, 'speculate')
  if (speculate)
    collector.set('speculativeTokens', speculate, text => (integer(text) === 0 ? undefined : positive(text)))
  for (const adapter of lastValue(uses, 'lora-adapters')?.value.value.split(',') ?? []) {
    const value = lastValue(uses, 'lora-adapters')!.value
    const from = value.value.indexOf(adapter)
    if (adapter.trim() !== '')
      collector.adapters.push(modelFrom(value.slice(from + adapter.indexOf('=') + 1, from + adapter.length), collector))
  }
  Object.assign(collector.options, optionsOf(uses))
  const revision = lastValue(uses, 'revision')
  const model = modelFrom(
    lastValue(uses, 'model-id')?.value ?? env.get('HF_MODEL_ID'),
    collector,
    revision ? { revision: revision.value.value } : {},
  )
  const own = start.form === 'image' && !/text-generation|^tgi/.test(baseName(start.command.image?.value ?? ''))
  // an image of somebody's own that only ends in tgi, and has nothing to say, may be a client
  return own && uses.length === 0 && model.id === null ? null : { collector, model }
}

export const tei: CommandLine = {
  engine: 'tei',
  title: 'Text Embeddings Inference: text-embeddings-router, image entry point, environment',
  marks: ['text-embeddings-'],
  program: argv => (baseName(argv[0] ?? '') === 'text-embeddings-router' ? 1 : 0),
  image: /text-embeddings-inference/,
  environment: /^(?:MAX_BATCH_TOKENS|MAX_BATCH_REQUESTS|DTYPE|POOLING)$/,
  read: async start => {
    const walked = walkFlags(start.args, teiFlags, style)
    const uses = [...environmentUses(start.command.env, teiFlags), ...walked.uses]
    const collector = new Collector()
    const dtype = lastValue(uses, 'dtype')
    if (dtype) collector.set('dtype', dtype, word)
    const tokens = lastValue(uses, 'max-batch-tokens')
    if (tokens) collector.set('maxNumBatchedTokens', tokens, positive)
    Object.assign(collector.options, optionsOf(uses))
    const revision = lastValue(uses, 'revision')
    return {
      collector,
      model: modelFrom(
        lastValue(uses, 'model-id')?.value,
        collector,
        revision ? { revision: revision.value.value } : {},
      ),
    }
  },
}
