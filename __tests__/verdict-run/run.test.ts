import { describe, expect, test } from '@jest/globals'
import type { Baseline, ReportDeployment, Status } from '../../src/report/report.ts'
import { failures, type Gate, increasedTooMuch, runVerdict } from '../../src/verdict/run.ts'
import { deployment, withStatus } from '../helpers/reports.ts'

const gate = (more: Partial<Gate> = {}): Gate => ({
  failOn: ['exceeds'],
  onUnknown: 'warn',
  onEmpty: 'warn',
  onNetworkError: 'warn',
  onlyNew: false,
  maxIncrease: null,
  ...more,
})
const baseline = (status: Status, deltaBytes: number | null, more: Partial<Baseline> = {}): Baseline => ({
  status,
  totalBytes: { low: 900, expected: 1000, high: 1100 },
  deltaBytes,
  change: deltaBytes === 0 ? 'unchanged' : 'changed',
  causes: [],
  ...more,
})
const unreachable = withStatus('unknown', {})
const network: ReportDeployment = {
  ...unreachable,
  verdict: { ...unreachable.verdict, reasons: [{ code: 'network', message: 'no answer' }] },
}
const finding = deployment({ findings: [{ code: 'x', severity: 'error', message: 'refused' }] })
const exempt = (expired: boolean) => ({ reason: 'known', until: '2026-01-01', owner: null, expired })

describe('failures', () => {
  test.each<[string, ReportDeployment, Partial<Gate>, string[]]>([
    ['fits', withStatus('fits'), {}, []],
    ['exceeds', withStatus('exceeds'), {}, ['exceeds']],
    ['exceeds, not asked for', withStatus('exceeds'), { failOn: ['tight'] }, []],
    ['tight', withStatus('tight'), { failOn: ['exceeds', 'tight'] }, ['tight']],
    ['unknown by fail-on', withStatus('unknown'), { failOn: ['unknown'] }, ['unknown']],
    ['unknown by on-unknown', withStatus('unknown'), { onUnknown: 'fail' }, ['unknown']],
    [
      'unknown that is ignored, whatever fail-on says',
      withStatus('unknown'),
      { failOn: ['unknown'], onUnknown: 'ignore' },
      [],
    ],
    ['a network fault is not the unknown of the repository', network, { onUnknown: 'fail' }, []],
    ['a network fault', network, { onNetworkError: 'fail' }, ['unknown']],
    ['skipped never', withStatus('skipped'), { failOn: ['exceeds', 'tight', 'unknown', 'finding'] }, []],
    ['an error finding', finding, { failOn: ['finding'] }, ['finding']],
    ['an error finding, not asked for', finding, {}, []],
    ['exempted', withStatus('exceeds', { exemption: exempt(false) }), {}, []],
    ['exempted, expired', withStatus('exceeds', { exemption: exempt(true) }), {}, ['exceeds']],
    ['only-new: old', withStatus('exceeds', { baseline: baseline('exceeds', 0) }), { onlyNew: true }, []],
    ['only-new: old and shrunk', withStatus('exceeds', { baseline: baseline('exceeds', -5) }), { onlyNew: true }, []],
    [
      'only-new: old and grown',
      withStatus('exceeds', { baseline: baseline('exceeds', 5) }),
      { onlyNew: true },
      ['exceeds'],
    ],
    [
      'only-new: fitted before',
      withStatus('exceeds', { baseline: baseline('fits', 0) }),
      { onlyNew: true },
      ['exceeds'],
    ],
    [
      'only-new: new',
      withStatus('exceeds', { baseline: baseline('unknown', null, { change: 'new' }) }),
      { onlyNew: true },
      ['exceeds'],
    ],
    ['only-new without a base', withStatus('exceeds'), { onlyNew: true }, ['exceeds']],
    [
      'only-new: tight that exceeded',
      withStatus('tight', { baseline: baseline('exceeds', -5) }),
      { onlyNew: true, failOn: ['tight'] },
      [],
    ],
    [
      'only-new: unknown before and now',
      withStatus('unknown', { baseline: baseline('unknown', null) }),
      { onlyNew: true, onUnknown: 'fail' },
      [],
    ],
    [
      'max-increase adds increase',
      withStatus('fits', { baseline: baseline('fits', 101) }),
      { maxIncrease: { bytes: 100 } },
      ['increase'],
    ],
  ])('%s', (_name, row, more, expected) => expect(failures(row, gate(more))).toEqual(expected))
})

describe('case 62: increasedTooMuch', () => {
  test.each<[number | null, Gate['maxIncrease'], boolean]>([
    [100, { bytes: 100 }, false],
    [101, { bytes: 100 }, true],
    [100, { fraction: 0.1 }, false],
    [101, { fraction: 0.1 }, true],
    [1, { bytes: 0 }, true],
    [0, { bytes: 0 }, false],
    [-500, { bytes: 0 }, false],
    [500, null, false],
    [null, { bytes: 0 }, false],
  ])('%s with %j: %s', (delta, limit, expected) =>
    expect(increasedTooMuch(deployment({ baseline: baseline('fits', delta) }), limit)).toBe(expected),
  )
  test('from nothing, a share is of nothing', () => {
    const zero = { low: 0, expected: 0, high: 0 }
    expect(increasedTooMuch(deployment({ baseline: baseline('fits', 1, { totalBytes: zero }) }), { fraction: 9 })).toBe(
      true,
    )
    expect(increasedTooMuch(deployment(), { bytes: 0 })).toBe(false)
  })
})

describe('runVerdict', () => {
  const lost = [{ file: 'a.yaml', line: 1, reason: 'yaml-invalid', message: 'not valid' }] as never[]
  test.each<[string, ReportDeployment[], never[], Partial<Gate>, string]>([
    ['all fit', [withStatus('fits')], [], {}, 'pass'],
    ['one exceeds', [withStatus('fits'), withStatus('exceeds')], [], {}, 'fail'],
    ['one exceeds, not asked for', [withStatus('exceeds')], [], { failOn: [] }, 'warn'],
    ['one tight', [withStatus('tight')], [], {}, 'warn'],
    ['one unknown of two', [withStatus('fits'), withStatus('unknown')], [], {}, 'warn'],
    ['all unknown', [withStatus('unknown')], [], {}, 'unknown'],
    ['all unknown, ignored', [withStatus('unknown')], [], { onUnknown: 'ignore' }, 'pass'],
    ['an error finding', [finding], [], {}, 'warn'],
    ['only skipped', [withStatus('skipped')], [], {}, 'pass'],
    ['exempted', [withStatus('exceeds', { exemption: exempt(false) })], [], {}, 'pass'],
    ['nothing', [], [], {}, 'warn'],
    ['nothing, to fail', [], [], { onEmpty: 'fail' }, 'fail'],
    ['nothing, ignored', [], [], { onEmpty: 'ignore' }, 'pass'],
    ['only a broken file', [], lost, {}, 'unknown'],
    ['a broken file beside a good one', [withStatus('fits')], lost, {}, 'warn'],
    ['a broken file, unknown fails', [withStatus('fits')], lost, { onUnknown: 'fail' }, 'fail'],
    ['a broken file, ignored', [withStatus('fits')], lost, { onUnknown: 'ignore' }, 'pass'],
  ])('%s', (_name, rows, notUnderstood, more, expected) =>
    expect(runVerdict(rows, notUnderstood, [], gate(more))).toBe(expected),
  )
})
