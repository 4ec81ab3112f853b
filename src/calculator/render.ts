import { type Cell, type Column, displayWidth, grid, type TextStyle, type Tone, wrap } from '../report/grid.ts'
import { gibText, grouped } from '../units/bytes.ts'
import { roundedText } from '../units/rounding.ts'
import { GPU_STEPS, STRATEGIES } from './data.ts'
import { needText } from './engine-table.ts'
import type { Calculation } from './result.ts'
import { dividedBy, type RuleRow, requestedShare, shortCount } from './rule-of-thumb.ts'
import type { Tables } from './tables-from-files.ts'

/** The calculator's console output as pure text. */

const two = (x: number): string => roundedText(x, 2)

/** A heading, wrapped. */
const headed = (title: string, style: TextStyle): string[] =>
  wrap(title, style.width).map(line => style.paint('strong', line))

/** Lines under a table, wrapped and set in. */
const under = (text: string, style: TextStyle): string[] => wrap(text, style.width - 2).map(line => `  ${line}`)

/** Lines in a box on a terminal, indented lines elsewhere. */
function panel(title: string, texts: readonly string[], style: TextStyle): string {
  const lines = texts.flatMap(text => wrap(text, style.width - 4))
  if (!style.boxes) return `${title}\n${lines.map(line => `  ${line}`).join('\n')}\n`
  const inner = Math.max(displayWidth(title) + 2, ...lines.map(displayWidth))
  const rule = inner + 2 - displayWidth(title) - 2
  const top = `╭${'─'.repeat(Math.floor(rule / 2))} ${style.paint('strong', title)} ${'─'.repeat(Math.ceil(rule / 2))}╮`
  const body = lines.map(line => `│ ${line}${' '.repeat(inner - displayWidth(line))} │`)
  return `${[top, ...body, `╰${'─'.repeat(inner + 2)}╯`].join('\n')}\n`
}

/** A need in GiB in its colour: up to `green`, up to `yellow`, above. */
function need(gib: number, tables: Tables): Cell {
  const { green, yellow } = tables.display.thresholds
  const tone: Tone = gib < green ? 'good' : gib < yellow ? 'warn' : 'bad'
  return { text: two(gib), tone }
}

const byName = (rows: readonly RuleRow[]): RuleRow[] =>
  [...rows].sort((a, b) =>
    a.dtype.name.toLowerCase() < b.dtype.name.toLowerCase() ? -1 : a.dtype.name === b.dtype.name ? 0 : 1,
  )

function information(calculation: Calculation, style: TextStyle): string {
  const { model, request } = calculation
  const active = calculation.activeParameters
  const lines = [
    `Model: ${calculation.name}`,
    `Architecture: ${calculation.architecture}`,
    `Parameters: ${grouped(model.parameters)} (${shortCount(model.parameters)})${calculation.count === 'exact' ? '' : ', derived'}`,
    ...(active !== model.parameters ? [`Active per token: ${grouped(active)} (${shortCount(active)})`] : []),
    ...(request.verbose && calculation.originalCount !== null
      ? [`As the original counts (tied weights at each use): ${grouped(calculation.originalCount)}`]
      : []),
    ...(calculation.configDtype === null ? [] : [`Original torch_dtype: ${calculation.configDtype}`]),
    `${calculation.detected ? 'Recommended dtype' : 'User specified dtype'}: ${calculation.rows.map(row => row.dtype.name.toUpperCase()).join(', ')}`,
    `Facts from: ${calculation.source}`,
  ]
  return panel('Model Information', lines, style)
}

/** The same of several models, a row each; their data types stand in the tables below. */
function informationTable(calculations: readonly Calculation[], style: TextStyle): string {
  const columns: Column[] = [
    { title: 'Model', flexible: true },
    { title: 'Architecture', flexible: true },
    { title: 'Parameters', align: 'right' },
    { title: 'Active', align: 'right' },
    { title: 'Facts from', flexible: true },
  ]
  const rows = calculations.map(({ name, architecture, model, activeParameters, count, source }) => [
    name,
    architecture,
    grouped(model.parameters),
    shortCount(activeParameters),
    count === 'exact' ? source : `${source}, count derived`,
  ])
  return `${style.paint('strong', 'Model Information')}\n${grid(columns, rows, style)}`
}

function memoryTable(calculations: readonly Calculation[], tables: Tables, style: TextStyle): string {
  const { request } = calculations[0]!
  const several = calculations.length > 1
  const number = (title: string): Column => ({ title, align: 'right' })
  const columns: Column[] = [
    ...(several ? [{ title: 'Model', flexible: true }] : []),
    { title: 'Data Type' },
    number('Model Size'),
    number('Activation'),
    number('KV Cache'),
    number('Inference Total'),
    number('Training (Adam)'),
    number('LoRA'),
  ]
  const rows = calculations.flatMap(calculation =>
    byName(calculation.rows).map(row => [
      ...(several ? [calculation.name] : []),
      row.dtype.name.toUpperCase(),
      two(row.weights),
      two(row.activation),
      two(row.kvCache),
      need(row.inference, tables),
      need(row.training, tables),
      need(row.lora, tables),
    ]),
  )
  const title = `Memory Requirements by Data Type and Scenario (Batch Size: ${request.batch}, Sequence Length: ${request.sequence})`
  const what =
    'Rule of thumb, GiB: inference = weights x 1.2, training = weights x 4 x 1.3; KV cache and activations are in no total'
  return [...headed(title, style), ...wrap(what, style.width), grid(columns, rows, style)].join('\n')
}

/** The engine's table of all models. */
function engineTable(calculations: readonly Calculation[], style: TextStyle): string {
  const { request } = calculations[0]!
  const several = calculations.length > 1
  const tables = calculations.flatMap(({ name, engine }) => (engine === null ? [] : [{ name, ...engine }]))
  if (tables.length === 0) return ''
  const number = (title: string): Column => ({ title, align: 'right' })
  const columns: Column[] = [
    ...(several ? [{ title: 'Model', flexible: true }] : []),
    { title: 'Data Type' },
    { title: 'Weights as', flexible: true },
    number('Weights'),
    number('KV Cache'),
    number('Other'),
    number('Total per GPU'),
    number('Range'),
  ]
  const rows = tables.flatMap(({ name, rows }) =>
    rows.map(row => [
      ...(several ? [name] : []),
      row.dtype.toUpperCase(),
      row.scheme,
      gibText(row.weights),
      gibText(row.kvCache),
      gibText(row.other.expected),
      { text: gibText(row.total.expected), tone: 'strong' as const },
      `${gibText(row.total.low)}-${gibText(row.total.high)}`,
    ]),
  )
  const title = `What ${tables[0]!.engine} Needs for the Same Settings (${request.batch} x ${request.sequence} tokens, TP ${request.tp}, PP ${request.pp})`
  const differs = new Map<string, string[]>()
  for (const { name, rows } of tables)
    for (const row of rows)
      if (row.differs !== null) {
        const why = (several ? `${name}: ` : '') + row.differs.why
        differs.set(why, [...(differs.get(why) ?? []), needText(row)])
      }
  const notes = new Set(tables.flatMap(table => table.notes))
  return [
    ...headed(title, style),
    ...wrap("The engine's own accounting, GiB: exact weights and KV cache, ranges for the rest", style.width),
    grid(columns, rows, style).trimEnd(),
    ...[...notes].flatMap(note => wrap(note, style.width)),
    ...(differs.size > 0 ? ['Where the rule of thumb is off by more than 20 %:'] : []),
    ...[...differs].flatMap(([why, needs]) => under(`${why}: ${needs.join('; ')}`, style)),
    '',
  ].join('\n')
}

/** First step that the need does not exceed: "24GB+". */
function minimum(gib: number): Cell {
  const step = GPU_STEPS.find(size => gib <= size)
  if (step === undefined) return { text: '>80GB', tone: 'bad' }
  return { text: `${step}GB+`, tone: step <= 8 ? 'good' : step <= 24 ? 'warn' : 'bad' }
}

function parallelTable(calculation: Calculation, row: RuleRow, tables: Tables, style: TextStyle): string {
  const size = (title: string): Column => ({ title, align: 'right' })
  const columns: Column[] = [
    { title: 'Strategy' },
    size('TP'),
    size('PP'),
    size('EP'),
    size('DP'),
    size('Memory/GPU'),
    size('Min GPU'),
  ]
  const rows: Cell[][] = STRATEGIES.map(([name, tp, pp, ep, dp]) => {
    const memory = dividedBy(row.inference, tp, pp, ep)
    return [name, String(tp), String(pp), String(ep), String(dp), need(memory, tables), minimum(memory)]
  })
  const { tp, pp, ep } = calculation.request
  if (tp > 1 || pp > 1 || ep > 1) {
    const memory = requestedShare(row.inference, calculation.routedShare, calculation.request)
    rows.push(['Requested', String(tp), String(pp), String(ep), '1', need(memory, tables), minimum(memory)])
  }
  return `${style.paint('strong', `Parallelization Strategies (${row.dtype.name.toUpperCase()} Inference, GiB)`)}\n${grid(columns, rows, style)}`
}

function gpuMatrix(row: RuleRow, tables: Tables, style: TextStyle): string {
  const { preferredCategories, maxGpuDisplay } = tables.display
  const rank = (category: string) => {
    const at = preferredCategories.indexOf(category)
    return at < 0 ? preferredCategories.length : at
  }
  const ordered =
    preferredCategories.length > 0 ? [...tables.gpus].sort((a, b) => rank(a.category) - rank(b.category)) : tables.gpus
  const shown = maxGpuDisplay === null ? ordered : ordered.slice(0, maxGpuDisplay)
  const mark = (fits: boolean): Cell => (fits ? { text: '✓', tone: 'good' } : { text: '✗', tone: 'bad' })
  const rows = shown.map(gpu => [
    gpu.name,
    {
      text: `${gpu.memoryGb}GB`,
      tone: gpu.memoryGib >= 40 ? ('good' as const) : gpu.memoryGib >= 16 ? ('warn' as const) : ('bad' as const),
    },
    mark(row.inference <= gpu.memoryGib),
    mark(row.training <= gpu.memoryGib),
    mark(row.lora <= gpu.memoryGib),
  ])
  const columns: Column[] = [
    { title: 'GPU Type' },
    { title: 'Memory', align: 'right' },
    { title: 'Inference' },
    { title: 'Training' },
    { title: 'LoRA' },
  ]
  const cut =
    shown.length < ordered.length
      ? `${ordered.length - shown.length} more not shown (max_gpu_display ${maxGpuDisplay})\n`
      : ''
  return `${style.paint('strong', `GPU Compatibility Matrix (${row.dtype.name.toUpperCase()}, rule of thumb)`)}\n${grid(columns, rows, style)}${cut}`
}

function minimumPanel(row: RuleRow, style: TextStyle): string {
  return panel(
    'Minimum GPU Requirements',
    [
      `Single GPU Inference: ${roundedText(row.inference, 1)} GiB`,
      `Single GPU Training: ${roundedText(row.training, 1)} GiB`,
      `Single GPU LoRA: ${roundedText(row.lora, 1)} GiB`,
    ],
    style,
  )
}

/** The whole output for one or several models; `engineFirst` puts the engine's table above the rule's. */
export function calculationText(
  calculations: readonly Calculation[],
  tables: Tables,
  style: TextStyle,
  engineFirst = false,
): string {
  const parts = [
    calculations.length === 1 ? information(calculations[0]!, style) : informationTable(calculations, style),
  ]
  const engines = [engineTable(calculations, style)].filter(table => table !== '')
  const rule = memoryTable(calculations, tables, style)
  parts.push(...(engineFirst ? [...engines, rule] : [rule, ...engines]))
  for (const calculation of calculations) {
    if (!calculation.request.verbose) continue
    for (const row of calculation.rows) {
      parts.push(`${'='.repeat(Math.min(80, style.width))}\n`)
      if (calculations.length > 1) parts.push(`${style.paint('strong', calculation.name)}\n`)
      parts.push(
        parallelTable(calculation, row, tables, style),
        gpuMatrix(row, tables, style),
        minimumPanel(row, style),
      )
    }
  }
  const notices = [...new Set(calculations.flatMap(calculation => calculation.notices))]
  if (calculations.some(calculation => calculation.detected))
    notices.push('Use --dtype to specify a different type, or see --list_types for all options')
  return `${parts.map(part => part.trimEnd()).join('\n\n')}\n${notices.length > 0 ? `\n${notices.flatMap(notice => wrap(notice, style.width)).join('\n')}\n` : ''}`
}

/** --list_types: the data types and GPUs in use. */
export function typesText(tables: Tables, style: TextStyle): string {
  const types = grid(
    [{ title: 'Data Type' }, { title: 'Bytes/Param', align: 'right' }, { title: 'Description', flexible: true }],
    tables.dataTypes.map(row => [row.name.toUpperCase(), String(row.bytesPerParameter), row.description]),
    style,
  )
  const gpus = grid(
    [{ title: 'GPU Name' }, { title: 'Memory (GB)', align: 'right' }, { title: 'Category' }, { title: 'Architecture' }],
    tables.gpus.map(gpu => [gpu.name, String(gpu.memoryGb), gpu.category, gpu.architecture]),
    style,
  )
  return `${style.paint('strong', 'Available Data Types:')}\n${types}\n${style.paint('strong', 'Available GPU Types:')}\n${gpus}`
}
