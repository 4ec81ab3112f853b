import { describe, expect, test } from '@jest/globals'
import type { ReportDeployment } from '../../src/report/report.ts'
import { failureTexts, type Gate, increaseFinding, runVerdict } from '../../src/verdict/run.ts'
import { deployment, withStatus } from '../helpers/reports.ts'

const GiB = 2 ** 30
const gate = (more: Partial<Gate> = {}): Gate => ({
  failOn: ['exceeds'],
  onUnknown: 'warn',
  onEmpty: 'warn',
  onNetworkError: 'warn',
  onlyNew: false,
  maxIncrease: null,
  ...more,
})
const grown = deployment({
  id: 'a',
  baseline: {
    status: 'fits',
    totalBytes: { low: 10 * GiB, expected: 10 * GiB, high: 10 * GiB },
    deltaBytes: 8 * GiB,
    causes: [],
    change: 'changed',
  } as ReportDeployment['baseline'],
})
const refused = deployment({
  id: 'b',
  findings: [{ code: 'heads', severity: 'error', message: 'm', file: 'f', line: 1 }],
})

describe('a run that fails for another reason than too little memory', () => {
  test.each<[string, Partial<Gate>, ReportDeployment, string]>([
    ['growth', { maxIncrease: { fraction: 0.05 } }, grown, 'fails because of max-increase: a'],
    ['tight', { failOn: ['tight'] }, withStatus('tight', { id: 't' }), 'fails because fail-on names tight: t'],
    [
      'a finding',
      { failOn: ['finding'] },
      refused,
      'fails because fail-on names finding, and there is one of severity error: b',
    ],
    [
      'an unknown',
      { onUnknown: 'fail' },
      withStatus('unknown', { id: 'u' }),
      'fails because of on-unknown, on-network-error or fail-on: u',
    ],
  ])('%s is named with the deployment', (_, more, row, text) => {
    expect(failureTexts([row, deployment()], gate(more))).toEqual([text])
    expect(runVerdict([row, deployment()], [], [], gate(more))).toBe('fail')
    expect(failureTexts([row], gate())).toEqual([])
  })

  test('what exceeds speaks for itself; of many, three are named', () => {
    expect(failureTexts([withStatus('exceeds')], gate())).toEqual([])
    const many = ['a', 'b', 'c', 'd', 'e'].map(id => withStatus('tight', { id }))
    expect(failureTexts(many, gate({ failOn: ['tight'] }))).toEqual([
      'fails because fail-on names tight: a, b, c and 2 more',
    ])
  })

  test.each([
    [{ fraction: 0.05 }, '5 %'],
    [{ bytes: 2 * GiB }, '2.00 GiB'],
  ])('growth is a finding that says what is allowed: %j', (maxIncrease, allowed) => {
    expect(increaseFinding(grown, gate({ maxIncrease }))).toMatchObject({
      code: 'increase',
      severity: 'warning',
      message: `needs 8.00 GiB more per GPU than in the base; max-increase allows ${allowed}`,
      line: 15,
    })
    expect(increaseFinding(grown, gate())).toBeNull()
    expect(increaseFinding(deployment(), gate({ maxIncrease }))).toBeNull()
  })
})
