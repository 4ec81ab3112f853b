import { GiB } from '../../units/bytes.ts'
import { maskBytes } from './compute.ts'
import type { ContextOptions } from './context.ts'
import type { LlamaModel } from './model.ts'
import { type Start, startOf } from './start.ts'
import type { TensorBytes } from './tensors.ts'

/** How a model is spread over devices. */
export interface Placement {
  readonly devices: number
  /** Relative shares of the devices (--tensor-split); empty: equal. */
  readonly shares: readonly number[]
  /** Layers on devices, counted from the last, the output being one (--n-gpu-layers). */
  readonly offloaded: number
  /** Routed experts of the first so many layers stay in host memory (--n-cpu-moe). */
  readonly hostExperts: number
  readonly mode: 'layer' | 'row' | 'none'
  readonly mainDevice: number
  /** Keys and values lie with their layer; false: in host memory (--no-kv-offload). */
  readonly cacheOnDevice: boolean
  readonly towersOnDevice: boolean
}

/** Bytes on one device, by what they are; compute without its range. */
export interface DeviceLoad {
  readonly weights: number
  readonly cache: number
  readonly state: number
  readonly compute: number
  /** f16 copies of one layer's quantised cache that the tensor-core kernels make, at most. */
  readonly converted: number
  /** Copies of inputs that pipeline parallelism keeps, and experts brought over from host memory. */
  readonly transfers: number
  readonly layers: number
  readonly holdsOutput: boolean
}

/** Device of each layer and, last, of the output: -1 is host memory (llama_model::load_tensors). */
export function layerDevices(layers: number, placement: Placement): readonly number[] {
  const count = Math.min(placement.offloaded, layers + 1)
  const start = layers + 1 - count
  const shares = Array.from(
    { length: placement.devices },
    (_, i) => placement.shares[i] ?? (placement.shares.length > 0 ? 0 : 1),
  )
  const total = shares.reduce((sum, share) => sum + share, 0)
  const ends: number[] = []
  let sum = 0
  for (const share of shares) {
    sum += total > 0 ? share / total : 1 / placement.devices
    ends.push(sum)
  }
  return Array.from({ length: layers + 1 }, (_, layer) => {
    if (layer < start) return -1
    if (placement.mode === 'none') return placement.mainDevice
    const at = (layer - start) / count
    const device = ends.findIndex(end => at < end)
    return device < 0 ? placement.devices - 1 : device
  })
}

/** What every device holds of a started context, and the context itself. */
export function deviceLoads(
  model: LlamaModel,
  tensors: TensorBytes,
  placement: Placement,
  asked: ContextOptions,
): { readonly start: Start; readonly loads: readonly DeviceLoad[] } {
  const start = startOf(model, asked)
  const layers = tensors.blocks.length
  const where = layerDevices(layers, placement)
  const onHost = (layer: number): boolean => layer < placement.hostExperts
  const masks = maskBytes(model, start.cells, start.flash)
  const input = 4 * model.embedding * start.cells.microBatch
  const spread = placement.devices > 1 && placement.mode === 'layer' && placement.offloaded > layers
  const whole = tensors.blocks.reduce((sum, block, layer) => sum + block.other + (onHost(layer) ? 0 : block.experts), 0)
  const loads = Array.from({ length: placement.devices }, (_, device) => {
    const load = {
      weights: 0,
      cache: 0,
      state: 0,
      compute: 0,
      converted: 0,
      transfers: 0,
      layers: 0,
      holdsOutput: where[layers] === device,
    }
    where.slice(0, layers).forEach((own, layer) => {
      if (own !== device) return
      const block = tensors.blocks[layer]!
      load.layers++
      load.weights += block.other + (onHost(layer) ? 0 : block.experts)
      const kept = start.blocks[layer]
      if (kept && placement.cacheOnDevice) {
        load.cache += kept.cache
        load.state += kept.state
      }
    })
    // Cache of prediction layers beyond the model's own lies with the last.
    if (load.holdsOutput && placement.cacheOnDevice)
      for (const extra of start.blocks.slice(layers)) load.cache += extra.cache
    if (placement.mode === 'row') load.weights = whole / placement.devices
    if (load.holdsOutput) load.weights += tensors.output
    if (device === placement.mainDevice && placement.towersOnDevice) load.weights += tensors.towers
    if (load.layers > 0 || load.holdsOutput) {
      load.compute = start.computeBytes
      load.converted = convertedBytes(model, start, asked)
      load.transfers =
        (spread ? 3 * (masks + input) : 0) +
        (placement.hostExperts > 0 && device === placement.mainDevice ? tensors.largestExpert : 0)
    }
    return load
  })
  return { start, loads }
}

/** The kernels read f16: one layer's keys and values over all cells (llama.cpp v0.4.0). */
function convertedBytes(model: LlamaModel, start: Start, asked: ContextOptions): number {
  if (!start.flash || (asked.typeK.name === 'F16' && asked.typeV.name === 'F16')) return 0
  const widest = Math.max(0, ...model.blocks.map(block => block.keyWidth + block.valueWidth))
  return 2 * widest * start.cells.perStream
}

/** CUDA context, libraries and workspaces of a process on one device: 0.3 to 0.5 GiB in public logs, never printed. */
export const CONTEXT_BYTES = { low: 0.25 * GiB, expected: 0.4 * GiB, high: 0.6 * GiB }
