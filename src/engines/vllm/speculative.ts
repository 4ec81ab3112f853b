import type { Finding } from '../../deployments/deployment.ts'
import type { JsonObject } from '../../models/config.ts'
import type { EngineInput } from '../engine.ts'
import type { OptionReader } from './options.ts'

export interface Speculative {
  /** "ngram", "mtp", "eagle3", "draft_model", … */
  readonly method: string
  /** Tokens proposed at once. */
  readonly tokens: number
}

/** Speculative decoding as `--speculative-config` (JSON), a draft model, or a number of tokens ask for it. */
export function speculativeOf(input: EngineInput, option: OptionReader, findings: Finding[]): Speculative | null {
  const text = option.text('speculative-config')
  const config = text === null ? {} : parsed(text)
  if (config === null)
    findings.push({
      code: 'setting-invalid',
      severity: 'error',
      message: `speculative-config is no JSON object: ${text?.slice(0, 60)}`,
    })
  const asked = input.settings.speculativeTokens?.value ?? config?.['num_speculative_tokens']
  if (text === null && input.draft === null && asked === undefined) return null
  const method = config?.['method']
  const usual = input.draft === null ? (input.shape.mtp === null ? 'ngram' : 'mtp') : 'draft_model'
  return {
    method: typeof method === 'string' ? method : usual,
    tokens: typeof asked === 'number' && Number.isSafeInteger(asked) && asked >= 1 ? asked : 1,
  }
}

function parsed(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null
  } catch {
    return null
  }
}
