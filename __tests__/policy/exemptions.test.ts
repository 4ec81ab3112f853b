import { expect, test } from '@jest/globals'
import { exemptionFor, unusedExemptions } from '../../src/policy/exemptions.ts'
import { parsePolicy } from '../../src/policy/parse.ts'

async function policyWith(...exemptions: string[]) {
  const result = await parsePolicy(`version: 1\nexemptions:\n${exemptions.map(e => `  - ${e}`).join('\n')}\n`, 'p.yml')
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.value
}
const at = (text: string) => new Date(text)

test.each([
  ['2027-03-31T00:00:00Z', false],
  ['2027-03-31T23:59:59.999Z', false],
  ['2027-04-01T00:00:00Z', true],
  ['2027-03-31T20:00:00-05:00', true],
  ['2028-01-01T00:00:00Z', true],
])('an exemption until 2027-03-31 at %s: expired %s', async (now, expired) => {
  const policy = await policyWith('{ deployment: "a.yaml#**", reason: "pool", owner: me, until: 2027-03-31 }')
  expect(exemptionFor(policy, 'a.yaml#Deployment/x', at(now))).toEqual({
    reason: 'pool',
    owner: 'me',
    until: '2027-03-31',
    expired,
  })
})

test('matches exactly, by glob, and by case; one without a date holds', async () => {
  const policy = await policyWith(
    '{ deployment: "a.yaml#Deployment/x[0]", reason: exact }',
    '{ deployment: "deploy/**", reason: glob }',
  )
  const now = at('2099-01-01')
  expect(exemptionFor(policy, 'a.yaml#Deployment/x[0]', now)).toMatchObject({
    reason: 'exact',
    until: null,
    expired: false,
  })
  expect(exemptionFor(policy, 'deploy/b/c.yaml#svc', now)).toMatchObject({ reason: 'glob' })
  expect(exemptionFor(policy, 'A.yaml#Deployment/x[0]', now)).toBeNull()
})

test('of two that match the one that still holds counts', async () => {
  const policy = await policyWith(
    '{ deployment: "**", reason: old, until: 2020-01-01 }',
    '{ deployment: "a#x", reason: new, until: 2030-01-01 }',
  )
  expect(exemptionFor(policy, 'a#x', at('2026-01-01'))).toMatchObject({ reason: 'new', expired: false })
  expect(exemptionFor(policy, 'b#x', at('2026-01-01'))).toMatchObject({ reason: 'old', expired: true })
})

test('one that covers no failure is named with its place', async () => {
  const policy = await policyWith('{ deployment: "a#x", reason: r }', '{ deployment: "b#*", reason: r }')
  expect(unusedExemptions(policy, ['a#x'])).toEqual([
    {
      code: 'policy-invalid',
      message: 'exemption for "b#*" is unused: nothing it covers fails',
      hint: 'remove it',
      at: { file: 'p.yml', line: 4, column: 5 },
    },
  ])
})
