import { bad, good, type Place, type Result } from '../../problem.ts'
import type { Repository } from '../../repository/repository.ts'
import { type CheckpointFacts, type ModelFacts, unknownCheckpoint } from '../facts.ts'
import { CONFIG_LIMIT, configObject, INDEX_LIMIT, indexTotalSize, withQuantConfig } from './config-text.ts'

/**
 * Facts of a model that lies in the repository: a folder with config.json and what else describes its weights. Problems:
 * `model-not-found` when the folder has no config.json, `config-invalid`. `at` is where the policy names the path.
 */
export async function localFacts(
  repository: Repository,
  path: string,
  id: string,
  at?: Place,
): Promise<Result<ModelFacts>> {
  const folder = path.replace(/\/+$/, '').replace(/\/config\.json$/, '')
  const inside = (name: string) => (folder === '' || folder === '.' ? name : `${folder}/${name}`)
  const text = await repository.read(inside('config.json'), CONFIG_LIMIT)
  if (text === null)
    return bad('model-not-found', `${JSON.stringify(path)} holds no config.json for ${id}`, {
      hint: "the policy path must be a folder of the repository with the model's config.json",
      ...(at ? { at } : {}),
    })
  const config = configObject(text, inside('config.json'), { file: inside('config.json'), line: 1, column: 1 })
  if (!config.ok) return config
  const quant = await repository.read(inside('hf_quant_config.json'), CONFIG_LIMIT)
  return good({
    id,
    revision: null,
    source: 'local',
    asOf: null,
    config: withQuantConfig(config.value, quant),
    checkpoint: await checkpointIn(repository, inside),
  })
}

async function checkpointIn(repository: Repository, inside: (name: string) => string): Promise<CheckpointFacts> {
  for (const name of ['model.safetensors.index.json', 'pytorch_model.bin.index.json']) {
    const index = await repository.read(inside(name), INDEX_LIMIT)
    const totalBytes = index === null ? null : indexTotalSize(index)
    if (totalBytes !== null) return { ...unknownCheckpoint, totalBytes }
  }
  return unknownCheckpoint
}
