import type { LayerStack, ModelShape, Tower, Weight } from '../shape.ts'

/** What a quantisation rule needs to know of a weight's place in the model. */
export interface Module {
  readonly weight: Weight
  readonly place: 'embedding' | 'layer' | 'head' | 'tower' | 'prediction'
  /**
   * Routers and gates of mixtures, the joint projection of a prediction layer, compressors of keys and the weights of an
   * indexer's heads: no method quantises them unless it names them.
   */
  readonly router: boolean
  /** Numbers of the layers that hold it; one 0 where layers do not count. */
  readonly layers: readonly number[]
  /** Every name the module may have in a checkpoint, with the given layer number. */
  readonly names: (layer: number) => readonly string[]
}

const LAYER_PREFIXES = [
  'model.layers',
  'model.language_model.layers',
  'language_model.model.layers',
  'backbone.layers',
  'transformer.h',
  'layers',
]

const TOWER_PREFIXES: Readonly<Record<Tower['role'], readonly string[]>> = {
  vision: [
    'model.visual',
    'visual',
    'model.vision_tower',
    'vision_tower',
    'vision_model',
    'model.vision_backbone',
    'vision_encoder',
  ],
  audio: ['model.audio_tower', 'audio_tower', 'audio_encoder', 'model.embed_audio'],
  projector: [
    'model.multi_modal_projector',
    'multi_modal_projector',
    'mm_projector',
    'model.visual.merger',
    'visual.merger',
    'patch_merge_mlp',
    'model.embed_vision',
  ],
  encoder: ['model.encoder', 'encoder'],
  other: [],
}

/** The experts of a mixture as files number and spell them. */
const EXPERT_NAMES: Readonly<Record<string, readonly string[]>> = {
  gate_proj: ['w1', 'gate_up_proj'],
  up_proj: ['w3', 'gate_up_proj'],
  down_proj: ['w2'],
}

/** Where every weight of a shape stands. The same weight object in several kinds of layers is one module. */
export function modulesOf(shape: ModelShape): ReadonlyMap<Weight, Module> {
  const modules = new Map<Weight, Module>()
  const single = (weights: readonly Weight[], place: Module['place'], prefixes: readonly string[]): void => {
    for (const weight of weights) modules.set(weight, plainModule(weight, place, prefixes))
  }
  single(shape.embedding, 'embedding', ['model', 'model.language_model', 'language_model.model', 'backbone'])
  addStack(modules, shape.layers, 'layer', LAYER_PREFIXES, 0)
  for (const weight of shape.final)
    modules.set(weight, plainModule(weight, 'head', ['model', 'language_model', 'model.language_model']))
  for (const tower of shape.towers) {
    const prefixes = [...TOWER_PREFIXES[tower.role], tower.name, `model.${tower.name}`]
    single(tower.weights, 'tower', prefixes)
    addStack(
      modules,
      tower.stack,
      'tower',
      prefixes.map(prefix => `${prefix}.layers`),
      0,
    )
  }
  if (shape.mtp !== null)
    addStack(modules, shape.mtp, 'prediction', [...LAYER_PREFIXES, 'mtp.layers'], shape.layers.order.length)
  return modules
}

/** A weight that no shape knows (a part an engine made): its name decides. */
export function moduleNamed(weight: Weight, path: string): Module {
  const prefixes = LAYER_PREFIXES.map(prefix => `${prefix}.0`)
  const names = [path, ...prefixes.map(prefix => `${prefix}.${path}`)].flatMap(spellings)
  return {
    weight,
    place: weight.kind === 'linear' && weight.split === 'vocab' ? 'head' : 'layer',
    router: isRouter(weight),
    layers: [0],
    names: () => names,
  }
}

function plainModule(weight: Weight, place: Module['place'], prefixes: readonly string[]): Module {
  const names = [weight.name, ...prefixes.map(prefix => `${prefix}.${weight.name}`)].flatMap(spellings)
  return { weight, place, router: isRouter(weight), layers: [0], names: () => names }
}

function addStack(
  modules: Map<Weight, Module>,
  stack: LayerStack,
  place: Module['place'],
  prefixes: readonly string[],
  first: number,
): void {
  const layersOf: number[][] = stack.kinds.map(() => [])
  for (const [layer, kind] of stack.order.entries()) layersOf[kind]!.push(first + layer)
  stack.kinds.forEach((kind, k) => {
    for (const weight of kind.weights) {
      const layers = [...(modules.get(weight)?.layers ?? []), ...layersOf[k]!]
      const spelt = spellings(weight.name)
      const names = (layer: number): string[] => [
        ...prefixes.flatMap(prefix => spelt.map(name => `${prefix}.${layer}.${name}`)),
        ...(place === 'prediction' ? spelt.map(name => `mtp.layers.${layer - first}.${name}`) : []),
      ]
      const own = weight.kind === 'linear' && weight.split === 'vocab' ? 'head' : place
      modules.set(weight, { weight, place: own, router: isRouter(weight), layers, names })
    }
  })
}

/** Projections that a shape may hold as one matrix and a file's lists as its parts. */
const FUSED: Readonly<Record<string, readonly string[]>> = {
  gate_up_proj: ['gate_proj', 'up_proj'],
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
}

/** Routed experts stand for number 0 of them, under the spellings of their blocks and projections. */
function spellings(name: string): string[] {
  const last = name.lastIndexOf('.') + 1
  const parts = FUSED[name.slice(last)] ?? []
  const names = [name, ...parts.map(part => name.slice(0, last) + part)]
  return names.flatMap(expertSpellings)
}

function expertSpellings(name: string): string[] {
  const match = /^(?:(.*)\.)??(?:(mlp|block_sparse_moe|mixer|feed_forward|ffn)\.)?experts\.(\w+)$/.exec(name)
  if (!match) return name.startsWith('mlp.') ? [name, `block_sparse_moe.${name.slice(4)}`] : [name]
  const projections = [match[3]!, ...(EXPERT_NAMES[match[3]!] ?? [])]
  const blocks =
    match[2] === 'mlp' ? ['mlp.', 'block_sparse_moe.', 'ffn.'] : [match[2] === undefined ? '' : `${match[2]}.`]
  const before = match[1] === undefined ? '' : `${match[1]}.`
  return blocks.flatMap(block =>
    projections.flatMap(part => [`${before}${block}experts.0.${part}`, `${before}${block}experts.${part}`]),
  )
}

function isRouter(weight: Weight): boolean {
  return (
    weight.split === 'none' &&
    /(^|\.)(gate|router|wg|eh_proj|shared_expert_gate|weights_proj|compressor\.(indexer\.)?(kv|gate)_proj|router\.(proj|layer|classifier|weight))$/.test(
      weight.name,
    )
  )
}
