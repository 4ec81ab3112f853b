/** Sizes are plain numbers of bytes everywhere; GiB exists only in what people read or write. */
const KiB = 1024
export const MiB = 1024 ** 2
export const GiB = 1024 ** 3

const UNIT_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kib: KiB,
  mib: MiB,
  gib: GiB,
  tib: 1024 ** 4,
  ki: KiB,
  mi: MiB,
  gi: GiB,
  ti: 1024 ** 4,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
}

/**
 * Reads a size with its unit: binary ("79.18GiB", "512Mi") or decimal ("80GB"). A bare number is refused: its unit
 * would be a guess. Returns whole bytes, or null when the text is no size (also for negative and infinite ones).
 */
export function parseBytes(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text)
  const unit = match ? UNIT_BYTES[match[2]!.toLowerCase()] : undefined
  if (!match || unit === undefined) return null
  const bytes = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : null
}

/** "13.49": GiB with two decimals, as every table prints them. */
export function gibText(bytes: number): string {
  return (bytes / GiB).toFixed(2)
}

/** "13.49 GiB", or MiB below 10 MiB so that a small part does not read as 0.00. */
export function sizeText(bytes: number): string {
  return Math.abs(bytes) < 10 * MiB && bytes !== 0 ? `${(bytes / MiB).toFixed(2)} MiB` : `${gibText(bytes)} GiB`
}

/** "8,030,261,248": thousands separated by commas, whatever the locale. */
export function grouped(n: number): string {
  return Math.round(n)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}
