import type { Option, Setting, Settings } from '../../src/deployments/deployment.ts'
import { storageFor } from '../../src/engines/answer.ts'
import type { EngineInput } from '../../src/engines/engine.ts'
import { mediaBytes } from '../../src/engines/sglang/fixed.ts'
import { poolSettings } from '../../src/engines/sglang/kv.ts'
import { type Pool, poolOf, tokenBytes } from '../../src/engines/sglang/pool.ts'
import { type Resolved, resolve } from '../../src/engines/sglang/resolve.ts'
import type { Gpu } from '../../src/hardware/gpu.ts'
import { shapeOf } from '../../src/models/families/index.ts'
import { GiB, MiB } from '../../src/units/bytes.ts'
import { factsNamed } from './catalogue.ts'

/** A row of SGLang's own resolution: `arguments` (fraction, chunk) or `pool` (free memory in, tokens out). */
export interface Row {
  readonly task: 'arguments' | 'pool'
  readonly release: string
  /** Name, driver MiB, compute capability. */
  readonly card: readonly [string, number, string]
  readonly model: string
  readonly flags: Readonly<Record<string, string | number | boolean>>
  readonly fraction?: number
  readonly chunk?: number
  readonly before?: number
  readonly after?: number
  readonly tokens?: number
  readonly running?: number
  readonly slots?: number
  readonly refused?: string
}

const SETTINGS: Readonly<Record<string, string>> = {
  'tp-size': 'tensorParallel',
  'pp-size': 'pipelineParallel',
  'dp-size': 'dataParallel',
  'ep-size': 'expertParallel',
  'mem-fraction-static': 'memoryFraction',
  'max-running-requests': 'maxNumSeqs',
  'chunked-prefill-size': 'maxNumBatchedTokens',
  'context-length': 'maxModelLen',
  'kv-cache-dtype': 'kvCacheDtype',
  'page-size': 'blockSize',
  'speculative-num-draft-tokens': 'speculativeTokens',
  dtype: 'dtype',
  quantization: 'quantization',
}
const DRAFT = 'meta-llama/Llama-3.1-8B'

function gpuOf([name, mib, capability]: Row['card']): Gpu {
  return {
    name,
    maker: name.startsWith('AMD') ? 'AMD' : 'NVIDIA',
    driverBytes: mib * MiB,
    memoryBytes: mib * MiB - 0.45 * GiB,
    computeCapability: capability,
    supported: true,
    source: 'row',
  }
}

function draftOf(path: Row['flags'][string] | undefined): EngineInput['draft'] {
  if (typeof path !== 'string') return null
  const facts = factsNamed(DRAFT)
  // the rows' EAGLE-3 drafts were made by hand: Llama-3.1-8B with one layer
  const config = path === DRAFT ? facts.config : { ...facts.config, num_hidden_layers: 1 }
  const shape = shapeOf(config)
  if (!shape.ok) throw new Error(shape.problem.message)
  return { shape: shape.value, facts: { ...facts, config } }
}

/** The row as the reader of command lines hands it to the engine. */
export function inputOf(row: Row): EngineInput {
  const facts = factsNamed(row.model)
  const shape = shapeOf(facts.config)
  if (!shape.ok) throw new Error(shape.problem.message)
  const settings: Record<string, Setting> = {}
  const options: Record<string, Option> = {}
  for (const [flag, value] of Object.entries(row.flags)) {
    const name = SETTINGS[flag]
    const off = flag === 'chunked-prefill-size' && Number(value) <= 0
    if (name !== undefined && !off) settings[name] = { value, from: 'file' }
    const text = typeof value === 'boolean' ? value : String(value)
    options[flag] = { value: text, at: { file: 'a.yaml', line: 1, column: 1 }, text: `--${flag} ${value}` }
  }
  if (row.flags['enable-dp-attention'] && settings['dataParallel'])
    settings['attentionDataParallel'] = settings['dataParallel']
  return {
    shape: shape.value,
    facts,
    settings: settings as Settings,
    options,
    environment: {},
    version: row.release,
    gpu: gpuOf(row.card),
    gpusPerReplica: null,
    concurrency: 1,
    draft: draftOf(row.flags['speculative-draft-model-path']),
  }
}

/** The pool of a row by its free memory before and after the weights, the smallest stage's. */
export function poolFrom(row: Row): Pool & { readonly resolved: Resolved } {
  const input = inputOf(row)
  const r = resolve(input)
  const storage = storageFor(input, { dtype: r.dtype, quantization: r.quantization }, r.reader)
  const { pool } = poolSettings(input, r, storage)
  const budget = ((row.after ?? 0) - (row.before ?? 0) * (1 - r.server.fraction)) * GiB - mediaBytes(r)
  const pools = tokenBytes(input.shape, r.traits, pool).map(tokens => poolOf(budget, tokens, pool))
  return { ...pools.reduce((least, one) => (one.tokens < least.tokens ? one : least)), resolved: r }
}
