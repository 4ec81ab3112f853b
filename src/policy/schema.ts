import * as v from 'valibot'
import type { EngineName } from '../deployments/deployment.ts'
import { settingsSchema } from './settings.ts'

/**
 * The policy file's form: the one source of the parser's checks, of the types and of schema/policy.schema.json. The
 * message of each check says what is expected; `problems.ts` puts what stands in the file before it. Only checks that
 * JSON Schema can say are used here; what they cannot say (real dates, percentages) is checked in `parse.ts`.
 */

/** Every engine by its report name; the type makes a missing one an error. */
const ENGINES: Readonly<Record<EngineName, true>> = {
  vllm: true,
  sglang: true,
  tgi: true,
  trtllm: true,
  llamacpp: true,
  ollama: true,
  nim: true,
  kaito: true,
  'ray-llm': true,
  'kserve-hf': true,
  triton: true,
  tei: true,
  lmdeploy: true,
  infinity: true,
  transformers: true,
  axolotl: true,
  llamafactory: true,
  trl: true,
  torchtune: true,
  'ms-swift': true,
  megatron: true,
  deepspeed: true,
  accelerate: true,
  'llm-compressor': true,
  'custom-training': true,
}

const text = (what: string) =>
  v.pipe(v.string(what), v.minLength(1, what), v.maxLength(1000, `${what} of at most 1000 characters`))
const list = <S extends v.GenericSchema>(item: S) =>
  v.pipe(v.array(item, 'a list'), v.maxLength(10_000, 'a list of at most 10,000 entries'))
const globList = list(text('a glob such as "deploy/**"'))
const yesNo = v.boolean('true or false')

const UNIT = '([KMGTkmgt]([iI]|[iI]?[bB])|[bB])'
const AMOUNT = 'a size with its unit such as 2GiB, or a percentage such as 10%'
/** Bytes, or a share below 100 %. */
const headroom = v.union(
  [
    v.pipe(
      v.string(),
      v.regex(new RegExp(`^(\\d{1,12}(\\.\\d{1,9})?\\s?${UNIT}|\\d{1,2}(\\.\\d{1,9})?\\s?%)$`), AMOUNT),
    ),
    v.literal(0),
  ],
  AMOUNT,
)
/** Bytes, or a share that may be above 100 %. */
const increase = v.union(
  [v.pipe(v.string(), v.regex(new RegExp(`^\\d{1,12}(\\.\\d{1,9})?\\s?(${UNIT}|%)$`), AMOUNT)), v.literal(0)],
  AMOUNT,
)
const share = v.pipe(
  v.string('a percentage such as 90%'),
  v.regex(/^(100|\d{1,2}(\.\d{1,9})?)\s?%$/, 'a percentage of at most 100% such as 90%'),
)
const strictness = v.picklist(['fail', 'warn', 'ignore'])

/** What `defaults`, each rule and the command line may say about deployments. */
export const choiceEntries = {
  target: v.optional(
    v.pipe(
      text('a GPU such as H100-80GB, L4 x2 or 79.18GiB'),
      v.description('GPU when the files do not say: a name, "name x count", or the memory that the engine sees'),
    ),
  ),
  'gpus-per-replica': v.optional(
    v.pipe(
      v.number('a whole number of GPUs'),
      v.integer('a whole number of GPUs'),
      v.minValue(0, 'a whole number of at least 0'),
      v.maxValue(4096, 'at most 4096'),
      v.description('GPUs of one engine instance when the files do not say'),
    ),
  ),
  headroom: v.optional(
    v.pipe(headroom, v.description('memory to keep free on each GPU: a size (2GiB) or a share of the budget (10%)')),
  ),
  'min-concurrency': v.optional(
    v.pipe(
      v.number('a whole number of requests'),
      v.integer('a whole number of requests'),
      v.minValue(1, 'a whole number of at least 1'),
      v.maxValue(1_000_000, 'at most 1,000,000'),
      v.description('requests of full length that must fit at once'),
    ),
  ),
  settings: v.optional(
    v.pipe(settingsSchema, v.description('engine settings that the files do not say, by their report names')),
  ),
}

const rule = v.strictObject(
  {
    paths: v.optional(v.pipe(globList, v.description('globs of files'))),
    models: v.optional(v.pipe(list(text('a glob such as "org/*"')), v.description('globs of model ids'))),
    engines: v.optional(
      v.pipe(list(v.picklist(Object.keys(ENGINES) as EngineName[])), v.description('engines by their report names')),
    ),
    deployments: v.optional(
      v.pipe(
        list(text('a deployment id or glob such as "deploy/a.yaml#**"')),
        v.description('ids or globs of deployments'),
      ),
    ),
    ignore: v.optional(v.pipe(yesNo, v.description('leave the matching deployments out'))),
    ...choiceEntries,
  },
  'a rule such as { paths: ["deploy/**"], target: L4 }',
)

const model = v.strictObject(
  {
    id: v.optional(v.pipe(text('a model id such as org/name'), v.description('the Hub id it stands for'))),
    revision: v.optional(
      v.pipe(text('a commit, tag or branch in quotes'), v.description('commit, tag or branch of the Hub repository')),
    ),
    path: v.optional(
      v.pipe(
        text('a folder of the repository'),
        v.description('folder with config.json, or a GGUF file, in this repository'),
      ),
    ),
  },
  '{ id: org/name } or { path: folder }',
)

const exemption = v.strictObject(
  {
    deployment: v.pipe(
      text('a deployment id or glob such as "deploy/a.yaml#**"'),
      v.description('id or glob of the deployments it covers'),
    ),
    reason: v.pipe(text('a reason in words'), v.description('why the failure is accepted')),
    owner: v.optional(v.pipe(text('a team or person'), v.description('who answers for it'))),
    until: v.optional(
      v.pipe(
        v.string('a date such as 2027-03-31'),
        v.regex(/^\d{4}-\d{2}-\d{2}$/, 'a date such as 2027-03-31'),
        v.description('last day it holds, in UTC; from the next day on the deployment fails again'),
      ),
    ),
  },
  'an exemption such as { deployment: "deploy/a.yaml#**", reason: "…", until: 2027-03-31 }',
)

export const policySchema = v.strictObject(
  {
    version: v.pipe(v.literal(1, '1'), v.description('version of this form')),
    include: v.optional(v.pipe(globList, v.description('only files that match one of these globs'))),
    exclude: v.optional(v.pipe(globList, v.description('no files that match one of these globs'))),
    defaults: v.optional(
      v.pipe(
        v.strictObject(choiceEntries, 'keys such as target or headroom'),
        v.description('for deployments that no rule says otherwise about'),
      ),
    ),
    rules: v.optional(
      v.pipe(list(rule), v.description('the first rule whose selectors all match wins over the defaults')),
    ),
    models: v.optional(
      v.pipe(
        v.record(text('a model id'), model, 'a map from the id in the files to what it stands for'),
        v.description('what an id in the files stands for'),
      ),
    ),
    'fail-on': v.optional(
      v.pipe(
        list(v.picklist(['exceeds', 'tight', 'increase', 'unknown', 'finding'])),
        v.description('what fails the run; [exceeds] unless given'),
      ),
    ),
    'max-increase': v.optional(
      v.pipe(increase, v.description('growth per GPU against the base that is still accepted')),
    ),
    'warn-at': v.optional(
      v.pipe(share, v.description('share of the budget above which a deployment that fits is reported as tight')),
    ),
    'only-new': v.optional(v.pipe(yesNo, v.description('do not fail for what the base already failed'))),
    'warn-only': v.optional(v.pipe(yesNo, v.description('report the verdict but never fail'))),
    'on-unknown': v.optional(v.pipe(strictness, v.description('when a deployment cannot be judged'))),
    'on-empty': v.optional(v.pipe(strictness, v.description('when no deployment is found'))),
    'on-network-error': v.optional(v.pipe(strictness, v.description('when the Hub cannot be reached'))),
    exemptions: v.optional(v.pipe(list(exemption), v.description('failures accepted for a time'))),
  },
  'keys such as version, defaults and rules',
)

export type PolicyFile = v.InferOutput<typeof policySchema>
export type ChoicesInFile = v.InferOutput<v.StrictObjectSchema<typeof choiceEntries, undefined>>
