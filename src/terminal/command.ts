import { type Flag, type Parsed, readArguments, wrapHelp } from './arguments.ts'
import { type Command, type ExitCode, type Process, refuse } from './process.ts'
import { styleOf } from './terminal.ts'

/** A command of these flags: refuses arguments it does not know, prints `help` when asked, else runs. */
export const command =
  (flags: readonly Flag[], help: string, run: (options: Parsed, process: Process) => Promise<ExitCode>): Command =>
  async (argv, process) => {
    const parsed = readArguments(argv, flags)
    if (!parsed.ok) return refuse(process, [parsed.problem])
    if (!parsed.value.on['help']) return run(parsed.value, process)
    process.stdout.write(wrapHelp(help, styleOf(process.stdout, process.env).width))
    return 0
  }
