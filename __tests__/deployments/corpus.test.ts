import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import type { Deployment } from '../../src/deployments/deployment.ts'
import { extractFrom } from '../helpers/files.ts'
import { describeShared, sharedRows } from '../helpers/shared.ts'

interface Expected {
  readonly engine: string
  readonly model: string | null
  readonly model_line: number | null
  readonly model_lines?: readonly number[]
  readonly hf_equivalent?: string
  readonly also_ok_model?: string | readonly string[]
  readonly model_hint?: string
  readonly gpus_per_replica: number | null
  readonly ambiguous?: readonly string[]
  readonly mode?: string
  readonly wrapper?: string
  readonly [field: string]: unknown
}

interface CorpusFile {
  readonly id: string
  readonly path: string
  readonly file: string
  readonly expect: 'deployments' | 'ignore'
  readonly lenient?: boolean
  readonly extra_ok?: boolean
  readonly invalid_yaml?: boolean
  readonly deployments: readonly Expected[]
}

const norm = (text: unknown): string | null =>
  text == null
    ? null
    : String(text)
        .toLowerCase()
        .replace(/^(?:hf|huggingface):\/\//, '')
        .replace(/[\s_]+/g, '-')
        .replace(/\/$/, '')

const FIELDS = {
  tensor_parallel: 'tensorParallel',
  pipeline_parallel: 'pipelineParallel',
  data_parallel: 'dataParallel',
  expert_parallel: 'expertParallel',
  max_model_len: 'maxModelLen',
  gpu_memory_utilization: 'memoryFraction',
  dtype: 'dtype',
  quantization: 'quantization',
  kv_cache_dtype: 'kvCacheDtype',
  max_num_seqs: 'maxNumSeqs',
} as const
const SILENT: Record<string, unknown> = {
  tensor_parallel: 1,
  pipeline_parallel: 1,
  data_parallel: 1,
  expert_parallel: false,
}

function fieldOf(deployment: Deployment, field: string): unknown {
  if (field === 'gpus_per_replica') return deployment.hardware.gpusPerReplica
  const settings = deployment.settings
  if (field === 'max_model_len') return (settings.maxModelLen ?? settings.sequenceLength)?.value ?? null
  return settings[FIELDS[field as keyof typeof FIELDS]]?.value ?? null
}

function equal(field: string, want: unknown, got: unknown): boolean {
  if (want === null || got === null)
    return want === got || (want ?? got) === SILENT[field] || (field === 'expert_parallel' && got === 1)
  if (field === 'expert_parallel') return Boolean(want) === (got === true || Number(got) > 1)
  if (typeof want === 'number') return Math.abs(want - Number(got)) < 1e-6
  const half: Record<string, string> = { half: 'float16', float: 'float32' }
  return (half[norm(want)!] ?? norm(want)) === (half[norm(got)!] ?? norm(got))
}

function sameModel(want: Expected, got: Deployment): boolean {
  const names = [want.model, want.hf_equivalent, want.also_ok_model, want.model_hint].flat().filter(Boolean).map(norm)
  const id = norm(got.model.id)
  if (want.model === null) return id === null || names.includes(id)
  return id !== null && names.some(name => name === id || name!.endsWith(`/${id}`) || id.endsWith(`/${name}`))
}

describeShared('the corpus of real files', 'corpus/expected.json', path => {
  test('deployments, fields and lines are found; files without one stay silent', async () => {
    const { files } = sharedRows<never>(path) as unknown as { files: CorpusFile[] }
    const texts: Record<string, string> = {}
    files.forEach((file, index) => {
      texts[`f${index}/${file.path}`] = readFileSync(join(path, '..', file.file), 'utf8')
    })
    const { deployments } = await extractFrom(texts)
    const wrong: string[] = []
    const count = { wanted: 0, found: 0, fields: 0, right: 0, lines: 0, rightLines: 0, extra: 0, ignored: 0 }
    for (const [index, file] of files.entries()) {
      const left = deployments.filter(one => one.id.startsWith(`f${index}/`))
      if (file.expect === 'ignore') {
        count.ignored++
        if (!file.lenient)
          for (const one of left) wrong.push(`${file.id}: must yield nothing, got ${one.engine.name} ${one.model.id}`)
        continue
      }
      for (const want of file.deployments) {
        if (file.lenient && left.length === 0) continue
        count.wanted++
        const fields = ['gpus_per_replica', ...Object.keys(FIELDS)].filter(
          field =>
            !want.ambiguous?.includes(field) &&
            !(want.mode === 'training' && /gpus|seqs|utilization|quantization|dtype/.test(field)),
        )
        const score = (one: Deployment): number =>
          fields.filter(field => equal(field, want[field] ?? null, fieldOf(one, field))).length +
          (one.engine.name === want.engine ? 0.5 : 0)
        const [best] = left.filter(one => sameModel(want, one)).sort((a, b) => score(b) - score(a))
        if (!best) {
          wrong.push(`${file.id}: missing ${want.engine} ${want.model}`)
          continue
        }
        left.splice(left.indexOf(best), 1)
        count.found++
        count.fields++
        if (best.engine.name === want.engine || want.wrapper) count.right++
        for (const field of fields) {
          const [expected, got] = [want[field] ?? null, fieldOf(best, field)]
          if (expected === null && equal(field, null, got)) continue
          count.fields++
          if (equal(field, expected, got)) count.right++
          else wrong.push(`${file.id}: ${field} ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`)
        }
        const lines = [want.model_line, ...(want.model_lines ?? [])].filter(Boolean)
        if (lines.length > 0 && !file.invalid_yaml) {
          count.lines++
          if (lines.includes(best.location.line)) count.rightLines++
          else wrong.push(`${file.id}: line ${lines[0]}, got ${best.location.line}`)
        }
      }
      if (!file.extra_ok && !file.lenient) count.extra += left.length
    }
    expect(files.length).toBeGreaterThanOrEqual(174)
    expect(count.ignored).toBeGreaterThanOrEqual(42)
    expect(wrong.filter(line => line.includes('must yield nothing'))).toEqual([])
    expect({ ...count, wrong: count.found / count.wanted >= 0.97 ? [] : wrong }).toMatchObject({ wrong: [] })
    expect(count.right / count.fields).toBeGreaterThanOrEqual(0.97)
    expect(count.rightLines / count.lines).toBeGreaterThanOrEqual(0.95)
    expect(count.extra).toBeLessThanOrEqual(0.02 * count.wanted)
  })
})
