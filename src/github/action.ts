import { type Problem, problemText } from '../problem.ts'
import { type ActionWorld, surroundings } from './around.ts'
import type { CommitTree } from './base.ts'
import type { ActionInputs } from './inputs.ts'
import { judge, treesOf } from './judge.ts'
import { noOutputs, type Outputs } from './outputs.ts'
import { refusalSummary, tell } from './tell.ts'

/** Runs the gate for the event and says the result in the order of the contract; gives the exit code. */
export async function runAction(inputs: ActionInputs, world: ActionWorld): Promise<number> {
  const { runner } = world
  let outputs: Outputs = { ...noOutputs, verdict: 'error', passed: 'false', 'comment-status': 'skipped-no-pr' }
  const refuse = (problems: readonly Problem[]): number => {
    for (const problem of problems) runner.fail(problemText(problem))
    runner.outputs(outputs)
    return 2
  }
  const placed = surroundings(inputs, world)
  if (!placed.ok) return refuse([placed.problem])
  const around = placed.value
  const { event } = around
  for (const message of event.messages) runner.warn(message)
  outputs = { ...outputs, 'head-sha': event.headSha ?? '' }

  let base: CommitTree | null = null
  let head: CommitTree | null = null
  try {
    const tree = await treesOf(inputs, around)
    if (!tree.ok) return refuse([tree.problem])
    head = tree.value.headTree
    base = tree.value.base
    const { messages } = tree.value
    outputs = { ...outputs, 'base-sha': base?.sha ?? '' }
    const judged = await judge(inputs, around, world, tree.value)
    if (!judged.ok) {
      await refusalSummary(inputs, runner, judged.problems)
      return refuse(judged.problems)
    }
    const { report } = judged.value
    for (const message of messages) runner.warn(message)
    return await tell(report, inputs, around, world, outputs)
  } finally {
    await base?.close()
    await head?.close()
  }
}
