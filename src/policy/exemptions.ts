import type { Problem } from '../problem.ts'
import type { ReportDeployment } from '../report/report.ts'
import type { Exemption, Policy } from './policy.ts'

/** An exemption holds to the end of its last day in UTC; one without a date always holds. */
function isExpired(exemption: Exemption, now: Date): boolean {
  return exemption.until !== null && now.toISOString().slice(0, 10) > exemption.until
}

/**
 * The exemption of a deployment: the first that matches and still holds, else the first that matches and has expired,
 * else null.
 */
export function exemptionFor(policy: Policy, deployment: string, now: Date): ReportDeployment['exemption'] {
  const matching = policy.exemptions.filter(exemption => exemption.matches(deployment))
  const chosen = matching.find(exemption => !isExpired(exemption, now)) ?? matching[0]
  if (chosen === undefined) return null
  const { reason, owner, until } = chosen
  return { reason, owner, until, expired: isExpired(chosen, now) }
}

/**
 * Warnings about exemptions that cover none of the deployments that would fail: they hide nothing today and could hide
 * something tomorrow. `failing` holds the ids of deployments that fail, or would without their exemption.
 */
export function unusedExemptions(policy: Policy, failing: readonly string[]): Problem[] {
  return policy.exemptions
    .filter(exemption => !failing.some(exemption.matches))
    .map(exemption => ({
      code: 'policy-invalid',
      message: `exemption for ${JSON.stringify(exemption.deployment)} is unused: nothing it covers fails`,
      hint: 'remove it',
      at: exemption.at,
    }))
}
