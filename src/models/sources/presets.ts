/**
 * KAITO's presets and the Hub ids they serve (kaito-project/kaito, presets/workspace/models/supported_models.yaml; the
 * commit that the file pins for each is left out: the facts that memory depends on do not change with it).
 */
/** Presets that have the id's name in small letters. */
const NAMED_ALIKE = (
  'meta-llama/Llama-3.1-8B-Instruct meta-llama/Llama-3.3-70B-Instruct deepseek-ai/DeepSeek-R1-0528 ' +
  'deepseek-ai/DeepSeek-V3-0324 deepseek-ai/DeepSeek-R1-Distill-Qwen-14B ' +
  'deepseek-ai/DeepSeek-R1-Distill-Llama-8B tiiuae/falcon-7b tiiuae/falcon-7b-instruct tiiuae/falcon-40b ' +
  'tiiuae/falcon-40b-instruct microsoft/phi-2 microsoft/Phi-3-mini-4k-instruct ' +
  'microsoft/Phi-3-mini-128k-instruct microsoft/Phi-3-medium-4k-instruct ' +
  'microsoft/Phi-3-medium-128k-instruct microsoft/Phi-3.5-mini-instruct microsoft/Phi-4-mini-instruct ' +
  'microsoft/phi-4 Qwen/Qwen2.5-Coder-7B-Instruct Qwen/Qwen2.5-Coder-32B-Instruct openai/gpt-oss-20b ' +
  'openai/gpt-oss-120b'
).split(' ')
/** The others. */
const PRESETS: Readonly<Record<string, string>> = {
  'mistral-7b': 'mistralai/Mistral-7B-v0.3',
  'mistral-7b-instruct': 'mistralai/Mistral-7B-Instruct-v0.3',
  'ministral-3-3b-instruct': 'mistralai/Ministral-3-3B-Instruct-2512',
  'ministral-3-8b-instruct': 'mistralai/Ministral-3-8B-Instruct-2512',
  'ministral-3-14b-instruct': 'mistralai/Ministral-3-14B-Instruct-2512',
  'mistral-large-3-675b-instruct': 'mistralai/Mistral-Large-3-675B-Instruct-2512',
  'gemma-3-4b-instruct': 'google/gemma-3-4b-it',
  'gemma-3-27b-instruct': 'google/gemma-3-27b-it',
}

/** The Hub id of "kaito:<preset>"; null for another name or a preset that is not known. */
export function presetId(id: string): string | null {
  const name = id.startsWith('kaito:') ? id.slice('kaito:'.length).toLowerCase() : null
  if (name === null) return null
  if (Object.hasOwn(PRESETS, name)) return PRESETS[name]!
  return NAMED_ALIKE.find(known => known.toLowerCase().endsWith(`/${name}`)) ?? null
}
