import { elements } from '../models/blocks/weights.ts'
import { allWeights } from '../models/count.ts'
import type { ModelShape } from '../models/shape.ts'
import { type CountRow, explainText } from '../report/explain.ts'
import { grouped } from '../units/bytes.ts'
import { closest } from '../units/suggest.ts'
import { choices } from '../verdict/solve.ts'
import { type Flag, helpFlag, helpText } from './arguments.ts'
import { surveyFlags, surveyRepository } from './check-command.ts'
import { command } from './command.ts'
import { refuse } from './process.ts'
import { styleOf } from './terminal.ts'

const flags: readonly Flag[] = [
  { name: 'json', type: 'boolean', help: "print the deployment's part of the JSON report" },
  ...surveyFlags,
  helpFlag,
]

const help = helpText(
  'hf-vram-calc explain DEPLOYMENT [PATH ...] [FLAG ...]',
  'The whole derivation of one deployment: settings with their places, parameters by block, every part of the memory with its formula and source, and what would fit. DEPLOYMENT is an id of the report, or a part of one that is unique.',
  flags,
)

export const explainCommand = command(flags, help, async (options, process) => {
  const [wanted, ...paths] = options.positionals
  if (wanted === undefined)
    return refuse(process, [
      {
        code: 'usage',
        message: 'explain which deployment?',
        hint: 'give an id of the report: hf-vram-calc check . --format json',
      },
    ])
  const surveyed = await surveyRepository({ ...options, positionals: paths }, process)
  if (!surveyed.ok) return refuse(process, surveyed.problems)
  const { judged } = surveyed.outcome
  const exact = judged.filter(one => one.row.id === wanted)
  const found =
    exact.length > 0 ? exact : judged.filter(one => one.row.id.includes(wanted) || one.row.model.id === wanted)
  if (found.length !== 1) {
    const ids = judged.map(one => one.row.id)
    const near = closest(wanted, ids)
    return refuse(process, [
      {
        code: 'usage',
        message:
          found.length === 0
            ? `no deployment is called ${JSON.stringify(wanted)}`
            : `${JSON.stringify(wanted)} names ${found.length} deployments: ${found
                .slice(0, 5)
                .map(one => one.row.id)
                .join(', ')}`,
        hint:
          near === null
            ? ids.length === 0
              ? 'nothing was found under these paths'
              : `there are ${ids.slice(0, 5).join(', ')}`
            : `did you mean ${near}?`,
      },
    ])
  }
  const one = found[0]!
  process.stdout.write(
    options.on['json']
      ? `${JSON.stringify(one.row, null, 2)}\n`
      : explainText(
          one.row,
          one.question === null ? [] : countRows(one.question.input.shape),
          one.question === null ? [] : choices(one.question),
          styleOf(process.stdout, process.env),
        ),
  )
  return 0
})

/** The count by block, each with the formula of its tensors: "q 4096x4096 + k 1024x4096 + …". */
function countRows(shape: ModelShape): CountRow[] {
  const blocks = new Map<string, { times: number; elements: number; terms: string[] }>()
  for (const { weight, times, block } of allWeights(shape)) {
    if (times === 0) continue
    const row = blocks.get(block) ?? { times, elements: 0, terms: [] }
    row.elements += elements(weight)
    const size = weight.in === 1 ? grouped(weight.out) : `${weight.out}x${weight.in}`
    row.terms.push(
      `${weight.name.split('.').at(-1)} ${weight.copies > 1 ? `${weight.copies}x` : ''}${size}${weight.bias ? ' + bias' : ''}`,
    )
    blocks.set(block, row)
  }
  return [...blocks].map(([block, row]) => ({
    block,
    times: row.times,
    elements: row.elements,
    formula: row.terms.join(', '),
  }))
}
