import { type DeclaredHardware, type DeclaredName, noHardware } from '../deployment.ts'
import type { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt, textsOf } from '../tree.ts'

/** Labels that name the card exactly, by trust. */
const PRODUCT =
  /^(?:nvidia\.com\/gpu\.product|(?:cloud\.google|run\.googleapis)\.com\/(?:gke-)?accelerator|karpenter\.k8s\.aws\/instance-gpu-name|amd\.com\/gpu\.(?:product-name|family|device-id)|gpu\.nvidia\.com\/(?:class|model)|machine\.cluster\.vke\.volcengine\.com\/gpu-name|aliyun\.accelerator\/nvidia_name|serving\.kserve\.io\/gke-accelerator)$/
const INSTANCE =
  /(?:^|\/)instance-type$|^(?:beta\.kubernetes\.io|node\.kubernetes\.io)\/instance-type$|^karpenter\.k8s\.aws\/instance-size$/
const MEMORY = /^(?:nvidia\.com\/gpu\.memory|karpenter\.k8s\.aws\/instance-gpu-memory)$/
const TPU = /^cloud\.google\.com\/gke-tpu-/
/** Labels of people's own that may hold a card's name. */
const HINT = /gpu|accelerator|instance-?family|nodegroup|node-?pool/i

/** Extended resources by the processor they stand for. */
const RESOURCES: readonly (readonly [RegExp, NonNullable<DeclaredHardware['accelerator']>])[] = [
  [/^nvidia\.com\/(?:gpu(?:\.shared)?|[a-z0-9-]*gpu[a-z0-9.-]*)$/i, 'nvidia'],
  [/^amd\.com\/gpu$/, 'amd'],
  [/^gpu\.intel\.com\//, 'xpu'],
  [/^habana\.ai\/gaudi/, 'hpu'],
  [/^aws\.amazon\.com\/neuron/, 'neuron'],
  [/^google\.com\/tpu$/, 'tpu'],
  [/^rebellions\.ai\//, 'rbln'],
  [/^huawei\.com\/Ascend/, 'npu'],
]
const MIG = /^nvidia\.com\/mig-(\d+g\.\d+gb)(?:[.+]me)?$/

/** What nodeSelector, node affinity and annotations of a pod say about its card. */
export function nodeHardware(
  pod: MapNode,
  metadata?: MapNode,
): Pick<DeclaredHardware, 'names' | 'memoryBytes' | 'memoryAt' | 'accelerator' | 'shared'> {
  const labels: { key: Text; value: Text }[] = []
  for (const entry of mapAt(pod, 'nodeSelector')?.entries ?? [])
    if (entry.value.kind === 'scalar') labels.push({ key: entry.key, value: entry.value.text })
  for (const entry of mapAt(metadata, 'annotations')?.entries ?? [])
    if (PRODUCT.test(entry.key.value) && entry.value.kind === 'scalar')
      labels.push({ key: entry.key, value: entry.value.text })
  for (const term of affinityTerms(pod)) labels.push(...term)
  return labelHardware(labels)
}

/** Reads labels, each with its value, in order of trust. */
export function labelHardware(
  labels: readonly { readonly key: Text; readonly value: Text }[],
): ReturnType<typeof nodeHardware> {
  const names: DeclaredName[] = []
  let memory: Pick<DeclaredHardware, 'memoryBytes' | 'memoryAt'> = {}
  let accelerator: DeclaredHardware['accelerator'] = null
  let shared: DeclaredHardware['shared']
  for (const { key, value } of labels) {
    const label = key.value
    const text = `${label}: ${value.value}`
    if (value.value === '' || /^(?:true|false)$/i.test(value.value)) continue
    if (MEMORY.test(label)) {
      const bytes = Number(value.value) * 1024 ** 2
      if (/^\d{3,9}$/.test(value.value)) memory = { memoryBytes: bytes, memoryAt: value.place }
    } else if (PRODUCT.test(label)) {
      names.push({ name: value.value, kind: 'product-label', at: value.place, text })
      if (label.startsWith('amd.com/')) accelerator = 'amd'
    } else if (INSTANCE.test(label)) names.push({ name: value.value, kind: 'instance-type', at: value.place, text })
    else if (TPU.test(label)) accelerator = 'tpu'
    else if (label === 'nvidia.com/gpu.replicas' && Number(value.value) > 1)
      shared = { kind: 'time-slicing', replicas: Number(value.value), at: value.place }
    else if (HINT.test(label)) names.push({ name: value.value, kind: 'hint', at: value.place, text })
  }
  const order = ['product-label', 'instance-type', 'accelerator-field', 'hint']
  names.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
  return { names, accelerator, ...memory, ...(shared ? { shared } : {}) }
}

function affinityTerms(pod: MapNode): { key: Text; value: Text }[][] {
  const node = mapAt(pod, 'affinity', 'nodeAffinity')
  const required = listAt(node, 'requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms')
  return required.map(term =>
    listAt(term, 'matchExpressions').flatMap(expression => {
      const key = textAt(expression, 'key')
      if (!key || stringAt(expression, 'operator') !== 'In') return []
      return textsOf(at(expression, 'values')).map(value => ({ key, value }))
    }),
  )
}

/**
 * GPUs that a `resources:` block asks for: the larger of limits and requests. `bare` also reads Dynamo's plain `gpu`
 * key. Null count when a placeholder hides it or no extended resource stands there.
 */
export function resourceHardware(
  resources: Node | undefined,
  resolve: (text: Text) => Text,
  bare = false,
): DeclaredHardware {
  let found: DeclaredHardware = noHardware
  for (const part of ['limits', 'requests']) {
    for (const { key, value } of mapAt(resources, part)?.entries ?? []) {
      if (value.kind !== 'scalar') continue
      const mig = MIG.exec(key.value)
      const kind = mig
        ? 'nvidia'
        : (RESOURCES.find(([pattern]) => pattern.test(key.value))?.[1] ??
          (bare && key.value === 'gpu' ? 'nvidia' : null))
      if (kind === null || /gpumem|gpucores|gpu-mem|gpu_mem|gpu\.count|priority/i.test(key.value)) continue
      const text = resolve(value.text)
      const count = /^\d{1,5}$/.test(text.value.trim()) ? Number(text.value) : null
      if (found.accelerator !== null && (count === null || (found.gpusPerReplica ?? -1) >= count) && !mig) continue
      found = {
        ...found,
        accelerator: count === 0 && found.accelerator === null ? null : kind,
        gpusPerReplica: count,
        gpusAt: value.text.place,
        gpusText: `${key.value}: ${text.value}`,
        ...(mig && count !== 0 ? { mig: mig[1]! } : {}),
        ...(key.value === 'nvidia.com/gpu.shared'
          ? { shared: { kind: 'time-slicing' as const, replicas: null, at: value.text.place } }
          : {}),
      }
    }
  }
  return found
}

/** The card's labels and the container's request as one statement. */
export function podHardware(node: ReturnType<typeof nodeHardware>, resources: DeclaredHardware): DeclaredHardware {
  const migLabel = node.names.map(name => /-MIG-(\d+g\.\d+gb)/i.exec(name.name)?.[1]).find(Boolean)
  const sharedLabel = node.names.find(name => /-SHARED$/i.test(name.name))
  return {
    ...resources,
    names: node.names,
    accelerator: resources.accelerator ?? node.accelerator,
    ...(node.memoryBytes !== undefined ? { memoryBytes: node.memoryBytes } : {}),
    ...(node.memoryAt ? { memoryAt: node.memoryAt } : {}),
    ...(migLabel && !resources.mig ? { mig: migLabel } : {}),
    ...(node.shared && !resources.shared ? { shared: node.shared } : {}),
    ...(sharedLabel && !resources.shared && !node.shared
      ? { shared: { kind: 'time-slicing' as const, replicas: null, at: sharedLabel.at } }
      : {}),
  }
}
