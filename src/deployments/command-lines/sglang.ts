import type { ModelReference } from '../deployment.ts'
import {
  type FlagStyle,
  type FlagUse,
  keyUses,
  lastUse,
  lastValue,
  misspelt,
  optionsOf,
  walkFlags,
} from '../flags/flags.ts'
import { sglangFlags } from '../flags/sglang.ts'
import type { MapNode } from '../tree.ts'
import { Collector, fraction, gibibytes, modelFrom, type Parse, positive, sglangInteger, word } from '../values.ts'
import { parseYaml } from '../yaml.ts'
import { baseName, type CommandLine, type EngineReading, pythonModule, type Start, type Tools } from './command-line.ts'

const style: FlagStyle = { underscores: true, prefixes: true, dotted: false }
const MODULES = /^(?:sglang(?:\.launch_server|_router\.launch_server|\.bench_one_batch)?|dynamo\.sglang(?:\.worker)?)$/

export const sglang: CommandLine = {
  engine: 'sglang',
  title: 'SGLang: python -m sglang.launch_server, sglang serve, image entry point',
  marks: ['sglang', 'sgl-'],
  program: argv => {
    const python = pythonModule(argv)
    if (python) return MODULES.test(python.module) ? python.words + (argv[python.words] === 'serve' ? 1 : 0) : 0
    return baseName(argv[0] ?? '') === 'sglang' && /^(?:serve|launch)/.test(argv[1] ?? '') ? 2 : 0
  },
  telling: /--mem-fraction-static\b/,
  image: /(?:^|[/-])(?:sglang|sgl-dev|sgl-runtime|sglang-runtime|sglang-[a-z0-9-]+)$/,
  environment: /^(?:SGLANG|SGL)_/,
  read: readSglang,
}

async function readSglang(start: Start, tools: Tools): Promise<EngineReading | null> {
  if (start.form === 'image' && start.args.length === 0 && !start.keys) return null
  const walked = walkFlags(start.args, sglangFlags, style)
  const collector = new Collector()
  for (const hole of walked.holes) collector.holes(hole)
  const config = lastValue(walked.uses, 'config')
  const text = config ? (start.command.files.get(config.value.value) ?? (await tools.read(config.value.value))) : null
  const root = text ? parseYaml(text)[0]?.root : null
  const fromFile = root?.kind === 'map' ? keyUses(root, sglangFlags, style) : []
  const keyed = start.keys ? keyUses(start.keys, sglangFlags, style).filter(use => use.known) : []
  return readSglangUses([...fromFile, ...keyed, ...walked.uses], collector)
}

/** The options of a mapping: a `--config` file by itself. */
export function readSglangMap(map: MapNode): EngineReading {
  return readSglangUses(keyUses(map, sglangFlags, style), new Collector())
}

function tokens(text: string): number | undefined {
  const value = sglangInteger(text)
  return value !== undefined && value > 0 ? value : undefined
}

const NUMBERS = {
  maxModelLen: ['context-length', tokens],
  memoryFraction: ['mem-fraction-static', fraction],
  maxNumSeqs: ['max-running-requests', tokens],
  tensorParallel: ['tp-size', positive],
  pipelineParallel: ['pp-size', positive],
  dataParallel: ['dp-size', positive],
  contextParallel: ['attn-cp-size', positive],
  expertParallel: ['ep-size', positive],
  blockSize: ['page-size', positive],
  maxLoras: ['max-loras-per-batch', positive],
  maxLoraRank: ['max-lora-rank', positive],
  speculativeTokens: ['speculative-num-draft-tokens', positive],
  cpuOffloadBytes: ['cpu-offload-gb', gibibytes],
} as const
const WORDS = { dtype: 'dtype', quantization: 'quantization', kvCacheDtype: 'kv-cache-dtype' } as const

function readSglangUses(uses: readonly FlagUse[], collector: Collector): EngineReading {
  misspelt(uses, sglangFlags, collector)
  for (const [name, [flag, parse]] of Object.entries(NUMBERS) as [
    keyof typeof NUMBERS,
    readonly [string, Parse<number>],
  ][]) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name, written, parse)
  }
  for (const [name, flag] of Object.entries(WORDS) as [keyof typeof WORDS, string][]) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name, written, word)
  }
  // -1 switches chunking off: the option stays, the setting is none.
  const chunk = lastValue(uses, 'chunked-prefill-size')
  if (chunk && chunk.value.value.trim() !== '-1') collector.set('maxNumBatchedTokens', chunk, tokens)
  const attention = lastUse(uses, 'enable-dp-attention')
  const data = collector.settings.dataParallel
  if (attention?.on && data)
    collector.put('attentionDataParallel', data.value, { value: attention.flag, text: attention.text })
  for (const value of uses.filter(use => use.name === 'lora-paths').flatMap(use => use.values)) {
    const path = value.slice(value.value.indexOf('=') + 1)
    if (path.value !== '') collector.adapters.push(modelFrom(path, collector))
  }
  Object.assign(collector.options, optionsOf(uses))
  const draft = lastValue(uses, 'speculative-draft-model-path')
  const revision = lastValue(uses, 'revision')
  const model: ModelReference = modelFrom(
    lastValue(uses, 'model-path')?.value,
    collector,
    revision ? { revision: revision.value.value } : {},
  )
  const device = lastValue(uses, 'device')?.value.value
  const accelerator = device === 'cpu' || device === 'hpu' || device === 'npu' || device === 'xpu' ? device : null
  return { collector, model, draftModel: draft ? modelFrom(draft.value, collector) : null, accelerator }
}
