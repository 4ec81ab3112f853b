import { type FlagStyle, type FlagUse, lastUse, lastValue, optionsOf, walkFlags } from '../flags/flags.ts'
import { trtllmFlags } from '../flags/trtllm.ts'
import type { Text } from '../text.ts'
import { at, type MapNode, stringAt } from '../tree.ts'
import { Collector, fraction, modelFrom, type Parse, positive, truth, type Written, word } from '../values.ts'
import { parseYaml } from '../yaml.ts'
import { baseName, type CommandLine, type EngineReading, pythonModule, type Start, type Tools } from './command-line.ts'

const style: FlagStyle = { underscores: true, prefixes: false, dotted: false }
const SUBCOMMANDS = new Set(['serve', 'serve_encoder', 'mm_embedding_serve', 'throughput', 'latency', 'build'])

export const trtllm: CommandLine = {
  engine: 'trtllm',
  title: 'TensorRT-LLM: trtllm-serve, trtllm-bench, dynamo.trtllm, the options YAML',
  marks: ['trtllm', 'trt_llm', 'tensorrt', 'llm_api'],
  program: argv => {
    if (pythonModule(argv)?.module === 'dynamo.trtllm') return pythonModule(argv)!.words
    if (pythonModule(argv)?.module === 'tensorrt_llm.commands.serve') return pythonModule(argv)!.words
    const words = argv.slice(0, 4).map(baseName)
    const start = words.findIndex(one => /^trtllm-(?:serve|bench|llmapi-launch)$/.test(one))
    if (start < 0 || (start > 0 && words[0] !== 'trtllm-llmapi-launch')) return 0
    if (words[start] === 'trtllm-llmapi-launch') return /^trtllm-serve$/.test(words[start + 1] ?? '') ? start + 2 : 0
    return start + 1
  },
  image: /(?:^|[/-])(?:tensorrt-llm|tensorrtllm|trtllm|tensorrtllm-runtime)$/,
  environment: /^(?:TRTLLM|TLLM)_/,
  read: readTrtllm,
}

async function readTrtllm(start: Start, tools: Tools): Promise<EngineReading | null> {
  if (start.form === 'image' && start.args.length === 0) return null
  const { uses, positionals, holes } = walkFlags(start.args, trtllmFlags, style)
  const collector = new Collector()
  for (const hole of holes) collector.holes(hole)
  for (const [name, [flag, parse]] of Object.entries(FLAGS)) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name as 'maxNumSeqs', written, parse)
  }
  for (const [name, flag] of [
    ['dtype', 'dtype'],
    ['kvCacheDtype', 'kv-cache-dtype'],
    ['quantization', 'quantization'],
  ] as const) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name, written, word)
  }
  const attention = lastUse(uses, 'enable-attention-dp')
  if (attention?.on) attentionParallel(collector, { value: attention.flag, text: attention.text })
  Object.assign(collector.options, optionsOf(uses))
  const positional = positionals.find(one => !SUBCOMMANDS.has(one.value)) ?? null
  const config = lastValue(uses, 'config')
  const text = config ? (start.command.files.get(config.value.value) ?? (await tools.read(config.value.value))) : null
  const root = text ? parseYaml(text)[0]?.root : null
  const named = root?.kind === 'map' ? readKeys(root, collector) : null
  return { collector, model: modelFrom(named ?? positional ?? modelFlag(uses), collector) }
}

const modelFlag = (uses: readonly FlagUse[]): Text | undefined => lastValue(uses, 'model')?.value

const FLAGS: Readonly<Record<string, readonly [string, Parse<number>]>> = {
  maxModelLen: ['max-seq-len', positive],
  memoryFraction: ['free-gpu-memory-fraction', fraction],
  maxNumSeqs: ['max-batch-size', positive],
  maxNumBatchedTokens: ['max-num-tokens', positive],
  tensorParallel: ['tensor-parallel-size', positive],
  pipelineParallel: ['pipeline-parallel-size', positive],
  contextParallel: ['context-parallel-size', positive],
  expertParallel: ['moe-expert-parallel-size', positive],
}

/** Keys of the options YAML (LlmArgs), of flat recipe files, and of the TensorRT backend's build section. */
const KEYS: readonly (readonly [string, readonly string[], Parse<number>])[] = [
  ['maxModelLen', ['max_seq_len', 'max_seqlen'], positive],
  [
    'memoryFraction',
    [
      'kv_cache_config.free_gpu_memory_fraction',
      'kv_cache_free_gpu_mem_fraction',
      'kv_cache_free_gpu_memory_fraction',
      'free_gpu_memory_fraction',
    ],
    fraction,
  ],
  ['maxNumSeqs', ['max_batch_size'], positive],
  ['maxNumBatchedTokens', ['max_num_tokens'], positive],
  ['tensorParallel', ['tensor_parallel_size', 'tp_size'], positive],
  ['pipelineParallel', ['pipeline_parallel_size', 'pp_size'], positive],
  ['contextParallel', ['context_parallel_size', 'cp_size'], positive],
  ['expertParallel', ['moe_expert_parallel_size', 'ep_size'], positive],
  ['blockSize', ['kv_cache_config.tokens_per_block'], positive],
  ['speculativeTokens', ['speculative_config.max_draft_len', 'speculative_config.num_nextn_predict_layers'], positive],
]

/** Keys that are options here: their dashed names, and where they stand. Lists are joined by commas. */
const OPTIONS: readonly (readonly [string, string])[] = [
  ['max-tokens', 'kv_cache_config.max_tokens'],
  ['max-attention-window', 'kv_cache_config.max_attention_window'],
  ['max-beam-width', 'max_beam_width'],
  ['backend', 'backend'],
]

function readOptionKeys(source: MapNode, collector: Collector): void {
  for (const [name, path] of OPTIONS) {
    const node = at(source, ...path.split('.'))
    if (node === undefined || node.kind === 'map' || (node.kind === 'scalar' && node.value === null)) continue
    const items = node.kind === 'list' ? node.items.slice(0, 500) : [node]
    const value = items.map(item => (item.kind === 'scalar' ? item.text.value : '')).join(',')
    const place = node.kind === 'list' ? node.start.place : node.text.place
    collector.options[name] = { value, at: place, text: `${path}: ${value}`.slice(0, 300) }
  }
}

/** The options YAML: it overwrites what the command line said. Returns the model it names. */
function readKeys(map: MapNode, collector: Collector): Text | null {
  const nested = at(map, 'llm_api_args')
  for (const source of [map, ...(nested?.kind === 'map' ? [nested] : [])]) {
    for (const [name, paths, parse] of KEYS) {
      for (const path of paths) {
        const written = keyValue(source, path)
        if (written) collector.set(name as 'maxNumSeqs', written, parse)
      }
    }
    for (const [name, path] of [
      ['kvCacheDtype', 'kv_cache_config.dtype'],
      ['dtype', 'dtype'],
      ['quantization', 'quant_config.quant_algo'],
    ] as const) {
      const written = keyValue(source, path)
      if (written) collector.set(name, written, word)
    }
    readOptionKeys(source, collector)
    const attention = keyValue(source, 'enable_attention_dp')
    if (attention && truth(attention.value.value)) attentionParallel(collector, attention)
  }
  if (at(map, 'build_config') && stringAt(map, 'backend') !== 'tensorrt') {
    const key = map.entries.find(entry => entry.key.value === 'build_config')!.key
    collector.note(
      'build-config-unused',
      'warning',
      'build_config has no effect with the PyTorch backend; set the limits at the top level',
      key,
    )
  }
  const model = keyValue(map, 'model')
  return model?.value ?? null
}

function attentionParallel(collector: Collector, written: Written): void {
  const tensor = collector.settings.tensorParallel?.value
  if (tensor !== undefined) collector.put('attentionDataParallel', tensor, written)
}

function keyValue(map: MapNode, path: string): Written | undefined {
  const node = at(map, ...path.split('.'))
  return node?.kind === 'scalar' && node.value !== null
    ? { value: node.text, text: `${path}: ${node.text.value}` }
    : undefined
}

/** The options of a mapping: an options YAML by itself. */
export function readTrtllmMap(map: MapNode): EngineReading {
  const collector = new Collector()
  const model = readKeys(map, collector)
  return { collector, model: modelFrom(model, collector) }
}
