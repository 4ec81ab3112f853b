/** Edit distance with transpositions, cut off above `limit`; both texts are short names. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/**
 * The candidate a misspelt name most likely meant, or null when none is near: at most a third of its letters (and at
 * least one) may differ. Case, dashes, underscores and spaces do not count.
 */
export function closest(text: string, candidates: Iterable<string>): string | null {
  const plain = (name: string) => name.toLowerCase().replace(/[-_\s]/g, '')
  const wanted = plain(text).slice(0, 80)
  let best: string | null = null
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const d = distance(wanted, plain(candidate), least)
    if (d < least) {
      least = d
      best = candidate
    }
  }
  return best
}
