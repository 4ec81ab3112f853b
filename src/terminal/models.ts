import type { FindModel } from '../assess.ts'
import { catalogueBeside } from '../catalogue/catalogue-file.ts'
import { openCatalogue } from '../catalogue/catalogue.ts'
import { factsFinder } from '../models/sources/find-facts.ts'
import { LOCK_FILE, LOCK_LIMIT, parseLock } from '../models/sources/lock-file.ts'
import type { ModelEntry } from '../policy/policy.ts'
import { good, type Result } from '../problem.ts'
import type { Repository } from '../repository/repository.ts'
import type { Process } from './run.ts'

export interface ModelChoices {
  readonly models: ReadonlyMap<string, ModelEntry>
  readonly repository: Repository | null
  /** Path of the lock file in the repository; null: at its usual place, if there. */
  readonly lockFile: string | null
  readonly offline: boolean
  readonly refresh: boolean
}

/** The sources of model facts for a command line: repository paths, lock file, catalogue, Hub. */
export async function findModelFor(choices: ModelChoices, process: Process): Promise<Result<FindModel>> {
  const { repository } = choices
  const file = choices.lockFile ?? LOCK_FILE
  const text = repository === null ? null : await repository.read(file, LOCK_LIMIT)
  if (text === null && choices.lockFile !== null)
    return { ok: false, problem: { code: 'path-missing', message: `lock file ${JSON.stringify(file)} cannot be read`, hint: 'write it with hf-vram-calc lock' } }
  const lock = text === null ? null : parseLock(text, file)
  if (lock !== null && !lock.ok) return lock
  void process
  return good(
    factsFinder({
      models: choices.models,
      repository,
      lock: lock === null ? null : lock.value,
      catalogue: openCatalogue(catalogueBeside(scriptPath())),
      hub: null,
      refresh: choices.refresh,
    }),
  )
}

/** The running script, beside which the catalogue lies. */
export function scriptPath(): string {
  return process.argv[1] ?? ''
}
