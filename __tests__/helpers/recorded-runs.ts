import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommandLine } from '../../src/terminal/run.ts'
import { temporaryFolder, writeFiles } from './run-action.ts'

/** Recorded runs of hf-vram-calc 1.0.9, and the same command lines through our own, in this process. */

export interface MemoryRow {
  readonly dtype: string
  readonly batch_size: number
  readonly sequence_length: number
  readonly lora_rank: number
  readonly tensor_parallel_size: number
  readonly max_num_tokens: number
  readonly model_size_gib: number
  readonly kv_cache_size_gib: number
  readonly inference_total_gib: number
  readonly training_gib: number
  readonly lora_size_gib: number
  readonly activation_size_gib: number
}

export interface Document {
  readonly model: {
    readonly name: string
    readonly architecture: string
    readonly parameters: number
    readonly parameters_formatted: string
    readonly original_torch_dtype: string | null
    readonly user_specified_dtype: string | null
  }
  readonly memory_requirements: readonly MemoryRow[]
}

export interface Section {
  readonly dtype: string
  readonly parallel: readonly {
    readonly strategy: string
    readonly tp: number
    readonly pp: number
    readonly ep: number
    readonly dp: number
    readonly gib_per_gpu: number
    readonly min_gpu: string
  }[]
  /** Name (as far as its column went), GB, and whether inference, training and LoRA fit. */
  readonly gpus: readonly (readonly [string, number, number, number, number])[]
  readonly minimum: { readonly inference: number; readonly training: number; readonly lora: number }
}

export interface Facts {
  readonly memory_table?: readonly {
    readonly dtype: string
    readonly model_size: number
    readonly activation: number
    readonly kv_cache: number
    readonly inference: number
    readonly training: number
    readonly lora: number
  }[]
  readonly table_title?: string
  readonly sections?: readonly Section[]
  readonly recommended_dtype_unavailable?: string
  readonly error?: string
}

export interface RecordedRun {
  readonly id: string
  readonly group: string
  readonly argv: readonly string[]
  readonly exit: number
  readonly config?: Readonly<Record<string, unknown>> | string | null
  readonly files?: Readonly<Record<string, unknown>> | null
  readonly json: Document | null
  readonly stdout_facts: Facts
  readonly seed_fault?: string
  readonly fault_scope?: readonly string[]
  readonly true_params_unique?: number | null
  readonly usage_error?: string
}

/** A question to the original's name rule alone: what it recommends for a model's name and its config's dtype. */
export interface RecordedName {
  readonly id: string
  readonly model_name: string
  readonly torch_dtype: string | null
  readonly recommended: string
  readonly seed_fault?: string
}

export interface Recording {
  readonly runs: readonly RecordedRun[]
  readonly names: readonly RecordedName[]
}

export const fixturePath = (name: string): string => join(dirname(fileURLToPath(import.meta.url)), '../fixtures', name)

/**
 * The file's rows. A run that does not say its distinct weights has them from another run of the same model, else from
 * `totals` by the model's id.
 */
export function readRecording(path: string, totals: ReadonlyMap<string, number> = new Map()): Recording {
  const rows = (JSON.parse(readFileSync(path, 'utf8')) as { runs: (RecordedRun | RecordedName)[] }).runs
  const isRun = (row: RecordedRun | RecordedName): row is RecordedRun => 'argv' in row
  const runs = rows.filter(isRun)
  const distinct = new Map<string, number>()
  for (const run of runs) if (run.true_params_unique) distinct.set(sameWeights(run), run.true_params_unique)
  return {
    runs: runs.map(run => ({
      ...run,
      true_params_unique:
        run.true_params_unique ?? distinct.get(sameWeights(run)) ?? totals.get(run.id.replace(/^\w+:/, '')) ?? null,
    })),
    names: rows.filter((row): row is RecordedName => !isRun(row)),
  }
}

function sameWeights(run: RecordedRun): string {
  if (typeof run.config !== 'object' || run.config === null) return String(run.config)
  const { torch_dtype: _old, dtype: _new, quantization_config: _stored, ...shape } = run.config
  return JSON.stringify(shape)
}

export interface Ours {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly document: Document | null
}

/** The same command line through our own, without a network, on a pipe of 200 columns as the recording had it. */
export async function repeat(run: RecordedRun): Promise<Ours> {
  const folder = temporaryFolder()
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
  const model = run.config === undefined || run.config === null ? {} : { 'model/config.json': text(run.config) }
  const files = Object.entries(run.files ?? {}).map(([path, value]) => [path, text(value)] as const)
  writeFiles(folder, { ...model, ...Object.fromEntries(files) })
  let out = ''
  let err = ''
  const stream = (take: (text: string) => void) =>
    ({ isTTY: false, write: (text: string) => take(text), on: () => {} }) as unknown as NodeJS.WriteStream
  const code = await runCommandLine(run.argv.length === 0 ? [] : [...run.argv, '--offline'], {
    env: { COLUMNS: '200' },
    stdout: stream(text => {
      out += text
    }),
    stderr: stream(text => {
      err += text
    }),
    cwd: () => folder,
  })
  const written = join(folder, run.argv[run.argv.indexOf('--output_json') + 1] ?? '-')
  const document = run.argv.includes('--output_json') && existsSync(written)
  return { code, out, err, document: document ? (JSON.parse(readFileSync(written, 'utf8')) as Document) : null }
}

/** The rows of the printed table after the line that starts with `title`, by the columns of its rule; with its end. */
function tableAfter(lines: readonly string[], title: string, from = 0): { rows: string[][]; end: number } | null {
  const head = lines.findIndex((line, i) => i >= from && line.startsWith(title))
  const rule = lines.findIndex((line, i) => i > head && /^-+( {2}-+)*$/.test(line))
  if (head < 0 || rule < 0) return null
  const columns = [...lines[rule]!.matchAll(/-+/g)].map(match => [match.index, match.index + match[0].length] as const)
  const last = lines.findIndex((line, i) => i > rule && (line === '' || line.includes(' not shown (')))
  const after = last < 0 ? lines.length : last
  const rows = lines
    .slice(rule + 1, after)
    .map(line => columns.map(([start, end], i) => line.slice(start, i === columns.length - 1 ? undefined : end).trim()))
  return { rows, end: after }
}

const numbers = (cells: readonly string[]): number[] => cells.map(Number)

/** What our printed text says, in the recording's own terms. */
export function printed(out: string): Facts {
  const lines = out.split('\n')
  const title = /^Memory Requirements by Data Type and Scenario (\(.*\))$/m.exec(out)?.[1]
  const memory = tableAfter(lines, 'Memory Requirements by Data Type')
  const sections: Section[] = []
  let at = lines.findIndex(line => line.startsWith('===='))
  while (at >= 0) {
    const parallel = tableAfter(lines, 'Parallelization Strategies (', at)!
    const gpus = tableAfter(lines, 'GPU Compatibility Matrix (', at)!
    const least = (what: string) => {
      const line = lines.slice(gpus.end).find(text => text.startsWith(`  Single GPU ${what}: `))
      return Number(/([\d.]+) GiB$/.exec(line ?? '')?.[1])
    }
    sections.push({
      dtype: /\((\w+) Inference/.exec(lines[at + 2]!)![1]!,
      parallel: parallel.rows.map(([strategy, tp, pp, ep, dp, memory, minimum]) => ({
        strategy: strategy!,
        tp: Number(tp),
        pp: Number(pp),
        ep: Number(ep),
        dp: Number(dp),
        gib_per_gpu: Number(memory),
        min_gpu: minimum!,
      })),
      gpus: gpus.rows.map(([name, gb, ...marks]) => {
        const fits = marks.map(mark => ['✗', '✓'].indexOf(mark))
        return [name!, Number(gb!.replace(/GB$/, '')), fits[0]!, fits[1]!, fits[2]!] as const
      }),
      minimum: { inference: least('Inference'), training: least('Training'), lora: least('LoRA') },
    })
    at = lines.findIndex((line, i) => i > at && line.startsWith('===='))
  }
  return {
    ...(title === undefined ? {} : { table_title: title }),
    ...(memory === null
      ? {}
      : {
          memory_table: memory.rows.map(([dtype, ...cells]) => {
            const [model_size, activation, kv_cache, inference, training, lora] = numbers(cells)
            return {
              dtype: dtype!,
              model_size: model_size!,
              activation: activation!,
              kv_cache: kv_cache!,
              inference: inference!,
              training: training!,
              lora: lora!,
            }
          }),
        }),
    ...(sections.length > 0 ? { sections } : {}),
  }
}

/** The rows that --list_types prints. */
export function listedRows(out: string): { types: string[][]; gpus: string[][] } {
  const lines = out.split('\n')
  return {
    types: tableAfter(lines, 'Available Data Types:')?.rows ?? [],
    gpus: tableAfter(lines, 'Available GPU Types:')?.rows ?? [],
  }
}
