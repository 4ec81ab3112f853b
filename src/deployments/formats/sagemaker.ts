import type { Command } from '../command.ts'
import type { CommandLine } from '../command-lines/command-line.ts'
import { assemble, commandLines } from '../command-lines/index.ts'
import { type DeclaredHardware, type Deployment, noHardware } from '../deployment.ts'
import type { Context, FileFormat } from '../format.ts'
import { Text } from '../text.ts'
import { type Entry, MapNode, ScalarNode } from '../tree.ts'
import { modelFrom } from '../values.ts'
import { bareCommand } from './shell.ts'

export const sagemaker: FileFormat = {
  kind: 'file',
  name: 'sagemaker',
  title: 'SageMaker models in Terraform and Python: container environment and instance type',
  marks: ['hf_model_id', 'option_model_id', 'sm_vllm_model'],
  paths: path => /\.(?:tf|py)$/.test(path),
  read,
}

async function read(context: Context): Promise<Deployment[]> {
  const { text } = context
  if (!/HF_MODEL_ID|OPTION_MODEL_ID|SM_VLLM_MODEL/.test(text.value)) return []
  const variables = text.file.endsWith('.tf') ? await terraformDefaults(context) : new Map<string, Text>()
  const blocks = environments(text, variables)
  const instances = attributes(text, /\binstance_type\s{0,20}=\s{0,20}/g, variables)
  const images = attributes(text, /\b(?:image|image_uri|container_image)\s{0,20}=\s{0,20}/g, variables)
  const found: Deployment[] = []
  for (const [index, env] of blocks.entries()) {
    const model = env.get('HF_MODEL_ID') ?? env.get('OPTION_MODEL_ID') ?? env.get('SM_VLLM_MODEL')
    const image = images[index] ?? images[0] ?? null
    const line = engineOf(env, image, text)
    if (!model || !line) continue
    const instance = instances[index] ?? instances[0]
    const command: Command = { ...bareCommand(model), env, image, hardware: hardware(instance, env) }
    const reading = await line.read({ command, args: [], form: 'flags', keys: optionKeys(env, model) }, context)
    if (reading)
      found.push(
        assemble(
          line,
          command,
          { ...reading, model: modelFrom(model, reading.collector) },
          { format: 'sagemaker', name: 'model' },
        ),
      )
  }
  return found
}

/** Maps of variables that name a model: `environment = { … }`, `env={ … }`, `hub = { … }`. */
function environments(text: Text, variables: ReadonlyMap<string, Text>): Map<string, Text>[] {
  const found: Map<string, Text>[] = []
  for (const match of text.value.matchAll(
    /\{[^{}]{0,4000}?\b(?:HF_MODEL_ID|OPTION_MODEL_ID|SM_VLLM_MODEL)\b(?:[^{}]|\$\{[^{}]{0,200}\}){0,4000}\}/g,
  )) {
    const env = new Map<string, Text>()
    for (const pair of match[0].matchAll(
      /["']?\b([A-Z][A-Z0-9_]{2,60})\b["']?\s{0,40}[=:]\s{0,40}([^\n,#}]{1,300})/g,
    )) {
      const raw = pair[2]!.trimEnd()
      const from = match.index + pair.index + pair[0].length - pair[2]!.length
      env.set(pair[1]!, value(text.slice(from, from + raw.length), variables))
    }
    found.push(env)
    if (found.length >= 50) break
  }
  return found
}

function attributes(text: Text, pattern: RegExp, variables: ReadonlyMap<string, Text>): Text[] {
  return [...text.value.matchAll(pattern)].slice(0, 50).map(match => {
    const from = match.index + match[0].length
    const raw =
      /^(?:f?"[^"\n]{0,300}"|f?'[^'\n]{0,300}'|[^\s,#)]{1,200})/.exec(text.value.slice(from, from + 310))?.[0] ?? ''
    return value(text.slice(from, from + raw.length), variables)
  })
}

/** A literal without its quotes, a variable's default, or the name as a placeholder. */
function value(raw: Text, variables: ReadonlyMap<string, Text>): Text {
  const quoted = /^f?(["'])(.*)\1$/s.exec(raw.value)
  if (quoted) return raw.slice(raw.value.indexOf(quoted[1]!) + 1, raw.value.length - 1)
  const called = /^(?:tostring|str|jsonencode|json\.dumps)\(\s*(.*?)\s*\)$/.exec(raw.value)
  const name = (called?.[1] ?? raw.value).trim()
  if (/^\d+(?:\.\d+)?$/.test(name)) return Text.at(raw, name)
  return variables.get(name.replace(/^var\./, '')) ?? Text.at(raw, `\${${name.replace(/[^\w.]/g, '_').slice(0, 80)}}`)
}

/** `variable "x" { default = "…" }` of the file and of variables.tf beside it. */
async function terraformDefaults(context: Context): Promise<Map<string, Text>> {
  const defaults = new Map<string, Text>()
  const other = context.path.endsWith('variables.tf') ? null : await context.read('variables.tf')
  for (const text of [other, context.text]) {
    if (!text) continue
    for (const match of text.value.matchAll(
      /variable\s{1,9}"(\w{1,80})"\s{0,9}\{[^{}]{0,800}?\bdefault\s{0,20}=\s{0,20}(?:"([^"\n]{0,300})"|(\d[\w.]{0,20}))/g,
    )) {
      const found = match[2] ?? match[3] ?? ''
      const end = match.index + match[0].length - (match[2] === undefined ? 0 : 1)
      defaults.set(match[1]!, text.slice(end - found.length, end))
    }
  }
  return defaults
}

function engineOf(env: ReadonlyMap<string, Text>, image: Text | null, text: Text): CommandLine | undefined {
  const named =
    `${image?.value ?? ''} ${[...env.keys()].join(' ')} ${[...env.values()].map(one => one.value).join(' ')}`.toLowerCase()
  const engine = /sm_vllm|vllm|djl|lmi|option_/.test(named)
    ? 'vllm'
    : /tei|text-embeddings/.test(named)
      ? 'tei'
      : /tgi|text-generation|sm_num_gpus|max_total_tokens|get_huggingface_llm_image_uri/.test(
            `${named} ${text.value.includes('get_huggingface_llm_image_uri') ? 'tgi' : ''}`,
          )
        ? 'tgi'
        : null
  return commandLines.find(line => line.engine === engine)
}

/** LMI's `OPTION_…` and the vLLM container's `SM_VLLM_…` variables as options in vLLM's spelling. */
function optionKeys(env: ReadonlyMap<string, Text>, at: Text): MapNode {
  const entries: Entry[] = []
  for (const [name, text] of env) {
    const option = /^(?:OPTION|SM_VLLM)_(.+)$/.exec(name)?.[1]?.toLowerCase().replaceAll('_', '-')
    if (option)
      entries.push({
        key: Text.at(text, LMI_NAMES.get(option) ?? option),
        value: new ScalarNode(text.value, text, true),
      })
  }
  return new MapNode(entries, at)
}

const LMI_NAMES = new Map([
  ['tensor-parallel-degree', 'tensor-parallel-size'],
  ['pipeline-parallel-degree', 'pipeline-parallel-size'],
  ['max-rolling-batch-size', 'max-num-seqs'],
  ['max-rolling-batch-prefill-tokens', 'max-num-batched-tokens'],
  ['quantize', 'quantization'],
  ['model-id', 'model'],
])

function hardware(instance: Text | undefined, env: ReadonlyMap<string, Text>): DeclaredHardware {
  const count = env.get('SM_NUM_GPUS')
  const known = instance && !instance.value.includes('$')
  return {
    ...noHardware,
    names: known
      ? [{ name: instance.value, kind: 'instance-type', at: instance.place, text: `instance_type = ${instance.value}` }]
      : [],
    gpusPerReplica: count && /^\d{1,3}$/.test(count.value) ? Number(count.value) : null,
    ...(count ? { gpusAt: count.place, gpusText: `SM_NUM_GPUS = ${count.value}` } : {}),
  }
}
