import { GiB } from '../../units/bytes.ts'
import type { EngineInput } from '../engine.ts'
import type { SettingsReader } from '../settings-reader.ts'
import type { OptionReader } from './options.ts'
import type { Rules } from './release.ts'

export interface Batch {
  /** max-num-batched-tokens. */
  readonly tokens: number
  /** max-num-seqs. */
  readonly sequences: number
}

interface Tier extends Batch {
  readonly note: string
}

/** Defaults of the server by card class; memory as the driver reports it (vLLM engine/arg_utils.py). */
function tier(input: EngineInput, rules: Rules): Tier {
  if (rules.v0) return { tokens: 2048, sequences: 256, note: 'vLLM V0 default' }
  const { gpu } = input
  if (gpu === null) return { tokens: 2048, sequences: 256, note: 'vLLM default for small cards; the card is not known' }
  const ampere = rules.sparesA100 && /a100/i.test(gpu.name)
  if (rules.hugeTier && gpu.driverBytes >= 160 * GiB)
    return { tokens: 16384, sequences: 1024, note: 'vLLM default for cards of at least 160 GiB' }
  if (gpu.driverBytes >= 70 * GiB && !ampere && !/gb10/i.test(gpu.name))
    return { tokens: 8192, sequences: 1024, note: 'vLLM default for cards of at least 70 GiB, A100 aside' }
  return { tokens: 2048, sequences: 256, note: `vLLM default for ${ampere ? 'A100' : 'cards below 70 GiB'}` }
}

/**
 * Batch sizes, given or by default. Only what is not given is adjusted: doubled in throughput mode, tokens at least the
 * length without chunked prefill and at most one full length a sequence, sequences at most the tokens.
 */
export function batchOf(
  input: EngineInput,
  rules: Rules,
  option: OptionReader,
  reader: SettingsReader,
  length: number,
): Batch {
  const { tokens: usual, sequences: most, note } = tier(input, rules)
  const times = option.text('performance-mode') === 'throughput' ? 2 : 1
  // V0 turned chunked prefill on for long contexts only
  const chunked = option.flag('enable-chunked-prefill') ?? (!rules.v0 || length > 32768)
  const sequencesGiven = reader.count('maxNumSeqs')
  const tokensDefault = (): number => {
    const whole = chunked ? usual * times : Math.max(usual * times, length)
    return rules.v0 ? whole : Math.min(whole, (sequencesGiven ?? most * times) * length)
  }
  const tokens = reader.countOr('maxNumBatchedTokens', tokensDefault(), note)
  const sequences = reader.countOr('maxNumSeqs', Math.min(most * times, tokens), note)
  return { tokens, sequences }
}
