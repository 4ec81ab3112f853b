import type { Command, Mount } from '../command.ts'
import { assemble, deploymentOf } from '../command-lines/index.ts'
import { readTrtllmMap } from '../command-lines/trtllm.ts'
import type { DeclaredHardware, Deployment } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { engineStarts } from '../launch.ts'
import { splitText } from '../shell/words.ts'
import type { Text } from '../text.ts'
import { at, listAt, MapNode, mapAt, type Node, textAt } from '../tree.ts'
import { fraction, modelFrom, positive, word } from '../values.ts'
import { acceleratorHardware } from './accelerators.ts'
import { bareCommand } from './shell.ts'

export const truss: DocumentFormat = {
  kind: 'document',
  name: 'truss',
  title: 'Baseten Truss: docker_server start commands and trt_llm builds with their accelerator',
  marks: ['docker_server', 'trt_llm'],
  claims: root => mapAt(root, 'trt_llm') !== undefined || textAt(root, 'docker_server', 'start_command') !== undefined,
  read: async (root, context) => (mapAt(root, 'trt_llm') ? [build(root, context)] : server(root, context)),
}

async function server(root: Node, context: Context): Promise<Deployment[]> {
  const start = textAt(root, 'docker_server', 'start_command')
  if (!start) return []
  const env = new Map(
    (mapAt(root, 'environment_variables')?.entries ?? []).flatMap(({ key, value }) =>
      value.kind === 'scalar' && value.value !== null ? [[key.value, value.text] as [string, Text]] : [],
    ),
  )
  const mounts = listAt(root, 'weights').flatMap((one): Mount[] => {
    const source = textAt(one, 'source')
    const target = textAt(one, 'mount_location')
    return source && target ? [{ host: source, container: target.value }] : []
  })
  const command: Command = {
    ...bareCommand(start),
    argv: splitText(start),
    env,
    image: textAt(root, 'base_image', 'image') ?? null,
    mounts,
    hardware: accelerator(root),
  }
  const found: Deployment[] = []
  for (const one of engineStarts(command)) {
    const deployment = await deploymentOf(one, { format: 'truss', name: 'server' }, context)
    if (deployment) found.push(deployment)
  }
  return found
}

/** `trt_llm:`: a build section (first stack) or runtime section (second stack) with the same options. */
function build(root: Node, context: Context): Deployment {
  const section = mapAt(root, 'trt_llm')
  const parts = [mapAt(section, 'build'), mapAt(section, 'runtime'), mapAt(section, 'runtime', 'patch_kwargs')].filter(
    one => one !== undefined,
  )
  const reading = readTrtllmMap(
    new MapNode(
      parts.flatMap(part => part.entries),
      section?.start ?? context.text.slice(0, 0),
    ),
  )
  const { collector } = reading
  const tensor = textAt(section, 'build', 'tensor_parallel_count')
  if (tensor)
    collector.set('tensorParallel', { value: tensor, text: `tensor_parallel_count: ${tensor.value}` }, positive)
  const quantization = textAt(section, 'build', 'quantization_type')
  if (quantization && quantization.value !== 'no_quant')
    collector.set('quantization', { value: quantization, text: `quantization_type: ${quantization.value}` }, word)
  const memory = textAt(section, 'runtime', 'kv_cache_free_gpu_mem_fraction')
  if (memory)
    collector.set(
      'memoryFraction',
      { value: memory, text: `kv_cache_free_gpu_mem_fraction: ${memory.value}` },
      fraction,
    )
  const repository = mapAt(section, 'build', 'checkpoint_repository')
  const repo = textAt(repository, 'repo')
  const revision = textAt(repository, 'revision')
  const command: Command = {
    ...bareCommand(repo ?? section?.entries[0]?.key ?? context.text),
    hardware: accelerator(root),
  }
  return assemble(
    { engine: 'trtllm', environment: /^$/ },
    command,
    {
      ...reading,
      model: modelFrom(repo, collector, revision && revision.value !== 'main' ? { revision: revision.value } : {}),
    },
    { format: 'truss', name: 'trt_llm' },
  )
}

/** "H100:4"; "H100_40GB" is half a card: a MIG slice. */
function accelerator(root: Node): DeclaredHardware {
  const declared = acceleratorHardware(at(root, 'resources', 'accelerator'), 'accelerator')
  const half = declared.names.find(one => /^H100_40GB$/i.test(one.name))
  return half ? { ...declared, names: [{ ...half, name: 'H100-80GB' }], mig: '3g.40gb' } : declared
}
