import { sizeText } from '../units/bytes.ts'
import type { EngineAnswer } from './engine.ts'
import type { SettingsReader } from './settings-reader.ts'
import { type Release, release, releaseOf } from './vllm/release.ts'

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
 * The release whose rules hold for `version`: its own, or the newest known one where it is not stated (said in
 * `assumptions`), not readable or newer than `newest` (a warning: such a release may not exist). `nameOf` prints a release.
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
  const newer = read !== null && nameOf(read) !== name && read > newest
  if (newer || read === null || read < FIRST)
    reader.say(
      'version-unknown',
      'warning',
      `${engine} version ${JSON.stringify(version)} is not known${newer ? ` (the newest is ${name})` : ''}: the rules of ${name} are used`,
    )
  return newer || read === null || read < FIRST ? newest : read
}

/** No engine's first release was below 0.1. */
const FIRST = release(0, 1)
