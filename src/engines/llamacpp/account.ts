import { exactly, type Part, type Range } from '../../memory/parts.ts'
import { grouped, MiB } from '../../units/bytes.ts'
import { exactPart, perGpu, rangePart } from '../answer.ts'
import type { EngineAnswer, EngineInput, Estimate, KvCacheFigures } from '../engine.ts'
import type { ContextOptions } from './context.ts'
import { CONTEXT_BYTES, type DeviceLoad, deviceLoads, type Placement } from './devices.ts'
import type { Resolved } from './resolve.ts'
import { refusal, type Start } from './start.ts'

/** What the server leaves free on each device when it fits the context to the memory. */
const FIT_MARGIN = 1024 * MiB
/** It never lowers the context below this. */
const FIT_LEAST = 4096
const STEP = 256

interface Loaded {
  readonly asked: ContextOptions
  readonly start: Start
  readonly loads: readonly DeviceLoad[]
  readonly fullest: number
  /** Bytes of the draft model's own context on the main device. */
  readonly draftContext: number
}

/** One deployment under llama.cpp's own rules: exact buffers a device, no pool (llama.cpp v0.4.0). */
export function account(input: EngineInput, r: Resolved, engine: string): EngineAnswer {
  const budget = input.gpu === null ? null : input.gpu.memoryBytes
  const trained = r.model.contextLength > 0 ? r.model.contextLength : FIT_LEAST
  const wanted = r.asked.context > 0 ? r.asked.context : trained
  const context = r.fitsContext && budget !== null ? fittedContext(r, wanted, budget - FIT_MARGIN) : wanted
  const loaded = at(r, context)
  const why = refusal(r.model, r.asked)
  if (why !== null) r.reader.say('refused', 'error', `${engine} does not start: ${why}`, input.settings.kvCacheDtype)
  noteContext(input, r, wanted, context, trained)
  const parts = partsOf(r, loaded)
  const device = loaded.loads[loaded.fullest]!
  const figures = perGpu(`device ${loaded.fullest} of ${loaded.loads.length}, ${device.layers} layers`, parts, budget)
  const estimate: Estimate = {
    method: 'engine',
    perGpu: figures,
    kvCache: kvFigures(r, loaded, budget, figures.totalBytes.expected, trained),
    assumptions: r.assumptions,
  }
  if (budget !== null && figures.totalBytes.expected > budget) notePartial(r, context, budget, engine)
  return { settings: r.reader.settings(), estimate, findings: r.reader.findings }
}

function at(r: Resolved, context: number, placement: Placement = r.placement): Loaded {
  const asked = { ...r.asked, context }
  const { start, loads } = deviceLoads(r.model, r.tensors, placement, asked)
  const loaded = { asked, start, loads, fullest: 0, draftContext: r.draft?.context(asked) ?? 0 }
  loads.forEach((_load, device) => {
    if (deviceBytes(r, loaded, device) > deviceBytes(r, loaded, loaded.fullest)) loaded.fullest = device
  })
  return loaded
}

function deviceBytes(r: Resolved, loaded: Loaded, device: number): number {
  const load = loaded.loads[device]!
  const draft = r.draft !== null && device === r.placement.mainDevice ? r.draft.weights + loaded.draftContext : 0
  const own = load.weights + load.cache + load.state + load.compute + load.converted + load.transfers
  return own + draft + CONTEXT_BYTES.expected
}

const fullestBytes = (r: Resolved, loaded: Loaded): number => deviceBytes(r, loaded, loaded.fullest)

/** The longest context up to `most` whose fullest device stays within `room`; at least 4,096. */
function fittedContext(r: Resolved, most: number, room: number): number {
  return Math.max(Math.min(FIT_LEAST, most), longestContext(r, most, room) ?? 0)
}

/** In steps of 256 tokens; null when not even one step fits. */
function longestContext(r: Resolved, most: number, room: number): number | null {
  if (fullestBytes(r, at(r, most)) <= room) return most
  let low = 0
  let high = Math.floor(most / STEP)
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fullestBytes(r, at(r, middle * STEP)) <= room) low = middle
    else high = middle - 1
  }
  return low > 0 ? low * STEP : null
}

function noteContext(input: EngineInput, r: Resolved, wanted: number, context: number, trained: number): void {
  const given = input.settings.maxModelLen
  if (r.asked.context === 0)
    r.reader.fill(
      'maxModelLen',
      context,
      context < wanted ? 'lowered by the server until 1 GiB stays free on each device' : "the model's training context",
    )
  else {
    const slots = r.asked.unified ? 1 : Math.max(1, r.asked.sequences)
    if (Math.floor(wanted / slots) > trained && r.model.contextLength > 0)
      r.reader.say(
        'context-above-model',
        'warning',
        `ctx-size ${grouped(wanted)}${slots > 1 ? ` over ${slots} slots` : ''} is above the model's training context of ${grouped(trained)}`,
        given,
      )
  }
}

/** Says how many layers would stay in host memory where the server may decide it. */
function notePartial(r: Resolved, context: number, budget: number, engine: string): void {
  if (!r.fitsLayers) return
  const all = r.tensors.blocks.length + 1
  let offloaded = Math.min(r.placement.offloaded, all)
  while (offloaded > 0 && fullestBytes(r, at(r, context, { ...r.placement, offloaded })) > budget - FIT_MARGIN)
    offloaded--
  r.reader.say(
    'partial-offload',
    'warning',
    `${engine} starts all the same, with ${offloaded} of ${all} layers on the GPU and the rest on the CPU: much slower`,
  )
}

function partsOf(r: Resolved, loaded: Loaded): Part[] {
  const load = loaded.loads[loaded.fullest]!
  const { cells } = loaded.start
  const { typeK, typeV } = r.asked
  const parts: Part[] = [
    rangePart(
      'weights',
      spreadRange(load.weights, r.tensors.spread),
      r.tensors.basis,
      `${load.layers} of ${r.tensors.blocks.length} layers${load.holdsOutput ? ', output' : ''}; token embedding in host memory`,
      r.tensors.source,
    ),
    exactPart(
      'kvCache',
      load.cache,
      'exact',
      `${grouped(cells.context)} cells, K ${typeK.name.toLowerCase()}, V ${typeV.name.toLowerCase()}${r.model.window > 0 ? `, ${grouped(cells.windowPerStream * cells.streams)} in window layers` : ''}`,
      'llama.cpp KV cache rule',
    ),
  ]
  if (load.state > 0)
    parts.push(
      exactPart(
        'recurrentState',
        load.state,
        'exact',
        `${r.asked.sequences} sequences, float32`,
        'llama.cpp state rule',
      ),
    )
  parts.push(
    rangePart(
      'activations',
      computeRange(r, load.compute, cells.microBatch),
      'modelled',
      `widest phase of ${cells.microBatch} tokens`,
      'llama.cpp compute buffer, rule fitted on 721 starts',
    ),
  )
  const drafted = r.draft !== null && loaded.fullest === r.placement.mainDevice
  if (drafted)
    parts.push(
      rangePart(
        'draftWeights',
        spreadRange(r.draft!.weights, r.draft!.spread),
        'modelled',
        'all layers of the draft model',
        r.draft!.source,
      ),
    )
  const kept = load.transfers + (drafted ? loaded.draftContext : 0)
  if (load.converted + kept > 0)
    parts.push(
      rangePart(
        'buffers',
        { low: kept, expected: load.converted + kept, high: load.converted + 1.2 * kept },
        'modelled',
        `copies of inputs, of host experts and of a quantised cache${drafted ? "; the draft model's cache" : ''}`,
        'llama.cpp sources and public logs',
      ),
    )
  parts.push(
    rangePart(
      'context',
      CONTEXT_BYTES,
      'measured',
      '0.25 to 0.6 GiB a process and device',
      'public logs of CUDA builds',
    ),
  )
  return parts
}

const spreadRange = (bytes: number, spread: number): Range =>
  spread === 0 ? exactly(bytes) : { low: bytes * (1 - spread), expected: bytes, high: bytes * (1 + spread) }

/** Fragmentation adds up to ten embedding rows a token; models without a rule of their own are wider. */
function computeRange(r: Resolved, bytes: number, microBatch: number): Range {
  const known = r.model.compute.family !== 'recurrent' && !r.model.latent
  const fragments = 10 * 4 * r.model.embedding * microBatch
  return { low: bytes * (known ? 0.8 : 0.6), expected: bytes, high: bytes * (known ? 1.1 : 1.5) + fragments }
}

function kvFigures(r: Resolved, loaded: Loaded, budget: number | null, total: number, trained: number): KvCacheFigures {
  const load = loaded.loads[loaded.fullest]!
  const { cells, blocks } = loaded.start
  const perRequest = (load.cache + load.state) / (cells.streams > 1 ? r.asked.sequences : 1)
  const perToken =
    blocks.reduce((sum, block, i) => sum + (r.model.blocks[i]!.windowed ? 0 : block.cache), 0) /
    Math.max(1, cells.context)
  const available = budget === null ? null : Math.max(0, Math.floor(budget - (total - load.cache - load.state)))
  return {
    bytesPerToken: Math.round(perToken),
    bytesPerMaxLengthRequest: Math.round(perRequest),
    availableBytes: available,
    capacityTokens: cells.context,
    maxConcurrency: cells.streams > 1 ? r.asked.sequences : 1,
    fitsOneRequest: available === null ? null : load.cache + load.state <= available,
    maxModelLenThatFits: budget === null ? null : longestContext(r, Math.max(trained, cells.context), budget),
  }
}
