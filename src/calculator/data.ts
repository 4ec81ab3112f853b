/**
 * The tables of the original command line (hf-vram-calc 1.0.9), which the rule of thumb keeps: data types, its 38 GPUs
 * with memory in decimal GB, and its display settings. The gate judges on the hardware catalogue instead, which knows
 * the memory an engine really sees.
 */

export interface DataType {
  readonly name: string
  readonly bytesPerParameter: number
  readonly description: string
}

export interface RuleGpu {
  readonly name: string
  readonly memoryGb: number
  /** GiB compared with the totals: two decimals of memoryGb x 1000^3 / 1024^3, unless a custom file says it. */
  readonly memoryGib: number
  readonly category: string
  readonly architecture: string
}

export interface DisplaySettings {
  /** GPUs shown in the matrix; null: all. */
  readonly maxGpuDisplay: number | null
  /** Order of the groups in the matrix; categories not named follow. */
  readonly preferredCategories: readonly string[]
  /** GiB up to which a need is painted green, yellow; above red. */
  readonly thresholds: { readonly green: number; readonly yellow: number }
}

export const dataTypes: readonly DataType[] = [
  { name: 'fp32', bytesPerParameter: 4, description: '32-bit floating point' },
  { name: 'fp16', bytesPerParameter: 2, description: '16-bit floating point' },
  { name: 'bf16', bytesPerParameter: 2, description: 'Brain Float 16' },
  { name: 'fp8', bytesPerParameter: 1, description: '8-bit floating point' },
  { name: 'int8', bytesPerParameter: 1, description: '8-bit integer' },
  { name: 'int4', bytesPerParameter: 0.5, description: '4-bit integer' },
  { name: 'mxfp4', bytesPerParameter: 0.5, description: 'Microsoft FP4' },
  { name: 'nvfp4', bytesPerParameter: 0.5, description: 'NVIDIA FP4' },
  { name: 'awq_int4', bytesPerParameter: 0.5, description: 'AWQ 4-bit quantization' },
  { name: 'gptq_int4', bytesPerParameter: 0.5, description: 'GPTQ 4-bit quantization' },
  { name: 'nf4', bytesPerParameter: 0.5, description: '4-bit NormalFloat' },
  { name: 'fp4', bytesPerParameter: 0.5, description: '4-bit floating point' },
]

/** [name, decimal GB, category, architecture] */
const GPUS: readonly (readonly [string, number, string, string])[] = [
  ['RTX 5090', 32, 'consumer', 'Blackwell'],
  ['RTX 5090D', 32, 'consumer', 'Blackwell'],
  ['RTX 5080', 16, 'consumer', 'Blackwell'],
  ['RTX 5070 Ti', 16, 'consumer', 'Blackwell'],
  ['RTX 5070', 12, 'consumer', 'Blackwell'],
  ['RTX 5060 Ti 16GB', 16, 'consumer', 'Blackwell'],
  ['RTX 5060 Ti 8GB', 8, 'consumer', 'Blackwell'],
  ['RTX 5060', 8, 'consumer', 'Blackwell'],
  ['RTX 5050', 8, 'consumer', 'Blackwell'],
  ['RTX 4090', 24, 'consumer', 'Ada Lovelace'],
  ['RTX 4080 Super', 16, 'consumer', 'Ada Lovelace'],
  ['RTX 4080', 16, 'consumer', 'Ada Lovelace'],
  ['RTX 4070 Ti Super', 16, 'consumer', 'Ada Lovelace'],
  ['RTX 4070 Ti', 12, 'consumer', 'Ada Lovelace'],
  ['RTX 4070 Super', 12, 'consumer', 'Ada Lovelace'],
  ['RTX 4070', 12, 'consumer', 'Ada Lovelace'],
  ['RTX 4060 Ti', 16, 'consumer', 'Ada Lovelace'],
  ['RTX 3090 Ti', 24, 'consumer', 'Ampere'],
  ['RTX 3090', 24, 'consumer', 'Ampere'],
  ['RTX 3080 Ti', 12, 'consumer', 'Ampere'],
  ['A100 40GB', 40, 'datacenter', 'Ampere'],
  ['A100 80GB', 80, 'datacenter', 'Ampere'],
  ['H100 80GB', 80, 'datacenter', 'Hopper'],
  ['H200 141GB', 141, 'datacenter', 'Hopper'],
  ['H20 96GB', 96, 'datacenter', 'Hopper'],
  ['B100 192GB', 192, 'datacenter', 'Blackwell'],
  ['B200 192GB', 192, 'datacenter', 'Blackwell'],
  ['B300 288GB', 288, 'datacenter', 'Blackwell'],
  ['GB300 288GB', 288, 'datacenter', 'Blackwell'],
  ['A30', 24, 'datacenter', 'Ampere'],
  ['A10', 24, 'datacenter', 'Ampere'],
  ['V100 32GB', 32, 'datacenter', 'Volta'],
  ['T4', 16, 'datacenter', 'Turing'],
  ['L40S', 48, 'datacenter', 'Ada Lovelace'],
  ['L40', 48, 'datacenter', 'Ada Lovelace'],
  ['L4', 24, 'datacenter', 'Ada Lovelace'],
  ['NVIDIA RTX PRO 6000 BLACKWELL', 96, 'workstation', 'Blackwell'],
  ['NVIDIA RTX PRO 5000 BLACKWELL', 48, 'workstation', 'Blackwell'],
]

/** Two decimals of the decimal-GB size in GiB, as the original converts it. */
export const gibOfGb = (gb: number): number => Number(((gb * 1000 ** 3) / 1024 ** 3).toFixed(2))

export const ruleGpus: readonly RuleGpu[] = GPUS.map(([name, memoryGb, category, architecture]) => ({
  name,
  memoryGb,
  memoryGib: gibOfGb(memoryGb),
  category,
  architecture,
}))

export const displaySettings: DisplaySettings = {
  maxGpuDisplay: null,
  preferredCategories: [],
  thresholds: { green: 8, yellow: 24 },
}

/** The steps of the minimum-GPU column: the first one, in GB, that the need in GiB does not exceed. */
export const GPU_STEPS: readonly number[] = [4, 8, 16, 24, 40, 80]

/** The fixed strategies of the parallel table: name, TP, PP, EP, DP. */
export const STRATEGIES: readonly (readonly [string, number, number, number, number])[] = [
  ['Single GPU', 1, 1, 1, 1],
  ['Tensor Parallel', 2, 1, 1, 1],
  ['Tensor Parallel', 4, 1, 1, 1],
  ['Tensor Parallel', 8, 1, 1, 1],
  ['Pipeline Parallel', 1, 2, 1, 1],
  ['Pipeline Parallel', 1, 4, 1, 1],
  ['Pipeline Parallel', 1, 8, 1, 1],
  ['TP + PP', 2, 2, 1, 1],
  ['TP + PP', 2, 4, 1, 1],
  ['TP + PP', 4, 2, 1, 1],
  ['TP + PP', 4, 4, 1, 1],
  ['Data Parallel', 1, 1, 1, 2],
  ['Data Parallel', 1, 1, 1, 4],
  ['Data Parallel', 1, 1, 1, 8],
]
