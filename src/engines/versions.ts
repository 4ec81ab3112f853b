import { sizeText } from '../units/bytes.ts'
import type { EngineAnswer } from './engine.ts'

/**
 * Where the version is not known and the rules of older releases lead to another answer, the answer says between which.
 * `newest` is under the rules of `names[0]`, `older` under those of `names[1]`.
 */
export function saidBetween(
  newest: EngineAnswer,
  older: EngineAnswer,
  names: readonly [newest: string, older: string],
): EngineAnswer {
  const room = (answer: EngineAnswer): number => answer.estimate.perGpu.headroomBytes?.expected ?? 0
  const [now, before] = [room(newest), room(older)]
  if (now < 0 === before < 0) return newest
  const size = sizeText(Math.abs(before))
  const what = before < 0 ? `it would lack ${size}` : `it would fit, with ${size} to spare`
  const note = `the answer depends on the version: under the rules of ${names[0]} it ${now < 0 ? 'does not fit' : 'fits'}, under those of ${names[1]} ${what}`
  return { ...newest, estimate: { ...newest.estimate, assumptions: [...newest.estimate.assumptions, note] } }
}
