// A measured point as a question to the product's own engines: facts from the catalogue, cards from the tables.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openCatalogue } from '../../src/catalogue/catalogue.ts'
import { engineOf } from '../../src/engines/index.ts'
import { gpuNamed } from '../../src/hardware/gpus.ts'
import { bareGpu } from '../../src/hardware/look-up.ts'
import { shapeOf } from '../../src/models/families/index.ts'

export const GiB = 1024 ** 3
const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const catalogue = openCatalogue(() => readFileSync(join(root, 'src/catalogue/catalogue.json'), 'utf8'))

export function pointsOf(name) {
  const file = JSON.parse(readFileSync(join(root, '__tests__/fixtures', name), 'utf8'))
  return { ...file, points: file.points.map(point => ({ ...point, url: file.sources[point.source] })) }
}

/** What the published names of quantised variants stand for, as their config.json says it. */
const VARIANTS = {
  FP8: { quant_method: 'fp8', weight_block_size: [128, 128], activation_scheme: 'dynamic', fmt: 'e4m3' },
  'GPTQ-Int8': { quant_method: 'gptq', bits: 8, group_size: 128, desc_act: false, sym: true },
  'GPTQ-Int4': { quant_method: 'gptq', bits: 4, group_size: 128, desc_act: false, sym: true },
  AWQ: { quant_method: 'awq', bits: 4, group_size: 128, zero_point: true, version: 'gemm' },
  'AWQ-INT4': { quant_method: 'awq', bits: 4, group_size: 128, zero_point: true, version: 'gemm' },
}

export function cardOf(gpu) {
  if (gpu === undefined) return null
  return typeof gpu === 'number' ? bareGpu(Math.round(gpu * GiB)) : gpuNamed(gpu)
}

/** Shape and facts of a point's model; null when the catalogue has none. */
export function modelOf(point) {
  const facts = point.model ? catalogue.find(point.model) : null
  if (facts === null) return null
  const variant = VARIANTS[point.quantization]
  const config = variant ? { ...facts.config, quantization_config: variant } : facts.config
  const shape = shapeOf(config)
  if (!shape.ok) return null
  const checkpoint = variant ? { ...facts.checkpoint, totalBytes: null } : facts.checkpoint
  return { shape: shape.value, facts: { ...facts, config, checkpoint } }
}

/** The engine's answer to a point; null when its model is not known. `more` changes the question. */
export function ask(point, more = {}) {
  const model = modelOf(point)
  if (model === null) return null
  const settings = Object.fromEntries(
    Object.entries({ ...point.settings, ...more.settings }).map(([name, value]) => [name, { value, from: 'file' }]),
  )
  return engineOf(point.engine).estimate({
    ...model,
    settings,
    options: Object.fromEntries(
      Object.entries({ ...point.options, ...more.options }).map(([name, value]) => [
        name,
        { value, text: `--${name}`, at: { file: 'point', line: 1, column: 1 } },
      ]),
    ),
    environment: {},
    version: point.version ?? null,
    gpu: more.gpu === undefined ? cardOf(point.gpu) : more.gpu,
    gpusPerReplica: point.gpus ?? null,
    concurrency: 1,
    draft: null,
  })
}

export const partOf = (answer, name) =>
  answer.estimate.perGpu.parts.filter(part => part.name === name).reduce((sum, part) => sum + part.bytes.expected, 0)
