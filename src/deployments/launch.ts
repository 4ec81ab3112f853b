import type { Command } from './command.ts'
import { baseName, type Tools } from './command-lines/command-line.ts'
import { commandLines, recognise } from './command-lines/index.ts'
import { dockerRun } from './docker.ts'
import { runScript } from './shell/run.ts'
import { Text } from './text.ts'

const SHELLS = /^(?:ba|z|a|da|k)?sh$/
/** Programs that start another one given in their arguments. */
const WRAPPERS = new Set(
  'exec nohup sudo time setsid command stdbuf nice ionice chrt taskset numactl env tini tini-- dumb-init timeout uv uvx poetry pipenv pdm hatch conda micromamba mamba pixi torchrun mpirun mpiexec srun ray nsys ncu with-contenv catchsegv opentelemetry-instrument ddtrace-run proxychains4 gosu su-exec runuser singularity apptainer accelerate python python3 eval then do else ssh systemd-run'.split(
    ' ',
  ),
)
/** Programs whose last argument is itself a shell command. */
const STRING_WRAPPERS = new Set('su tmux screen ssh script parallel runuser eval watch flock'.split(' '))
const CONTAINERS = /^(?:docker|podman|nerdctl|nvidia-docker)$/
const MAX_DEPTH = 6

/**
 * Follows a start through shells, wrappers and `docker run` down to the engines it starts, each with its own arguments,
 * environment, image. What starts no engine yields nothing.
 */
export function engineStarts(command: Command, depth = 0): Command[] {
  const argv = command.argv
  const program = baseName(argv[0]?.value ?? '')
  if (depth > MAX_DEPTH) return []
  if (SHELLS.test(program)) {
    const written = argv.slice(1, 6).findIndex(word => command.files.has(word.value))
    if (written >= 0)
      return scriptStarts(command.files.get(argv[written + 1]!.value)!, command, argv.slice(written + 2), depth + 1)
    const script = shellScript(argv)
    return script
      ? scriptStarts(script.text, command, script.rest, depth + 1)
      : wrapped(command, argv[1]?.value ?? '', depth)
  }
  if (recognise(command)) return [command]
  const file = command.files.get(argv[0]?.value ?? '')
  if (file) return scriptStarts(file, command, argv.slice(1), depth + 1)
  const container = containerRun(argv)
  if (container !== null) {
    const inner = dockerRun(argv.slice(container), command)
    return inner ? engineStarts(inner, depth + 1) : []
  }
  if (argv.length === 1 && /\s/.test(argv[0]!.value.trim()) && !argv[0]!.value.startsWith('-'))
    return scriptStarts(argv[0]!, command, null, depth + 1)
  return wrapped(command, program, depth)
}

/**
 * The command with the scripts of the repository that it runs: by the path as written, or by the host's side of a mount.
 * Without them a start of `./serve.sh` says nothing.
 */
export async function withScripts(command: Command, tools: Tools): Promise<Command> {
  const files = new Map(command.files)
  for (const word of command.argv.slice(0, 6)) {
    if (!/\.(?:sh|bash)$/.test(word.value) || files.has(word.value) || /\s/.test(word.value)) continue
    const mount = command.mounts.find(
      one => word.value === one.container || word.value.startsWith(`${one.container.replace(/\/$/, '')}/`),
    )
    const host = mount
      ? `${mount.host.value.replace(/\/$/, '')}${word.value.slice(mount.container.replace(/\/$/, '').length)}`
      : word.value
    const text = await tools.read(host)
    if (text) files.set(word.value, text)
  }
  return files.size === command.files.size ? command : { ...command, files }
}

/** Engines that a script starts. Alternatives of an undecided condition that name the same engine count once. */
export function scriptStarts(
  script: Text,
  command: Command,
  positional: readonly Text[] | null,
  depth = 0,
  sources?: ReadonlyMap<string, Text>,
): Command[] {
  const found = startsIn(script, command, positional, depth, sources)
  // What the default of an argument does not start, another argument may.
  return found.length === 0 && positional === null && /\$\{1:?-/.test(script.value)
    ? startsIn(script, command, [Text.at(script, '$1'), Text.at(script, '$2')], depth, sources)
    : found
}

function startsIn(
  script: Text,
  command: Command,
  positional: readonly Text[] | null,
  depth: number,
  sources?: ReadonlyMap<string, Text>,
): Command[] {
  const ran = runScript(script, { env: command.env, arguments: positional, ...(sources ? { sources } : {}) })
  const found: { command: Command; maybe: boolean; program: string }[] = []
  for (const one of ran) {
    const starts = engineStarts(
      { ...command, argv: one.argv, env: one.env, files: new Map([...command.files, ...one.files]), scripted: true },
      depth,
    )
    for (const start of starts) {
      const program = `${recognise(start)?.line.engine} ${modelWord(start.argv)}`
      if (found.some(other => other.program === program && (other.maybe || one.maybe))) continue
      found.push({ command: start, maybe: one.maybe, program })
    }
  }
  const pulled = ran
    .filter(one => /(?:^|\/)ollama$/.test(one.argv[0]?.value ?? '') && /^(?:pull|run)$/.test(one.argv[1]?.value ?? ''))
    .flatMap(one =>
      one.argv
        .slice(2)
        .filter(word => !word.value.startsWith('-'))
        .slice(0, 1),
    )
  return withPulledModels(
    found.map(one => one.command),
    pulled,
  )
}

/** `ollama serve` serves what the same script pulls: one start for each model instead of one without. */
function withPulledModels(starts: Command[], pulled: readonly Text[]): Command[] {
  const serve = starts.find(start => start.argv[0]?.value.endsWith('ollama') && start.argv[1]?.value !== 'run')
  const [program] = serve?.argv ?? []
  if (!serve || !program || pulled.length === 0) return starts
  const rest = starts.filter(start => !start.argv[0]?.value.endsWith('ollama'))
  const models = [...new Map(pulled.map(model => [model.value, model])).values()]
  return [...rest, ...models.map(model => ({ ...serve, argv: [program, Text.at(program, 'run'), model] }))]
}

/** The word that most likely names the model: enough to tell alternatives from engines that run side by side. */
function modelWord(argv: readonly Text[]): string {
  const at = argv.findIndex(word => /^-(?:m|-model|-model-path|-model-id|-model_path)(?:=|$)/.test(word.value))
  const named =
    at < 0
      ? argv.find((word, index) => index > 1 && !word.value.startsWith('-'))
      : argv[at]!.value.includes('=')
        ? argv[at]
        : argv[at + 1]
  return named?.value ?? ''
}

/** `sh -c SCRIPT name arguments`; null when the shell runs a file. */
function shellScript(argv: readonly Text[]): { text: Text; rest: readonly Text[] } | null {
  let inline = false
  let i = 1
  for (; i < argv.length; i++) {
    const option = argv[i]!.value
    if (option === '--') {
      i++
      break
    }
    if (!/^[-+]/.test(option)) break
    if (/^-[a-z]*c$/.test(option)) inline = true
    if (/^-[a-z]*o$/.test(option)) i++
  }
  const text = argv[i]
  return inline && text ? { text, rest: argv.slice(i + 2) } : null
}

/** Index after `docker run`, `podman container run`, `sudo docker run`; null for other programs. */
function containerRun(argv: readonly Text[]): number | null {
  const at = argv.slice(0, 6).findIndex(word => CONTAINERS.test(baseName(word.value)))
  if (at < 0 || (at > 0 && !WRAPPERS.has(baseName(argv[0]!.value)))) return null
  const run = argv.slice(at + 1, at + 6).findIndex(word => word.value === 'run' || word.value === 'create')
  return run < 0 ? null : at + 1 + run + 1
}

/** Looks behind a wrapper's own options for the engine, and into the string that it runs. */
function wrapped(command: Command, program: string, depth: number): Command[] {
  const { argv } = command
  if (STRING_WRAPPERS.has(program)) {
    const last = argv.at(-1)
    if (last && /\s/.test(last.value)) return scriptStarts(last, command, null, depth + 1)
  }
  // A container's entry script that is not here hands on what follows it.
  const handsOn = !command.scripted && /entrypoint|\.sh$/.test(program)
  if (!handsOn && !WRAPPERS.has(program) && !/^[$\uE000]/.test(argv[0]?.value ?? '')) return []
  const env = new Map(command.env)
  const limit = Math.min(argv.length, 60)
  for (let i = 1; i < limit; i++) {
    const words = argv.slice(i, i + 24).map(word => word.value)
    if (program === 'env' || program === 'sudo') {
      const assignment = /^([A-Za-z_]\w*)=/.exec(words[0]!)
      if (assignment) env.set(assignment[1]!, argv[i]!.slice(assignment[0].length))
    }
    const inner = { ...command, argv: argv.slice(i), env }
    if (SHELLS.test(baseName(words[0]!)) && shellScript(inner.argv)) return engineStarts(inner, depth + 1)
    if (commandLines.some(line => line.program(words) > 0)) return [inner]
  }
  return []
}
