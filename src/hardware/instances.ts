import { closest } from '../units/suggest.ts'
import { gpuNamed } from './gpus.ts'
import type { GpuRow } from './row.ts'

/** A cloud machine: its GPUs, or the part of one. */
export interface Instance {
  readonly type: string
  readonly cloud: 'AWS' | 'GCP' | 'Azure' | 'OCI' | 'Lambda' | 'CoreWeave'
  readonly gpu: GpuRow
  /** Whole GPUs; 1 where the machine has a part of one. */
  readonly count: number
  /** Part of one GPU's memory that the machine has; 1 for whole GPUs. */
  readonly share: number
}

/**
 * One line of the table: names with braces for alternatives ("g6.{12xlarge,24xlarge}"; Azure's without "Standard_"), card
 * (NVIDIA's without the maker), count, share.
 */
type Line = readonly [types: string, gpu: string, count: number, share?: number]

const AWS: readonly Line[] = [
  ['g4dn.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'T4', 1],
  ['g4dn.12xlarge', 'T4', 4],
  ['g4dn.metal', 'T4', 8],
  ['g5.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'A10G', 1],
  ['g5.{12xlarge,24xlarge}', 'A10G', 4],
  ['g5.48xlarge', 'A10G', 8],
  ['g5g.{xlarge,2xlarge,4xlarge,8xlarge}', 'T4G', 1],
  ['g5g.{16xlarge,metal}', 'T4G', 2],
  ['g6.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'L4', 1],
  ['g6.{12xlarge,24xlarge}', 'L4', 4],
  ['g6.48xlarge', 'L4', 8],
  ['gr6.{4xlarge,8xlarge}', 'L4', 1],
  ['g6f.{large,xlarge}', 'L4', 1, 1 / 8],
  ['g6f.2xlarge', 'L4', 1, 1 / 4],
  ['{g6f.4xlarge,gr6f.4xlarge}', 'L4', 1, 1 / 2],
  ['g6e.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'L40S', 1],
  ['g6e.{12xlarge,24xlarge}', 'L40S', 4],
  ['g6e.48xlarge', 'L40S', 8],
  ['g7.{2xlarge,4xlarge,8xlarge}', 'RTX PRO 4500 Blackwell', 1],
  ['g7.12xlarge', 'RTX PRO 4500 Blackwell', 2],
  ['g7.24xlarge', 'RTX PRO 4500 Blackwell', 4],
  ['g7.48xlarge', 'RTX PRO 4500 Blackwell', 8],
  ['g7e.{2xlarge,4xlarge,8xlarge}', 'RTX PRO 6000 Blackwell', 1],
  ['g7e.12xlarge', 'RTX PRO 6000 Blackwell', 2],
  ['g7e.24xlarge', 'RTX PRO 6000 Blackwell', 4],
  ['g7e.48xlarge', 'RTX PRO 6000 Blackwell', 8],
  ['p3.2xlarge', 'V100 16GB', 1],
  ['p3.8xlarge', 'V100 16GB', 4],
  ['p3.16xlarge', 'V100 16GB', 8],
  ['p3dn.24xlarge', 'V100 32GB', 8],
  ['p4d.24xlarge', 'A100 40GB', 8],
  ['p4de.24xlarge', 'A100 80GB', 8],
  ['p5.4xlarge', 'H100 80GB', 1],
  ['p5.48xlarge', 'H100 80GB', 8],
  ['{p5e,p5en}.48xlarge', 'H200 141GB', 8],
  ['p6-b200.48xlarge', 'B200', 8],
  ['p6-b300.48xlarge', 'B300', 8],
  ['p6e-gb200.36xlarge', 'GB200', 4],
  ['p6e-gb300.36xlarge', 'GB300', 4],
  [
    '{trn1.2xlarge,trn1.32xlarge,trn1n.32xlarge,trn2.3xlarge,trn2.48xlarge,inf1.xlarge,inf2.xlarge,inf2.8xlarge,inf2.24xlarge,inf2.48xlarge}',
    'AWS Neuron',
    1,
  ],
]

const GCP: readonly Line[] = [
  ['a2-highgpu-1g', 'A100 40GB', 1],
  ['a2-highgpu-2g', 'A100 40GB', 2],
  ['a2-highgpu-4g', 'A100 40GB', 4],
  ['a2-highgpu-8g', 'A100 40GB', 8],
  ['a2-megagpu-16g', 'A100 40GB', 16],
  ['a2-ultragpu-1g', 'A100 80GB', 1],
  ['a2-ultragpu-2g', 'A100 80GB', 2],
  ['a2-ultragpu-4g', 'A100 80GB', 4],
  ['a2-ultragpu-8g', 'A100 80GB', 8],
  ['a3-highgpu-1g', 'H100 80GB', 1],
  ['a3-highgpu-2g', 'H100 80GB', 2],
  ['a3-highgpu-4g', 'H100 80GB', 4],
  ['{a3-highgpu-8g,a3-megagpu-8g,a3-edgegpu-8g}', 'H100 80GB', 8],
  ['a3-ultragpu-8g', 'H200 141GB', 8],
  ['a4-highgpu-8g', 'B200', 8],
  ['a4x-highgpu-4g', 'GB200', 4],
  ['a4x-maxgpu-4g{,-metal}', 'GB300', 4],
  ['g2-standard-{4,8,12,16,32}', 'L4', 1],
  ['g2-standard-24', 'L4', 2],
  ['g2-standard-48', 'L4', 4],
  ['g2-standard-96', 'L4', 8],
  ['g4-standard-6', 'RTX PRO 6000 Blackwell', 1, 1 / 8],
  ['g4-standard-12', 'RTX PRO 6000 Blackwell', 1, 1 / 4],
  ['g4-standard-24', 'RTX PRO 6000 Blackwell', 1, 1 / 2],
  ['g4-standard-48', 'RTX PRO 6000 Blackwell', 1],
  ['g4-standard-96', 'RTX PRO 6000 Blackwell', 2],
  ['g4-standard-192', 'RTX PRO 6000 Blackwell', 4],
  ['g4-standard-384', 'RTX PRO 6000 Blackwell', 8],
  [
    '{ct5lp-hightpu-1t,ct5lp-hightpu-4t,ct5lp-hightpu-8t,ct5p-hightpu-1t,ct5p-hightpu-2t,ct5p-hightpu-4t,ct6e-standard-1t,ct6e-standard-4t,ct6e-standard-8t}',
    'Google TPU',
    1,
  ],
]

const AZURE: readonly Line[] = [
  ['NV6ads_A10_v5', 'A10', 1, 1 / 6],
  ['NV12ads_A10_v5', 'A10', 1, 1 / 3],
  ['NV18ads_A10_v5', 'A10', 1, 1 / 2],
  ['{NV36ads_A10_v5,NV36adms_A10_v5}', 'A10', 1],
  ['NV72ads_A10_v5', 'A10', 2],
  ['NC{8,16,32}ads_A10_v4', 'A10', 1],
  ['NC24ads_A100_v4', 'A100 80GB', 1],
  ['NC48ads_A100_v4', 'A100 80GB', 2],
  ['NC96ads_A100_v4', 'A100 80GB', 4],
  ['{ND96asr_A100_v4,ND96asr_v4}', 'A100 40GB', 8],
  ['ND96amsr_A100_v4', 'A100 80GB', 8],
  ['{NC40ads_H100_v5,NCC40ads_H100_v5}', 'H100 NVL 94GB', 1],
  ['NC80adis_H100_v5', 'H100 NVL 94GB', 2],
  ['ND96isr_H100_v5', 'H100 80GB', 8],
  ['ND96isr_H200_v5', 'H200 141GB', 8],
  ['ND128isr_NDR_GB200_v6', 'GB200', 4],
  ['ND128isr_GB300_v6', 'GB300', 4],
  ['NC36{ds,lds}_xl_RTXPRO6000BSE_v6', 'RTX PRO 6000 Blackwell', 1, 1 / 4],
  ['NC72{ds,lds}_xl_RTXPRO6000BSE_v6', 'RTX PRO 6000 Blackwell', 1, 1 / 2],
  ['NC144{ds,lds}_xl_RTXPRO6000BSE_v6', 'RTX PRO 6000 Blackwell', 1],
  ['NC288{ds,lds}_xl_RTXPRO6000BSE_v6', 'RTX PRO 6000 Blackwell', 2],
  ['{ND96is_MI300X_v5,ND96isr_MI300X_v5}', 'AMD MI300X', 8],
  ['NC{4,8,16}as_T4_v3', 'T4', 1],
  ['NC64as_T4_v3', 'T4', 4],
  ['NC6s_v3', 'V100 16GB', 1],
  ['NC12s_v3', 'V100 16GB', 2],
  ['{NC24s_v3,NC24rs_v3}', 'V100 16GB', 4],
  ['ND40rs_v2', 'V100 32GB', 8],
  ['{NC4_A2,NC8_A2}', 'A2', 1],
  ['{NC16_A2,NC32_A2}', 'A2', 2],
  ['{NC4_A16,NC8_A16}', 'A16', 1],
  ['{NC16_A16,NC32_A16}', 'A16', 2],
  ['{NG32ads_V620_v1,NG32adms_V620_v1}', 'AMD PRO V620', 1],
]

const OCI: readonly Line[] = [
  ['VM.GPU.A10.1', 'A10', 1],
  ['VM.GPU.A10.2', 'A10', 2],
  ['BM.GPU.A10.4', 'A10', 4],
  ['BM.GPU.L40S.4', 'L40S', 4],
  ['BM.GPU4.8', 'A100 40GB', 8],
  ['BM.GPU.A100-v2.8', 'A100 80GB', 8],
  ['BM.GPU.H100.8', 'H100 80GB', 8],
  ['BM.GPU.H200.8', 'H200 141GB', 8],
  ['BM.GPU.B200.8', 'B200', 8],
  ['BM.GPU.B300.8', 'B300', 8],
  ['BM.GPU.GB200{,-v2,-v3}.4', 'GB200', 4],
  ['BM.GPU.GB300.4', 'GB300', 4],
  ['BM.GPU.RTXPRO.8', 'RTX PRO 6000 Blackwell', 8],
  ['BM.GPU.MI300X.8', 'AMD MI300X', 8],
  ['BM.GPU.MI355X{,-v0,-v1}.8', 'AMD MI355X', 8],
  ['VM.GPU3.1', 'V100 16GB', 1],
  ['VM.GPU3.2', 'V100 16GB', 2],
  ['VM.GPU3.4', 'V100 16GB', 4],
  ['BM.GPU3.8', 'V100 16GB', 8],
]

const COREWEAVE: readonly Line[] = [
  ['gd-8xh100ib-i128', 'H100 80GB', 8],
  ['gd-8xh200ib-i128', 'H200 141GB', 8],
  ['{gd-8xl40-i128,gd-8xl40s-i128}', 'L40S', 8],
  ['gd-8xa100-i128', 'A100 80GB', 8],
  ['gd-1xgh200', 'GH200 96GB', 1],
  ['b200-8x', 'B200', 8],
  ['b300-8x', 'B300', 8],
  ['gb200-4x', 'GB200', 4],
  ['gb300-4x', 'GB300', 4],
  ['rtxp6000-8x', 'RTX PRO 6000 Blackwell', 8],
]

/** Lambda's names are regular: gpu_<n>x_<card>[_...]; the card by its word. */
const LAMBDA_CARDS: readonly (readonly [word: string, gpu: string])[] = [
  ['a100_80gb_sxm4', 'A100 80GB'],
  ['a100_sxm4', 'A100 40GB'],
  ['a100', 'A100 40GB'],
  ['a6000', 'RTX A6000'],
  ['a10', 'A10'],
  ['rtx6000', 'Quadro RTX 6000'],
  ['v100', 'V100 16GB'],
  ['h100_pcie', 'H100 80GB'],
  ['h100_sxm5', 'H100 80GB'],
  ['h100_sxm', 'H100 80GB'],
  ['gh200', 'GH200 96GB'],
  ['b200_sxm6', 'B200'],
  ['b200', 'B200'],
]

/** "g5.{a,b}" as ["g5.a", "g5.b"]; at most one pair of braces. */
function spelledOut(types: string): string[] {
  const braces = /^([^{]*)\{([^}]*)\}(.*)$/.exec(types)
  return braces ? braces[2]!.split(',').map(word => braces[1] + word + braces[3]) : [types]
}

function rowsOf(cloud: Instance['cloud'], lines: readonly Line[]): Instance[] {
  return lines.flatMap(([types, gpu, count, share]) =>
    spelledOut(types).map(type => ({
      type: cloud === 'Azure' ? `Standard_${type}` : type,
      cloud,
      gpu: gpuNamed(/^(?:AMD|AWS|Google) /.test(gpu) ? gpu : `NVIDIA ${gpu}`),
      count,
      share: share ?? 1,
    })),
  )
}

/** Every machine type that can be named, by cloud; `list instances` prints them in this order. */
export const instances: readonly Instance[] = [
  ...rowsOf('AWS', AWS),
  ...rowsOf('GCP', GCP),
  ...rowsOf('Azure', AZURE),
  ...rowsOf('OCI', OCI),
  ...rowsOf(
    'Lambda',
    LAMBDA_CARDS.flatMap(([word, gpu]) => [1, 2, 4, 8].map(n => [`gpu_${n}x_${word}`, gpu, n] as const)),
  ),
  ...rowsOf('CoreWeave', COREWEAVE),
]

const byType = new Map(instances.map(row => [row.type.toLowerCase(), row]))

/** Key of the table for a type as people write it: SageMaker's `ml.`, Azure without `Standard_`, capitals, spaces. */
function spellings(text: string): string[] {
  const plain = text.trim().toLowerCase().replace(/^ml\./, '')
  return [
    plain,
    `standard_${plain}`,
    plain.replace(/-/g, '_'),
    plain.replace(/(\d+)xl$/, '$1xlarge').replace(/^([a-z0-9]+)-(?=\d*xlarge$)/, '$1.'),
  ]
}

/** The machine type of this name; null when it is not known. Case, SageMaker's `ml.` and `Standard_` do not matter. */
export function lookUpInstance(text: string): Instance | null {
  if (text.length > 100) return null
  for (const key of spellings(text)) {
    const row = byType.get(key)
    if (row) return row
  }
  return null
}

/** Forms of machine types: EC2 and SageMaker, Azure, GCP, OCI, Lambda. */
const FORMS = [
  /^(?:ml\.)?[a-z][a-z0-9]*(?:-[a-z0-9]+)?\.(?:\d{0,3}x?large|metal|nano|micro|small|medium)$/i,
  /^standard_\w+$/i,
  /^[a-z]{1,3}\d[a-z]{0,2}-[a-z]+-\d+\w?$/i,
  /^(?:vm|bm)\.gpu\S*$/i,
  /^gpu_\d+x_\w+$/i,
]

/** Is this the name of a machine type, known or of the form that some cloud gives them? */
export function looksLikeInstance(text: string): boolean {
  const name = text.trim()
  return name.length <= 100 && (lookUpInstance(name) !== null || FORMS.some(form => form.test(name)))
}

/** The known machine type nearest to a misspelt one; null when none is near. */
export function nearestInstance(text: string): string | null {
  return closest(
    text,
    instances.map(row => row.type),
  )
}
