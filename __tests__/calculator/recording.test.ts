import { describe, expect, test } from '@jest/globals'
import { detectType } from '../../src/calculator/detect.ts'
import { builtInTables } from '../../src/calculator/tables-from-files.ts'
import {
  configDtype,
  differencesOfResults,
  documentedType,
  expectedOf,
  knownConfigType,
  nameDifference,
  recordedInputs,
  sameGpu,
} from '../helpers/documented-differences.ts'
import { byFormula, type Expected } from '../helpers/recorded-rule.ts'
import {
  type Facts,
  fixturePath,
  listedRows,
  printed,
  type RecordedRun,
  type Recording,
  readRecording,
  repeat,
} from '../helpers/recorded-runs.ts'
import { runCli, temporaryFolder } from '../helpers/run-action.ts'
import { describeShared, sharedPath, sharedRows } from '../helpers/shared.ts'

/** Differences as lines "what: expected, got"; a figure that the config alone does not give (NaN) is not compared. */
function differences(expected: unknown, got: unknown, at = ''): string[] {
  if (typeof expected === 'number' && Number.isNaN(expected)) return []
  if (typeof expected !== 'object' || expected === null)
    return Object.is(expected, got) ? [] : [`${at}: ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`]
  const other = (got ?? {}) as Record<string, unknown>
  const length = Array.isArray(expected) && expected.length !== (got as unknown[])?.length
  return [
    ...(length ? [`${at}: ${expected.length} entries, got ${(got as unknown[])?.length}`] : []),
    ...Object.entries(expected).flatMap(([key, value]) => differences(value, other[key], `${at}.${key}`)),
  ]
}

/** The facts of a printed text that are compared, with the GPUs by our names where the recorded ones are theirs. */
function comparable(facts: Facts, ours: Facts): Facts {
  const { memory_table, table_title, sections } = facts
  return {
    ...(table_title === undefined ? {} : { table_title }),
    memory_table: memory_table!.map((row, i) => {
      const full = ours.memory_table?.[i]?.dtype ?? ''
      return { ...row, dtype: full.startsWith(row.dtype.replace('…', '')) ? full : row.dtype }
    }),
    sections: (sections ?? []).map((section, i) => ({
      dtype: section.dtype,
      parallel: section.parallel,
      minimum: section.minimum,
      gpus: section.gpus.map(([name, ...rest], j) => {
        const full = ours.sections?.[i]?.gpus[j]?.[0] ?? ''
        return [sameGpu(name, full) ? full : name, ...rest] as const
      }),
    })),
  }
}

function compare(run: RecordedRun, expected: Expected, document: unknown, out: string): string[] {
  const text = printed(out)
  const facts = comparable(expected.facts, text)
  const model = expected.document.model
  const line = (label: string) => new RegExp(`^  ${label}: (.*)$`, 'm').exec(out)?.[1]
  const types = expected.document.memory_requirements.map(row => row.dtype).join(', ')
  const grouped = model.parameters.toLocaleString('en')
  const shown = [
    [`${grouped} (${model.parameters_formatted})`, line('Parameters')?.replace(/, derived$/, ''), 'Parameters'],
    [types, line(model.user_specified_dtype === null ? 'Recommended dtype' : 'User specified dtype'), 'dtype line'],
    [model.architecture, line('Architecture'), 'Architecture'],
    [model.name, line('Model'), 'Model'],
  ] as const
  return [
    ...differences(expected.document, document, 'document'),
    ...differences(facts, { ...text, sections: text.sections ?? [] }, 'printed'),
    ...shown.flatMap(([want, got, what]) => differences(want, got, what)),
  ].map(text => `${run.id}: ${text}`)
}

/** What stopped the original, the exit code that it has here, and what our message must name. */
const STOPS: readonly (readonly [RegExp, 1 | 2, RegExp])[] = [
  [/Invalid data types/, 2, /unknown data type ".*"; known are fp32, .* \((see --list_types|did you mean \w+\?)\)/],
  [/--model is required/, 2, /^Usage: /],
  [/unrecognized arguments/, 2, /unknown flag --foo \(see --help\)/],
  [/Error loading YAML/, 2, /c\.yaml:\d+:\d+: options file is not valid YAML/],
  [/Invalid JSON in/, 2, /cfg\/gpu_types\.json:1:\d+: .* \(mend the JSON/],
  [/missing 'bytes_per_param'/, 2, /cfg\/data_types\.json: data type "x" has no bytes_per_param/],
  [/invalid GPU configuration/, 2, /cfg\/gpu_types\.json: GPU \{"name":"X"\} needs name and memory_gb/],
  [/Could not create data_types/, 2, /--config_dir "nodir" is no directory \(give a directory/],
  [/unsupported data type: fp16/, 2, /lack fp16, .* \(add fp16 with bytes_per_param 2/],
  [/zero size accepted/, 2, /--max_seq_len is "0", expected a whole number of at least 1/],
  [
    /failed to fetch config|Failed to calculate/,
    1,
    /(config\.json|model_type "\w+"|--model_path "\w+").* \((see|give|the file must) .*\)/,
  ],
]

/** How many of each kind were inspected. */
interface Counts {
  readonly results: number
  readonly sections: number
  readonly differing: number
  readonly answered: number
  readonly stops: number
  readonly lists: number
  readonly names: number
}

const zeroSize = (run: RecordedRun) => /zero size/.test(run.seed_fault ?? '')

function suite({ runs, names }: Recording, counts: Counts): void {
  const withResult = runs.filter(run => run.json !== null && !zeroSize(run))
  const lists = runs.filter(run => run.exit === 0 && run.json === null)
  const stopped = runs.filter(run => run.exit !== 0 || zeroSize(run))

  test('the formulas give the recorded figures from the recorded inputs', () => {
    const wrong = withResult.flatMap(run => {
      const { document, facts } = byFormula(run, recordedInputs(run), null)
      return [
        ...differences(document.memory_requirements, run.json!.memory_requirements),
        ...differences(comparable(facts, run.stdout_facts), comparable(run.stdout_facts, facts)),
      ].map(line => `${run.id}${line}`)
    })
    expect(wrong).toEqual([])
  })

  test('every result: document and printed tables to the printed digit, each difference a documented one', async () => {
    const wrong: string[] = []
    const used = new Set<string>()
    let sections = 0
    let differing = 0
    for (const run of withResult) {
      const { expected, items } = expectedOf(run)
      const ours = await repeat(run)
      wrong.push(...(ours.code === 0 ? compare(run, expected, ours.document, ours.out) : [`${run.id}: ${ours.err}`]))
      const missing = run.fault_scope?.includes('dtype') ? null : run.stdout_facts.recommended_dtype_unavailable
      if (missing && !ours.out.includes(`the recommended data type ${missing} is not in the table`))
        wrong.push(`${run.id}: does not say that ${missing} is not in the table`)
      for (const item of items) used.add(item)
      if (items.length > 0) differing++
      if (items.length > 0 && run.seed_fault === undefined)
        wrong.push(`${run.id}: differs from a recording without fault`)
      sections += expected.facts.sections?.length ?? 0
    }
    expect(wrong).toEqual([])
    expect({ results: withResult.length, sections, differing }).toEqual({
      results: counts.results,
      sections: counts.sections,
      differing: counts.differing,
    })
    expect(differencesOfResults.filter(item => !used.has(item))).toEqual([])
  })

  test('every stop: a result where the README promises one, else an exit code and what to do', async () => {
    const wrong: string[] = []
    let answered = 0
    for (const run of stopped) {
      if (run.argv.length === 1 && run.argv[0]!.includes('/')) {
        const ours = await runCli(temporaryFolder(), [...run.argv, '--offline'])
        // 9.1 item 12: a positional model is taken, and this one is in the catalogue.
        if (ours.code !== 0 || !ours.stdout.includes(`Model: ${run.argv[0]}\n`)) wrong.push(`${run.id}: ${ours.stderr}`)
        continue
      }
      const ours = await repeat(run)
      if (ours.code === 0) {
        answered++
        const counted = run.true_params_unique ?? ours.document!.model.parameters
        const { expected } = expectedOf({ ...run, true_params_unique: counted })
        wrong.push(...compare(run, expected, ours.document, ours.out))
        const dtype = configDtype(run)
        if (
          run.group === 'detect' &&
          dtype !== null &&
          !knownConfigType(dtype) &&
          !ours.out.includes(`dtype "${dtype}"`)
        )
          wrong.push(`${run.id}: does not say that ${dtype} is not known`)
        continue
      }
      const why = run.stdout_facts.error ?? run.usage_error ?? run.seed_fault ?? ''
      const [, code, message] = STOPS.find(([recorded]) => recorded.test(why)) ?? [null, -1, /a documented stop/]
      const said = ours.err.replace(/^hf-vram-calc: /, '')
      if (ours.code !== code || !message.test(said) || ours.out !== '' || ours.document !== null)
        wrong.push(`${run.id}: ${why} gives ${ours.code} ${said}`)
    }
    expect(wrong).toEqual([])
    expect({ answered, stops: stopped.length - answered }).toEqual({ answered: counts.answered, stops: counts.stops })
  })

  test('every list: the types and GPUs of the tables in use, and the version', async () => {
    for (const run of lists) {
      const { code, out } = await repeat(run)
      expect([run.id, code]).toEqual([run.id, 0])
      if (run.argv.includes('--version')) expect(out).toMatch(/^hf-vram-calc \d+\.\d+\.\d+\n$/)
      else {
        const types = Object.keys((run.files?.['cfg/data_types.json'] as object) ?? {})
        const gpus = (run.files?.['cfg/gpu_types.json'] as { name: string; memory_gb: number }[]) ?? []
        const listed = listedRows(out)
        expect(listed.types.map(row => row[0]!.toLowerCase())).toEqual(
          types.length > 0 ? types : builtInTables.dataTypes.map(row => row.name),
        )
        expect(listed.gpus.map(row => [row[0], Number(row[1])])).toEqual(
          gpus.length > 0
            ? gpus.map(gpu => [gpu.name, gpu.memory_gb])
            : builtInTables.gpus.map(gpu => [gpu.name, gpu.memoryGb]),
        )
      }
    }
    expect(lists).toHaveLength(counts.lists)
  })

  test('every name: the recommended type, as recorded or by the README where the recording misses it', () => {
    const wrong: string[] = []
    for (const row of names) {
      const { dtypes } = detectType(row.model_name, row.torch_dtype, builtInTables.dataTypes)
      const ours = dtypes.map(dtype => dtype.name).join()
      const promised = /README detection table says (\w+)/.exec(row.seed_fault ?? '')?.[1]
      const expected =
        promised ?? (nameDifference(row) === null ? row.recommended : documentedType(row.model_name, row.torch_dtype))
      if (ours !== expected) wrong.push(`${row.id}: ${expected}, got ${ours}`)
    }
    expect(wrong).toEqual([])
    expect(names).toHaveLength(counts.names)
  })
}

describe('the committed sample of the recording', () => {
  suite(readRecording(fixturePath('parity-sample.json')), {
    results: 40,
    sections: 11,
    differing: 19,
    answered: 7,
    stops: 18,
    lists: 3,
    names: 24,
  })
})

describeShared('the whole recording', 'data/seed-parity.json', path => {
  const totals = new Map<string, number>()
  for (const model of sharedRows<{ id: string; weights: { parameters: number; source: string } | null }>(
    sharedPath('data/models.json')!,
  ))
    if (model.weights?.source.includes('safetensors total')) totals.set(model.id, model.weights.parameters)
  suite(readRecording(path, totals), {
    results: 310,
    sections: 278,
    differing: 208,
    answered: 61,
    stops: 22,
    lists: 3,
    names: 93,
  })
})
