import { GiB } from '../units/bytes.ts'

/** One GPU as engines see it. Memory in bytes. */
export interface Gpu {
  /** Report spelling: maker, model, memory where one model has several ("NVIDIA H100 80GB"). */
  readonly name: string
  readonly maker: 'NVIDIA' | 'AMD' | 'Intel' | 'Google' | 'AWS' | 'Apple' | 'Huawei' | 'unknown'
  /** What the driver (nvidia-smi, NVML) reports. */
  readonly driverBytes: number
  /** What the engine sees (torch.cuda.mem_get_info total): the denominator of memory fractions. */
  readonly memoryBytes: number
  /** "9.0" for Hopper; null where the notion does not apply (other makers) or the card is a bare size. */
  readonly computeCapability: string | null
  /** False for cards that are known but cannot be judged (Gaudi, TPU, unified memory without a size). */
  readonly supported: boolean
  readonly source: string
  readonly kind?: GpuKind
}

/** `unified`: memory shared with the CPU, judged only with an explicit size; `unsupported`: no rules for it. */
export type GpuKind = 'data-centre' | 'workstation' | 'consumer' | 'unified' | 'unsupported'

/**
 * Memory an engine sees on a card of which only the driver's total is known: drivers keep 0.3 to 0.5 GiB for
 * themselves, 0.7 on cards of 170 GiB and more; rounded up to 0.45 and 0.8 so that the answer is not too high.
 */
export function visibleBytes(driverBytes: number): number {
  return driverBytes - Math.round((driverBytes >= 170 * GiB ? 0.8 : 0.45) * GiB)
}

/** "9.0" as 9.0; null when the card has none or it is not known. */
export function capability(gpu: Gpu): number | null {
  return gpu.computeCapability === null ? null : Number(gpu.computeCapability)
}

/**
 * Can the card compute in fp8 (Ada, Hopper, Blackwell; MI300 and newer)? Null when the card is a bare size.
 */
export function computesFp8(gpu: Gpu): boolean | null {
  if (gpu.maker === 'AMD') return /MI3\d\d|RX 9\d|R9700/.test(gpu.name)
  const generation = capability(gpu)
  return generation === null ? null : generation >= 8.9
}
