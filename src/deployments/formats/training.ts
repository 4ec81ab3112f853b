import type { Command } from '../command.ts'
import { assemble } from '../command-lines/index.ts'
import type { Deployment, EngineName } from '../deployment.ts'
import type { DocumentFormat } from '../format.ts'
import type { Text } from '../text.ts'
import { at, type MapNode, mapAt, type Node, stringAt, textAt, textsOf } from '../tree.ts'
import { Collector, modelFrom, type Parse, positive, truth, word } from '../values.ts'
import { bareCommand } from './shell.ts'

export const training: DocumentFormat = {
  kind: 'document',
  name: 'training',
  title: 'Training configurations: Axolotl, LLaMA-Factory, TRL, ms-swift, torchtune',
  marks: ['base_model', 'model_name_or_path', 'tuner_type', 'train_type', '_component_'],
  claims: root => frameworkOf(root) !== null,
  read: async root => {
    const framework = frameworkOf(root)
    return root.kind === 'map' && framework ? [deployment(root, framework)] : []
  },
}

type Framework = Extract<EngineName, 'axolotl' | 'llamafactory' | 'trl' | 'ms-swift' | 'torchtune'>

/** Which trainer's configuration a document is; all are told by their keys, never by the file's name. */
function frameworkOf(root: Node): Framework | null {
  // An export only merges files: it neither serves nor trains.
  if (root.kind !== 'map' || root.get('apiVersion') || root.get('services') || root.get('export_dir')) return null
  const has = (...keys: string[]): boolean => keys.some(key => root.get(key) !== undefined)
  if (/^torchtune\.models\./.test(stringAt(root, 'model', '_component_') ?? '')) return 'torchtune'
  if (textAt(root, 'base_model') && has('sequence_len', 'micro_batch_size', 'adapter', 'datasets', 'rl'))
    return 'axolotl'
  if (textAt(root, 'model_name_or_path')) {
    if (has('finetuning_type', 'infer_backend') || (has('template') && has('stage', 'cutoff_len', 'do_train')))
      return 'llamafactory'
    if (
      has(
        'per_device_train_batch_size',
        'max_seq_length',
        'use_peft',
        'dataset_id_or_path',
        'dataset_mixer',
        'dataset_name',
      )
    )
      return 'trl'
  }
  if (textAt(root, 'model') && has('tuner_type', 'train_type') && has('dataset', 'max_length', 'output_dir'))
    return 'ms-swift'
  return null
}

/** Settings by the keys that hold them; the first key that stands there counts. */
const KEYS: readonly (readonly [string, readonly string[], Parse<number>])[] = [
  ['sequenceLength', ['sequence_len', 'cutoff_len', 'max_seq_length', 'max_length', 'tokenizer.max_seq_len'], positive],
  ['microBatchSize', ['micro_batch_size', 'per_device_train_batch_size', 'batch_size'], positive],
  ['gradientAccumulation', ['gradient_accumulation_steps'], positive],
  ['loraRank', ['lora_r', 'lora_rank', 'model.lora_rank'], positive],
  ['tensorParallel', ['tensor_parallel_size', 'tensor_model_parallel_size'], positive],
  ['pipelineParallel', ['pipeline_model_parallel_size', 'pipeline_parallel_size'], positive],
  ['contextParallel', ['context_parallel_size'], positive],
  ['expertParallel', ['expert_model_parallel_size'], positive],
]
const WORDS: readonly (readonly ['optimizer' | 'dtype', readonly string[]])[] = [
  ['optimizer', ['optimizer', 'optim', 'optimizer._component_']],
  ['dtype', ['torch_dtype', 'dtype']],
]

function deployment(root: MapNode, framework: Framework): Deployment {
  const collector = new Collector()
  for (const [name, keys, parse] of KEYS) {
    const found = first(root, keys)
    if (found) collector.set(name as 'microBatchSize', found, parse)
  }
  for (const [name, keys] of WORDS) {
    const found = first(root, keys)
    if (found) collector.set(name, found, word)
  }
  const checkpointing = first(root, ['gradient_checkpointing', 'enable_activation_checkpointing'])
  if (checkpointing) collector.set('gradientCheckpointing', checkpointing, truth)
  for (const key of ['bf16', 'fp16']) {
    const flag = first(root, [key])
    if (flag && truth(flag.value.value)) collector.put('precision', key, flag)
  }
  quantization(root, collector)
  method(root, framework, collector)
  targets(root, collector)
  const sharding = first(root, ['deepspeed'])
  if (sharding) collector.set('sharding', sharding, word)
  else if (at(root, 'fsdp') ?? at(root, 'fsdp_config'))
    collector.put('sharding', 'fsdp', evidence(root, 'fsdp') ?? evidence(root, 'fsdp_config')!)
  const named =
    textAt(root, 'base_model') ?? textAt(root, 'model_name_or_path') ?? textAt(root, 'model') ?? checkpoint(root)
  const revision = stringAt(root, 'model_revision')
  const model = modelFrom(named, collector, revision ? { revision } : {})
  for (const adapter of textsOf(at(root, 'adapter_name_or_path')))
    collector.adapters.push(modelFrom(adapter, collector))
  const command: Command = bareCommand(named ?? root.entries[0]?.key ?? root.start)
  const served = framework === 'llamafactory' && root.get('infer_backend') !== undefined
  return {
    ...assemble(
      { engine: framework, environment: /^$/ },
      command,
      { collector, model },
      { format: 'training', name: framework },
    ),
    workload: served ? 'serve' : 'train',
  }
}

function first(root: MapNode, keys: readonly string[]): { value: Text; text: string } | undefined {
  for (const key of keys) {
    const value = textAt(root, ...key.split('.'))
    if (value) return { value, text: `${key}: ${value.value}` }
  }
  return undefined
}

/** The key itself as evidence, where the value is a mapping. */
function evidence(root: MapNode, key: string): { value: Text; text: string } | undefined {
  const entry = root.entries.find(one => one.key.value === key)
  return entry ? { value: entry.key, text: `${key}:` } : undefined
}

function quantization(root: MapNode, collector: Collector): void {
  for (const [key, bits] of [
    ['load_in_4bit', 4],
    ['load_in_8bit', 8],
  ] as const) {
    const flag = first(root, [key])
    if (flag && truth(flag.value.value)) collector.put('quantization', `bitsandbytes-${bits}bit`, flag)
  }
  const bits = first(root, ['quantization_bit', 'quant_bits'])
  const by = stringAt(root, 'quantization_method') ?? stringAt(root, 'quant_method') ?? 'bnb'
  if (bits && /^[2348]$/.test(bits.value.value))
    collector.put('quantization', `${by === 'bnb' ? 'bitsandbytes' : by}-${bits.value.value}bit`, bits)
}

/** full, lora or qlora: an adapter on a model that is quantised as it is loaded. */
function method(root: MapNode, framework: Framework, collector: Collector): void {
  const component = first(root, ['model._component_'])
  const said = first(root, ['adapter', 'finetuning_type', 'tuner_type', 'train_type'])
  const peft = first(root, ['use_peft'])
  const loaded = collector.settings.quantization !== undefined
  if (framework === 'torchtune' && component)
    collector.put('method', /\.(qlora|lora)_/.exec(component.value.value)?.[1] ?? 'full', component)
  else if (said && !collector.holes(said.value))
    collector.put('method', said.value.value === 'lora' && loaded ? 'qlora' : said.value.value, said)
  else if (peft && truth(peft.value.value)) collector.put('method', loaded ? 'qlora' : 'lora', peft)
}

function targets(root: MapNode, collector: Collector): void {
  for (const key of ['lora_target_modules', 'lora_target', 'target_modules', 'lora_target_linear']) {
    const node = at(root, key)
    const [head] = textsOf(node)
    if (!head) continue
    const value =
      node?.kind === 'list'
        ? textsOf(node).map(one => one.value)
        : key === 'lora_target_linear'
          ? 'all-linear'
          : head.value
    collector.put('loraTargets', value, {
      value: head,
      text: `${key}: ${Array.isArray(value) ? value.join(', ') : head.value}`,
    })
    return
  }
}

/** torchtune names a folder of files, which is a path and no id. */
function checkpoint(root: MapNode): Text | undefined {
  return textAt(mapAt(root, 'checkpointer'), 'checkpoint_dir')
}
