/** One GPU as engines see it. Memory in bytes. */
export interface Gpu {
  /** Report spelling: maker, model, memory where one model has several ("NVIDIA H100 80GB"). */
  readonly name: string
  readonly maker: 'NVIDIA' | 'AMD' | 'Intel' | 'Google' | 'AWS' | 'Apple' | 'unknown'
  /** What the driver (nvidia-smi, NVML) reports. */
  readonly driverBytes: number
  /** What the engine sees (torch.cuda.mem_get_info total): the denominator of memory fractions. */
  readonly memoryBytes: number
  /** "9.0" for Hopper; null where the notion does not apply or the card is a bare size. */
  readonly computeCapability: string | null
  /** False for cards that are known but cannot be judged (Gaudi, TPU, unified memory without a size). */
  readonly supported: boolean
  readonly source: string
}
