import { annotationsOf } from './annotations.ts'
import { encodedPath } from './escape.ts'
import type { Report } from './report.ts'

const RULES: Readonly<Record<string, string>> = {
  exceeds: 'The model does not fit the GPU its deployment declares',
  tight: 'The model barely fits: the high end of the estimate is over the budget',
  unknown: 'The deployment cannot be judged',
}

const LEVEL = { error: 'error', warning: 'warning', notice: 'note' } as const

/**
 * SARIF 2.1.0 for code scanning. Fingerprints name deployment and rule, not lines, so that a moved line stays the same
 * alert. Notices are notes; exempted deployments are notes too.
 */
export function reportSarif(report: Report): string {
  const annotations = annotationsOf(report)
  const ids = [...new Set(annotations.map(annotation => annotation.rule))].sort()
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'hf-vram-calc',
            version: report.tool.version,
            semanticVersion: report.tool.version,
            rules: ids.map(id => ({ id, name: id, shortDescription: { text: RULES[id] ?? id } })),
          },
        },
        columnKind: 'utf16CodeUnits',
        results: annotations.map(annotation => ({
          ruleId: annotation.rule,
          ruleIndex: ids.indexOf(annotation.rule),
          level: LEVEL[annotation.level],
          message: { text: annotation.message },
          locations: [
            {
              physicalLocation: {
                artifactLocation: { uri: encodedPath(annotation.file), uriBaseId: '%SRCROOT%' },
                region: {
                  startLine: Math.max(1, annotation.line),
                  ...(annotation.column ? { startColumn: annotation.column } : {}),
                },
              },
            },
          ],
          partialFingerprints: { 'hfVramCalc/v1': annotation.fingerprint },
        })),
      },
    ],
  }
  return `${JSON.stringify(log, null, 2)}\n`
}
