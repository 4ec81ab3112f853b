// Writes docs/accuracy.md and its picture from the measured points in __tests__/fixtures. `--check` compares instead.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GiB } from './accuracy/ask.mjs'
import { coverage, percent, spread, table } from './accuracy/figures.mjs'
import { picture } from './accuracy/picture.mjs'
import {
  counts,
  leftOut,
  llamacppPairs,
  sglangPairs,
  transformersPairs,
  trtllmPairs,
  vllmPairs,
} from './accuracy/points.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const vllm = vllmPairs()
const sglang = sglangPairs()
const all = [...vllm.pairs, ...sglang.pairs, ...trtllmPairs(), ...llamacppPairs(), ...transformersPairs()]
const pairs = all.filter(one => one.incomplete === undefined)

function grouped(list, keyOf) {
  const groups = new Map()
  for (const one of list) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one])
  return [...groups]
}

const figures = list => {
  const { count, median, p90, max } = spread(list)
  return [count, percent(median), percent(p90), percent(max)]
}
const HEAD = ['figures', 'median error', '9 in 10 within', 'largest']

const byPart = table(
  ['engine', 'part', ...HEAD],
  grouped(pairs, one => `${one.engine}\n${one.part}`).map(([key, list]) => [...key.split('\n'), ...figures(list)]),
)
const incomplete = table(
  ['row', 'engine', 'part', 'error', 'what is missing'],
  all
    .filter(one => one.incomplete !== undefined)
    .map(one => [one.id, one.engine, one.part, percent(Math.abs(one.estimate / one.measured - 1)), one.incomplete]),
)
const versionOrder = ([a], [b]) => a.localeCompare(b, 'en', { numeric: true })
const byVersion = table(
  ['vLLM', 'part', ...HEAD],
  grouped(vllm.pairs, one => `${one.version}\n${one.part}`)
    .sort(versionOrder)
    .map(([key, list]) => [...key.split('\n'), ...figures(list)]),
)

const weights = vllm.pairs.filter(one => one.part === 'weights')
const rules = table(
  ['weights of one GPU, vLLM', ...HEAD],
  [
    ['hf-vram-calc', ...figures(weights)],
    ['parameters x bytes of the type / TP', ...figures(weights.map(one => ({ ...one, estimate: one.naive })))],
    ['the same x 1.2', ...figures(weights.map(one => ({ ...one, estimate: 1.2 * one.naive })))],
  ],
)

/** How often a method flags what did not fit, and what started. */
function verdictRow(name, verdicts, flags, tight) {
  const bad = verdicts.filter(one => !one.started)
  const good = verdicts.filter(one => one.started)
  return [name, `${bad.filter(flags).length} of ${bad.length}`, `${good.filter(flags).length} of ${good.length}`, tight]
}
const isTight = one => one.status === 'tight'
const verdicts = table(
  ['method', 'did not fit, and flagged', 'started, but flagged', 'tight'],
  [
    verdictRow(
      'hf-vram-calc, vLLM',
      vllm.verdicts,
      one => one.status === 'exceeds',
      vllm.verdicts.filter(isTight).length,
    ),
    verdictRow('weights x 1.2 against the card', vllm.verdicts, one => !one.rules.weights, '-'),
    verdictRow(
      'rule of thumb (weights x 1.2, and the KV of one request)',
      vllm.verdicts,
      one => !one.rules.original,
      '-',
    ),
    verdictRow(
      'hf-vram-calc, SGLang',
      sglang.verdicts,
      one => one.status === 'exceeds',
      sglang.verdicts.filter(isTight).length,
    ),
  ],
)

const ranges = table(
  ['total', 'figures', 'inside low..high', 'median width'],
  grouped(
    pairs.filter(one => one.total),
    one => `${one.engine}, ${one.part}`,
  ).map(([key, list]) => {
    const { count, inside, width } = coverage(list)
    return [key, count, `${inside} (${percent(inside / count)})`, percent(width)]
  }),
)

const text = `<!-- made by scripts/make-accuracy.mjs: do not edit -->

# Accuracy

What engines printed when they started, against what this program says of the same configuration. ${counts.vllm} starts of
vLLM and ${counts.other} figures of other engines lie in \`__tests__/fixtures/measured-vllm.json\` and \`measured-other.json\`, each
with its source. This page and its picture are made from them by \`node scripts/make-accuracy.mjs\`; CI makes them again and
compares. An error is |estimate / measurement - 1|.

![Estimated against measured memory](accuracy.svg)

## By engine and part

${byPart}

vLLM's "all but the cache" is the fraction of the card less the cache it printed; it and "KV available" are taken from starts
whose card, version and settings are known (${vllm.verdicts.length}). SGLang's and TensorRT-LLM's "pool from free memory" take the free memory from
the log, "from the card alone" take nothing but the configuration. transformers' table of Qwen3 has memory at rest
(weights and cache), that of Qwen2.5 the allocator's peak; both without the CUDA context. llama.cpp's KV buffers are summed
over devices.

### Incomplete rows

A row is complete for a figure when it states what the engine's rule for it takes and releases do not agree on: for a pool
from the card alone the card, the model, the fraction, and where the fraction is of what the buffers leave (TensorRT-LLM)
the limits that size them; for llama.cpp's model buffers the types of the file's tensors, or a type name whose mix makes the
file's printed size. Figures of incomplete rows are not in the tables:

${incomplete}

## vLLM by version

${byVersion}

## Beside rules of thumb

${rules}

Does it start? On the complete starts:

${verdicts}

## Ranges

${ranges}

A range is as good as it is narrow: nine in ten measured totals should lie inside, and the width is the distance from low
to high as a share of the estimate.

## Known misses

- SGLang's weights are what loading took of the free memory, workspaces and tables included: 0.06 GiB more than the
  tensors of a small model, 1.6 GiB of DeepSeek-V4-Pro on eight H200 (125.65 printed; 22.5 of it are fp32 scales that
  releases before 0.5.16 keep).
- TensorRT-LLM's pool from the card alone: 10,718 tokens at 0.95 mean that 4.0 GiB beside the weights were taken, 3.7 of
  them if the engine was built for the 51,200 tokens of its time's defaults (at the activations a token that a Baichuan
  engine of the time states); 8,192 tokens, today's default, take 0.7.
- transformers' fp8 rows of small models: memory at rest holds more than the fp8 layers and the 16-bit rest, up to a fifth.
- vLLM 0.11's largest error of the cache is one multimodal start, whose vision tower took less than is charged.

## Left out

${leftOut.length === 0 ? 'Nothing.' : leftOut.map(line => `- ${line}`).join('\n')}
`

const gib = one => ({ engine: one.engine, estimate: one.estimate / GiB, measured: one.measured / GiB })
const svg = picture(pairs.filter(one => !/token/.test(one.part)).map(gib))

const files = { 'docs/accuracy.md': text, 'docs/accuracy.svg': svg }
if (process.argv.includes('--check')) {
  const stale = Object.entries(files).filter(
    ([name, made]) => !existsSync(join(root, name)) || readFileSync(join(root, name), 'utf8') !== made,
  )
  if (stale.length > 0) {
    console.error(`not current, run node scripts/make-accuracy.mjs: ${stale.map(([name]) => name).join(', ')}`)
    process.exit(1)
  }
  console.log(`${Object.keys(files).length} generated files are current`)
} else {
  for (const [name, made] of Object.entries(files)) writeFileSync(join(root, name), made)
  console.log(`wrote ${Object.keys(files).join(' and ')}`)
}
