import type { Deployment } from '../deployments/deployment.ts'
import { type Effective, effectiveFor, type Policy } from './policy.ts'

/** The policy's name for a variable that nothing in the files resolves. */
export const standIn = (name: string): string => `\${${name}}`

/** The deployment with the variable as its model's name, where the policy says what the variable stands for. */
export function withStandIn(deployment: Deployment, { models }: Policy): Deployment {
  if (deployment.model.id !== null) return deployment
  const id = deployment.unresolved.map(({ name }) => standIn(name)).find(name => models.has(name))
  return id === undefined ? deployment : { ...deployment, model: { ...deployment.model, id } }
}

/** What the policy asks of a deployment: its rules match the model by the name in the file and by the policy's id. */
export function effectiveForDeployment(policy: Policy, deployment: Deployment): Effective {
  const name = deployment.model.id
  const entry = name === null ? undefined : policy.models.get(name)
  return effectiveFor(policy, {
    id: deployment.id,
    file: deployment.location.file,
    engine: deployment.engine.name,
    models: [...(name === null ? [] : [name]), ...(entry?.id ? [entry.id] : [])],
  })
}
