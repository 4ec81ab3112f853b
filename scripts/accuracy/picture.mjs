// A log-log scatter of estimate against measurement, as an SVG that needs nothing else.
const SIZE = 640
const MARGIN = { left: 64, right: 16, top: 16, bottom: 56 }
const COLOURS = {
  vLLM: '#2563eb',
  SGLang: '#d97706',
  'TensorRT-LLM': '#16a34a',
  'llama.cpp': '#9333ea',
  transformers: '#64748b',
}
const LOW = -1.5 // 10^-1.5 GiB
const HIGH = 2.5

const x = log => MARGIN.left + ((log - LOW) / (HIGH - LOW)) * (SIZE - MARGIN.left - MARGIN.right)
const y = log => SIZE - MARGIN.bottom - ((log - LOW) / (HIGH - LOW)) * (SIZE - MARGIN.top - MARGIN.bottom)
const n = value => value.toFixed(1)

/** `points`: engine, estimate and measured in GiB. */
export function picture(points) {
  const shown = points.filter(({ estimate, measured }) =>
    [estimate, measured].every(v => Math.log10(v) >= LOW && Math.log10(v) <= HIGH),
  )
  const lines = [-1, 0, 1, 2].flatMap(log => [
    `<line x1="${n(x(log))}" y1="${n(y(LOW))}" x2="${n(x(log))}" y2="${n(y(HIGH))}" class="grid"/>`,
    `<line x1="${n(x(LOW))}" y1="${n(y(log))}" x2="${n(x(HIGH))}" y2="${n(y(log))}" class="grid"/>`,
    `<text x="${n(x(log))}" y="${SIZE - MARGIN.bottom + 18}" text-anchor="middle">${10 ** log}</text>`,
    `<text x="${MARGIN.left - 8}" y="${n(y(log) + 4)}" text-anchor="end">${10 ** log}</text>`,
  ])
  // the few of the other engines lie over the many of transformers
  const order = Object.keys(COLOURS)
  shown.sort((a, b) => order.indexOf(b.engine) - order.indexOf(a.engine))
  const dots = shown.map(
    ({ engine, estimate, measured }) =>
      `<circle cx="${n(x(Math.log10(measured)))}" cy="${n(y(Math.log10(estimate)))}" r="3.5" fill="${COLOURS[engine]}"/>`,
  )
  const engines = Object.keys(COLOURS).filter(engine => shown.some(point => point.engine === engine))
  const legend = engines.map(
    (engine, i) =>
      `<circle cx="${MARGIN.left + 18}" cy="${36 + 20 * i}" r="5" fill="${COLOURS[engine]}"/><text x="${MARGIN.left + 30}" y="${40 + 20 * i}">${engine}</text>`,
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE} ${SIZE}" role="img" aria-label="Estimated against measured memory, ${shown.length} figures">`,
    '<style>text{font:13px system-ui,sans-serif;fill:#334155}.grid{stroke:#e2e8f0}.same{stroke:#0f172a;stroke-dasharray:4 3}circle{fill-opacity:.65}</style>',
    `<rect width="${SIZE}" height="${SIZE}" fill="#fff"/>`,
    ...lines,
    `<line x1="${n(x(LOW))}" y1="${n(y(LOW))}" x2="${n(x(HIGH))}" y2="${n(y(HIGH))}" class="same"/>`,
    ...dots,
    ...legend,
    `<text x="${SIZE / 2}" y="${SIZE - 14}" text-anchor="middle">measured, GiB</text>`,
    `<text x="18" y="${SIZE / 2}" text-anchor="middle" transform="rotate(-90 18 ${SIZE / 2})">estimated, GiB</text>`,
    '</svg>',
    '',
  ].join('\n')
}
