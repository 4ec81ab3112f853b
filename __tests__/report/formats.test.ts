import { describe, expect, test } from '@jest/globals'
import { annotationsOf, cappedAnnotations } from '../../src/report/annotations.ts'
import { reportJson } from '../../src/report/json.ts'
import { readReport } from '../../src/report/read.ts'
import { reportSarif } from '../../src/report/sarif.ts'
import { reportWorkflowCommands } from '../../src/report/workflow-commands.ts'
import { deployment, report, withStatus } from '../helpers/reports.ts'

describe('annotations', () => {
  test('on the line of the setting that the comparison blames most, else of the context, else of the model', () => {
    const base = { status: 'fits' as const, totalBytes: null, deltaBytes: 1, change: 'changed' as const }
    const settings = {
      maxModelLen: { value: 1, from: 'file' as const, file: 'a.yaml', line: 7 },
      tensorParallel: { value: 1, from: 'file' as const, file: 'a.yaml', line: 9 },
    }
    const lines = (row: ReturnType<typeof deployment>) => annotationsOf(report([row])).map(a => a.line)
    expect(
      lines(
        withStatus('exceeds', {
          settings,
          baseline: {
            ...base,
            causes: [
              { setting: 'tensorParallel', from: 2, to: 1, deltaBytes: 5 },
              { setting: 'maxModelLen', from: 1, to: 2, deltaBytes: 3 },
            ],
          },
        }),
      ),
    ).toEqual([9])
    expect(lines(withStatus('exceeds', { settings }))).toEqual([7])
    expect(lines(withStatus('exceeds', { settings: {} }))).toEqual([15])
  })

  test('errors stand first; an exempted deployment is a notice', () => {
    const exemption = { reason: 'r', until: null, owner: null, expired: false }
    const rows = [
      withStatus('tight', { id: 'a' }),
      withStatus('exceeds', { id: 'b', exemption }),
      withStatus('exceeds', { id: 'c' }),
    ]
    expect(annotationsOf(report(rows)).map(a => a.level)).toEqual(['error', 'warning', 'notice'])
  })

  test.each([0, 1, 9, 10, 11, 500])('%s errors: at most ten, the last counts the rest', count => {
    const rows = Array.from({ length: count }, (_, i) => withStatus('exceeds', { id: `d${i}` }))
    const capped = cappedAnnotations(annotationsOf(report(rows)))
    expect(capped).toHaveLength(Math.min(10, count))
    if (count > 10) expect(capped.at(-1)!.title).toBe(`and ${count - 9} more`)
  })

  test('workflow commands escape what could end them', () => {
    const text = reportWorkflowCommands(
      report([
        withStatus('exceeds', {
          settings: {},
          location: { file: 'a,b:c%.yaml', line: 1, column: 1 },
          verdict: { status: 'exceeds', certain: true, reasons: [{ code: 'x', message: 'one\n::error::two' }] },
        }),
      ]),
    )
    expect(text.trimEnd().split('\n')).toHaveLength(1)
    expect(text).toContain('file=a%2Cb%3Ac%25.yaml')
  })
})

describe('JSON', () => {
  test('what is written is read back as the same', () => {
    const original = report([deployment(), withStatus('unknown', { estimate: null, target: null })])
    const read = readReport(reportJson(original))
    expect(read).toEqual({ ok: true, value: original })
  })

  test('a number that is none is a bug and throws, rather than a null in the report', () => {
    expect(() =>
      reportJson(
        report([
          deployment({
            target: { gpu: null, gpusPerReplica: Number.NaN, nodes: null, memoryBytes: null, from: 'file' },
          }),
        ]),
      ),
    ).toThrow('gpusPerReplica')
  })

  test.each([
    ['no JSON', '{'],
    ['another version', JSON.stringify({ ...report([]), schemaVersion: 2 })],
    [
      'a fraction of a byte',
      JSON.stringify(
        report([
          deployment({ baseline: { status: 'fits', totalBytes: null, deltaBytes: 0.5, change: 'new', causes: [] } }),
        ]),
      ),
    ],
    ['an unknown status', JSON.stringify(report([deployment()])).replaceAll('"status":"fits"', '"status":"<img>"')],
  ])('%s is refused', (_name, text) => expect(readReport(text).ok).toBe(false))
})

describe('SARIF', () => {
  test('fingerprints name deployment and rule, not lines', () => {
    const at = (line: number) =>
      JSON.parse(
        reportSarif(report([withStatus('exceeds', { settings: {}, location: { file: 'a.yaml', line, column: 3 } })])),
      ).runs[0].results[0]
    expect(at(3).partialFingerprints).toEqual(at(30).partialFingerprints)
    expect(at(30).locations[0].physicalLocation.region).toEqual({ startLine: 30, startColumn: 3 })
  })
  test('every result names a rule of the driver', () => {
    const { runs } = JSON.parse(
      reportSarif(
        report([
          withStatus('exceeds', { findings: [{ code: 'heads-not-divisible', severity: 'error', message: 'm' }] }),
          withStatus('unknown', { id: 'u' }),
        ]),
      ),
    )
    const ids = runs[0].tool.driver.rules.map((rule: { id: string }) => rule.id)
    expect(runs[0].results).toHaveLength(3)
    for (const result of runs[0].results) expect(ids[result.ruleIndex]).toBe(result.ruleId)
  })
})
