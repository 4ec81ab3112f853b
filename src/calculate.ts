import type { DataType } from './calculator/data.ts'
import { detectType, dtypeOfName, storedNotice } from './calculator/detect.ts'
import type { Request } from './calculator/request.ts'
import type { Calculation, EngineTable } from './calculator/result.ts'
import { type RuleModel, ruleRow } from './calculator/rule-of-thumb.ts'
import type { Tables } from './calculator/tables-from-files.ts'
import { total } from './models/blocks/weights.ts'
import { Config, type JsonObject } from './models/config.ts'
import { activeParameterCount, allWeights, parameterCount } from './models/count.ts'
import type { ModelFacts } from './models/facts.ts'
import { checkpointDtype } from './models/families/family.ts'
import { shapeOf } from './models/families/index.ts'
import type { ModelShape } from './models/shape.ts'
import { bad, good, type Problem, type Result } from './problem.ts'
import { closest } from './units/suggest.ts'

/** Computes the engine's table for a model; handed in so that a plain rule-of-thumb run does not load the engines. */
export type EngineTabler = (model: CalculatedModel, request: Request, dtypes: readonly DataType[]) => EngineTable | null

export interface CalculatedModel {
  readonly name: string
  readonly facts: ModelFacts
  readonly shape: ModelShape
  readonly parameters: number
  /** Share of the parameters that are routed experts, 0 to 1. */
  readonly routedShare: number
}

/**
 * The original calculator for one model: parameters counted exactly, the rule's rows for each data type, and the
 * engine's own answer beside them. Problems: unknown data types (usage), configs that cannot be read or counted.
 */
export function calculate(
  name: string,
  facts: ModelFacts,
  request: Request,
  tables: Tables,
  engine: EngineTabler,
): Result<Calculation> {
  const read = shapeOf(facts.config)
  if (!read.ok) return read
  const shape = read.value
  if (shape.family === 'generic')
    return bad(
      'architecture-unsupported',
      `model_type ${JSON.stringify(shape.modelType)} is not known: no figure is computed from a guessed count`,
      {
        hint: 'see hf-vram-calc list families; hf-vram-calc check gives a derived estimate',
      },
    )
  const fields = ruleFields(facts.config, shape)
  if (!fields.ok) return fields
  const parameters = parameterCount(shape)
  const configDtype = dtypeOf(facts.config)

  const types = chosenTypes(name, configDtype, request, tables)
  if (!types.ok) return types
  const { dtypes, notices, detected } = types.value
  const model: RuleModel = { parameters, ...fields.value }
  const sizes = {
    batch: request.batch,
    sequence: request.sequence,
    loraRank: request.loraRank,
    tensorParallel: request.tp,
    maxNumTokens: request.maxNumTokens,
  }
  const rows = dtypes.map(dtype => ruleRow(model, dtype, sizes))
  const embedding = shape.tied ? total(shape.embedding.filter(weight => weight.split === 'vocab').slice(0, 1)) : 0
  const routed = allWeights(shape)
    .filter(entry => entry.weight.split.startsWith('expert'))
    .reduce((sum, entry) => sum + entry.times * total([entry.weight]), 0)
  const routedShare = routed / parameters
  return good({
    name,
    architecture: textType(facts.config) ?? shape.modelType,
    model,
    activeParameters: activeParameterCount(shape),
    count: shape.count,
    originalCount: embedding > 0 ? parameters + embedding : null,
    routedShare,
    configDtype,
    source: facts.source + (facts.asOf === null ? '' : ` (${facts.asOf})`),
    rows,
    detected,
    engine: engine({ name, facts, shape, parameters, routedShare }, request, dtypes),
    notices: [...request.notices, ...notices, ...(detected ? storedNotice(facts.config, dtypes) : [])],
    request,
  })
}

function chosenTypes(name: string, configDtype: string | null, request: Request, tables: Tables) {
  if (request.dtypes === null) {
    const found = detectType(name, configDtype, tables.dataTypes)
    return good({ dtypes: found.dtypes, notices: found.notices, detected: true })
  }
  const problem = unknownTypes(request.dtypes, tables)
  if (problem !== null) return { ok: false as const, problem }
  return good({
    dtypes: request.dtypes.map(asked => tables.dataTypes.find(row => row.name === asked)!),
    notices: [],
    detected: false,
  })
}

/** Refuses data types that the table lacks, with the one that another spelling of it ("bfloat16", "BF16") or a slip meant. */
export function unknownTypes(asked: readonly string[], tables: Tables): Problem | null {
  const known = tables.dataTypes.map(row => row.name)
  const wrong = asked.filter(name => !known.includes(name))
  if (wrong.length === 0) return null
  const meant = dtypeOfName(wrong[0]!)
  const near = meant !== null && known.includes(meant) ? meant : closest(wrong[0]!, known)
  return {
    code: 'usage',
    message: `unknown data type ${wrong.map(text => JSON.stringify(text)).join(', ')}; known are ${known.join(', ')}`,
    hint: near === null ? 'see --list_types' : `did you mean ${near}?`,
  }
}

const HIDDEN = ['hidden_size', 'n_embd', 'd_model']
const LAYERS = ['num_hidden_layers', 'num_layers', 'n_layer', 'n_layers']
const HEADS = ['num_attention_heads', 'n_head', 'num_heads']

/** Classes that have no field num_key_value_heads, so that the original takes the query heads for it. */
const KV_BY_ANOTHER_NAME: ReadonlySet<string> = new Set(['falcon', 'mpt', 'chatglm', 'RefinedWeb', 'RefinedWebModel'])

/** The text config replaces the root where there is one, as in the original. */
function textConfig(config: JsonObject): JsonObject {
  const text = config['text_config']
  return typeof text === 'object' && text !== null && !Array.isArray(text) ? (text as JsonObject) : config
}

/** The type of the text model, which is what the original calls the architecture. */
function textType(config: JsonObject): string | null {
  const type = textConfig(config)['model_type']
  return typeof type === 'string' && type !== '' ? type : null
}

/**
 * The fields the rule reads, by the names and in the order of the original; what the file leaves out as the model's
 * class fills it in.
 */
function ruleFields(config: JsonObject, shape: ModelShape): Result<Omit<RuleModel, 'parameters'>> {
  const source = textConfig(config)
  const first = (names: readonly string[]): number | null => {
    const name = names.find(candidate => candidate in source)
    const value = name === undefined ? null : source[name]
    return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : null
  }
  const hidden = first(HIDDEN) ?? shape.facts.hidden
  const layers = first(LAYERS) ?? shape.facts.layers
  const heads = first(HEADS) ?? shape.facts.heads
  if (heads === null)
    return bad('field-missing', `config.json: missing or malformed ${HEADS.join('/')}`, {
      hint: 'the rule of thumb needs attention heads: this model has none',
    })
  const byClass = KV_BY_ANOTHER_NAME.has(shape.modelType) ? heads : (shape.facts.kvHeads ?? heads)
  return good({ hidden, layers, heads, kvHeads: first(['num_key_value_heads']) ?? byClass })
}

function dtypeOf(config: JsonObject): string | null {
  return checkpointDtype(new Config(textConfig(config))) ?? checkpointDtype(new Config(config))
}
