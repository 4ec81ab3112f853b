import { GiB } from '../units/bytes.ts'
import type { Gpu } from './gpu.ts'
import type { GpuRow } from './row.ts'

/** A MIG profile by its name: "3g.40gb", "1g.10gb.me", "1g.10gb+me". */
export interface MigProfile {
  readonly name: string
  readonly gigabytes: number
}

const PROFILE = /(?<![a-z0-9])(\d{1,2})g[._](\d{1,3})gb(?:[.+]me(?:\.all)?|-me)?(?![a-z0-9])/i

/** The first MIG profile in a text and the text without it (and without the word MIG); null when there is none. */
export function migProfile(text: string): { profile: MigProfile; rest: string } | null {
  const found = PROFILE.exec(text)
  if (!found) return null
  const profile = {
    name: `${Number(found[1])}g.${Number(found[2])}gb`,
    gigabytes: Number(found[2]),
  }
  const rest = `${text.slice(0, found.index)} ${text.slice(found.index + found[0].length)}`.replace(
    /(?<![a-z])mig(?![a-z])/gi,
    ' ',
  )
  return { profile, rest: rest.trim() }
}

/** Profiles and the smallest card that offers them, as the MIG user guide lists them. */
const CARD_BY_PROFILE: Readonly<Record<string, string>> = Object.fromEntries(
  (
    [
      ['NVIDIA A30', '1g.6gb 2g.12gb 4g.24gb'],
      ['NVIDIA A100 40GB', '1g.5gb 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb'],
      ['NVIDIA A100 80GB', '1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb'],
      ['NVIDIA H100 NVL 94GB', '1g.11gb 1g.12gb 1g.24gb 2g.24gb 3g.47gb 4g.47gb 7g.94gb'],
      ['NVIDIA H100 96GB', '3g.48gb 4g.48gb 7g.96gb'],
      ['NVIDIA RTX PRO 6000 Blackwell', '2g.48gb 4g.96gb'],
      ['NVIDIA H200 141GB', '1g.16gb 1g.18gb 1g.35gb 2g.33gb 2g.35gb 3g.70gb 3g.71gb 4g.70gb 4g.71gb 7g.141gb'],
      ['NVIDIA B200', '1g.22gb 1g.23gb 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb'],
      ['NVIDIA GB200', '1g.46gb 2g.46gb 2g.47gb 3g.93gb 4g.93gb 7g.186gb'],
      ['NVIDIA B300', '1g.34gb 1g.67gb 2g.67gb 3g.135gb 4g.135gb 7g.269gb 7g.270gb'],
    ] as const
  ).flatMap(([card, profiles]) => profiles.split(' ').map(profile => [profile, card])),
)

/** Engine-visible bytes that a slice lacks against its eighths of the card (nvidia-smi: 9.75 of 9.9 GiB, 39.5 of 39.6). */
const SLICE_LOSS = Math.round(0.15 * GiB)

/** Memory slices (eighths of the card) of a profile on a card of so many GB: 3g.40gb on 80 GB has four. */
function eighths(profile: MigProfile, nominalGB: number): number | null {
  const slices = Math.round((profile.gigabytes / nominalGB) * 8)
  const near = Math.abs(profile.gigabytes - (slices * nominalGB) / 8) <= Math.max(1, profile.gigabytes * 0.06)
  return slices >= 1 && slices <= 8 && near ? slices : null
}

/**
 * The device that an engine sees in a MIG slice: its eighths of the card's engine-visible memory, less 0.15 GiB. Null
 * when the card has no such profile.
 */
export function sliceOf(card: GpuRow, profile: MigProfile): Gpu | null {
  const slices = eighths(profile, card.nominalGB)
  if (slices === null) return null
  const share = (bytes: number) => Math.floor((bytes * slices) / 8)
  return {
    name: `${card.name.replace(/ (?:\d+GB|NVL \d+GB)$/, '')} MIG ${profile.name}`,
    maker: card.maker,
    driverBytes: share(card.driverBytes),
    memoryBytes: share(card.memoryBytes) - SLICE_LOSS,
    computeCapability: card.computeCapability,
    supported: true,
    source: `${slices} of 8 memory slices of ${card.name}, less 0.15 GiB: approximate`,
  }
}

/**
 * The device behind a profile of which the card is not named: the smallest card that offers it. A profile that no card
 * offers is taken by its name: that many GB (10^9 bytes), less 0.15 GiB, of a card of unknown kind.
 */
export function sliceWithoutCard(rows: readonly GpuRow[], profile: MigProfile): { gpu: Gpu; note: string } {
  const card = rows.find(row => row.name === CARD_BY_PROFILE[profile.name])
  const slice = card ? sliceOf(card, profile) : null
  const name = `NVIDIA MIG ${profile.name}`
  if (card && slice)
    return { gpu: { ...slice, name }, note: `the card is not named: a slice of ${card.name} is assumed` }
  const bytes = profile.gigabytes * 1e9
  return {
    gpu: {
      name,
      maker: 'NVIDIA',
      driverBytes: bytes,
      memoryBytes: Math.max(0, bytes - SLICE_LOSS),
      computeCapability: null,
      supported: bytes > 0,
      source: 'the size in the name of the MIG profile: approximate',
    },
    note: 'no card is known to offer this profile: its memory is taken from its name',
  }
}
