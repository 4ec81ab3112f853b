// Figures over errors: shares of the measured value.
export const percent = share => `${(100 * share).toFixed(share < 0.0995 ? 2 : 1)} %`

function at(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]
}

/** Median (lower of two), ninth decile and largest of the errors, printed; null when there are none. */
export function spread(pairs) {
  const errors = pairs.map(({ estimate, measured }) => Math.abs(estimate / measured - 1)).sort((a, b) => a - b)
  if (errors.length === 0) return null
  return { count: errors.length, median: at(errors, 0.5), p90: at(errors, 0.9), max: errors.at(-1) }
}

/** How many measured values lie in low..high, and how wide the ranges are (median share of the estimate). */
export function coverage(pairs) {
  if (pairs.length === 0) return null
  const widths = pairs.map(({ range }) => (range.high - range.low) / range.expected).sort((a, b) => a - b)
  const inside = pairs.filter(({ range, measured }) => range.low <= measured && measured <= range.high).length
  return { count: pairs.length, inside, width: at(widths, 0.5) }
}

export const table = (head, rows) =>
  [
    `| ${head.join(' | ')} |`,
    `| ${head.map((_, i) => (i === 0 ? '---' : '--:')).join(' | ')} |`,
    ...rows.map(row => `| ${row.join(' | ')} |`),
  ].join('\n')
