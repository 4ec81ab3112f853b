import { partText, type Range } from '../memory/parts.ts'
import { GiB, gibText, grouped, sizeText } from '../units/bytes.ts'
import { type Column, grid, type TextStyle, wrap } from './grid.ts'
import type { ReportDeployment } from './report.ts'
import { changeText, placeText, targetText } from './words.ts'

/** One row of the count by block: "layers dense", how many, elements of one, formula. */
export interface CountRow {
  readonly block: string
  readonly times: number
  readonly elements: number
  readonly formula: string
}

/** One point of the list of choices: what one gets for which hardware. */
export interface Choice {
  readonly gpus: string
  readonly maxModelLen: number | null
  readonly concurrency: number | null
  readonly note: string
}

const rangeText = (range: Range): string =>
  range.low === range.high
    ? gibText(range.expected)
    : `${gibText(range.expected)} (${gibText(range.low)} to ${gibText(range.high)})`

/** The whole derivation of one deployment: settings with their evidence, the count, every part with its formula. */
export function explainText(
  row: ReportDeployment,
  counts: readonly CountRow[],
  choices: readonly Choice[],
  style: TextStyle,
): string {
  const out: string[] = [style.paint('strong', row.id)]
  const say = (text: string, by = '') => out.push(...wrap(text, style.width - by.length).map(line => by + line))
  const engine = `${row.engine.name}${row.engine.version === null ? ' (version not stated)' : ` ${row.engine.version}`}`
  say(`${engine} at ${placeText(row.location)}, found by the ${row.format} reader`)
  const { model } = row
  say(
    `Model ${model.id ?? 'not named'}${model.revision ? `@${model.revision}` : ''}: ${model.parameters === null ? 'parameters unknown' : `${grouped(model.parameters)} parameters (${model.count})`}` +
      `${model.activeParameters !== null && model.activeParameters !== model.parameters ? `, ${grouped(model.activeParameters)} active per token` : ''}` +
      `${model.checkpointBytes === null ? '' : `, ${sizeText(model.checkpointBytes)} stored`}` +
      `${model.source ? `; facts from ${model.source}${model.asOf ? ` of ${model.asOf}` : ''}` : ''}`,
  )
  say(
    `Hardware ${targetText(row)}${row.target?.memoryBytes ? `, ${gibText(row.target.memoryBytes)} GiB seen by the engine` : ''}${row.target?.text ? ` (${row.target.text}${row.target.file ? `, ${row.target.file}:${row.target.line}` : ''})` : ''}`,
  )

  out.push('', style.paint('strong', 'Settings'))
  const settings = Object.entries(row.settings).map(([name, setting]) => [
    name,
    shown(setting.value) + (setting.effective === undefined ? '' : ` -> ${shown(setting.effective)}`),
    setting.from + (setting.file ? ` ${setting.file}:${setting.line}` : ''),
    setting.text ?? setting.note ?? '',
  ])
  const flexible = (title: string): Column => ({ title, flexible: true })
  out.push(
    grid([{ title: 'Setting' }, { title: 'Value' }, flexible('From'), flexible('Evidence')], settings, style).trimEnd(),
  )

  if (counts.length > 0) {
    out.push('', style.paint('strong', 'Parameters by block'))
    out.push(
      grid(
        [
          { title: 'Block', flexible: true },
          { title: 'Times', align: 'right' },
          { title: 'Each', align: 'right' },
          { title: 'All', align: 'right' },
          flexible('Formula'),
        ],
        counts.map(count => [
          count.block,
          String(count.times),
          grouped(count.elements),
          grouped(count.elements * count.times),
          count.formula,
        ]),
        style,
      ).trimEnd(),
    )
  }
  if (row.estimate) {
    const { perGpu, kvCache, assumptions } = row.estimate
    out.push('', style.paint('strong', `Memory of the fullest GPU (${perGpu.rank}), GiB`))
    out.push(
      grid(
        [
          { title: 'Part' },
          { title: 'GiB', align: 'right' },
          { title: 'Basis' },
          flexible('Formula'),
          flexible('Source'),
        ],
        [
          ...perGpu.parts.map(part => [
            part.inBudget ? partText(part.name) : `${partText(part.name)} (outside)`,
            rangeText(part.bytes),
            part.basis,
            part.formula,
            part.source,
          ]),
          [
            { text: 'total', tone: 'strong' as const },
            rangeText(perGpu.totalBytes),
            '',
            'the parts inside the budget',
            '',
          ],
          ...(perGpu.budgetBytes === null
            ? []
            : [
                [
                  { text: 'budget', tone: 'strong' as const },
                  gibText(perGpu.budgetBytes),
                  '',
                  'what the engine may use',
                  '',
                ],
              ]),
          ...(perGpu.headroomBytes === null
            ? []
            : [
                [
                  { text: 'headroom', tone: 'strong' as const },
                  rangeText(perGpu.headroomBytes),
                  '',
                  'budget less total',
                  '',
                ],
              ]),
        ],
        style,
      ).trimEnd(),
    )
    if (kvCache) {
      const facts = [
        kvCache.bytesPerToken === null ? null : `${grouped(kvCache.bytesPerToken)} B a token`,
        kvCache.bytesPerMaxLengthRequest === null
          ? null
          : `${sizeText(kvCache.bytesPerMaxLengthRequest)} for one request of full length`,
        kvCache.availableBytes === null ? null : `${(kvCache.availableBytes / GiB).toFixed(2)} GiB available`,
        kvCache.capacityTokens === null ? null : `${grouped(kvCache.capacityTokens)} tokens fit`,
        kvCache.maxConcurrency === null ? null : `${kvCache.maxConcurrency.toFixed(2)} requests of full length at once`,
        kvCache.maxModelLenThatFits === null
          ? null
          : `longest context that fits ${grouped(kvCache.maxModelLenThatFits)}`,
      ].filter(text => text !== null)
      out.push('')
      say(`KV cache: ${facts.join(', ')}`)
    }
    for (const assumption of assumptions) say(`Assumed: ${assumption}`)
  }
  out.push(
    '',
    `${style.paint('strong', 'Verdict')} ${row.verdict.status}${row.verdict.certain || row.verdict.status === 'unknown' ? '' : ' (not certain)'}`,
  )
  for (const reason of row.verdict.reasons) say(reason.message, '  ')
  for (const finding of row.findings) say(`${finding.severity}: ${finding.message}`, '  ')
  if (row.remedies.length > 0) {
    out.push('', style.paint('strong', 'What would fit'))
    out.push(
      grid(
        [flexible('Change'), { title: 'Needs', align: 'right' }, { title: 'Then' }, flexible('Why')],
        row.remedies.map(remedy => [
          remedy.change.map(changeText).join(' '),
          rangeText(remedy.totalBytes),
          remedy.status,
          remedy.note,
        ]),
        style,
      ).trimEnd(),
    )
  }
  if (choices.length > 0) {
    out.push('', style.paint('strong', 'Choices'))
    out.push(
      grid(
        [
          flexible('GPUs'),
          { title: 'Longest context', align: 'right' },
          { title: 'Requests at once', align: 'right' },
          flexible('Note'),
        ],
        choices.map(choice => [
          choice.gpus,
          choice.maxModelLen === null ? '-' : grouped(choice.maxModelLen),
          choice.concurrency === null ? '-' : choice.concurrency.toFixed(1),
          choice.note,
        ]),
        style,
      ).trimEnd(),
    )
  }
  return `${out.join('\n')}\n`
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'unset')
}
