import { setTimeout as sleep } from 'node:timers/promises'
import * as core from '@actions/core'
import { problemText } from '../problem.ts'
import { runAction } from './action.ts'
import { readInputs } from './inputs.ts'
import { modelFinder } from './models.ts'
import { noOutputs } from './outputs.ts'
import { postComment } from './post.ts'
import { runnerOf } from './runner.ts'
import { scrubber } from './secrets.ts'

/** The action's door: inputs, secrets, the run, the exit code. Whatever happens, every output is there. */
export async function startAction(env: NodeJS.ProcessEnv): Promise<number> {
  const read = (name: string) => core.getInput(name)
  const secrets = scrubber([read('github-token'), read('hf-token'), read('config-token')])
  const runner = runnerOf(secrets, env)
  runner.mask()
  const crashed = (error: unknown): number => {
    const text = error instanceof Error ? error.message : String(error)
    runner.fail(`internal error: ${text}. This is a bug; run again with debug logging for the stack`)
    if (error instanceof Error && error.stack) core.debug(secrets.scrub(error.stack))
    runner.outputs({ ...noOutputs, verdict: 'error', passed: 'false', 'comment-status': 'failed' })
    return 70
  }
  // What no call waits for, such as a promise that is rejected later.
  process.on('uncaughtException', error => process.exit(crashed(error)))
  try {
    const inputs = readInputs(read)
    if (!inputs.ok) {
      const problems = 'problems' in inputs ? inputs.problems : [inputs.problem]
      for (const problem of problems) runner.fail(problemText(problem))
      runner.outputs({ ...noOutputs, verdict: 'error', passed: 'false', 'comment-status': 'skipped-no-pr' })
      return 2
    }
    const world = {
      env,
      runner,
      scrub: secrets.scrub,
      now: () => new Date(),
      sleep: async (ms: number) => {
        await sleep(ms)
      },
      findModel: modelFinder(inputs.value, env),
    }
    return inputs.value.mode === 'comment'
      ? await postComment(inputs.value, world)
      : await runAction(inputs.value, world)
  } catch (error) {
    return crashed(error)
  }
}
