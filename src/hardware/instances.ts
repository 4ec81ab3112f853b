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

/** One line of the table: names with braces for alternatives ("g6.{12xlarge,24xlarge}"), card, count, share. */
type Line = readonly [types: string, gpu: string, count: number, share?: number]

const AWS: readonly Line[] = [
  ['g4dn.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'NVIDIA T4', 1],
  ['g4dn.12xlarge', 'NVIDIA T4', 4],
  ['g4dn.metal', 'NVIDIA T4', 8],
  ['g5.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'NVIDIA A10G', 1],
  ['g5.{12xlarge,24xlarge}', 'NVIDIA A10G', 4],
  ['g5.48xlarge', 'NVIDIA A10G', 8],
  ['g5g.{xlarge,2xlarge,4xlarge,8xlarge}', 'NVIDIA T4G', 1],
  ['g5g.{16xlarge,metal}', 'NVIDIA T4G', 2],
  ['g6.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'NVIDIA L4', 1],
  ['g6.{12xlarge,24xlarge}', 'NVIDIA L4', 4],
  ['g6.48xlarge', 'NVIDIA L4', 8],
  ['gr6.{4xlarge,8xlarge}', 'NVIDIA L4', 1],
  ['g6f.{large,xlarge}', 'NVIDIA L4', 1, 1 / 8],
  ['g6f.2xlarge', 'NVIDIA L4', 1, 1 / 4],
  ['{g6f.4xlarge,gr6f.4xlarge}', 'NVIDIA L4', 1, 1 / 2],
  ['g6e.{xlarge,2xlarge,4xlarge,8xlarge,16xlarge}', 'NVIDIA L40S', 1],
  ['g6e.{12xlarge,24xlarge}', 'NVIDIA L40S', 4],
  ['g6e.48xlarge', 'NVIDIA L40S', 8],
  ['g7.{2xlarge,4xlarge,8xlarge}', 'NVIDIA RTX PRO 4500 Blackwell', 1],
  ['g7.12xlarge', 'NVIDIA RTX PRO 4500 Blackwell', 2],
  ['g7.24xlarge', 'NVIDIA RTX PRO 4500 Blackwell', 4],
  ['g7.48xlarge', 'NVIDIA RTX PRO 4500 Blackwell', 8],
  ['g7e.{2xlarge,4xlarge,8xlarge}', 'NVIDIA RTX PRO 6000 Blackwell', 1],
  ['g7e.12xlarge', 'NVIDIA RTX PRO 6000 Blackwell', 2],
  ['g7e.24xlarge', 'NVIDIA RTX PRO 6000 Blackwell', 4],
  ['g7e.48xlarge', 'NVIDIA RTX PRO 6000 Blackwell', 8],
  ['p3.2xlarge', 'NVIDIA V100 16GB', 1],
  ['p3.8xlarge', 'NVIDIA V100 16GB', 4],
  ['p3.16xlarge', 'NVIDIA V100 16GB', 8],
  ['p3dn.24xlarge', 'NVIDIA V100 32GB', 8],
  ['p4d.24xlarge', 'NVIDIA A100 40GB', 8],
  ['p4de.24xlarge', 'NVIDIA A100 80GB', 8],
  ['p5.4xlarge', 'NVIDIA H100 80GB', 1],
  ['p5.48xlarge', 'NVIDIA H100 80GB', 8],
  ['{p5e,p5en}.48xlarge', 'NVIDIA H200 141GB', 8],
  ['p6-b200.48xlarge', 'NVIDIA B200', 8],
  ['p6-b300.48xlarge', 'NVIDIA B300', 8],
  ['p6e-gb200.36xlarge', 'NVIDIA GB200', 4],
  [
    '{trn1.2xlarge,trn1.32xlarge,trn1n.32xlarge,trn2.3xlarge,trn2.48xlarge,inf1.xlarge,inf2.xlarge,inf2.8xlarge,inf2.24xlarge,inf2.48xlarge}',
    'AWS Neuron',
    1,
  ],
]

const GCP: readonly Line[] = [
  ['a2-highgpu-1g', 'NVIDIA A100 40GB', 1],
  ['a2-highgpu-2g', 'NVIDIA A100 40GB', 2],
  ['a2-highgpu-4g', 'NVIDIA A100 40GB', 4],
  ['a2-highgpu-8g', 'NVIDIA A100 40GB', 8],
  ['a2-megagpu-16g', 'NVIDIA A100 40GB', 16],
  ['a2-ultragpu-1g', 'NVIDIA A100 80GB', 1],
  ['a2-ultragpu-2g', 'NVIDIA A100 80GB', 2],
  ['a2-ultragpu-4g', 'NVIDIA A100 80GB', 4],
  ['a2-ultragpu-8g', 'NVIDIA A100 80GB', 8],
  ['a3-highgpu-1g', 'NVIDIA H100 80GB', 1],
  ['a3-highgpu-2g', 'NVIDIA H100 80GB', 2],
  ['a3-highgpu-4g', 'NVIDIA H100 80GB', 4],
  ['{a3-highgpu-8g,a3-megagpu-8g,a3-edgegpu-8g}', 'NVIDIA H100 80GB', 8],
  ['a3-ultragpu-8g', 'NVIDIA H200 141GB', 8],
  ['a4-highgpu-8g', 'NVIDIA B200', 8],
  ['{a4x-highgpu-4g,a4x-maxgpu-4g}', 'NVIDIA GB200', 4],
  ['g2-standard-{4,8,12,16,32}', 'NVIDIA L4', 1],
  ['g2-standard-24', 'NVIDIA L4', 2],
  ['g2-standard-48', 'NVIDIA L4', 4],
  ['g2-standard-96', 'NVIDIA L4', 8],
  ['g4-standard-48', 'NVIDIA RTX PRO 6000 Blackwell', 1],
  ['g4-standard-96', 'NVIDIA RTX PRO 6000 Blackwell', 2],
  ['g4-standard-192', 'NVIDIA RTX PRO 6000 Blackwell', 4],
  ['g4-standard-384', 'NVIDIA RTX PRO 6000 Blackwell', 8],
  [
    '{ct5lp-hightpu-1t,ct5lp-hightpu-4t,ct5lp-hightpu-8t,ct5p-hightpu-1t,ct5p-hightpu-2t,ct5p-hightpu-4t,ct6e-standard-1t,ct6e-standard-4t,ct6e-standard-8t}',
    'Google TPU',
    1,
  ],
]

const AZURE: readonly Line[] = [
  ['Standard_NV6ads_A10_v5', 'NVIDIA A10', 1, 1 / 6],
  ['Standard_NV12ads_A10_v5', 'NVIDIA A10', 1, 1 / 3],
  ['Standard_NV18ads_A10_v5', 'NVIDIA A10', 1, 1 / 2],
  ['{Standard_NV36ads_A10_v5,Standard_NV36adms_A10_v5}', 'NVIDIA A10', 1],
  ['Standard_NV72ads_A10_v5', 'NVIDIA A10', 2],
  ['Standard_NC{8,16,32}ads_A10_v4', 'NVIDIA A10', 1],
  ['Standard_NC24ads_A100_v4', 'NVIDIA A100 80GB', 1],
  ['Standard_NC48ads_A100_v4', 'NVIDIA A100 80GB', 2],
  ['Standard_NC96ads_A100_v4', 'NVIDIA A100 80GB', 4],
  ['{Standard_ND96asr_A100_v4,Standard_ND96asr_v4}', 'NVIDIA A100 40GB', 8],
  ['Standard_ND96amsr_A100_v4', 'NVIDIA A100 80GB', 8],
  ['{Standard_NC40ads_H100_v5,Standard_NCC40ads_H100_v5}', 'NVIDIA H100 NVL 94GB', 1],
  ['Standard_NC80adis_H100_v5', 'NVIDIA H100 NVL 94GB', 2],
  ['Standard_ND96isr_H100_v5', 'NVIDIA H100 80GB', 8],
  ['Standard_ND96isr_H200_v5', 'NVIDIA H200 141GB', 8],
  ['Standard_ND128isr_NDR_GB200_v6', 'NVIDIA GB200', 4],
  ['Standard_ND128isr_GB300_v6', 'NVIDIA GB300', 4],
  ['{Standard_ND96is_MI300X_v5,Standard_ND96isr_MI300X_v5}', 'AMD MI300X', 8],
  ['Standard_NC{4,8,16}as_T4_v3', 'NVIDIA T4', 1],
  ['Standard_NC64as_T4_v3', 'NVIDIA T4', 4],
  ['Standard_NC6s_v3', 'NVIDIA V100 16GB', 1],
  ['Standard_NC12s_v3', 'NVIDIA V100 16GB', 2],
  ['{Standard_NC24s_v3,Standard_NC24rs_v3}', 'NVIDIA V100 16GB', 4],
  ['Standard_ND40rs_v2', 'NVIDIA V100 32GB', 8],
  ['{Standard_NC4_A2,Standard_NC8_A2}', 'NVIDIA A2', 1],
  ['{Standard_NC16_A2,Standard_NC32_A2}', 'NVIDIA A2', 2],
  ['{Standard_NC4_A16,Standard_NC8_A16}', 'NVIDIA A16', 1],
  ['{Standard_NC16_A16,Standard_NC32_A16}', 'NVIDIA A16', 2],
  ['{Standard_NG32ads_V620_v1,Standard_NG32adms_V620_v1}', 'AMD PRO V620', 1],
]

const OCI: readonly Line[] = [
  ['VM.GPU.A10.1', 'NVIDIA A10', 1],
  ['VM.GPU.A10.2', 'NVIDIA A10', 2],
  ['BM.GPU.A10.4', 'NVIDIA A10', 4],
  ['BM.GPU.L40S.4', 'NVIDIA L40S', 4],
  ['BM.GPU4.8', 'NVIDIA A100 40GB', 8],
  ['BM.GPU.A100-v2.8', 'NVIDIA A100 80GB', 8],
  ['BM.GPU.H100.8', 'NVIDIA H100 80GB', 8],
  ['BM.GPU.H200.8', 'NVIDIA H200 141GB', 8],
  ['BM.GPU.B200.8', 'NVIDIA B200', 8],
  ['BM.GPU.GB200.4', 'NVIDIA GB200', 4],
  ['BM.GPU.MI300X.8', 'AMD MI300X', 8],
  ['VM.GPU3.1', 'NVIDIA V100 16GB', 1],
  ['VM.GPU3.2', 'NVIDIA V100 16GB', 2],
  ['VM.GPU3.4', 'NVIDIA V100 16GB', 4],
  ['BM.GPU3.8', 'NVIDIA V100 16GB', 8],
]

const COREWEAVE: readonly Line[] = [
  ['gd-8xh100ib-i128', 'NVIDIA H100 80GB', 8],
  ['gd-8xh200ib-i128', 'NVIDIA H200 141GB', 8],
  ['{gd-8xl40-i128,gd-8xl40s-i128}', 'NVIDIA L40S', 8],
  ['gd-8xa100-i128', 'NVIDIA A100 80GB', 8],
  ['gd-1xgh200', 'NVIDIA GH200 96GB', 1],
  ['b200-8x', 'NVIDIA B200', 8],
  ['gb200-4x', 'NVIDIA GB200', 4],
  ['gb300-4x', 'NVIDIA GB300', 4],
  ['rtxp6000-8x', 'NVIDIA RTX PRO 6000 Blackwell', 8],
]

/** Lambda's names are regular: gpu_<n>x_<card>[_...]; the card by its word. */
const LAMBDA_CARDS: readonly (readonly [word: string, gpu: string])[] = [
  ['a100_80gb_sxm4', 'NVIDIA A100 80GB'],
  ['a100_sxm4', 'NVIDIA A100 40GB'],
  ['a100', 'NVIDIA A100 40GB'],
  ['a6000', 'NVIDIA RTX A6000'],
  ['a10', 'NVIDIA A10'],
  ['rtx6000', 'NVIDIA Quadro RTX 6000'],
  ['v100', 'NVIDIA V100 16GB'],
  ['h100_pcie', 'NVIDIA H100 80GB'],
  ['h100_sxm5', 'NVIDIA H100 80GB'],
  ['h100_sxm', 'NVIDIA H100 80GB'],
  ['gh200', 'NVIDIA GH200 96GB'],
  ['b200_sxm6', 'NVIDIA B200'],
  ['b200', 'NVIDIA B200'],
]

/** "g5.{a,b}" as ["g5.a", "g5.b"]; at most one pair of braces. */
function spelledOut(types: string): string[] {
  const braces = /^([^{]*)\{([^}]*)\}(.*)$/.exec(types)
  return braces ? braces[2]!.split(',').map(word => braces[1] + word + braces[3]) : [types]
}

function rowsOf(cloud: Instance['cloud'], lines: readonly Line[]): Instance[] {
  return lines.flatMap(([types, gpu, count, share]) =>
    spelledOut(types).map(type => ({ type, cloud, gpu: gpuNamed(gpu), count, share: share ?? 1 })),
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
