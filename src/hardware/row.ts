import { GiB, MiB } from '../units/bytes.ts'
import { type Gpu, type GpuKind, visibleBytes } from './gpu.ts'

/** A card of the catalogue: what engines see of it, and the words by which files name it. */
export interface GpuRow extends Gpu {
  /** Names without maker, form factor and memory, lower case, letters and digits only: "h100", "rtx4090". */
  readonly keys: readonly string[]
  /** Memory as sold, in GB; tells variants of one key apart. */
  readonly nominalGB: number
  readonly kind: GpuKind
}

/** Where a figure comes from; shared by many rows. */
export const SOURCES = {
  log: 'engine logs and nvidia-smi outputs in public issues',
  smi: 'nvidia-smi; engine-visible memory by the rule (driver total less 0.45 GiB, 0.8 GiB from 170 GiB on): approximate',
  nominal: 'data sheet; driver total and engine-visible memory by the rule: approximate',
} as const

/**
 * One row. `keys` are words in one text, empty where the name says them; `driverMiB` as nvidia-smi prints it; `visibleGiB` as engines print it, or null: then the rule of
 * `visibleBytes` fills it in and the source says that it is approximate.
 */
export function card(
  maker: Gpu['maker'],
  kind: GpuKind,
  name: string,
  keys: string,
  nominalGB: number,
  driverMiB: number,
  visibleGiB: number | null,
  computeCapability: string | null,
  source: string = visibleGiB === null ? SOURCES.smi : SOURCES.log,
): GpuRow {
  const driverBytes = driverMiB * MiB
  const memoryBytes = visibleGiB === null ? visibleBytes(driverBytes) : Math.round(visibleGiB * GiB)
  return {
    name: `${maker} ${name}`,
    maker,
    driverBytes,
    memoryBytes,
    computeCapability,
    supported: true,
    source,
    keys: keys === '' ? keysOf(name) : keys.split(' '),
    nominalGB,
    kind,
  }
}

/** "RTX 3060 8GB" as rtx3060 and 3060: a name that files write like this needs no other. */
function keysOf(name: string): string[] {
  const key = name.replace(/ \d+GB$| /g, '').toLowerCase()
  return [key, ...(/^[rg]tx/.test(key) ? [key.slice(3)] : [])]
}

/** A card that is known by name but cannot be judged as it stands; `why` says what would help. */
export function unjudged(
  maker: Gpu['maker'],
  kind: 'unified' | 'unsupported',
  name: string,
  keys: string,
  nominalGB: number,
  computeCapability: string | null,
  why: string,
): GpuRow {
  const driverMiB = Math.round((nominalGB * 1e9) / MiB)
  return { ...card(maker, kind, name, keys, nominalGB, driverMiB, null, computeCapability, why), supported: false }
}
