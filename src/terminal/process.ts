import { type Problem, problemText } from '../problem.ts'
import { wrap } from '../report/grid.ts'

/** What a command line needs of its process; handed in so that tests can give their own. */
export interface Process {
  readonly env: NodeJS.ProcessEnv
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly cwd: () => string
}

/** 0 the gate passes or the calculation is done, 1 it fails, 2 usage or configuration, 70 our own bug. */
export type ExitCode = 0 | 1 | 2 | 70

export type Command = (argv: readonly string[], process: Process) => Promise<ExitCode>

/** Says problems on stderr, one line each (wrapped at words on a terminal), and gives the exit code for them. */
export function refuse(process: Process, problems: readonly Problem[], code: 1 | 2 = 2): ExitCode {
  for (const problem of problems) {
    const text = `hf-vram-calc: ${problemText(problem)}`
    const { isTTY, columns } = process.stderr
    process.stderr.write(`${isTTY && columns ? wrap(text, columns).join('\n') : text}\n`)
  }
  return code
}
