import { withoutPlaceholders } from '../command.ts'
import type { ModelReference } from '../deployment.ts'
import {
  type FlagStyle,
  type FlagUse,
  jsonValue,
  keyUses,
  lastUse,
  lastValue,
  misspelt,
  optionsOf,
  walkFlags,
} from '../flags/flags.ts'
import { vllmFlags } from '../flags/vllm.ts'
import { imageName } from '../images.ts'
import type { Text } from '../text.ts'
import type { MapNode } from '../tree.ts'
import { Collector, fraction, gibibytes, modelFrom, type Parse, positive, vllmInteger, word } from '../values.ts'
import { parseYaml } from '../yaml.ts'
import { baseName, type CommandLine, type EngineReading, pythonModule, type Start, type Tools } from './command-line.ts'
import { environmentUses } from './environment.ts'

/** vLLM's parser: dashes and underscores are one, unique prefixes count, JSON flags have dotted forms. */
export const vllmStyle: FlagStyle = { underscores: true, prefixes: true, dotted: true }

const MODULES =
  /^(?:vllm\.entrypoints\.(?:openai\.)?api_server|vllm\.entrypoints\.cli\.main|vllm\.entrypoints\.openai\.rpc\.server|dynamo\.vllm|trl\.scripts\.vllm_serve|vllm)$/
const PROGRAMS = /^(?:vllm|vllm-openai|vllm_worker|trl)$/
/** ms-swift's server, which hands `--vllm_…` on to the backend. */
const SWIFT = /^(?:[^ ]*\/)?swift (?:deploy|rollout)$/
const VERBS = /^(?:serve|launch|vllm-serve)$/

export const vllm: CommandLine = {
  engine: 'vllm',
  title: 'vLLM: vllm serve, python -m vllm.entrypoints.openai.api_server, image entry point',
  marks: ['vllm'],
  program: argv => {
    const python = pythonModule(argv)
    if (python) {
      if (!MODULES.test(python.module)) return 0
      return VERBS.test(argv[python.words] ?? '') ? python.words + 1 : python.words
    }
    if (SWIFT.test(argv.slice(0, 2).join(' '))) return argv.some(word => /^(?:vllm$|--vllm_)|=vllm$/.test(word)) ? 2 : 0
    if (PROGRAMS.test(baseName(argv[0] ?? '')) && VERBS.test(argv[1] ?? '')) return 2
    const script = argv
      .slice(0, 3)
      .findIndex(word => /(?:^|\/)vllm\/entrypoints\/(?:openai\/)?api_server(?:\.py)?$/.test(word))
    return script < 0 ? 0 : script + 1
  },
  image: /(?:^|[/-])(?:vllm|vllm-openai|vllm-[a-z0-9.-]+|[a-z0-9-]+-vllm(?:-[a-z0-9-]+)?|llm-d(?:-[a-z]+)?)$/,
  telling: /--(?:max-model-len|gpu-memory-utilization|max-num-seqs)\b/,
  environment: /^VLLM_/,
  read: readVllm,
}

async function readVllm(start: Start, tools: Tools): Promise<EngineReading | null> {
  const plain = walkFlags(start.args, vllmFlags, vllmStyle)
  const words = start.command.argv.slice(0, 2).map(one => one.value)
  const walked = SWIFT.test(words.join(' ')) ? { ...plain, uses: plain.uses.map(handedOn) } : plain
  const collector = new Collector()
  for (const hole of walked.holes) collector.holes(hole)
  const [positional] = walked.positionals
  const config = lastValue(walked.uses, 'config')
  const fromFile = config ? await configFile(config.value, start, tools) : []
  const variables =
    start.form === 'image' && start.args.length === 0
      ? ['', 'VLLM_']
          .flatMap(prefix => environmentUses(start.command.env, vllmFlags, prefix))
          .filter(use => use.name !== 'model')
      : []
  const keyed = start.keys ? keyUses(start.keys, vllmFlags, vllmStyle).filter(use => use.known) : []
  const uses = [...variables, ...fromFile, ...keyed, ...walked.uses]
  const named =
    positional && (start.form !== 'image' || positional.value !== 'serve') ? positional : walked.positionals[1]
  const silent = start.form === 'image' && start.args.length === 0
  const alone = silent
    ? MODEL_VARIABLES.map(name => start.command.env.get(name)).find(one => one !== undefined)
    : undefined
  // An image of somebody's own that only has vllm in its name, and nothing else to say or an address of the server,
  // may be anything.
  if (
    silent &&
    !start.keys &&
    !OFFICIAL.test(imageName(start.command.image?.value ?? '')) &&
    (!alone || [...start.command.env.keys()].some(name => /^(?:VLLM|OPENAI|LLM)_.*(?:URL|ENDPOINT|BASE)$/.test(name)))
  )
    return null
  return readVllmUses(uses, named ?? alone ?? null, collector, start)
}

const OFFICIAL = /(?:^|\/)(?:vllm-openai|vllm-tpu|vllm)$/

/** Variables by which derived images take the model when they get no arguments. */
const MODEL_VARIABLES = ['SM_VLLM_MODEL', 'VLLM_MODEL', 'MODEL_ID', 'HF_MODEL_ID', 'MODEL_NAME', 'MODEL_PATH', 'MODEL']

const handedOn = (use: FlagUse): FlagUse => ({ ...use, name: use.name.replace(/^vllm[-_]/, ''), known: true })

/** `--config file.yaml`: its keys stand before the command line, which therefore wins. */
async function configFile(path: Text, start: Start, tools: Tools): Promise<FlagUse[]> {
  const text = start.command.files.get(path.value) ?? (await tools.read(path.value))
  const root = text ? parseYaml(text)[0]?.root : null
  return root?.kind === 'map' ? keyUses(root, vllmFlags, vllmStyle) : []
}

/** Settings that are one flag each. */
const NUMBERS = {
  maxNumSeqs: ['max-num-seqs', vllmPositive],
  maxNumBatchedTokens: ['max-num-batched-tokens', vllmPositive],
  tensorParallel: ['tensor-parallel-size', positive],
  pipelineParallel: ['pipeline-parallel-size', positive],
  dataParallel: ['data-parallel-size', positive],
  contextParallel: ['decode-context-parallel-size', positive],
  blockSize: ['block-size', positive],
  memoryFraction: ['gpu-memory-utilization', fraction],
  cpuOffloadBytes: ['cpu-offload-gb', gibibytes],
  kvCacheMemoryBytes: ['kv-cache-memory-bytes', vllmPositive],
  maxLoras: ['max-loras', positive],
  maxLoraRank: ['max-lora-rank', positive],
} as const

const WORDS = { dtype: 'dtype', quantization: 'quantization', kvCacheDtype: 'kv-cache-dtype' } as const

function vllmPositive(text: string): number | undefined {
  const value = vllmInteger(text)
  return value !== undefined && value > 0 ? value : undefined
}

/** A number of tokens, or auto (-1): the engine then solves for the largest that fits. */
const contextLength: Parse<number | 'auto'> = text => (/^(?:auto|-1)$/i.test(text) ? 'auto' : vllmPositive(text))

/** Reads vLLM's options, from whatever wrapper they came: flags, a YAML of flags, engine_kwargs, model.json. */
export function readVllmUses(
  uses: readonly FlagUse[],
  positional: Text | null,
  collector: Collector,
  start: Start | null,
): EngineReading {
  duplicates(uses, collector)
  misspelt(uses, vllmFlags, collector)
  const set = <K extends keyof typeof NUMBERS>(name: K): void => {
    const [flag, parse] = NUMBERS[name]
    const written = lastValue(uses, flag)
    if (written) collector.set(name, written, parse as Parse<number>)
  }
  for (const name of Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]) set(name)
  for (const [name, flag] of Object.entries(WORDS) as [keyof typeof WORDS, string][]) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name, written, word)
  }
  const context = lastValue(uses, 'max-model-len')
  if (context) collector.set('maxModelLen', context, contextLength)
  for (const [name, flag] of [
    ['expertParallel', 'enable-expert-parallel'],
    ['enforceEager', 'enforce-eager'],
  ] as const) {
    const use = lastUse(uses, flag)
    if (use) collector.put(name, use.on, { value: use.flag, text: use.text })
  }
  const draftModel = speculation(uses, collector)
  adapters(uses, collector)
  Object.assign(collector.options, optionsOf(uses))
  const flagged = lastValue(uses, 'model', 'model-path')
  const revision = lastValue(uses, 'revision')
  // A word far behind is no model where a flag names one: the rest of a comment, or of a value that was not quoted.
  const hidden =
    positional !== null &&
    flagged !== undefined &&
    (withoutPlaceholders(positional.value) === '' || start?.args.slice(0, 2).includes(positional) === false)
  const model = modelFrom(
    hidden ? flagged.value : (positional ?? flagged?.value),
    collector,
    revision ? { revision: revision.value.value } : {},
  )
  return { collector, model: quantized(model), draftModel, accelerator: device(uses, start) }
}

/** `repo:Q4_K_M` names a quantisation inside a GGUF repository. */
function quantized(model: ModelReference): ModelReference {
  const match = model.id ? /^([\w.-]+\/[\w.-]+):([\w.-]+)$/.exec(model.id) : null
  return match ? { ...model, id: match[1]!, variant: match[2]! } : model
}

function speculation(uses: readonly FlagUse[], collector: Collector): ModelReference | null {
  const config = jsonValue(uses, 'speculative-config')
  if (config === null) {
    const use = lastUse(uses, 'speculative-config')
    const value = use?.values[0]
    if (use && value && !collector.holes(value)) collector.refuse('speculative-config', { value, text: use.text })
  }
  const tokens = config?.object['num_speculative_tokens']
  if (config && Number.isSafeInteger(tokens) && (tokens as number) > 0) {
    const value = config.use.values[0] ?? config.use.flag
    const found = value.value.indexOf('num_speculative_tokens')
    collector.put('speculativeTokens', tokens as number, {
      value: found < 0 ? value : value.slice(found),
      text: config.use.text,
    })
  }
  const count = lastValue(uses, 'spec-tokens', 'num-speculative-tokens')
  if (count) collector.set('speculativeTokens', count, positive)
  const named = config?.object['model']
  if (config && typeof named === 'string' && named !== '') {
    const value = config.use.values[0] ?? config.use.flag
    const found = value.value.indexOf(named)
    return modelFrom(found < 0 ? value : value.slice(found, found + named.length), collector)
  }
  const old = lastValue(uses, 'spec-model', 'speculative-model')
  return old && old.value.value !== '[ngram]' ? modelFrom(old.value, collector) : null
}

/** `--lora-modules name=path …` or JSON objects with a path. */
function adapters(uses: readonly FlagUse[], collector: Collector): void {
  for (const value of uses.filter(use => use.name === 'lora-modules').flatMap(use => use.values)) {
    const json = /"path"\s*:\s*"([^"]+)"/.exec(value.value)
    const from = json ? value.value.indexOf(json[1]!, json.index + 6) : value.value.indexOf('=') + 1
    const path = json ? value.slice(from, from + json[1]!.length) : value.slice(from)
    if (path.value !== '') collector.adapters.push(modelFrom(path, collector))
  }
}

const DEVICES = { cpu: 'cpu', hpu: 'hpu', tpu: 'tpu', neuron: 'neuron', xpu: 'xpu', npu: 'npu', rocm: 'amd' } as const

/** `--device cpu` (earlier releases), VLLM_TARGET_DEVICE, or variables that only the CPU engine reads. */
function device(uses: readonly FlagUse[], start: Start | null): NonNullable<EngineReading['accelerator']> | null {
  const env = start?.command.env
  const cpu = env?.has('VLLM_CPU_KVCACHE_SPACE') || env?.has('VLLM_CPU_OMP_THREADS_BIND') ? 'cpu' : ''
  const said = lastValue(uses, 'device')?.value.value ?? env?.get('VLLM_TARGET_DEVICE')?.value ?? cpu
  return Object.hasOwn(DEVICES, said) ? DEVICES[said as keyof typeof DEVICES] : null
}

/** A flag given twice with different values: the last one wins, and the reader of the file should know. */
function duplicates(uses: readonly FlagUse[], collector: Collector): void {
  const seen = new Map<string, FlagUse>()
  for (const use of uses) {
    if (use.path !== null || !use.known) continue
    const before = seen.get(use.name)
    const value = (one: FlagUse): string => `${one.on} ${one.values.map(part => part.value).join(' ')}`
    if (before && value(before) !== value(use) && before.flag.file === use.flag.file)
      collector.note('duplicate-flag', 'warning', `--${use.name} is given twice; the last one counts`, use.flag)
    seen.set(use.name, use)
  }
}

/** The options of a mapping: a `--config` file by itself, `engine_kwargs`, a Triton model.json. */
export function readVllmMap(map: MapNode): EngineReading {
  return readVllmUses(keyUses(map, vllmFlags, vllmStyle), null, new Collector(), null)
}
