import { bad, good, type Problem, type Result } from '../../problem.ts'
import { presetId } from './presets.ts'

/** What a deployment or a person calls a model. */
export interface FactsReference {
  readonly id: string
  readonly revision: string | null
  /** A quantisation tag ("Q4_K_M") or a file name inside a GGUF repository. */
  readonly variant: string | null
}

/** The longest id of the Hub is 96 letters; with its owner twice that is generous. */
const LONGEST_ID = 200
const PART = /^\w(?:[\w.-]*\w)?$/
/** Endings of files of weights: `models/chat-q4_k_m.gguf` is a file beside the program, also where it looks like an id. */
const WEIGHTS_FILE = /\.(gguf|ggml|safetensors|bin|pth?|nemo|engine)$/i

/**
 * Checks a reference before anything is asked about it: an id of the Hub ("org/name", old ones "name"), with a possible
 * ":tag" of Ollama and llama.cpp moved to the variant; a preset of KAITO by the id it serves. Problems: `model-unknown` for a path or a storage address, whose
 * model only the policy can name; `model-id-invalid` for everything else; no request is made for either.
 */
export function hubReference(reference: FactsReference): Result<FactsReference> {
  const { revision } = reference
  if (revision !== null && !isRevision(revision))
    return bad(
      'model-id-invalid',
      `revision ${shown(revision)} of ${shown(reference.id)} is no commit, tag or branch`,
      {
        hint: 'give a commit hash, a tag or a branch',
      },
    )
  const tag = /^([^:]*\/[^:/]*):([\w.-]{1,100})$/.exec(reference.id)
  const id = tag ? tag[1]! : (presetId(reference.id) ?? reference.id)
  if (isHubId(id)) return good({ id, revision, variant: reference.variant ?? tag?.[2] ?? null })
  return { ok: false, problem: notOnTheHub(reference.id) }
}

function isHubId(id: string): boolean {
  const parts = id.split('/')
  return (
    id.length <= LONGEST_ID &&
    parts.length <= 2 &&
    parts.every(part => PART.test(part)) &&
    !/\.\.|--/.test(id) &&
    !WEIGHTS_FILE.test(id)
  )
}

function isRevision(revision: string): boolean {
  return /^\w[\w./+-]{0,199}$/.test(revision) && !revision.includes('..') && !revision.includes('//')
}

function notOnTheHub(id: string): Problem {
  const name = shown(id)
  const inPolicy = `name it in the policy: models: { ${name}: { id: org/name } }`
  if (id.length <= LONGEST_ID && ![...id].some(letter => letter < ' ')) {
    if (/^(nim|kaito|ollama):/.test(id))
      return { code: 'model-unknown', message: `${name} is not known by its name in the catalogue`, hint: inPolicy }
    if (/^(s3|gs|az|abfss?|oci|pvc|hdfs|file|modelcar|ngc|wasbs?):\/\//.test(id))
      return {
        code: 'model-unknown',
        message: `${name} is a storage address: the files do not say which model lies there`,
        hint: inPolicy,
      }
    if ((/^(\/|\.\/|~\/)./.test(id) || WEIGHTS_FILE.test(id)) && !id.split('/').includes('..'))
      return {
        code: 'model-unknown',
        message: `${name} is a path: the files do not say which model lies there`,
        hint: inPolicy,
      }
  }
  return {
    code: 'model-id-invalid',
    message: `${name} is no model id`,
    hint: 'an id is written org/name, with letters, digits, dots, dashes and underscores',
  }
}

/** A text from a file for a message: quoted, short, control characters escaped. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)
}
