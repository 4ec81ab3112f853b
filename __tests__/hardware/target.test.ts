import { describe, expect, test } from '@jest/globals'
import { type DeclaredHardware, type DeclaredName, noHardware } from '../../src/deployments/deployment.ts'
import { resolveTarget } from '../../src/hardware/target.ts'
import type { Told } from '../../src/policy/policy.ts'
import { GiB, MiB } from '../../src/units/bytes.ts'

const at = { file: 'a.yaml', line: 7, column: 3 }
const name = (text: string, kind: DeclaredName['kind'] = 'product-label'): DeclaredName => ({
  name: text,
  kind,
  at,
  text: `label: ${text}`,
})
const declared = (more: Partial<DeclaredHardware>): DeclaredHardware => ({ ...noHardware, ...more })
const told = <T>(value: T, from: 'policy' | 'flag' = 'policy'): Told<T> => ({ value, text: String(value), from })
const codes = (found: ReturnType<typeof resolveTarget>) => found.findings.map(finding => finding.code)

describe('precedence of the card', () => {
  const inFile = declared({ names: [name('nvidia-l4')], gpusPerReplica: 2 })

  test('the file wins over the policy, the command line over the file; the number of GPUs is the file’s', () => {
    expect(resolveTarget(inFile, null, null).target).toMatchObject({
      gpu: { name: 'NVIDIA L4' },
      gpusPerReplica: 2,
      from: 'file',
      at,
      text: 'label: nvidia-l4',
    })
    expect(resolveTarget(inFile, told('H100-80GB'), null).target).toMatchObject({
      gpu: { name: 'NVIDIA L4' },
      from: 'file',
    })
    expect(resolveTarget(inFile, told('H100-80GB x8', 'flag'), null).target).toMatchObject({
      gpu: { name: 'NVIDIA H100 80GB' },
      gpusPerReplica: 2,
      from: 'flag',
    })
  })

  test('the policy fills in, with its number or the one in its text', () => {
    expect(resolveTarget(noHardware, told('H100-80GB x8'), null).target).toMatchObject({
      gpusPerReplica: 8,
      from: 'policy',
    })
    expect(resolveTarget(noHardware, told('H100-80GB x8'), told(4)).target).toMatchObject({ gpusPerReplica: 4 })
    expect(resolveTarget(declared({ names: [name('NVIDIA-X9000')] }), told('L4'), null)).toMatchObject({
      target: { gpu: { name: 'NVIDIA L4' } },
      problem: null,
    })
  })

  test('nothing is said: no-target, hints are shown only', () => {
    const found = resolveTarget(
      declared({ names: [name('h100-pool', 'hint')], gpusPerReplica: 4, gpusAt: at }),
      null,
      null,
    )
    expect(found.problem).toMatchObject({
      code: 'no-target',
      message: expect.stringContaining('h100-pool is only a hint'),
    })
    expect(found.target).toMatchObject({ gpu: null, gpusPerReplica: 4 })
    expect(resolveTarget(noHardware, null, null).target).toBeNull()
  })

  test('an unknown card on the command line is a problem with a suggestion', () => {
    expect(resolveTarget(inFile, told('H1000', 'flag'), null).problem).toMatchObject({
      code: 'gpu-unknown',
      hint: expect.stringContaining('H100'),
    })
  })
})

describe('what files declare', () => {
  test('alternatives: the smallest counts', () => {
    const found = resolveTarget(declared({ names: [name('H100'), name('nvidia-l4'), name('A100-80GB')] }), null, null)
    expect(found.target?.gpu?.name).toBe('NVIDIA L4')
  })

  test('a label wins over the machine type, and a contradiction is a finding', () => {
    const found = resolveTarget(
      declared({ names: [name('p5.48xlarge', 'instance-type'), name('nvidia-l4')] }),
      null,
      null,
    )
    expect(found.target).toMatchObject({ gpu: { name: 'NVIDIA L4' }, gpusPerReplica: 8 })
    expect(codes(found)).toEqual(['hardware-contradiction'])
  })

  test('a machine tells which variant of a card a label means', () => {
    const found = (label: string) =>
      resolveTarget(declared({ names: [name(label), name('p4de.24xlarge', 'instance-type')] }), null, null)
    expect(found('a100')).toMatchObject({
      target: { gpu: { name: 'NVIDIA A100 80GB' }, gpusPerReplica: 8 },
      findings: [],
    })
    expect(codes(found('nvidia-tesla-a100'))).toEqual(['hardware-contradiction'])
    expect(codes(found('v100'))).toEqual(['hardware-contradiction', 'gpu-assumed'])
    const slice = resolveTarget(
      declared({ names: [name('p4de.24xlarge', 'instance-type')], mig: '1g.10gb', gpusPerReplica: 1 }),
      null,
      null,
    )
    expect(slice.target).toMatchObject({ gpu: { name: 'NVIDIA A100 MIG 1g.10gb' }, gpusPerReplica: 1 })
  })

  test('a machine gives the number of GPUs when the request is silent, over all nodes', () => {
    const machine = [name('Standard_NC80adis_H100_v5', 'instance-type')]
    expect(resolveTarget(declared({ names: machine, nodes: 6 }), null, null).target?.gpusPerReplica).toBe(12)
    expect(resolveTarget(declared({ names: machine, gpusPerReplica: 1 }), null, null).target?.gpusPerReplica).toBe(1)
    expect(resolveTarget(declared({ names: machine }), null, null, 1).target?.gpusPerReplica).toBeNull()
    expect(
      resolveTarget(declared({ names: [name('H100:8', 'accelerator-field')] }), null, null).target?.gpusPerReplica,
    ).toBe(8)
  })

  test('unknown machines say nothing about GPUs', () => {
    const found = resolveTarget(declared({ names: [name('m5.large', 'instance-type')] }), told('L4'), null)
    expect(found.target).toMatchObject({ gpu: { name: 'NVIDIA L4' }, from: 'policy' })
    expect(codes(found)).toEqual(['instance-unknown'])
  })

  test('the memory label decides between variants, and wins when it is clearly smaller', () => {
    const by = (label: string, mib: number) =>
      resolveTarget(declared({ names: [name(label)], memoryBytes: mib * MiB, memoryAt: at }), null, null).target?.gpu
    expect(by('a100', 81920)?.name).toBe('NVIDIA A100 80GB')
    expect(by('a100', 40960)?.name).toBe('NVIDIA A100 40GB')
    expect(by('l4', 22888)?.memoryBytes).toBe(Math.round(22.03 * GiB))
    expect(by('NVIDIA-RTX-A6000', 46068)?.memoryBytes).toBe(46068 * MiB - Math.round(0.45 * GiB))
    expect(by('H100', 81920)?.memoryBytes).toBe(Math.round(79.18 * GiB))
  })

  test('a memory label alone is a card of that size', () => {
    expect(resolveTarget(declared({ memoryBytes: 24576 * MiB, memoryAt: at }), null, null).target?.gpu).toMatchObject({
      driverBytes: 24576 * MiB,
    })
  })

  test('MIG by resource, with and without the card’s name', () => {
    expect(resolveTarget(declared({ mig: '3g.40gb', gpusPerReplica: 1 }), null, null).target?.gpu?.name).toBe(
      'NVIDIA MIG 3g.40gb',
    )
    expect(
      resolveTarget(declared({ mig: '3g.40gb', names: [name('NVIDIA-H100-80GB-HBM3')] }), null, null).target?.gpu?.name,
    ).toBe('NVIDIA H100 MIG 3g.40gb')
  })

  test('shared cards: MPS divides, time-slicing warns', () => {
    const shared = (kind: 'mps' | 'time-slicing' | 'device', replicas: number | null) =>
      resolveTarget(declared({ names: [name('L4')], shared: { kind, replicas } }), null, null)
    expect(shared('mps', 4).target?.gpu?.memoryBytes).toBe(Math.floor((22.03 * GiB) / 4))
    expect(shared('time-slicing', 4)).toMatchObject({
      target: { gpu: { memoryBytes: Math.round(22.03 * GiB) } },
      findings: [{ code: 'gpu-shared', severity: 'warning' }],
    })
    expect(codes(shared('device', null))).toEqual(['gpu-shared'])
  })
})

describe('what is not ours to judge', () => {
  test.each(['cpu', 'tpu', 'hpu', 'neuron', 'rbln', 'npu', 'xpu'] as const)('%s', accelerator => {
    const found = resolveTarget(
      declared({ accelerator, gpusPerReplica: accelerator === 'cpu' ? 0 : null }),
      told('H100'),
      null,
    )
    expect(found).toMatchObject({ skip: expect.any(String), problem: null, target: { gpu: null, gpusPerReplica: 0 } })
  })

  test('zero GPUs, and machines with other accelerators', () => {
    expect(resolveTarget(declared({ gpusPerReplica: 0 }), told('H100'), null).skip).toBe('asks for no GPU')
    expect(resolveTarget(declared({ names: [name('inf2.xlarge', 'instance-type')] }), null, null).skip).toContain(
      'Neuron',
    )
  })

  test('unified memory without a size is unknown, with what to do', () => {
    const found = resolveTarget(declared({ names: [name('DGX Spark', 'accelerator-field')] }), null, null)
    expect(found).toMatchObject({
      skip: null,
      problem: { code: 'no-target', hint: expect.stringContaining('DGX Spark 100GiB') },
    })
    expect(resolveTarget(noHardware, told('DGX Spark 100GiB'), null).target?.gpu?.memoryBytes).toBe(100 * GiB)
  })

  test('a policy’s NVIDIA card does not stand in for the AMD card that the file asks for', () => {
    expect(resolveTarget(declared({ accelerator: 'amd', gpusPerReplica: 8 }), told('H100'), null).problem?.code).toBe(
      'no-target',
    )
    expect(
      resolveTarget(declared({ accelerator: 'amd', gpusPerReplica: 8 }), told('MI300X'), null).target?.gpu?.name,
    ).toBe('AMD MI300X')
  })
})
