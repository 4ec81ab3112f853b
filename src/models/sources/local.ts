import { bad, good, type Place, type Result } from '../../problem.ts'
import type { Repository } from '../../repository/repository.ts'
import { type CheckpointFacts, type ModelFacts, unknownCheckpoint } from '../facts.ts'
import { CONFIG_LIMIT, configObject, INDEX_LIMIT, shardIndex, withQuantConfig } from './config-text.ts'
import { chooseGguf, ggufFacts, joinedCheckpoint, type ReadRange, safetensorsFacts } from './headers.ts'

/**
 * Facts of a model that lies in the repository: `path` is a folder with config.json and what else describes its weights,
 * or with GGUF files, of which `variant` names one, or a GGUF file itself. Problems: `model-not-found` when the path holds
 * neither, `config-invalid`, `checkpoint-invalid`. `at` is where the policy names the path.
 */
export async function localFacts(
  repository: Repository,
  path: string,
  id: string,
  at?: Place,
  variant: string | null = null,
): Promise<Result<ModelFacts>> {
  const folder = path
    .replace(/^(\.\/)+/, '')
    .replace(/\/+$/, '')
    .replace(/(^|\/)config\.json$/, '')
  const inside = (name: string) => (folder === '' || folder === '.' ? name : `${folder}/${name}`)
  const known = { id, revision: null, source: 'local', asOf: null } as const
  const text = /\.gguf$/i.test(folder) ? null : await repository.read(inside('config.json'), CONFIG_LIMIT)
  if (text === null || variant !== null) {
    const files = await ggufIn(repository, folder, inside, variant)
    if (files !== null) {
      const read = files.ok ? await ggufFacts(files.value, file => rangeOf(repository, file)) : files
      if (!read.ok) return { ok: false, problem: { ...read.problem, ...(at ? { at } : {}) } }
      const checkpoint = { ...unknownCheckpoint, totalBytes: read.value.bytes }
      return good({ ...known, config: {}, checkpoint, gguf: read.value })
    }
  }
  if (text === null)
    return bad('model-not-found', `${JSON.stringify(path)} holds no config.json for ${id}`, {
      hint: "the path must be a folder with the model's config.json, or a GGUF file",
      ...(at ? { at } : {}),
    })
  const config = configObject(text, inside('config.json'), { file: inside('config.json'), line: 1, column: 1 })
  if (!config.ok) return config
  const quant = await repository.read(inside('hf_quant_config.json'), CONFIG_LIMIT)
  const checkpoint = await checkpointIn(repository, inside)
  if (!checkpoint.ok) return checkpoint
  return good({ ...known, config: withQuantConfig(config.value, quant), checkpoint: checkpoint.value })
}

function rangeOf(repository: Repository, file: string): ReadRange {
  return async (start, end) => {
    const bytes = await repository.readBytes(file, start, end)
    return bytes === null ? bad('checkpoint-invalid', `${file} cannot be read`) : good(bytes)
  }
}

/** The GGUF files of the path: itself, or of a folder those that the variant names; null when there are none. */
async function ggufIn(
  repository: Repository,
  folder: string,
  inside: (name: string) => string,
  variant: string | null,
): Promise<Result<readonly string[]> | null> {
  if (/\.gguf$/i.test(folder)) return chooseGguf([folder], folder)
  const { files } = await repository.list()
  const paths = files.map(file => file.path).filter(file => file.startsWith(inside('')))
  return chooseGguf(paths, variant)
}

/** Bytes by the headers of the safetensors files; where they are not here, or only as Git LFS pointers, by the index. */
async function checkpointIn(
  repository: Repository,
  inside: (name: string) => string,
): Promise<Result<CheckpointFacts>> {
  let indexed: CheckpointFacts = unknownCheckpoint
  let shards: readonly string[] = ['model.safetensors']
  for (const name of ['model.safetensors.index.json', 'pytorch_model.bin.index.json']) {
    const text = await repository.read(inside(name), INDEX_LIMIT)
    if (text === null) continue
    const index = shardIndex(text)
    if (!index.ok) return { ok: false, problem: { ...index.problem, at: { file: inside(name), line: 1, column: 1 } } }
    indexed = { ...unknownCheckpoint, totalBytes: index.value.totalBytes }
    shards = index.value.files.filter(file => file.endsWith('.safetensors'))
    break
  }
  const parts: CheckpointFacts[] = []
  for (const shard of shards) {
    const file = inside(shard)
    if (await isMissing(repository, file)) return good(indexed)
    const part = await safetensorsFacts(rangeOf(repository, file))
    if (!part.ok) return { ok: false, problem: { ...part.problem, message: `${file}: ${part.problem.message}` } }
    parts.push(part.value)
  }
  return good(parts.length > 0 ? joinedCheckpoint(parts) : indexed)
}

async function isMissing(repository: Repository, file: string): Promise<boolean> {
  const start = await repository.readBytes(file, 0, 40)
  return start === null || new TextDecoder().decode(start).startsWith('version https://git-lfs')
}
