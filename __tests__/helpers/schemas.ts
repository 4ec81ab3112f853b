import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { projectRoot } from './run-action.ts'

/** What a document violates of a JSON Schema file of the repository; empty when it conforms. */
export function violationsOf(schemaFile: string, document: unknown): string[] {
  const schema = JSON.parse(readFileSync(join(projectRoot, schemaFile), 'utf8')) as Record<string, unknown>
  // Ajv speaks draft-07 and newer; the schemas at hand use nothing of what changed in between.
  const { $schema: _draft, id: _address, ...body } = schema
  const check = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(body)
  return check(document) ? [] : (check.errors ?? []).map(error => `${error.instancePath} ${error.message}`)
}

export const REPORT_SCHEMA = 'schema/report-v1.schema.json'
export const SARIF_SCHEMA = '__tests__/fixtures/sarif-schema-2.1.0.json'
