/**
 * Decimal rounding of the exact binary value, half to even on exact ties, as Python's round() and format() do. Only
 * ties differ from toFixed: they exist only where x is an odd multiple of 2^-(digits + 1).
 * `digits` 0 to 6; x finite.
 */
export function roundedText(x: number, digits: number): string {
  const scaled = x * 2 ** (digits + 1)
  const tie = Number.isInteger(scaled) && scaled % 2 !== 0
  if (!tie) return x.toFixed(digits)
  const power = 10 ** digits
  const lower = Math.floor(x * power)
  return ((lower % 2 === 0 ? lower : lower + 1) / power).toFixed(digits)
}

/** The same as a number: Python's round(x, digits). */
export const rounded = (x: number, digits: number): number => Number(roundedText(x, digits))
