import { type DeclaredHardware, noHardware } from '../deployment.ts'
import type { Text } from '../text.ts'
import type { Node } from '../tree.ts'

/** "H100:8", "A100-80GB", `{H100: 8}`, a list, or a set `{L4:8, A100:8}`, whose keys YAML reads whole: alternatives. */
export function acceleratorHardware(node: Node | undefined, key: string): DeclaredHardware {
  const all = written(node)
  const [head] = all
  if (!head) return noHardware
  const counts = new Set(all.map(one => one.count))
  return {
    ...noHardware,
    names: all.map(({ name, at }) => ({
      name,
      kind: 'accelerator-field' as const,
      at: at.place,
      text: `${key}: ${at.value}`,
    })),
    accelerator: /^(?:tpu|inf|trn)/i.test(head.name) ? 'tpu' : /^MI\d/i.test(head.name) ? 'amd' : 'nvidia',
    gpusPerReplica: counts.size === 1 ? head.count : null,
    gpusAt: head.at.place,
    gpusText: `${key}: ${head.at.value}`,
  }
}

interface Named {
  readonly name: string
  readonly count: number | null
  readonly at: Text
}

function written(node: Node | undefined): Named[] {
  if (!node) return []
  if (node.kind === 'scalar') return node.value === null ? [] : one(node.text)
  if (node.kind === 'list') return node.items.flatMap(written)
  return node.entries.flatMap(({ key, value }) => {
    const count = value.kind === 'scalar' && typeof value.value === 'number' ? value.value : null
    return count === null ? one(key) : [{ name: key.value, count, at: key }]
  })
}

function one(text: Text): Named[] {
  const match = /^([\w.+-]+)(?::\s*(\d+(?:\.\d+)?))?$/.exec(text.value.trim())
  if (!match) return []
  return [{ name: match[1]!, count: match[2] === undefined ? 1 : Math.ceil(Number(match[2])), at: text }]
}
