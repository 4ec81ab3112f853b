import { kvElementBytes } from '../answer.ts'
import type { EngineInput } from '../engine.ts'
import { contextFinding, gpuFindings, headFindings, stageFinding } from '../model-findings.ts'
import type { Resolved } from './resolve.ts'

/** What SGLang refuses or ignores, whatever the memory. */
export function findings(input: EngineInput, r: Resolved, kvDtype: string): void {
  const { given, option, reader } = r
  const { say } = reader
  const { settings } = input
  const ranks = Math.max(1, Math.floor(given.tensor / given.attentionData))
  headFindings(
    input.shape,
    ranks,
    given.attentionData > 1 ? 'attention ranks (tp / dp)' : 'tp',
    settings.tensorParallel,
    say,
  )
  if (given.tensor % given.attentionData !== 0)
    say(
      'ranks-not-divisible',
      'error',
      `tp ${given.tensor} does not divide by ${given.attentionData} attention data ranks`,
      settings.attentionDataParallel,
    )
  gpuFindings(
    input.gpusPerReplica,
    r.gpus,
    `tp ${given.tensor} x pp ${given.pipeline}${r.dataParallel > 1 ? ` x dp ${r.dataParallel}` : ''}`,
    settings.tensorParallel,
    say,
  )
  stageFinding(input, say)
  const override = input.environment['SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN']
  const allowed =
    override === '1' || override?.toLowerCase() === 'true' ? 'SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN' : null
  contextFinding(r.maxModelLen, r.context, 'context-length', allowed, settings.maxModelLen, say)
  if (kvElementBytes(kvDtype) === null)
    say(
      'kv-dtype-unsupported',
      'error',
      `KV cache dtype ${JSON.stringify(kvDtype)} is not known: the model's dtype stands in for it`,
      settings.kvCacheDtype,
    )
  if (r.server.fraction <= 0)
    say(
      'fraction-out-of-range',
      'error',
      `the chunk and the graphs leave a static fraction of ${r.server.fraction}: give mem-fraction-static, or a smaller chunked-prefill-size`,
    )
  if (
    r.traits.recurrent &&
    option.text('mamba-radix-cache-strategy') === 'no_buffer' &&
    option.flag('disable-overlap-schedule') !== true
  )
    say('setting-contradicts', 'error', 'mamba-radix-cache-strategy no_buffer needs disable-overlap-schedule')
  if (r.rules.middleBand && option.has('cuda-graph-max-bs'))
    say(
      'flag-ambiguous',
      'error',
      'cuda-graph-max-bs is ambiguous from 0.5.20 on: cuda-graph-max-bs-decode or cuda-graph-max-bs-prefill',
    )
  if (given.maxTotalTokens !== null && given.maxTotalTokens < r.maxModelLen)
    say(
      'context-above-pool',
      'warning',
      `max-total-tokens ${given.maxTotalTokens} is below the context of ${r.maxModelLen}: longer requests are rejected`,
    )
}
