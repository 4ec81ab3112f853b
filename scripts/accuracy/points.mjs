// Pairs of estimate and measurement, by engine and part. Everything in bytes, but for tokens.

import { parameterCount } from '../../src/models/count.ts'
import { noLimits, statusOf } from '../../src/verdict/judge.ts'
import { ask, cardOf, GiB, modelOf, partOf, pointsOf } from './ask.mjs'

const vllmFile = pointsOf('measured-vllm.json')
const otherFile = pointsOf('measured-other.json')
export const counts = { vllm: vllmFile.points.length, other: otherFile.points.length }
export const leftOut = []

/** What a row does not state of what the rule for a figure takes: such figures are listed by themselves. */
const lack = (point, part) => (point.incomplete?.[part] ? { id: point.id, incomplete: point.incomplete[part] } : {})

const CACHE = new Set(['kvCache', 'recurrentState'])

/** Parts in the budget beside the cache, summed as a range. */
function beside(answer) {
  const range = { low: 0, expected: 0, high: 0 }
  for (const part of answer.estimate.perGpu.parts)
    if (part.inBudget && !CACHE.has(part.name))
      for (const end of ['low', 'expected', 'high']) range[end] += part.bytes[end]
  return range
}

/** "0.11" of "0.11.2". */
const minor = version => version?.split('.').slice(0, 2).join('.') ?? 'not stated'

/** vLLM: what its start prints. `pairs`: by part; `verdicts`: complete points, with what rules of thumb would say. */
export function vllmPairs() {
  const pairs = []
  const verdicts = []
  for (const point of vllmFile.points) {
    const answer = ask(point)
    if (answer === null) {
      leftOut.push(`${point.id} ${point.model}: not in the catalogue`)
      continue
    }
    const { measured } = point
    const add = (part, estimate, value, more = {}) => {
      if (value)
        pairs.push({ engine: 'vLLM', version: minor(point.version), part, estimate, measured: value * GiB, ...more })
    }
    add('weights', partOf(answer, 'weights'), measured.weightsGib, { naive: naiveWeights(point) })
    add('KV of one request', answer.estimate.kvCache.bytesPerMaxLengthRequest, measured.kvNeededGib)
    if (!point.complete) continue
    verdicts.push({ ...verdictOf(point, answer), rules: rulesOfThumb(point) })
    add('KV available', answer.estimate.kvCache.availableBytes, measured.kvAvailableGib)
    const budget = answer.estimate.perGpu.budgetBytes
    if (measured.kvAvailableGib > 0) {
      const rest = beside(answer)
      add('all but the cache', rest.expected, budget / GiB - measured.kvAvailableGib, { range: rest, total: true })
    }
  }
  return { pairs, verdicts }
}

function verdictOf(point, answer) {
  return { id: point.id, started: point.started, status: statusOf(answer.estimate, noLimits).status }
}

const BYTES = {
  fp8: 1,
  awq: 0.5,
  awq_marlin: 0.5,
  gptq: 0.5,
  gptq_marlin: 0.5,
  mxfp4: 0.5,
  modelopt: 1,
  modelopt_fp4: 0.5,
  bitsandbytes: 0.5,
}

/** Parameters x bytes of the type / TP, as a rule of thumb has the weights of one GPU. */
function naiveWeights(point) {
  const { shape, facts } = modelOf(point)
  const method = point.settings.quantization ?? facts.config.quantization_config?.quant_method
  return (parameterCount(shape) * (BYTES[method] ?? 2)) / (point.settings.tensorParallel ?? 1)
}

/** Does it fit the card by rules of thumb? The original's (weights x 1.2, KV of one request beside), and weights x 1.2. */
function rulesOfThumb(point) {
  const { shape } = modelOf(point)
  const { facts } = shape
  const tensor = point.settings.tensorParallel ?? 1
  const memory = cardOf(point.gpu).memoryBytes
  const weights = 1.2 * naiveWeights(point)
  const headSize = facts.heads ? Math.floor(facts.hidden / facts.heads) : facts.hidden
  const cache = (2 * (point.settings.maxModelLen ?? 0) * headSize * (facts.kvHeads ?? 1) * facts.layers * 2) / tensor
  return { weights: weights <= memory, original: weights + cache <= memory }
}

/** SGLang: the pool from free memory as its log prints it, and from the card alone. */
export function sglangPairs() {
  const pairs = []
  const verdicts = []
  for (const point of otherFile.points.filter(one => one.engine === 'sglang')) {
    const { measured, settings } = point
    const add = (part, estimate, value) =>
      pairs.push({ engine: 'SGLang', version: 'not stated', part, estimate, measured: value })
    const before = measured.freeBeforeGib ?? (measured.weightsGib ?? Number.NaN) + (measured.freeAfterGib ?? Number.NaN)
    const capped = measured.kvTokens === 20480 // max-total-tokens of the example
    if (settings.memoryFraction && measured.poolGib && Number.isFinite(before) && !capped)
      add(
        'pool from free memory',
        (measured.freeAfterGib - before * (1 - settings.memoryFraction)) * GiB,
        measured.poolGib * GiB,
      )
    const model = modelOf(point)
    if (measured.poolGib && measured.kvTokens && model !== null && !capped) {
      const rate = ask(point, { gpu: null }).estimate.kvCache.bytesPerToken
      add('bytes of a token', rate, (measured.poolGib * GiB) / measured.kvTokens)
    }
    if (measured.weightsGib && model !== null && point.id !== 'inf-sglang-035')
      add('weights', partOf(ask(point), 'weights'), measured.weightsGib * GiB)
    if (cardOf(point.gpu) === null || model === null) {
      leftOut.push(`${point.id} ${point.model ?? point.note}: card or model not stated`)
      continue
    }
    if (point.id === 'inf-sglang-035') continue // most experts on the CPU
    const answer = ask(point)
    if (
      measured.kvTokens &&
      !model.shape.layers.kinds.some(kind => kind.cache.some(spec => spec.kind === 'compressed-mla'))
    )
      add('pool tokens from the card alone', answer.estimate.kvCache.capacityTokens, measured.kvTokens)
    verdicts.push(verdictOf(point, answer))
  }
  return { pairs, verdicts }
}

/** TensorRT-LLM: the pool from what is free, tokens from the pool. */
export function trtllmPairs() {
  const pairs = []
  for (const point of otherFile.points.filter(one => one.engine === 'trtllm')) {
    const { measured, settings } = point
    const add = (part, estimate, value) =>
      pairs.push({
        engine: 'TensorRT-LLM',
        version: minor(point.version),
        part,
        estimate,
        measured: value,
        ...lack(point, part),
      })
    if (measured.freeGib && measured.poolGib)
      add('pool from free memory', (settings.memoryFraction ?? 0.9) * measured.freeGib * GiB, measured.poolGib * GiB)
    if (measured.bytesPerToken)
      add('pool from tokens', measured.kvTokens * measured.bytesPerToken, measured.poolGib * GiB)
    if (point.gpu && modelOf(point) !== null) {
      const { availableBytes, bytesPerToken } = ask(point).estimate.kvCache
      add('pool from the card alone', availableBytes, measured.kvTokens * bytesPerToken)
    }
  }
  return pairs
}

/** transformers: memory at rest after generation (weights and cache), and the allocator's peak, summed over GPUs. */
export function transformersPairs() {
  const pairs = []
  for (const point of otherFile.points.filter(one => one.engine === 'transformers')) {
    const answer = ask(point, { gpu: null, settings: { pipelineParallel: 1, tensorParallel: 1 } })
    if (answer === null) {
      leftOut.push(`${point.id} ${point.model}: not in the catalogue`)
      continue
    }
    const parts = answer.estimate.perGpu.parts.filter(part => part.name !== 'context')
    const range = { low: 0, expected: 0, high: 0 }
    for (const part of parts) for (const end of ['low', 'expected', 'high']) range[end] += part.bytes[end]
    const { restGib, peakGib } = point.measured
    const add = (part, estimate, value, more = {}) =>
      pairs.push({
        engine: 'transformers',
        version: minor(point.version),
        part,
        estimate,
        measured: value * GiB,
        ...more,
      })
    if (restGib) add('at rest', partOf(answer, 'weights') + partOf(answer, 'kvCache'), restGib)
    else add('peak', range.expected, peakGib, { range, total: true })
  }
  return pairs
}

/** llama.cpp: KV and model buffers over all devices. */
export function llamacppPairs() {
  const pairs = []
  const huge = cardOf(4096)
  for (const point of otherFile.points.filter(one => one.engine === 'llamacpp')) {
    const [key, value] = point.cacheTypes ?? []
    const answer = ask(
      { ...point, gpus: 1 },
      {
        gpu: huge,
        settings: { quantization: point.quantization, ...(key ? { kvCacheDtype: key } : {}) },
        options: key ? { 'cache-type-v': value } : {},
      },
    )
    if (answer === null) continue
    const add = (part, estimate, mib) =>
      pairs.push({
        engine: 'llama.cpp',
        version: 'not stated',
        part,
        estimate,
        measured: mib * 1024 ** 2,
        ...lack(point, part),
      })
    add('KV buffers', partOf(answer, 'kvCache'), point.measured.kvMib)
    if (point.measured.modelMib) add('model buffers', partOf(answer, 'weights'), point.measured.modelMib)
  }
  return pairs
}
