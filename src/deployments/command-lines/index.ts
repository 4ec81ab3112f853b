import { type Command, placeholders, withoutPlaceholders } from '../command.ts'
import type { DeclaredHardware, Deployment } from '../deployment.ts'
import { noHardware } from '../deployment.ts'
import { imageAccelerator, imageName, imageVersion } from '../images.ts'
import { baseName, type CommandLine, type EngineReading, type Start, type Tools } from './command-line.ts'
import { customTraining } from './custom-training.ts'
import { infinity } from './infinity.ts'
import { llamacpp } from './llamacpp.ts'
import { lmdeploy } from './lmdeploy.ts'
import { nim } from './nim.ts'
import { ollama } from './ollama.ts'
import { sglang } from './sglang.ts'
import { tei, tgi } from './tgi.ts'
import { llamafactoryCli, swift, trlCli } from './trainers.ts'
import { triton } from './triton.ts'
import { trtllm } from './trtllm.ts'
import { vllm } from './vllm.ts'

/** Every engine command line, in order of recognition. */
export const commandLines: readonly CommandLine[] = [
  vllm,
  sglang,
  tgi,
  tei,
  trtllm,
  llamacpp,
  ollama,
  lmdeploy,
  infinity,
  nim,
  triton,
  swift,
  llamafactoryCli,
  trlCli,
  customTraining,
]

/** What stands around engines and is named after them. */
const NO_ENGINE =
  /(?:^|[-_/.])(?:router|routing|exporter|metrics|proxy|bench(?:mark)?s?|client|ui|webui|web|gateway|downloader|loader|operator|controller|tests?|eval|dashboard|sidecar|scheduler|syncer|adapter|frontend|mock|sim|simulator|planner|epp)(?:$|[-_.])/

/** Which engine a command starts, if any: program words first, then the image, then flags beside a name. */
export function recognise(command: Command): { readonly line: CommandLine; readonly start: Start } | null {
  const argv = command.argv.slice(0, 24).map(word => word.value)
  for (const line of commandLines) {
    const words = argv.length > 0 ? line.program(argv) : 0
    if (words > 0) return { line, start: { command, args: command.argv.slice(words), form: 'program' } }
  }
  if (command.scripted) return null
  const [first = '-'] = argv
  // An image's entry point gets flags, or the model alone: an id, a path that looks like one; programs are neither.
  const bare =
    /^(?:-|serve$|v2$|[$\uE000])/.test(first) ||
    (/^[\w-][\w.-]*\/[\w.-]+$|^\/(?:mnt\/|data\/|\S*(?:model|weights|checkpoint|snapshots|\d[bB](?![a-z])))/.test(
      first,
    ) &&
      !/\s|bin\/|\.(?:sh|py)$/.test(first))
  if (!bare) return null
  const hidden =
    command.image !== null &&
    placeholders(command.image.value).length > 0 &&
    !/[a-z]/i.test(withoutPlaceholders(command.image.value).replace(/:.*$/, ''))
  if (command.image && !hidden) {
    const name = imageName(command.image.value)
    const flags = command.argv.map(word => word.value).join(' ')
    const line = NO_ENGINE.test(name)
      ? undefined
      : (commandLines.find(candidate => candidate.image.test(name)) ??
        (first.startsWith('-') ? commandLines.find(candidate => candidate.telling?.test(flags)) : undefined))
    if (line) return { line, start: { command, args: command.argv, form: 'image' } }
  }
  const signed = commandLines.find(candidate => candidate.signature?.(command.env))
  if (signed) return { line: signed, start: { command, args: command.argv, form: 'flags' } }
  if (command.image && !hidden) return null
  // A patch of a pod may hold nothing but the model's variable: then the object's name tells the engine.
  if (argv.length === 0 && !command.env.has('MODEL_ID')) return null
  const names = [...command.names, hidden ? command.image!.value : ''].join(' ').toLowerCase()
  const hinted = commandLines.find(candidate => candidate.marks.some(mark => names.includes(mark)))
  return hinted ? { line: hinted, start: { command, args: command.argv, form: 'flags' } } : null
}

/** Who found a command, for the deployment's id and format. */
export interface Finder {
  readonly format: string
  /** Object path or service name: what stands after the file in the id. */
  readonly name: string
}

/** Reads a command as a deployment; null when it starts no engine that is known. Never throws for any text. */
export async function deploymentOf(command: Command, finder: Finder, tools: Tools): Promise<Deployment | null> {
  const found = recognise(command)
  if (!found || found.start.args.some(word => /^--(?:help|version)$/.test(word.value))) return null
  const reading = await found.line.read(found.start, tools)
  if (!reading) return null
  const { settings, unresolved } = reading.collector
  const bare = reading.model.id === null && unresolved.length === 0 && Object.keys(settings).length === 0
  // Nothing but a name: too little to call it an engine.
  if (bare && found.start.form === 'flags') return null
  return assemble(found.line, command, reading, finder)
}

/** Puts the engine's reading and the container's facts together. */
export function assemble(
  line: Pick<CommandLine, 'engine' | 'environment'>,
  command: Command,
  reading: EngineReading,
  finder: Finder,
): Deployment {
  const { collector, model } = reading
  const start = command.argv[0] ?? command.image ?? command.at
  const location = model.at ?? start.place
  const version = command.image ? imageVersion(command.image.value, line.engine) : null
  if (command.image && (model.id === null || collector.unresolved.length > 0)) collector.holes(command.image)
  return {
    id: `${command.at.file}#${finder.name}`,
    location,
    format: finder.format,
    workload: reading.workload ?? 'serve',
    engine: { name: line.engine, version, at: start.place },
    model: hinted(model, command),
    draftModel: reading.draftModel ?? null,
    adapters: collector.adapters,
    unresolved: collector.unresolved,
    settings: collector.settings,
    options: collector.options,
    environment: { ...environmentOf(command, line.environment), ...collector.environment },
    hardware: hardwareOf(command, reading),
    findings: collector.findings,
  }
}

/** A model on a mounted path: the host's side of the mount names it better, but proves nothing. */
function hinted(model: Deployment['model'], command: Command): Deployment['model'] {
  const id = model.id
  if (id === null || model.hint !== undefined || !id.startsWith('/')) return model
  const cached = /models--([\w.-]+?)--([\w.-]+)(?:\/|$)/.exec(id)
  if (cached) return { ...model, id: `${cached[1]}/${cached[2]}` }
  const mount = command.mounts
    .filter(
      one =>
        id === one.container || id.startsWith(`${one.container.replace(/\/$/, '')}/`) || `${id}/` === one.container,
    )
    .sort((a, b) => b.container.length - a.container.length)[0]
  const inside = mount ? id.slice(mount.container.replace(/\/$/, '').length) : id
  const name = baseName(inside.replace(/\/+$/, '')) || (mount ? baseName(mount.host.value.replace(/\/+$/, '')) : '')
  return name === '' ? model : { ...model, hint: name }
}

const MEMORY_VARIABLES = /^(?:PYTORCH_(?:CUDA_|HIP_)?ALLOC_CONF|(?:CUDA|NVIDIA|HIP|ROCR)_VISIBLE_DEVICES)$/
const SECRET = /TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL/

function environmentOf(command: Command, own: RegExp): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, value] of command.env)
    if ((own.test(name) || MEMORY_VARIABLES.test(name)) && !SECRET.test(name)) kept[name] = value.value.slice(0, 500)
  return kept
}

/** The container's hardware, corrected by what the engine was told and what image and visible devices say. */
function hardwareOf(command: Command, reading: EngineReading): DeclaredHardware {
  const declared = command.hardware ?? noHardware
  const accelerator =
    reading.accelerator ?? declared.accelerator ?? (command.image ? imageAccelerator(command.image.value) : null)
  if (accelerator !== null && accelerator !== 'nvidia' && accelerator !== 'amd')
    return { ...declared, accelerator, gpusPerReplica: 0 }
  // What a script makes visible is its part of the allocation; a container's own count already is.
  if (declared.gpusPerReplica !== null && (command.image || !command.scripted))
    return { ...declared, accelerator: accelerator ?? 'nvidia' }
  for (const name of ['CUDA_VISIBLE_DEVICES', 'NVIDIA_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES']) {
    const value = command.env.get(name)
    if (value && /^\s*(?:\d+|GPU-[\w-]+)(?:\s*,\s*(?:\d+|GPU-[\w-]+))*\s*$/.test(value.value)) {
      const gpusPerReplica = value.value.split(',').length
      return { ...declared, accelerator, gpusPerReplica, gpusAt: value.place, gpusText: `${name}=${value.value}` }
    }
  }
  return { ...declared, accelerator }
}
