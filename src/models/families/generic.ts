import { Config, FieldProblem, type FieldWatch } from '../config.ts'
import type { ModelShape } from '../shape.ts'
import { architectureOf, isOwnClass } from './architecture.ts'
import type { Family, NestedReader } from './family.ts'

/**
 * Reads a config whose model type no family knows: by the family of the class that `architectures` names, else by the
 * family whose keys fit best. The count is derived and a note says what was assumed. Null when no family can read it
 * from the keys the file has.
 */
export function readByLikeness(config: Config, families: readonly Family[], nested: NestedReader): ModelShape | null {
  const type = config.text('model_type')
  const found = byClass(config, families, nested) ?? byKeys(config, families, nested)
  if (found === null) return null
  return {
    ...found.shape,
    family: 'generic',
    modelType: type ?? 'unknown',
    count: 'derived',
    notes: [...found.shape.notes, `model_type ${JSON.stringify(type)} is not known: counted like ${found.family.name}`],
  }
}

interface Reading {
  readonly family: Family
  readonly shape: ModelShape
}

function byClass(config: Config, families: readonly Family[], nested: NestedReader): Reading | null {
  const architecture = architectureOf(config)
  if (architecture.prefix === null) return null
  const family = families.find(candidate => candidate.modelTypes.some(type => isOwnClass(architecture, type)))
  const shape = family ? attempt(family, config, nested) : null
  return family && shape ? { family, shape } : null
}

/** Sizes without which any family would count its own defaults instead of the file. */
const NEEDED: readonly (readonly string[])[] = [
  ['hidden_size', 'd_model', 'n_embd', 'n_embed', 'dim', 'text_config', 'llm_config', 'language_config'],
  [
    'num_hidden_layers',
    'num_layers',
    'n_layer',
    'n_layers',
    'decoder_layers',
    'text_config',
    'llm_config',
    'language_config',
  ],
]

/**
 * How well a family fits: a key of the file that it reads counts most; a size that it has to take from its own class's
 * defaults counts against it; keys that it looks for in vain count little, because most of them are options.
 */
const FIT = { file: 10, default: -6, nowhere: -1 }

/** The family that fits the file's keys best; of equals Llama, else the first. A class that generates is no encoder. */
function byKeys(config: Config, families: readonly Family[], nested: NestedReader): Reading | null {
  if (!NEEDED.every(names => names.some(name => name in config.json))) return null
  const generates = architectureOf(config).ending === 'ForCausalLM'
  const llamaFirst = [...families].sort((a, b) => Number(b.name === 'llama') - Number(a.name === 'llama'))
  let best: (Reading & { readonly score: number }) | null = null
  for (const family of llamaFirst) {
    const weights = new Map<string, number>()
    const watch: FieldWatch = (field, from, value) => {
      weights.set(field, from === 'default' && typeof value !== 'number' ? 0 : FIT[from])
    }
    const shape = attempt(family, new Config(config.json, {}, {}, '', watch), nested)
    if (shape === null || (generates && shape.facts.task !== 'generate')) continue
    const score = [...weights.values()].reduce((sum, weight) => sum + weight, 0)
    if (best === null || score > best.score) best = { family, shape, score }
  }
  return best
}

function attempt(family: Family, config: Config, nested: NestedReader): ModelShape | null {
  try {
    return family.shape(config, nested)
  } catch (error) {
    if (error instanceof FieldProblem) return null
    throw error
  }
}
