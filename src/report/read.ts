import * as v from 'valibot'
import { bad, good, type Result } from '../problem.ts'
import type { Report } from './report.ts'
import { reportSchema } from './schema.ts'

/** Reads a report of another run as untrusted data. Problem: `usage` naming the first place that is wrong. */
export function readReport(text: string): Result<Report> {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    return bad('usage', `the report is no JSON: ${(error as Error).message.slice(0, 200)}`)
  }
  const read = v.safeParse(reportSchema, data, { abortEarly: true })
  if (read.success) return good(read.output as Report)
  const issue = read.issues[0]
  return bad(
    'usage',
    `the report is not of version 1: ${v.getDotPath(issue) ?? 'top level'}: ${issue.message.slice(0, 200)}`,
  )
}
