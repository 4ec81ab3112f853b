import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { calculate, unknownTypes } from '../calculate.ts'
import { document } from '../calculator/document.ts'
import { engineTable } from '../calculator/engine-table.ts'
import { calculationText, typesText } from '../calculator/render.ts'
import { type Given, type OptionsFile, type Request, resolveRequest } from '../calculator/request.ts'
import type { Calculation } from '../calculator/result.ts'
import { builtInTables, type Tables, tablesFrom } from '../calculator/tables-from-files.ts'
import { findModelFor } from '../find-model.ts'
import type { Gpu } from '../hardware/gpu.ts'
import type { ModelFacts } from '../models/facts.ts'
import { bad, good, type Problem, type Result } from '../problem.ts'
import { writeText } from '../repository/write-text.ts'
import { type Flag, helpFlag, helpText, type Parsed } from './arguments.ts'
import { command } from './command.ts'
import { type Process, refuse } from './process.ts'
import { progress, styleOf } from './terminal.ts'

const ENGINES = ['vllm', 'sglang', 'tgi', 'trtllm', 'llamacpp', 'ollama', 'transformers'] as const

const flags: readonly Flag[] = [
  {
    name: 'model',
    type: 'list',
    shows: 'ID',
    help: 'Hugging Face id, org/name; several, or positional, print one table',
  },
  { name: 'model-path', type: 'text', shows: 'DIR', help: "local directory with the model's config.json" },
  {
    name: 'dtype',
    type: 'text',
    shows: 'LIST',
    optional: true,
    help: 'data types, comma separated; default by name, config, then fp16',
  },
  { name: 'list-types', type: 'boolean', help: 'print the data types and GPUs, and stop' },
  { name: 'max-batch-size', type: 'text', shows: 'N', help: 'batch size (default 1)' },
  { name: 'max-seq-len', type: 'text', shows: 'N', help: 'sequence length (default 2048)' },
  { name: 'lora-rank', type: 'text', shows: 'N', help: 'rank of LoRA fine-tuning (default 64)' },
  { name: 'max-num-tokens', type: 'text', shows: 'N', help: 'tokens of one step, for activations (default 8192)' },
  { name: 'tp', type: 'text', shows: 'N', help: 'tensor-parallel size (default 1)' },
  { name: 'pp', type: 'text', shows: 'N', help: 'pipeline-parallel size (default 1)' },
  { name: 'ep', type: 'text', shows: 'N', help: 'expert-parallel size (default 1)' },
  {
    name: 'extra-llm-api-options',
    type: 'text',
    shows: 'FILE',
    help: 'YAML of trtllm-bench; the command line wins over it',
  },
  { name: 'output-json', type: 'text', shows: 'FILE', help: 'write the figures as JSON' },
  {
    name: 'log-level',
    type: 'text',
    shows: 'info|verbose',
    help: 'verbose adds parallel strategies and the GPU matrix',
  },
  {
    name: 'config-dir',
    type: 'text',
    shows: 'DIR',
    help: 'data_types.json, gpu_types.json, display_settings.json in place of the built-in ones',
  },
  {
    name: 'method',
    type: 'text',
    values: ['rule-of-thumb', 'engine'],
    help: 'which table comes first (default rule-of-thumb)',
  },
  { name: 'engine', type: 'text', values: ENGINES, help: 'engine of the second table (default vllm)' },
  { name: 'target', type: 'text', shows: 'GPU', help: 'GPU whose engine defaults the second table takes' },
  { name: 'revision', type: 'text', shows: 'REV', help: 'commit, tag or branch of the model' },
  { name: 'offline', type: 'boolean', help: 'no network: local directory, lock file and catalogue only' },
  { name: 'refresh', type: 'boolean', help: 'ask the Hub also for models of the catalogue' },
  { name: 'version', type: 'boolean', help: 'print the version' },
  helpFlag,
]

const help = helpText(
  'hf-vram-calc [estimate] --model ID [FLAG ...]',
  'Memory of a model by data type and scenario: by the rule of thumb of the original tool, and below it what an engine really needs for the same settings.',
  flags,
  [
    'Flags may be spelt with underscores (--max_seq_len). A token for gated models is read from HF_TOKEN.',
    '',
    'Examples:',
    '  hf-vram-calc --model mistralai/Mistral-7B-v0.1',
    '  hf-vram-calc --model mistralai/Mistral-7B-v0.1 --dtype bf16,fp8 --max_batch_size 4 --max_seq_len 4096',
    '  hf-vram-calc Qwen/Qwen3-32B --tp 2 --log_level verbose',
    '  hf-vram-calc --extra_llm_api_options options.yaml --output_json result.json',
  ].join('\n'),
)

export const calculateCommand = command(flags, help, async (options, process) => {
  if (options.on['version']) {
    const { version } = await import('../version.ts')
    process.stdout.write(`hf-vram-calc ${version}\n`)
    return 0
  }
  const yaml = await optionsFile(options, process)
  if (!yaml.ok) return refuse(process, [yaml.problem])
  const names = [
    ...(options.list['model'] ?? []).flatMap(text => text.split(',')).map(text => text.trim()),
    ...options.positionals,
  ].filter(text => text !== '')
  const requests = (names.length > 0 ? names : [null]).map(name => resolveRequest(given(options, name), yaml.value))
  const wrong = requests.find(request => !request.ok)
  if (wrong && !wrong.ok) return refuse(process, [wrong.problem])
  const wanted = requests.map(request => (request as { value: Request }).value)
  const first = wanted[0]!
  const tables = readTables(first.configDir, process)
  if (!tables.ok) return refuse(process, [tables.problem])
  const style = styleOf(process.stdout, process.env)
  if (first.listTypes) {
    process.stdout.write(typesText(tables.value, style))
    return 0
  }
  if (first.model === null && first.modelPath === null)
    return refuse(process, [
      { code: 'usage', message: 'no model is named', hint: 'give --model ORG/NAME, or --list_types for what is known' },
    ])

  const gpu = await targetGpu(options.text['target'])
  if (!gpu.ok) return refuse(process, [gpu.problem])
  const unknown = wanted.map(request => unknownType(request, tables.value)).find(problem => problem !== null)
  if (unknown) return refuse(process, [unknown])
  const calculations: Calculation[] = []
  let failed = false
  const status = progress(process.stderr, process.env)
  for (const request of wanted) {
    status.say(`finding ${request.model ?? request.modelPath}`)
    const calculation = await calculateOne(request, options, tables.value, gpu.value, process)
    if (calculation.ok) calculations.push(calculation.value)
    else {
      status.end()
      failed = true
      const code = refuse(process, [calculation.problem], calculation.problem.code === 'usage' ? 2 : 1)
      if (code === 2) return code
    }
  }
  status.end()
  if (calculations.length > 0) {
    process.stdout.write(calculationText(calculations, tables.value, style, options.text['method'] === 'engine'))
    const file = options.text['output-json']
    if (file !== undefined) {
      const trouble = writeDocument(resolve(process.cwd(), file), calculations)
      if (trouble !== null) return refuse(process, [trouble])
      process.stdout.write(`\nResults written to ${file}\n`)
    }
  }
  return failed ? 1 : 0
})

function given(options: Parsed, model: string | null): Given {
  const { text } = options
  const take = (flag: string, key: keyof Given) => (text[flag] === undefined ? {} : { [key]: text[flag] })
  return {
    ...(model === null ? {} : { model }),
    ...take('model-path', 'modelPath'),
    ...take('dtype', 'dtype'),
    ...take('max-batch-size', 'maxBatchSize'),
    ...take('max-seq-len', 'maxSeqLen'),
    ...take('lora-rank', 'loraRank'),
    ...take('tp', 'tp'),
    ...take('pp', 'pp'),
    ...take('ep', 'ep'),
    ...take('max-num-tokens', 'maxNumTokens'),
    ...take('log-level', 'logLevel'),
    ...take('config-dir', 'configDir'),
    ...(options.on['list-types'] === undefined ? {} : { listTypes: options.on['list-types'] }),
  }
}

async function optionsFile(options: Parsed, process: Process): Promise<Result<OptionsFile | null>> {
  const file = options.text['extra-llm-api-options']
  if (file === undefined) return good(null)
  let text: string
  try {
    text = readFileSync(resolve(process.cwd(), file), 'utf8')
  } catch {
    return bad('usage', `options file ${JSON.stringify(file)} cannot be read`, { hint: 'give the path of a YAML file' })
  }
  const { isNode, LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const parsed = parseDocument(text, { lineCounter: lines, merge: true })
  const error = parsed.errors[0]
  if (error) {
    const at = lines.linePos(error.pos[0])
    return bad('usage', `options file is not valid YAML: ${error.message.split('\n')[0]}`, {
      at: { file, line: at.line, column: at.col },
    })
  }
  const value: unknown = parsed.toJS({ maxAliasCount: 100 })
  if (value === null) return good({ keys: {}, at: () => null })
  if (typeof value !== 'object' || Array.isArray(value))
    return bad('usage', `options file ${file} is no mapping`, {
      hint: 'write keys such as build_config: { max_batch_size: 8 }',
    })
  return good({
    keys: value as { [key: string]: unknown },
    at: key => {
      const node = parsed.getIn(key.split('.'), true)
      const start = isNode(node) ? node.range?.[0] : undefined
      if (start === undefined) return null
      const { line, col } = lines.linePos(start)
      return { file, line, column: col }
    },
  })
}

function readTables(directory: string | null, process: Process): Result<Tables> {
  if (directory === null) return good(builtInTables)
  const folder = resolve(process.cwd(), directory)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    return bad('path-missing', `--config_dir ${JSON.stringify(directory)} is no directory`, {
      hint: 'give a directory with data_types.json or gpu_types.json',
    })
  return tablesFrom(directory, name => {
    const path = join(folder, name)
    return existsSync(path) ? readFileSync(path, 'utf8') : null
  })
}

async function targetGpu(text: string | undefined): Promise<Result<Gpu | null>> {
  if (text === undefined) return good(null)
  const { lookUpGpu } = await import('../hardware/look-up.ts')
  const found = lookUpGpu(text)
  return found.ok ? good(found.value.gpu) : found
}

/** Unknown data types are refused before any model is looked for; so is a table without what LoRA is computed with. */
function unknownType(request: Request, tables: Tables): Problem | null {
  const known = tables.dataTypes.map(row => row.name)
  if (!known.includes('fp16'))
    return {
      code: 'usage',
      message: `the data types of --config_dir (${known.join(', ')}) lack fp16, which the rule computes LoRA with`,
      hint: 'add fp16 with bytes_per_param 2 to data_types.json',
    }
  return unknownTypes(request.dtypes ?? [], tables)
}

async function calculateOne(
  request: Request,
  options: Parsed,
  tables: Tables,
  gpu: Gpu | null,
  process: Process,
): Promise<Result<Calculation>> {
  const facts =
    request.modelPath === null
      ? await factsOf(request.model!, options, process)
      : await localModel(request.modelPath, request.model, process)
  if (!facts.ok) return facts
  const name = request.model ?? request.modelPath!
  const calculation = calculate(name, facts.value, request, tables, engineTable(options.text['engine'] ?? 'vllm', gpu))
  if (calculation.ok || calculation.problem.code === 'usage') return calculation
  return { ok: false, problem: { ...calculation.problem, message: `${name}: ${calculation.problem.message}` } }
}

async function factsOf(model: string, options: Parsed, process: Process): Promise<Result<ModelFacts>> {
  const find = await findModelFor({
    models: new Map(),
    repository: null,
    lockFile: null,
    offline: options.on['offline'] ?? false,
    refresh: options.on['refresh'] ?? false,
    env: process.env,
  })
  return find.ok ? find.value.findModel({ id: model, revision: options.text['revision'] ?? null, variant: null }) : find
}

async function localModel(path: string, name: string | null, process: Process): Promise<Result<ModelFacts>> {
  const folder = resolve(process.cwd(), path)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    return bad('model-not-found', `--model_path ${JSON.stringify(path)} is no directory`, {
      hint: 'give a directory that holds config.json',
    })
  const [{ localFacts }, { workingTree }] = await Promise.all([
    import('../models/sources/local.ts'),
    import('../repository/working-tree.ts'),
  ])
  const found = await localFacts(workingTree(folder), '.', name ?? path)
  if (found.ok || found.problem.code !== 'model-not-found') return found
  return bad('model-not-found', `--model_path ${JSON.stringify(path)} holds no config.json`, {
    hint: "give a directory with the model's config.json or GGUF file",
  })
}

function writeDocument(path: string, calculations: readonly Calculation[]): Problem | null {
  const content = calculations.length === 1 ? document(calculations[0]!) : calculations.map(document)
  const hindered = writeText(path, `${JSON.stringify(content, null, 2)}\n`)
  return hindered === null ? null : { code: 'usage', message: `the JSON file cannot be written: ${hindered}` }
}
