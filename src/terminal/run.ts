import { closest } from '../units/suggest.ts'
import { version } from '../version.ts'
import { wrapHelp } from './arguments.ts'
import { type Command, type ExitCode, type Process, refuse } from './process.ts'
import { styleOf } from './terminal.ts'

/** Commands load on use: a calculation does not pay for YAML, the gate not for the calculator. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  check: async () => (await import('./check-command.ts')).checkCommand,
  explain: async () => (await import('./explain-command.ts')).explainCommand,
  lock: async () => (await import('./lock-command.ts')).lockCommand,
  init: async () => (await import('./init-command.ts')).initCommand,
  list: async () => (await import('./list-command.ts')).listCommand,
  estimate: async () => (await import('./calculate-command.ts')).calculateCommand,
}

const HELP = `Usage: hf-vram-calc COMMAND [ARGUMENT ...]
       hf-vram-calc --model ID [FLAG ...]

Tells whether a model fits its GPUs before anyone pays for them, and what to change when it does not.

Commands:
  check [PATH ...]      find deployments in files, estimate, judge; exit 1 when the gate fails
  explain DEPLOYMENT    the whole derivation of one deployment
  lock [PATH ...]       pin the facts of the models that the files name
  init                  write a policy and a workflow for this repository
  list WHAT             types, gpus, instances, engines, formats, families or models
  [estimate] --model ID the calculator: memory by data type and scenario, parallel strategies, GPU matrix

hf-vram-calc COMMAND --help shows a command's flags; hf-vram-calc --version the version.

Exit codes: 0 passed or calculated, 1 failed or the model cannot be calculated, 2 usage or configuration, 70 a bug.

Examples:
  hf-vram-calc check deploy/ --target H100-80GB
  hf-vram-calc check . --base origin/main --fail-on exceeds,increase
  hf-vram-calc --model mistralai/Mistral-7B-v0.1 --dtype bf16,fp8 --log_level verbose
`

/** Runs the whole command line; never throws. */
export async function runCommandLine(argv: readonly string[], process: Process): Promise<ExitCode> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  try {
    return await dispatch(argv, process)
  } catch (error) {
    return crashed(error, process)
  }
}

/** Tells a bug of ours; gives its exit code. */
export function crashed(error: unknown, process: Process): ExitCode {
  const text = error instanceof Error ? error.message : String(error)
  process.stderr.write(
    `hf-vram-calc: internal error: ${text}\nThis is a bug; run again with HF_VRAM_CALC_DEBUG=1 for the stack and report it.\n`,
  )
  if (process.env['HF_VRAM_CALC_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return 70
}

async function dispatch(argv: readonly string[], process: Process): Promise<ExitCode> {
  const first = argv[0]
  if (first === undefined) {
    process.stderr.write(wrapHelp(HELP, styleOf(process.stderr, process.env).width))
    return 2
  }
  if (first === '--version' || first === '-V') {
    process.stdout.write(`hf-vram-calc ${version}\n`)
    return 0
  }
  if ((first === '--help' || first === '-h' || first === 'help') && argv.length === 1) {
    process.stdout.write(wrapHelp(HELP, styleOf(process.stdout, process.env).width))
    return 0
  }
  const load = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined
  if (load) return (await load())(argv.slice(1), process)
  // A word that is no model id ("chek") is a misspelt command rather than a model; ids have a slash.
  if (!first.startsWith('-') && !first.includes('/')) {
    const near = closest(first, Object.keys(COMMANDS))
    if (near !== null)
      return refuse(process, [
        { code: 'usage', message: `unknown command ${JSON.stringify(first)}`, hint: `did you mean ${near}?` },
      ])
  }
  return (await COMMANDS['estimate']!())(argv, process)
}
