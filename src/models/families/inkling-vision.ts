import { norm, replicated, tokenEmbedding } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import { type Family, layerCount, noLayers } from './family.ts'
import { multimodal, tower } from './multimodal.ts'
import type { Encoder } from './towers.ts'

/** One stage of Inkling's folding: frames and side of what a position covers, and its width. */
interface Scale {
  readonly frames: number
  readonly side: number
  readonly width: number
}

/**
 * The stages of Inkling's vision tower, one more than it has layers: all folds of a patch by its prime factors, space
 * before time, and of them those whose sizes are nearest to even steps in the logarithm. With more layers than folds a
 * fold can stand several times.
 */
function inklingScales(frames: number, patch: number, layers: number, channels: number): readonly Scale[] {
  const all: Scale[] = [{ frames: 1, side: 1, width: channels }]
  let side = 1
  for (const prime of primesFromLargest(patch)) {
    side *= prime
    all.push({ frames: 1, side, width: Math.ceil((side * side * channels) / 64) * 64 })
  }
  let time = 1
  for (const prime of primesFromLargest(frames)) {
    time *= prime
    all.push({ frames: time, side, width: side * side * channels * time * 64 })
  }
  const span = Math.log(patch * patch * frames * channels)
  const cost = (step: number, scale: Scale) =>
    Math.abs((span * step) / layers - Math.log(scale.frames * scale.side * scale.side))
  const steps = Array.from({ length: layers + 1 }, (_, step) => all.map(scale => cost(step, scale)))
  const chosen = layers >= all.length ? steps.map(row => row.indexOf(Math.min(...row))) : distinct(steps)
  chosen[0] = 0
  chosen[layers] = all.length - 1
  return chosen.map(at => all[at]!)
}

/** A different column for each row with the least sum of costs; both run upwards, so that no two cross. */
function distinct(cost: readonly (readonly number[])[]): number[] {
  let best: { readonly sum: number; readonly picked: readonly number[] }[] = cost[0]!.map((sum, at) => ({
    sum,
    picked: [at],
  }))
  for (const row of cost.slice(1))
    best = row.map((own, at) => {
      const before = best.slice(0, at).filter(choice => choice.picked.length > 0)
      const least = before.reduce((a, b) => (b.sum < a.sum ? b : a), { sum: Number.POSITIVE_INFINITY, picked: [] })
      return { sum: least.sum + own, picked: least.picked.length === 0 ? [] : [...least.picked, at] }
    })
  return [...best.reduce((a, b) => (b.sum < a.sum ? b : a)).picked]
}

function primesFromLargest(number: number): number[] {
  const primes: number[] = []
  let rest = number
  for (let prime = 2; prime * prime <= rest; prime++)
    while (rest % prime === 0) {
      primes.unshift(prime)
      rest /= prime
    }
  return rest > 1 ? [rest, ...primes] : primes
}
/** Inkling's eyes: no attention, patches folded step by step, each fold a matrix with a norm but the last. */
function inklingVisual(file: Config, out: number): Encoder {
  const config = file.with(
    { patch_size: 40, temporal_patch_size: 2, num_channels: 3, num_hidden_layers: 24 },
    { num_hidden_layers: ['n_layers'] },
  )
  const layers = layerCount(config)
  const channels = config.size('num_channels')
  const scales = inklingScales(config.size('temporal_patch_size'), config.size('patch_size'), layers, channels)
  const weights = scales.slice(1).flatMap((to, i) => {
    const from = scales[i]!
    const input = from.width * Math.floor(to.frames / from.frames) * Math.floor(to.side / from.side) ** 2
    const isLast = i === layers - 1
    const output = isLast ? out : to.width
    const name = `encoder_layers.${i}`
    return [replicated(`${name}.projection`, output, input), ...(isLast ? [] : [norm(`${name}.layer_norm`, output)])]
  })
  return { weights: [...weights, norm('final_norm', out)], stack: noLayers, heads: null, width: out }
}

export const inklingVision: Family = multimodal({
  type: 'inkling_mm_model',
  classes: ['Inkling'],
  text: { type: 'inkling_text' },
  tie: 'never',
  towers: m => {
    const audio = m
      .part('audio_config')
      .with(
        { n_mel_bins: 80, mel_vocab_size: 256 },
        { n_mel_bins: ['num_codebooks'], mel_vocab_size: ['codebook_size'] },
      )
    const sounds = audio.size('n_mel_bins') * audio.size('mel_vocab_size')
    return [
      tower('vision_tower', 'vision', inklingVisual(m.part('vision_config'), m.hidden)),
      tower('audio_tower', 'audio', {
        weights: [tokenEmbedding(sounds, m.hidden, 'embed_audio_tokens'), norm('norm', m.hidden)],
        stack: noLayers,
        heads: null,
        width: m.hidden,
      }),
    ]
  },
})
