import * as v from 'valibot'

/**
 * Report version 1 as a schema: the source of `schema/report-v1.schema.json`, and what a report from another run is
 * checked against before it is rendered. Unknown keys are kept: later minor versions may add some.
 */

const bytes = v.pipe(v.number(), v.integer())
const maybeBytes = v.nullable(bytes)
const text = v.pipe(v.string(), v.maxLength(20_000))
const maybeText = v.nullable(text)
const line = v.pipe(v.number(), v.integer(), v.minValue(0))
const range = v.looseObject({ low: bytes, expected: bytes, high: bytes })
const status = v.picklist(['fits', 'tight', 'exceeds', 'unknown', 'skipped'])
const verdict = v.picklist(['pass', 'warn', 'fail', 'unknown', 'error'])
const count = v.pipe(v.number(), v.integer(), v.minValue(0))

const setting = v.looseObject({
  value: v.unknown(),
  effective: v.optional(v.unknown()),
  from: v.picklist(['file', 'policy', 'flag', 'model-config', 'engine-default', 'assumed']),
  file: v.optional(text),
  line: v.optional(line),
  column: v.optional(line),
  text: v.optional(text),
  note: v.optional(text),
})

const part = v.looseObject({
  name: v.picklist([
    'weights',
    'kvCache',
    'recurrentState',
    'activations',
    'cudaGraphs',
    'communication',
    'context',
    'adapters',
    'draftWeights',
    'gradients',
    'optimizerStates',
    'masterWeights',
    'logits',
    'buffers',
    'fragmentation',
  ]),
  inBudget: v.boolean(),
  bytes: range,
  basis: v.picklist(['exact', 'derived', 'measured', 'modelled', 'assumed']),
  formula: text,
  source: text,
})

const model = v.looseObject({
  id: maybeText,
  revision: maybeText,
  family: maybeText,
  parameters: maybeBytes,
  activeParameters: maybeBytes,
  count: v.picklist(['exact', 'derived', 'unknown']),
  checkpointBytes: maybeBytes,
  source: v.nullable(v.picklist(['local', 'lock', 'hub', 'catalogue'])),
  asOf: maybeText,
})

const finding = v.looseObject({
  code: text,
  severity: v.picklist(['error', 'warning', 'notice']),
  message: text,
  file: v.optional(text),
  line: v.optional(line),
})

const estimate = v.looseObject({
  method: v.picklist(['engine', 'rule-of-thumb']),
  perGpu: v.looseObject({
    rank: text,
    parts: v.array(part),
    totalBytes: range,
    budgetBytes: maybeBytes,
    headroomBytes: v.nullable(range),
  }),
  kvCache: v.nullable(
    v.looseObject({
      bytesPerToken: v.nullable(v.number()),
      bytesPerMaxLengthRequest: maybeBytes,
      availableBytes: maybeBytes,
      capacityTokens: maybeBytes,
      maxConcurrency: v.nullable(v.number()),
      fitsOneRequest: v.nullable(v.boolean()),
      maxModelLenThatFits: maybeBytes,
    }),
  ),
  assumptions: v.array(text),
})

const change = { setting: text, from: v.unknown(), to: v.unknown() }

const deployment = v.looseObject({
  id: text,
  location: v.looseObject({ file: text, line, column: line }),
  format: text,
  workload: v.picklist(['serve', 'train']),
  engine: v.looseObject({ name: text, version: maybeText }),
  model,
  draftModel: v.nullable(model),
  adapters: v.array(v.looseObject({ id: maybeText })),
  unresolved: v.array(v.looseObject({ name: text, file: v.optional(text), line: v.optional(line) })),
  settings: v.record(text, setting),
  target: v.nullable(
    v.looseObject({
      gpu: maybeText,
      gpusPerReplica: v.nullable(v.number()),
      nodes: v.nullable(v.number()),
      memoryBytes: maybeBytes,
      from: v.picklist(['file', 'policy', 'flag', 'assumed']),
      file: v.optional(text),
      line: v.optional(line),
      text: v.optional(text),
    }),
  ),
  estimate: v.nullable(estimate),
  verdict: v.looseObject({
    status,
    certain: v.boolean(),
    reasons: v.array(v.looseObject({ code: text, message: text })),
  }),
  findings: v.array(finding),
  remedies: v.array(
    v.looseObject({
      change: v.array(v.looseObject({ ...change, flag: maybeText })),
      totalBytes: range,
      status,
      note: text,
    }),
  ),
  baseline: v.nullable(
    v.looseObject({
      status,
      totalBytes: v.nullable(range),
      deltaBytes: maybeBytes,
      change: v.picklist(['new', 'changed', 'unchanged', 'renamed']),
      causes: v.array(v.looseObject({ ...change, deltaBytes: bytes })),
    }),
  ),
  exemption: v.nullable(v.looseObject({ reason: text, until: maybeText, owner: maybeText, expired: v.boolean() })),
})

export const reportSchema = v.looseObject({
  schemaVersion: v.literal(1),
  tool: v.looseObject({
    name: v.literal('hf-vram-calc'),
    version: v.pipe(v.string(), v.regex(/^\d+\.\d+\.\d+[\w.+-]{0,40}$/)),
  }),
  verdict,
  enforced: v.boolean(),
  counts: v.looseObject({
    deployments: count,
    fits: count,
    tight: count,
    exceeds: count,
    unknown: count,
    skipped: count,
    exempted: count,
    filesRead: count,
    filesParsed: count,
  }),
  deployments: v.pipe(v.array(deployment), v.maxLength(100_000)),
  notUnderstood: v.array(v.looseObject({ file: text, line, reason: text, message: text })),
  problems: v.array(
    v.looseObject({
      code: text,
      message: text,
      hint: v.optional(text),
      at: v.optional(v.looseObject({ file: text, line, column: line })),
    }),
  ),
  policy: v.optional(
    v.looseObject({
      file: maybeText,
      from: v.picklist(['base', 'head', 'remote', 'defaults']),
      edited: v.nullable(v.looseObject({ verdictWithHeadPolicy: verdict, message: text })),
      messages: v.array(v.looseObject({ level: v.picklist(['warning', 'notice']), message: text })),
    }),
  ),
  removed: v.optional(v.array(v.looseObject({ id: text, model: maybeText, status }))),
})
