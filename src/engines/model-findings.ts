import type { Setting } from '../deployments/deployment.ts'
import type { ModelShape } from '../models/shape.ts'
import type { EngineInput } from './engine.ts'
import type { SettingsReader } from './settings-reader.ts'

type Say = SettingsReader['say']

/**
 * Attention heads, those of a vision tower too, must divide by the ranks that share them; KV heads must divide by them,
 * or they by the KV heads, which then are kept several times. `flag` is how the engine calls the number of ranks.
 */
export function headFindings(shape: ModelShape, ranks: number, flag: string, at: Setting | undefined, say: Say): void {
  const { heads, visionHeads } = shape.facts
  if (heads !== null && heads % ranks !== 0)
    say('heads-not-divisible', 'error', `${heads} attention heads do not divide by ${flag} ${ranks}`, at)
  if (visionHeads !== null && visionHeads % ranks !== 0)
    say(
      'heads-not-divisible',
      // a tower that no verified rule reads may be one that the engine does not divide
      shape.count === 'exact' ? 'error' : 'warning',
      `${visionHeads} heads of the vision tower do not divide by ${flag} ${ranks}`,
      at,
    )
  const counts = new Set<number>()
  for (const kind of shape.layers.kinds) for (const spec of kind.cache) if ('kvHeads' in spec) counts.add(spec.kvHeads)
  for (const count of counts) {
    const [more, fewer] = count >= ranks ? [count, ranks] : [ranks, count]
    if (more % fewer !== 0)
      say('kv-heads-not-divisible', 'error', `${count} KV heads and ${flag} ${ranks}: neither divides the other`, at)
    else if (count < ranks)
      say(
        'kv-replication',
        'notice',
        `${count} KV heads on ${ranks} tensor ranks: each is kept ${ranks / count} times`,
        at,
      )
  }
}

/** GPUs that the engine uses against those that are asked for. */
export function gpuFindings(
  asked: number | null,
  used: number,
  sizes: string,
  at: Setting | undefined,
  say: Say,
): void {
  if (asked === null || asked <= 0 || asked === used) return
  say(
    'gpus-unequal-parallelism',
    asked < used ? 'error' : 'warning',
    `${asked} GPUs are asked for, the engine uses ${used} (${sizes})`,
    at,
  )
}

/** More pipeline stages than layers. */
export function stageFinding({ settings, shape }: EngineInput, say: Say): void {
  const at = settings.pipelineParallel
  const layers = shape.layers.order.length
  if (typeof at?.value === 'number' && at.value > layers)
    say('stages-above-layers', 'error', `${at.value} pipeline stages for ${layers} layers`, at)
}

/** A context above the model's own; `unless` says what would allow it. */
export function contextFinding(
  length: number,
  context: number | null,
  flag: string,
  allowed: string | null,
  at: Setting | undefined,
  say: Say,
  unless = '',
): void {
  if (context === null || length <= context) return
  const message = `${flag} ${length} is above the model's ${context}`
  if (allowed !== null)
    say('context-above-model', 'warning', `${message}, as ${allowed} allows: answers may be wrong there`, at)
  else say('context-above-model', 'error', `${message}${unless}`, at)
}
