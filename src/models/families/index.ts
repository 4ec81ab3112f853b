import { good, type Result } from '../../problem.ts'
import { Config, FieldProblem, type JsonObject } from '../config.ts'
import type { ModelShape } from '../shape.ts'
import { bart } from './bart.ts'
import { bartRelatives } from './bart-relatives.ts'
import { bert } from './bert.ts'
import { bertRelatives } from './bert-relatives.ts'
import { bertVariants } from './bert-variants.ts'
import { cohere } from './cohere.ts'
import { cosmos } from './cosmos.ts'
import { deberta } from './deberta.ts'
import { deepseek } from './deepseek.ts'
import { deepseekV4Family } from './deepseek-v4.ts'
import { dots3Vision } from './dots3-vision.ts'
import { exaone } from './exaone.ts'
import { falcon } from './falcon.ts'
import type { Family } from './family.ts'
import { gatedLatent } from './gated-latent.ts'
import { gemma } from './gemma.ts'
import { gemma3n } from './gemma3n.ts'
import { gemma4 } from './gemma4.ts'
import { readByLikeness, whatIsMissing } from './generic.ts'
import { glm } from './glm.ts'
import { glmMoe } from './glm-moe.ts'
import { glmNext } from './glm-next.ts'
import { gpt } from './gpt.ts'
import { inklingVision } from './inkling-vision.ts'
import { inkling2Family } from './inkling2.ts'
import { lfm } from './lfm.ts'
import { lfmVision } from './lfm-vision.ts'
import { linearHybrid } from './linear-hybrid.ts'
import { llama } from './llama.ts'
import { llamaRelatives } from './llama-relatives.ts'
import { longcatFlash } from './longcat.ts'
import { mamba } from './mamba.ts'
import { mambaHybrid } from './mamba-hybrid.ts'
import { mimo } from './mimo.ts'
import { mistralLarge4Text } from './mistral-large4.ts'
import { mixtral } from './mixtral.ts'
import { modernBertDecoder } from './modernbert-decoder.ts'
import { multimodalFamilies } from './multimodal-families.ts'
import { multimodalText } from './multimodal-text.ts'
import { muse } from './muse.ts'
import { nemotronHybrid } from './nemotron-h.ts'
import { nemotronNas } from './nemotron-nas.ts'
import { newerMixtures } from './newer-mixtures.ts'
import { olmo } from './olmo.ts'
import { openMoe } from './open-moe.ts'
import { otherEncoders } from './other-encoders.ts'
import { phi } from './phi.ts'
import { qwen } from './qwen.ts'
import { qwenMoe } from './qwen-moe.ts'
import { remoteCode } from './remote-code.ts'
import { rwkv } from './rwkv.ts'
import { speech } from './speech.ts'
import { speechEncoders } from './speech-encoders.ts'
import { t5 } from './t5.ts'
import { trocr } from './trocr.ts'
import { whisper } from './whisper.ts'
import { windowedMoe } from './windowed-moe.ts'
import { wrappedEncoderDecoders } from './wrapped-encoder-decoder.ts'
import { xlstm } from './xlstm.ts'
import { zambas } from './zamba.ts'

/** Every family, in one list. A model type is read by exactly one (asserted by the contract suite). */
export const families: readonly Family[] = [
  ...bart,
  ...bartRelatives,
  ...bert,
  ...bertRelatives,
  ...bertVariants,
  ...cohere,
  ...deberta,
  ...deepseek,
  deepseekV4Family,
  ...exaone,
  ...falcon,
  ...gatedLatent,
  ...gemma,
  gemma3n,
  ...gemma4,
  ...glm,
  ...glmMoe,
  ...gpt,
  ...lfm,
  ...linearHybrid,
  ...llama,
  ...llamaRelatives,
  longcatFlash,
  ...mamba,
  ...mambaHybrid,
  ...mimo,
  ...mixtral,
  modernBertDecoder,
  ...multimodalFamilies,
  ...multimodalText,
  nemotronHybrid,
  nemotronNas,
  ...newerMixtures,
  ...cosmos,
  dots3Vision,
  ...glmNext,
  inklingVision,
  ...inkling2Family,
  lfmVision,
  mistralLarge4Text,
  ...muse,
  ...olmo,
  ...openMoe,
  ...otherEncoders,
  ...phi,
  ...qwen,
  ...qwenMoe,
  ...remoteCode,
  rwkv,
  ...speech,
  ...speechEncoders,
  ...t5,
  trocr,
  whisper,
  ...windowedMoe,
  ...wrappedEncoderDecoders,
  xlstm,
  ...zambas,
]

const byType = new Map(families.flatMap(family => family.modelTypes.map(type => [type, family] as const)))

/**
 * Reads a config.json object into a shape. Problems: `field-missing`, `field-invalid` (naming the field),
 * `architecture-unsupported` when neither a family nor the generic reader can count it.
 */
export function shapeOf(json: JsonObject): Result<ModelShape> {
  try {
    return good(read(new Config(json)))
  } catch (error) {
    if (error instanceof FieldProblem) return { ok: false, problem: error.problem }
    throw error
  }
}

function read(config: Config, otherwise?: string): ModelShape {
  const type = config.text('model_type') ?? otherwise ?? null
  const family = type === null ? undefined : byType.get(type)
  const shape = family ? family.shape(config, read) : readByLikeness(config, families, read)
  if (shape) return shape
  throw new FieldProblem({
    code: 'architecture-unsupported',
    message: `config.json: ${config.path}model_type ${JSON.stringify(type)} is not known, ${whatIsMissing(config)}`,
    hint: 'see `hf-vram-calc list families`',
  })
}
