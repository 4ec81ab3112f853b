import { nvidiaGpus } from './nvidia.ts'
import { amdGpus, unjudgedGpus } from './other-makers.ts'
import type { GpuRow } from './row.ts'

/** Every card that can be named; `list gpus` prints them in this order. */
export const gpus: readonly GpuRow[] = [...nvidiaGpus, ...amdGpus, ...unjudgedGpus]

const byName = new Map(gpus.map(row => [row.name, row]))

/** The card of exactly this report name; for tables inside the product. */
export function gpuNamed(name: string): GpuRow {
  const row = byName.get(name)
  if (!row) throw new Error(`no GPU row is named ${name}`)
  return row
}
