import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { capability, computesFp8, visibleBytes } from '../../src/hardware/gpu.ts'
import { gpuNamed, gpus } from '../../src/hardware/gpus.ts'
import { instances, looksLikeInstance, lookUpInstance, nearestInstance } from '../../src/hardware/instances.ts'
import { lookUpGpu } from '../../src/hardware/look-up.ts'
import { GiB, MiB } from '../../src/units/bytes.ts'

const read = (text: string) => {
  const found = lookUpGpu(text)
  if (!found.ok) throw new Error(found.problem.message)
  return found.value
}
const gib = (bytes: number) => Number((bytes / GiB).toFixed(2))

describe('names of GPUs', () => {
  const names: readonly (readonly [text: string, gpu: string, count?: number])[] = [
    // report names, short names, SkyPilot and Ray
    ['H100-80GB', 'NVIDIA H100 80GB'],
    ['NVIDIA H100 80GB', 'NVIDIA H100 80GB'],
    ['h100', 'NVIDIA H100 80GB'],
    ['H100-NVL-94GB', 'NVIDIA H100 NVL 94GB'],
    ['NVIDIA H100 NVL', 'NVIDIA H100 NVL 94GB'],
    ['H200', 'NVIDIA H200 141GB'],
    ['A100-40GB', 'NVIDIA A100 40GB'],
    ['A100-80G', 'NVIDIA A100 80GB'],
    ['A800-80GB', 'NVIDIA A800 80GB'],
    ['A10G', 'NVIDIA A10G'],
    ['A10', 'NVIDIA A10'],
    ['V100-32GB', 'NVIDIA V100 32GB'],
    ['RTX4090', 'NVIDIA RTX 4090'],
    ['4090', 'NVIDIA RTX 4090'],
    ['RTX 5060 Ti 16GB', 'NVIDIA RTX 5060 Ti 16GB'],
    ['RTX PRO 6000', 'NVIDIA RTX PRO 6000 Blackwell'],
    ['RTXA5000', 'NVIDIA RTX A5000'],
    ['a6000', 'NVIDIA RTX A6000'],
    ['RTX 6000 Ada Generation', 'NVIDIA RTX 6000 Ada'],
    ['RTX 6000', 'NVIDIA Quadro RTX 6000'],
    ['MI300X', 'AMD MI300X'],
    // nvidia-smi and GPU feature discovery
    ['NVIDIA-H100-80GB-HBM3', 'NVIDIA H100 80GB'],
    ['NVIDIA-H100-SXM5-80GB', 'NVIDIA H100 80GB'],
    ['NVIDIA-H100-PCIe', 'NVIDIA H100 80GB'],
    ['NVIDIA-A100-SXM4-40GB', 'NVIDIA A100 40GB'],
    ['NVIDIA A100 80GB PCIe', 'NVIDIA A100 80GB'],
    ['Tesla-T4', 'NVIDIA T4'],
    ['Tesla-T4-SHARED', 'NVIDIA T4'],
    ['NVIDIA-GeForce-RTX-4090', 'NVIDIA RTX 4090'],
    ['NVIDIA GeForce RTX 4090 Laptop GPU', 'NVIDIA RTX 4090 Laptop'],
    ['NVIDIA-H20-3e', 'NVIDIA H20-3e 141GB'],
    ['NVIDIA GH200 480GB', 'NVIDIA GH200 96GB'],
    ['NVIDIA B300 SXM6 AC', 'NVIDIA B300'],
    ['NVIDIA RTX PRO 6000 Blackwell Server Edition', 'NVIDIA RTX PRO 6000 Blackwell'],
    ['AMD_Instinct_MI300X_OAM', 'AMD MI300X'],
    ['74a1', 'AMD MI300X'],
    // clouds' labels
    ['nvidia-l4', 'NVIDIA L4'],
    ['nvidia-tesla-t4', 'NVIDIA T4'],
    ['nvidia-tesla-a100', 'NVIDIA A100 40GB'],
    ['nvidia-h100-mega-80gb', 'NVIDIA H100 80GB'],
    ['nvidia-h200-141gb', 'NVIDIA H200 141GB'],
    ['nvidia-rtx-pro-6000', 'NVIDIA RTX PRO 6000 Blackwell'],
    ['l40s', 'NVIDIA L40S'],
    ['A100_NVLINK_80GB', 'NVIDIA A100 80GB'],
    ['Quadro_RTX_5000', 'NVIDIA Quadro RTX 5000'],
    ['nvidia-gpu-rtx4070-8gb', 'NVIDIA RTX 4070 Laptop'],
    // inside longer labels
    ['gpu-pool-2080ti', 'NVIDIA RTX 2080 Ti'],
    ['B200-class', 'NVIDIA B200'],
    // with a count
    ['H100:8', 'NVIDIA H100 80GB', 8],
    ['H200-141GB x8', 'NVIDIA H200 141GB', 8],
    ['8x H100', 'NVIDIA H100 80GB', 8],
    ['L4x2', 'NVIDIA L4', 2],
    ['4090 x2', 'NVIDIA RTX 4090', 2],
    ['H100!:4', 'NVIDIA H100 80GB', 4],
    ['nvidia-gpu-t4:1', 'NVIDIA T4', 1],
    // machines
    ['p5.48xlarge', 'NVIDIA H100 80GB', 8],
    ['ml.g6e.12xlarge', 'NVIDIA L40S', 4],
    ['Standard_NC24ads_A100_v4', 'NVIDIA A100 80GB', 1],
    // slices
    ['NVIDIA-A100-SXM4-80GB-MIG-1g.10gb', 'NVIDIA A100 MIG 1g.10gb'],
    ['H100 MIG 3g.40gb', 'NVIDIA H100 MIG 3g.40gb'],
    ['H100_40GB', 'NVIDIA H100 MIG 3g.40gb'],
    ['nvidia.com/mig-3g.40gb', 'NVIDIA MIG 3g.40gb'],
    // known, not judged
    ['TPU v5e', 'Google TPU'],
    ['gaudi3', 'Intel Gaudi3'],
    ['GB10', 'NVIDIA DGX Spark'],
  ]
  test.each(names.map(([text, gpu, count]) => [text, gpu, count ?? null] as const))('%s is %s', (text, gpu, count) => {
    const named = read(text)
    expect(named.gpu.name).toBe(gpu)
    expect(named.count).toBe(count)
  })

  test('an A100 of unsaid size is the smallest, and says so', () => {
    expect(read('A100')).toMatchObject({
      gpu: { name: 'NVIDIA A100 40GB' },
      note: expect.stringContaining('40 GB, 80 GB exist'),
    })
    expect(read('A100-80GB').note).toBeNull()
  })

  test('a bare size is the memory that the engine sees', () => {
    expect(read('79.18GiB').gpu).toMatchObject({
      memoryBytes: Math.round(79.18 * GiB),
      maker: 'unknown',
      computeCapability: null,
    })
    expect(read('79.18GiB x2').count).toBe(2)
  })

  test('unified memory asks for a size and takes one', () => {
    expect(read('DGX Spark').gpu.supported).toBe(false)
    expect(read('DGX Spark 110GiB').gpu).toMatchObject({ supported: true, memoryBytes: 110 * GiB })
  })

  test.each([
    ['H1000', /H100 80GB/],
    ['RTX 4009', /RTX 4090/],
    ['RTX 4090 48GB', /memory that the engine sees/],
    ['H100x0', /1 or more/],
    ['0GiB', /79.18GiB/],
    ['', /list gpus/],
    ['hopper', /list gpus/],
    ['g5-gpu-karpenter', /list gpus/],
    ['A100 MIG 7g.999gb', /profile/],
    ['x'.repeat(10_000), /list gpus/],
  ])('%s is refused with a hint', (text, hint) => {
    const found = lookUpGpu(text)
    expect(found).toMatchObject({ ok: false, problem: { code: 'gpu-unknown', hint: expect.stringMatching(hint) } })
    if (!found.ok) expect(found.problem.message.length).toBeLessThan(200)
  })

  test('never throws, whatever the text', () => {
    fc.assert(fc.property(fc.string(), text => typeof lookUpGpu(text).ok === 'boolean'))
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z0-9 ._:x-]{0,40}$/), text => typeof lookUpGpu(text).ok === 'boolean'),
    )
  })
})

describe('rows of GPUs', () => {
  test('every row is found by its report name and its keys, and its figures are in order', () => {
    let inspected = 0
    for (const row of gpus) {
      expect(read(row.name).gpu.name).toBe(row.name)
      for (const key of row.keys) expect((read(key).gpu as typeof row).keys).toContain(key)
      expect(row.memoryBytes).toBeGreaterThan(0)
      expect(row.memoryBytes).toBeLessThan(row.driverBytes)
      expect(row.source).not.toBe('')
      // sold GB and the driver's bytes are the same size, within 11 % (some count in GiB, some keep a part)
      expect(Math.abs(row.driverBytes / (row.nominalGB * GiB) - 1)).toBeLessThan(0.11)
      expect(read(`4x ${row.name}`).count).toBe(4)
      if (row.maker === 'NVIDIA') expect(row.computeCapability).toMatch(/^\d+\.\d$/)
      inspected++
    }
    expect(inspected).toBeGreaterThan(130)
    expect(new Set(gpus.map(row => row.name)).size).toBe(gpus.length)
  })

  // driver MiB and engine-visible GiB as printed by nvidia-smi and by engines (docs/hardware.md)
  test.each([
    ['T4', 15360, 14.56],
    ['L4', 23034, 22.03],
    ['A10G', 23028, 22.06],
    ['L40S', 46068, 44.34],
    ['A100-40GB', 40960, 39.38],
    ['A100-80GB', 81920, 79.2],
    ['H100-80GB', 81559, 79.18],
    ['H200', 143771, 139.72],
    ['B200', 183359, 178.35],
    ['RTX 4090', 24564, 23.52],
    ['RTX 5090', 32607, 31.36],
    ['RTX 4080', 16376, 15.57],
    ['RTX PRO 6000', 97887, 94.97],
    ['MI300X', 196592, 191.98],
  ])('%s: %d MiB, engines see %d GiB', (name, driver, visible) => {
    expect(read(name).gpu.driverBytes).toBe(driver * MiB)
    expect(gib(read(name).gpu.memoryBytes)).toBe(visible)
  })

  test('a driver total loses 0.45 GiB, from 170 GiB on 0.8', () => {
    expect(gib(visibleBytes(24 * GiB))).toBe(23.55)
    expect(gib(visibleBytes(180 * GiB))).toBe(179.2)
    expect(gib(gpuNamed('NVIDIA B300').memoryBytes)).toBe(267.79)
  })

  test('generations and fp8', () => {
    expect(capability(gpuNamed('NVIDIA B300'))).toBe(10.3)
    expect(capability(gpuNamed('AMD MI300X'))).toBeNull()
    expect(
      ['L4', 'H100', 'RTX 5090', 'MI300X', 'A100', 'MI210', '20GiB'].map(name => computesFp8(read(name).gpu)),
    ).toEqual([true, true, true, true, false, false, null])
  })
})

describe('MIG slices', () => {
  test.each([
    ['A100-80GB MIG 1g.10gb', 9.75],
    ['A100-40GB MIG 1g.5gb', 4.77],
    ['H100 MIG 3g.40gb', 39.44],
    ['H100 MIG 7g.80gb', 79.03],
    ['H200 MIG 1g.18gb', 17.31],
    ['MIG 2g.24gb', 23.13],
  ])('%s has about %d GiB', (text, size) => {
    expect(gib(read(text).gpu.memoryBytes)).toBe(size)
  })

  test('a profile that no card offers is taken by its name', () => {
    expect(read('mig-12g.128gb')).toMatchObject({
      gpu: { driverBytes: 128e9 },
      note: expect.stringContaining('from its name'),
    })
  })
})

describe('machine types', () => {
  test.each([
    ['g4dn.12xlarge', 'NVIDIA T4', 4],
    ['g5.48xlarge', 'NVIDIA A10G', 8],
    ['p4d.24xlarge', 'NVIDIA A100 40GB', 8],
    ['ml.p5e.48xlarge', 'NVIDIA H200 141GB', 8],
    ['a2-ultragpu-4g', 'NVIDIA A100 80GB', 4],
    ['a3-highgpu-8g', 'NVIDIA H100 80GB', 8],
    ['g2-standard-24', 'NVIDIA L4', 2],
    ['Standard_NC80adis_H100_v5', 'NVIDIA H100 NVL 94GB', 2],
    ['standard_nd96amsr_a100_v4', 'NVIDIA A100 80GB', 8],
    ['BM.GPU.MI300X.8', 'AMD MI300X', 8],
    ['BM.GPU.MI355X-v1.8', 'AMD MI355X', 8],
    ['BM.GPU.GB300.4', 'NVIDIA GB300', 4],
    ['BM.GPU.GB200-v3.4', 'NVIDIA GB200', 4],
    ['p6e-gb300.36xlarge', 'NVIDIA GB300', 4],
    ['a4x-highgpu-4g', 'NVIDIA GB200', 4],
    ['a4x-maxgpu-4g-metal', 'NVIDIA GB300', 4],
    ['Standard_NC288lds_xl_RTXPRO6000BSE_v6', 'NVIDIA RTX PRO 6000 Blackwell', 2],
    ['gpu_8x_a100_80gb_sxm4', 'NVIDIA A100 80GB', 8],
    ['gd-8xh100ib-i128', 'NVIDIA H100 80GB', 8],
    ['trn1-32xl', 'AWS Neuron', 1],
  ])('%s has %s x %d', (type, gpu, count) => {
    expect(lookUpInstance(type)).toMatchObject({ gpu: { name: gpu }, count })
  })

  test('names of the form of a machine type', () => {
    for (const row of instances.filter(one => one.cloud !== 'CoreWeave')) expect(looksLikeInstance(row.type)).toBe(true)
    expect(['m5.2xlarge', 'ml.c7i.large', 'n2-standard-8', 'Standard_D4s_v5'].map(looksLikeInstance)).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect(['nvidia-l4', 'h100', 'default-pool', 'large', ''].map(looksLikeInstance)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ])
  })

  test('parts of a card', () => {
    expect(read('g6f.2xlarge').gpu).toMatchObject({
      name: 'NVIDIA L4 (1/4)',
      memoryBytes: Math.floor((22.03 * GiB) / 4),
    })
    expect(read('g4-standard-12').gpu.name).toBe('NVIDIA RTX PRO 6000 Blackwell (1/4)')
    expect(read('NC72ds_xl_RTXPRO6000BSE_v6').gpu.name).toBe('NVIDIA RTX PRO 6000 Blackwell (1/2)')
  })

  test.each([
    ['GRID A10-12Q', 'NVIDIA A10 (1/2)'],
    ['NVIDIA-A10-4Q', 'NVIDIA A10 (1/6)'],
    ['NVIDIA L40S-48C', 'NVIDIA L40S'],
    ['GRID A100-40C', 'NVIDIA A100 40GB'],
    ['NVIDIA-A100-80C', 'NVIDIA A100 80GB'],
    ['A100-10C', 'NVIDIA A100 40GB (1/4)'],
  ])('the vGPU %s is %s', (text, gpu) => {
    expect(read(text)).toMatchObject({ gpu: { name: gpu }, note: null })
  })

  test('all rows are found, and misspelt ones have a neighbour', () => {
    let inspected = 0
    for (const row of instances) {
      expect(lookUpInstance(row.type.toUpperCase())).toBe(row)
      inspected++
    }
    expect(inspected).toBeGreaterThan(150)
    expect(lookUpInstance('m5.large')).toBeNull()
    expect(nearestInstance('p5.48xlagre')).toBe('p5.48xlarge')
  })
})
