import type { ModelReference } from '../deployment.ts'
import { type FlagUse, lastValue, optionsOf, walkFlags } from '../flags/flags.ts'
import { llamacppFlags } from '../flags/llamacpp.ts'
import type { Text } from '../text.ts'
import { Collector, integer, modelFrom, positive, word } from '../values.ts'
import { baseName, type CommandLine, type EngineReading, pythonModule, type Start } from './command-line.ts'
import { environmentUses } from './environment.ts'

const style = { underscores: true, prefixes: false, dotted: false }

export const llamacpp: CommandLine = {
  engine: 'llamacpp',
  title: 'llama.cpp: llama-server, python -m llama_cpp.server, image entry point, LLAMA_ARG_ variables',
  marks: ['llama-server', 'llama.cpp', 'llama_cpp', 'llama-cpp', 'llama_arg_', 'llamacpp', '.gguf'],
  program: argv => {
    const python = pythonModule(argv)
    if (python) return python.module === 'llama_cpp.server' ? python.words : 0
    return /^(?:llama-server|llama-cli|llama-server-[\w.-]+|llamafile|server\.llama)$/.test(baseName(argv[0] ?? ''))
      ? 1
      : 0
  },
  image:
    /(?:^|\/)(?:llama\.cpp|llama-cpp|llamacpp|llama-server|llama-cpp-server|llamacpp-server|llama-cpp-python)(?:-[a-z0-9-]+)?$/,
  telling: /(?:^| )(?:--n-gpu-layers|-ngl)\b/,
  environment: /^(?:LLAMA_ARG_|GGML_)/,
  read: async start => readLlamacpp(start),
}

/** Names of the Python server's options in llama.cpp's own spelling. */
const PYTHON_NAMES = new Map([
  ['n-ctx', 'ctx-size'],
  ['n-gpu-layers', 'gpu-layers'],
  ['n-batch', 'batch-size'],
  ['n-ubatch', 'ubatch-size'],
  ['type-k', 'cache-type-k'],
  ['type-v', 'cache-type-v'],
  ['hf-model-repo-id', 'hf-repo'],
])

function readLlamacpp(start: Start): EngineReading | null {
  const { env } = start.command
  const walked = walkFlags(start.args, llamacppFlags, style)
  const variables = environmentUses(env, llamacppFlags, 'LLAMA_ARG_')
  if (start.form === 'image' && start.args.length === 0 && variables.length === 0) return null
  const uses = [...variables, ...walked.uses].map(use => ({ ...use, name: PYTHON_NAMES.get(use.name) ?? use.name }))
  const collector = new Collector()
  for (const hole of walked.holes) collector.holes(hole)
  // 0 means the model's own context: nothing is declared.
  const context = lastValue(uses, 'ctx-size')
  if (context && integer(context.value.value.trim()) !== 0) collector.set('maxModelLen', context, positive)
  for (const [name, flag] of [
    ['maxNumSeqs', 'parallel'],
    ['maxNumBatchedTokens', 'ubatch-size'],
  ] as const) {
    const written = lastValue(uses, flag) ?? (flag === 'parallel' ? variable(env, 'LLAMA_ARG_N_PARALLEL') : undefined)
    if (written && written.value.value.trim() !== '-1') collector.set(name, written, positive)
  }
  const cache = lastValue(uses, 'cache-type-k')
  if (cache) collector.set('kvCacheDtype', cache, word)
  const draft = lastValue(uses, 'model-draft', 'spec-draft-model', 'hf-repo-draft')
  const count = lastValue(uses, 'draft', 'spec-draft-n-max', 'draft-max')
  if (count) collector.set('speculativeTokens', count, positive)
  Object.assign(collector.options, optionsOf(uses))
  return {
    collector,
    model: modelOf(uses, env, collector),
    draftModel: draft ? modelFrom(draft.value, collector) : null,
  }
}

const variable = (env: ReadonlyMap<string, Text>, name: string): { value: Text; text: string } | undefined => {
  const value = env.get(name)
  return value ? { value, text: `${name}=${value.value}` } : undefined
}

/** `-m file.gguf`, else `-hf org/name[:quant]` with `--hf-file`. */
function modelOf(uses: readonly FlagUse[], env: ReadonlyMap<string, Text>, collector: Collector): ModelReference {
  const path = lastValue(uses, 'model')?.value
  if (path) return modelFrom(path, collector)
  const repo = lastValue(uses, 'hf-repo')?.value ?? env.get('LLAMA_ARG_HF_REPO')
  if (!repo) return modelFrom(lastValue(uses, 'model-url')?.value, collector)
  const file = lastValue(uses, 'hf-file')?.value.value
  const model = modelFrom(repo, collector)
  const colon = model.id?.indexOf(':') ?? -1
  const variant = file ?? (colon > 0 ? model.id!.slice(colon + 1) : undefined)
  return { ...model, id: colon > 0 ? model.id!.slice(0, colon) : model.id, ...(variant ? { variant } : {}) }
}
