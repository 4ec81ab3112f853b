import type { Deployment } from '../deployment.ts'
import type { FileFormat } from '../format.ts'
import { parseYaml } from '../yaml.ts'
import { helmValues } from './helm-values.ts'
import { kserve } from './kserve.ts'
import { kubeai } from './kubeai.ts'
import { kubernetes } from './kubernetes.ts'
import { llmD } from './llm-d.ts'
import { productionStack } from './production-stack.ts'

const READERS = [kserve, kubeai, productionStack, llmD, helmValues, kubernetes]

export const terraform: FileFormat = {
  kind: 'file',
  name: 'terraform',
  title: 'Terraform: chart values and manifests written as YAML in heredocs',
  marks: ['helm_release', 'kubectl_manifest', 'yamldecode'],
  paths: path => path.endsWith('.tf'),
  read: async context => {
    const found: Deployment[] = []
    for (const match of [...context.text.value.matchAll(/<<-?([A-Z_]{1,40})\r?\n/g)].slice(0, 50)) {
      const from = match.index + match[0].length
      const length = context.text.value.slice(from).search(new RegExp(`^[ \\t]*${match[1]}\\b`, 'm'))
      if (length <= 0) continue
      const documents = parseYaml(context.text.slice(from, from + length))
      for (const { root } of documents) {
        const reader = root && READERS.find(one => one.claims(root, context.path))
        if (root && reader) found.push(...((await reader.read(root, { ...context, documents: () => documents })) ?? []))
      }
    }
    return found.map(one => ({ ...one, format: 'terraform' }))
  },
}
