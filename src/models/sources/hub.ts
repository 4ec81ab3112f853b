import { bad, good, type Problem, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import { type CheckpointFacts, type ModelFacts, unknownCheckpoint } from '../facts.ts'
import {
  CONFIG_LIMIT,
  configObject,
  INDEX_LIMIT,
  isObject,
  isQuantised,
  shardIndex,
  withQuantConfig,
} from './config-text.ts'
import { chooseGguf, ggufFacts, type ReadRange, safetensorsFacts } from './headers.ts'
import { get, type HttpAnswer, type HttpOptions, type HttpPorts, httpDefaults } from './http.ts'
import { hubProblem } from './hub-problems.ts'
import type { HubSettings } from './hub-settings.ts'
import type { FactsReference } from './reference.ts'

/** Facts by repository and commit never change; a cache keeps them between runs. */
export interface FactsCache {
  readonly get: (id: string, sha: string, variant: string | null) => Promise<ModelFacts | null>
  readonly put: (facts: ModelFacts, variant: string | null) => Promise<void>
}

export interface Hub {
  /** Facts of a model at the commit its revision names now; the reference is a checked one. */
  readonly facts: (reference: FactsReference) => Promise<Result<ModelFacts>>
  /** The commit that the revision names now, by one request. */
  readonly commit: (reference: FactsReference) => Promise<Result<string>>
}

/** Requests at once; more would only meet the rate limit sooner. */
const AT_ONCE = 6
const INFO_LIMIT = 10 * 1024 * 1024
/** What one repository may list. */
const MOST_FILES = 100_000

/**
 * A client of the Hugging Face Hub: one request for what the Hub knows of a model (commit, element counts, files), one
 * for its config.json at that commit, and a third for an index or header only where the Hub's counts say no bytes.
 */
export function hubClient(
  settings: Pick<HubSettings, 'endpoint' | 'token'>,
  ports: HttpPorts,
  more: { readonly cache?: FactsCache; readonly http?: Partial<HttpOptions> } = {},
): Hub {
  const asker = new Asker(settings, ports, { ...httpDefaults, ...more.http })
  return {
    facts: async reference => {
      const pinned = isSha(reference.revision) ? reference.revision : null
      const known = pinned === null ? null : await more.cache?.get(reference.id, pinned, reference.variant)
      if (known) return good(known)
      const info = await infoOf(asker, reference)
      if (!info.ok) return info
      const cached = pinned === null ? await more.cache?.get(reference.id, info.value.sha, reference.variant) : null
      if (cached) return good(cached)
      const facts = await factsAt(asker, reference, info.value)
      if (facts.ok) await more.cache?.put(facts.value, reference.variant)
      return facts
    },
    commit: async reference => {
      const info = await infoOf(asker, reference)
      return info.ok ? good(info.value.sha) : info
    },
  }
}

const isSha = (revision: string | null): revision is string => revision !== null && /^[0-9a-f]{40}$/.test(revision)

/** Asks the Hub for one path, a bounded number at once. */
class Asker {
  readonly #settings: Pick<HubSettings, 'endpoint' | 'token'>
  readonly #ports: HttpPorts
  readonly #options: HttpOptions
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(settings: Pick<HubSettings, 'endpoint' | 'token'>, ports: HttpPorts, options: HttpOptions) {
    this.#settings = settings
    this.#ports = ports
    this.#options = options
  }

  async get(path: string, limit: number, range?: readonly [number, number]): Promise<HttpAnswer> {
    if (this.#running >= AT_ONCE) await new Promise<void>(resolve => this.#waiting.push(resolve))
    this.#running++
    const { endpoint, token } = this.#settings
    try {
      const request = {
        url: `${endpoint}${path}`,
        token,
        origin: new URL(endpoint).origin,
        limit,
        ...(range ? { range } : {}),
      }
      return await get(request, this.#ports, this.#options)
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  /** A file of the repository at a commit. Problem: what the Hub's answer means. */
  async file(
    reference: FactsReference,
    sha: string,
    file: string,
    limit: number,
    range?: readonly [number, number],
  ): Promise<Result<Uint8Array>> {
    const path = file.split('/').map(encodeURIComponent).join('/')
    const answer = await this.get(`/${idPath(reference.id)}/resolve/${sha}/${path}`, limit, range)
    if (answer.kind === 'answer' && (answer.status === 200 || answer.status === 206)) return good(answer.body)
    return { ok: false, problem: this.problem(answer, reference, file) }
  }

  problem(answer: HttpAnswer, reference: FactsReference, file: string | null): Problem {
    const { endpoint, token } = this.#settings
    return hubProblem(answer, { reference, endpoint, hasToken: token !== null, file })
  }
}

const idPath = (id: string) => id.split('/').map(encodeURIComponent).join('/')
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

interface Info {
  readonly sha: string
  /** Elements by data type; null when the Hub does not know them. */
  readonly elements: Readonly<Record<string, number>> | null
  readonly files: readonly string[]
}

async function infoOf(asker: Asker, reference: FactsReference): Promise<Result<Info>> {
  const revision = encodeURIComponent(reference.revision ?? 'HEAD')
  const query = ['sha', 'safetensors', 'siblings'].map(field => `expand=${field}`).join('&')
  const answer = await asker.get(`/api/models/${idPath(reference.id)}/revision/${revision}?${query}`, INFO_LIMIT)
  if (answer.kind !== 'answer' || answer.status !== 200)
    return { ok: false, problem: asker.problem(answer, reference, null) }
  const json = parsed(answer.body)
  const sha = isObject(json) ? json['sha'] : null
  if (!isObject(json) || typeof sha !== 'string' || !isSha(sha))
    return bad('network', `${reference.id}: the Hub's answer is not the expected JSON`, {
      hint: 'a proxy may have answered in its place; check HF_ENDPOINT',
    })
  return good({ sha, elements: elementsOf(json['safetensors']), files: filesOf(json['siblings']) })
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(body))
  } catch {
    return null
  }
}

/** Counts that are whole and positive; anything else is as if the Hub did not know. */
function elementsOf(safetensors: unknown): Record<string, number> | null {
  const counts = isObject(safetensors) ? safetensors['parameters'] : null
  if (!isObject(counts)) return null
  const entries = Object.entries(counts)
  const sound = entries.every(([dtype, n]) => /^\w{1,20}$/.test(dtype) && Number.isSafeInteger(n) && (n as number) >= 0)
  return sound && entries.length > 0 ? (counts as Record<string, number>) : null
}

function filesOf(siblings: unknown): string[] {
  if (!Array.isArray(siblings)) return []
  return siblings
    .slice(0, MOST_FILES)
    .map((file: unknown) => (isObject(file) ? file['rfilename'] : null))
    .filter(name => typeof name === 'string')
}

async function factsAt(asker: Asker, reference: FactsReference, info: Info): Promise<Result<ModelFacts>> {
  const has = (name: string) => info.files.length === 0 || info.files.includes(name)
  const ggufOnly = !has('config.json') || !info.files.some(name => /\.(safetensors|bin|pth?)$/.test(name))
  const gguf = reference.variant !== null || ggufOnly ? chooseGguf(info.files, reference.variant) : null
  if (gguf !== null) return gguf.ok ? ggufAt(asker, reference, info, gguf.value) : named(reference, gguf.problem)
  if (!has('config.json')) return { ok: false, problem: noConfig(reference) }
  const file = await asker.file(reference, info.sha, 'config.json', CONFIG_LIMIT)
  if (!file.ok) return file
  const read = configObject(textOf(file.value), `${reference.id}/config.json`)
  if (!read.ok) return read
  let config = read.value
  if (info.files.includes('hf_quant_config.json') && !isQuantised(config)) {
    const quant = await asker.file(reference, info.sha, 'hf_quant_config.json', CONFIG_LIMIT)
    if (!quant.ok) return quant
    config = withQuantConfig(config, textOf(quant.value))
  }
  const checkpoint = await checkpointOf(asker, reference, info, config)
  if (!checkpoint.ok) return checkpoint
  return good({ id: reference.id, revision: info.sha, source: 'hub', asOf: null, config, checkpoint: checkpoint.value })
}

/** A GGUF file says all that llama.cpp reads; the repository's config.json, if any, is not asked for. */
async function ggufAt(
  asker: Asker,
  reference: FactsReference,
  info: Info,
  files: readonly string[],
): Promise<Result<ModelFacts>> {
  const read = await ggufFacts(files, file => rangeOf(asker, reference, info.sha, file))
  if (!read.ok) return read.problem.code === 'checkpoint-invalid' ? named(reference, read.problem) : read
  const checkpoint = { ...unknownCheckpoint, totalBytes: read.value.bytes }
  return good({
    id: reference.id,
    revision: info.sha,
    source: 'hub',
    asOf: null,
    config: {},
    checkpoint,
    gguf: read.value,
  })
}

function rangeOf(asker: Asker, reference: FactsReference, sha: string, file: string): ReadRange {
  return (start, end) => asker.file(reference, sha, file, end - start, [start, end - 1])
}

function named(reference: FactsReference, problem: Problem): Result<never> {
  return { ok: false, problem: { ...problem, message: `${reference.id}: ${problem.message}` } }
}

function noConfig(reference: FactsReference): Problem {
  return {
    code: 'config-invalid',
    message: `${reference.id} has no config.json and no GGUF file`,
    hint: 'name a model with a config.json in the policy: models: { <id in the file>: { id: org/name } }',
  }
}

/** Bytes of one element by safetensors data type. */
const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
}
/** Quantisers pack several weights into these, and the Hub then counts now the weights, now the words. */
const PACKED: ReadonlySet<string> = new Set(['I32', 'I64', 'I16', 'U8', 'I8'])

/** Bytes by the Hub's counts where they can be trusted, else by the index, else unknown. */
async function checkpointOf(
  asker: Asker,
  reference: FactsReference,
  info: Info,
  config: JsonObject,
): Promise<Result<CheckpointFacts>> {
  const { elements } = info
  const counted = elements === null ? null : countedBytes(elements, isQuantised(config))
  if (counted !== null) return good({ totalBytes: counted, elementsByDtype: elements, tensors: null })
  for (const name of ['model.safetensors.index.json', 'pytorch_model.bin.index.json']) {
    if (!info.files.includes(name)) continue
    const index = await asker.file(reference, info.sha, name, INDEX_LIMIT)
    if (!index.ok) return index
    const read = shardIndex(textOf(index.value))
    return good({ totalBytes: read.ok ? read.value.totalBytes : null, elementsByDtype: elements, tensors: null })
  }
  if (info.files.includes('model.safetensors')) {
    const single = await safetensorsFacts(rangeOf(asker, reference, info.sha, 'model.safetensors'))
    if (single.ok || single.problem.code !== 'checkpoint-invalid') return single
  }
  return good({ ...unknownCheckpoint, elementsByDtype: elements })
}

function countedBytes(elements: Readonly<Record<string, number>>, quantised: boolean): number | null {
  let bytes = 0
  for (const [dtype, count] of Object.entries(elements)) {
    const size = ELEMENT_BYTES[dtype]
    if (size === undefined || (quantised && PACKED.has(dtype) && count > 0)) return null
    bytes += size * count
  }
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null
}
