import { sizeText } from '../units/bytes.ts'
import type { EngineAnswer } from './engine.ts'
import type { SettingsReader } from './settings-reader.ts'
import { type Release, releaseOf } from './vllm/release.ts'

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

/**
 * The release whose rules hold for `version`: its own, or the newest known one where it is not stated, not readable (a
 * warning) or newer than `newest`. Which stands in is said in `assumptions`; `nameOf` prints a release.
 */
export function releaseFor(
  engine: string,
  version: string | null,
  newest: Release,
  nameOf: (release: Release) => string,
  reader: SettingsReader,
  assumptions: string[],
): Release {
  const name = nameOf(newest)
  if (version === null) {
    assumptions.push(`${engine} version unknown: the rules of ${name} are used`)
    return newest
  }
  const read = releaseOf(version)
  if (read === null)
    reader.say(
      'version-unknown',
      'warning',
      `${engine} version ${JSON.stringify(version)} is not known: the rules of ${name} are used`,
    )
  else if (nameOf(read) !== name && read > newest)
    assumptions.push(`${engine} ${version} is newer than the rules known here: those of ${name} are used`)
  return read ?? newest
}
