import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { openCatalogue } from '../../src/catalogue/catalogue.ts'
import { type CheckInput, check } from '../../src/check.ts'
import { withOverrides } from '../../src/policy/overrides.ts'
import { defaultPolicy } from '../../src/policy/policy.ts'
import { bad, good } from '../../src/problem.ts'
import type { Report, ReportDeployment } from '../../src/report/report.ts'
import type { Repository } from '../../src/repository/repository.ts'
import { filesOf } from '../helpers/files.ts'
import { projectRoot } from '../helpers/run-action.ts'

jest.setTimeout(60_000)

/** Properties of the whole pipeline over catalogue models (design section 10). */

const catalogue = openCatalogue(() => readFileSync(join(projectRoot, 'src/catalogue/catalogue.json'), 'utf8'))
const ports: CheckInput['ports'] = {
  findModel: async ({ id }) => {
    const facts = catalogue.find(id)
    return facts ? good(facts) : bad('model-unknown', `${id} is not in the catalogue`)
  },
  now: new Date('2026-11-25T00:00:00Z'),
}
/** Every tenth model of the catalogue: all kinds of families. */
const ids = catalogue.ids().filter((_id, i) => i % 10 === 0)
const CARDS = ['nvidia-tesla-t4', 'nvidia-l4', 'nvidia-a100-80gb', 'nvidia-h100-80gb', 'nvidia-h200-141gb']
const IMAGES = ['vllm/vllm-openai:v0.11.0', 'vllm/vllm-openai:v0.8.5', 'vllm/vllm-openai:latest']

interface Deployed {
  readonly model: string
  readonly card: string
  readonly image: string
  readonly context: number
  readonly seqs: number
  readonly tp: number
}
const deployed: fc.Arbitrary<Deployed> = fc.record({
  model: fc.constantFrom(...ids),
  card: fc.constantFrom(...CARDS),
  image: fc.constantFrom(...IMAGES),
  context: fc.integer({ min: 64, max: 200_000 }),
  seqs: fc.integer({ min: 1, max: 512 }),
  tp: fc.constantFrom(1, 2, 4, 8),
})
const options = ({ context, seqs, tp }: Deployed) => [
  `--max-model-len=${context}`,
  `--max-num-seqs=${seqs}`,
  `--tensor-parallel-size=${tp}`,
  '--max-num-batched-tokens=4096',
  '--gpu-memory-utilization=0.9',
]
const manifest = (one: Deployed, name: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  template:
    spec:
      nodeSelector: { cloud.google.com/gke-accelerator: ${one.card} }
      containers:
        - name: vllm
          image: ${one.image}
          args: ${JSON.stringify(['--model', one.model, ...options(one)])}
          resources: { limits: { nvidia.com/gpu: ${one.tp} } }
`
const filesFor = (all: readonly Deployed[]) =>
  Object.fromEntries(all.map((one, i) => [`d${i}/serve.yaml`, manifest(one, `m${i}`)]))

async function reportOf(
  head: Repository,
  base: Repository | null = null,
  overrides: Record<string, string> = {},
): Promise<Report> {
  const policy = withOverrides(defaultPolicy, overrides)
  if (!policy.ok) throw new Error(policy.problems[0]!.message)
  return (await check({ head, base, policy: policy.value, ports })).report
}
const judged = async (one: Deployed, overrides: Record<string, string> = {}): Promise<ReportDeployment> =>
  (await reportOf(filesOf(filesFor([one])), null, overrides)).deployments[0]!
const part = (row: ReportDeployment, name: string) =>
  (row.estimate?.perGpu.parts ?? []).filter(one => one.name === name).reduce((sum, one) => sum + one.bytes.expected, 0)
const cache = (row: ReportDeployment) => part(row, 'kvCache') + part(row, 'recurrentState')

const runs = { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 100), seed: 10 }

test('the sample has models of many families', () => {
  expect(ids.length).toBeGreaterThanOrEqual(20)
})

describe('one deployment', () => {
  test('parts are not negative and sum to the total; low <= expected <= high', async () => {
    let estimated = 0
    await fc.assert(
      fc.asyncProperty(deployed, async one => {
        const row = await judged(one)
        if (row.estimate === null) return expect(row.verdict.status).toMatch(/unknown|skipped/)
        estimated++
        const { parts, totalBytes } = row.estimate.perGpu
        for (const end of ['low', 'expected', 'high'] as const) {
          for (const { bytes } of parts) expect(bytes[end]).toBeGreaterThanOrEqual(0)
          expect(parts.filter(p => p.inBudget).reduce((sum, p) => sum + p.bytes[end], 0)).toBe(totalBytes[end])
        }
        for (const { low, expected, high } of [totalBytes, ...parts.map(p => p.bytes)]) {
          expect(low).toBeLessThanOrEqual(expected)
          expect(expected).toBeLessThanOrEqual(high)
        }
        expect(JSON.stringify(row)).not.toMatch(/NaN|Infinity/)
      }),
      runs,
    )
    expect(estimated).toBeGreaterThan(30)
  })

  test('more tensor ranks never raise the weights of a GPU', async () => {
    await fc.assert(
      fc.asyncProperty(deployed, async one => {
        const weights = []
        for (const tp of [1, 2, 4, 8]) weights.push(part(await judged({ ...one, tp }), 'weights'))
        expect(weights).toEqual([...weights].sort((a, b) => b - a))
      }),
      { ...runs, numRuns: 25 },
    )
  })

  test('a longer context or more requests at once never lower the cache', async () => {
    await fc.assert(
      fc.asyncProperty(
        deployed,
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 16 }),
        async (one, longer, more) => {
          const now = cache(await judged(one))
          expect(cache(await judged({ ...one, context: one.context + longer }))).toBeGreaterThanOrEqual(now)
          expect(cache(await judged(one, { 'min-concurrency': String(more) }))).toBeGreaterThanOrEqual(now)
        },
      ),
      runs,
    )
  })

  test('a larger card of the same kind never turns fits into exceeds, the options being given', async () => {
    await fc.assert(
      fc.asyncProperty(
        deployed,
        fc.integer({ min: 20, max: 100 }),
        fc.integer({ min: 1, max: 100 }),
        async (one, size, more) => {
          const small = await judged(one, { target: `${size}GiB` })
          const large = await judged(one, { target: `${size + more}GiB` })
          if (small.verdict.status === 'fits') expect(large.verdict.status).toBe('fits')
          if (large.verdict.status === 'exceeds') expect(small.verdict.status).toBe('exceeds')
        },
      ),
      runs,
    )
  })

  test('a remedy by flags, written into the file, has the status that it claims', async () => {
    let tried = 0
    await fc.assert(
      fc.asyncProperty(deployed, async one => {
        const row = await judged(one)
        for (const remedy of row.remedies.slice(0, 3)) {
          const flags = remedy.change.map(change => change.flag)
          if (remedy.change.some(change => change.setting === 'model' || change.flag === null)) continue
          const text = manifest(one, 'm').replace(
            /"(--[^"]+)"\]/,
            (_all, last) =>
              `${JSON.stringify(last)}, ${flags
                .flatMap(flag => flag!.split(' '))
                .map(word => JSON.stringify(word))
                .join(', ')}]`,
          )
          const changed = (await reportOf(filesOf({ 'd0/serve.yaml': text }))).deployments[0]!
          tried++
          expect([flags.join(' '), changed.verdict.status]).toEqual([flags.join(' '), remedy.status])
          expect(changed.estimate!.perGpu.totalBytes).toEqual(remedy.totalBytes)
        }
      }),
      { ...runs, numRuns: 3 * runs.numRuns },
    )
    expect(tried).toBeGreaterThan(10)
  })
})

describe('a repository', () => {
  const several = fc.array(deployed, { minLength: 1, maxLength: 5 })

  test('an unchanged tree has delta 0 everywhere, and only-new never fails it', async () => {
    await fc.assert(
      fc.asyncProperty(several, async all => {
        const files = filesOf(filesFor(all))
        const report = await reportOf(files, files, {
          'only-new': 'true',
          'fail-on': 'exceeds,tight,unknown,finding,increase',
          'max-increase': '0',
        })
        for (const { baseline, estimate } of report.deployments)
          expect(baseline).toMatchObject({ change: 'unchanged', causes: [], deltaBytes: estimate === null ? null : 0 })
        expect(report.removed).toEqual([])
        expect(report.verdict).not.toBe('fail')
      }),
      { ...runs, numRuns: 25 },
    )
  })

  test('causes sum to the delta', async () => {
    await fc.assert(
      fc.asyncProperty(deployed, deployed, async (before, after) => {
        const [row] = (await reportOf(filesOf(filesFor([after])), filesOf(filesFor([before])))).deployments
        const { baseline } = row!
        if (!baseline || baseline.deltaBytes === null) return
        expect(baseline.causes.reduce((sum, cause) => sum + cause.deltaBytes, 0)).toBe(baseline.deltaBytes)
      }),
      runs,
    )
  })

  test('the order in which files are listed does not change the verdicts', async () => {
    await fc.assert(
      fc.asyncProperty(several, async all => {
        const whole = filesOf(filesFor(all))
        const turned: Repository = {
          ...whole,
          list: async () => {
            const { files, truncated } = await whole.list()
            return { files: [...files].reverse(), truncated }
          },
        }
        const [first, second] = [await reportOf(whole), await reportOf(turned)]
        const byId = (rows: readonly ReportDeployment[]) => [...rows].sort((a, b) => (a.id < b.id ? -1 : 1))
        expect(byId(second.deployments)).toEqual(byId(first.deployments))
        expect({ ...second, deployments: [] }).toEqual({ ...first, deployments: [] })
      }),
      { ...runs, numRuns: 25 },
    )
  })

  test('any text as a file is read without an exception', async () => {
    const words = fc.constantFrom(
      'vllm',
      'serve',
      '--model',
      'kind:',
      'image: vllm/vllm-openai',
      'args: [',
      '|',
      '---\n',
      '\n',
      '  ',
      '${X:-',
      '{{',
      '}}',
      'services:\n',
      '&a',
      '*a',
      '"',
      "'",
      '\t',
      '- ',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(words, fc.string({ maxLength: 12 })), { maxLength: 60 }),
        fc.constantFrom('a.yaml', 'docker-compose.yml', 'serve.sh', 'values.yaml', 'Dockerfile', 'app.py', 'x.json'),
        async (parts, path) => {
          const report = await reportOf(filesOf({ [path]: parts.join('') }))
          expect(report.schemaVersion).toBe(1)
        },
      ),
      { numRuns: 400, seed: 3 },
    )
  })
})
