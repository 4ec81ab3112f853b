// Writes the JSON Schemas of the policy and the lock file from the checks that the program itself runs.
// `node scripts/make-schemas.mjs` (Node 22.18 or newer, which reads TypeScript).
import { writeFileSync } from 'node:fs'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { toJsonSchema } from '@valibot/to-json-schema'
import { lockSchema } from '../src/models/sources/lock-file.ts'
import { policySchema } from '../src/policy/schema.ts'
import { reportSchema } from '../src/report/schema.ts'

const published = {
  'lock.schema.json': ['hf-vram-calc lock', lockSchema],
  'policy.schema.json': ['hf-vram-calc policy', policySchema],
  'report-v1.schema.json': ['hf-vram-calc report, version 1', reportSchema],
}

/** File name -> text, for the test that compares them with what is committed. */
export function schemaFiles() {
  return Object.entries(published).map(([file, [title, schema]]) => {
    const { $schema, ...rest } = toJsonSchema(schema, { errorMode: 'ignore' })
    return [file, `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`]
  })
}

if (argv[1] === fileURLToPath(import.meta.url))
  for (const [file, text] of schemaFiles()) writeFileSync(new URL(`../schema/${file}`, import.meta.url), text)
