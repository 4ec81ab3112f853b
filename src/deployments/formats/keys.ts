import { Text } from '../text.ts'
import { type Entry, MapNode } from '../tree.ts'

/** Keys of Helm values in the spelling of flags: maxModelLen → max-model-len, tp_size → tensor-parallel-size. Scalars only. */
export function kebabKeys(...maps: readonly MapNode[]): MapNode {
  const entries: Entry[] = maps.flatMap(map =>
    map.entries.flatMap(({ key, value }) =>
      value.kind === 'scalar' && value.value !== null && value.text.value !== ''
        ? [{ key: Text.at(key, flagName(key.value)), value }]
        : [],
    ),
  )
  return new MapNode(entries, maps[0]?.start ?? entries[0]!.key)
}

const SHORT = new Map([
  ['tp-size', 'tensor-parallel-size'],
  ['pp-size', 'pipeline-parallel-size'],
  ['dp-size', 'data-parallel-size'],
  ['tp', 'tensor-parallel-size'],
  ['pp', 'pipeline-parallel-size'],
  ['tensor-parallelism', 'tensor-parallel-size'],
  ['tensor-parallel', 'tensor-parallel-size'],
  ['pipeline-parallel', 'pipeline-parallel-size'],
  ['gpu-memory-util', 'gpu-memory-utilization'],
  ['max-model-length', 'max-model-len'],
  ['enable-lo-ra', 'enable-lora'],
])

function flagName(key: string): string {
  const kebab = key
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase()
  return SHORT.get(kebab) ?? kebab
}
