import type { Setting, Settings } from '../deployment.ts'
import { directDeployments } from '../direct.ts'
import type { FileFormat } from '../format.ts'

/** Any list of names could be a list of models; only one whose first line says so is one. */
const HEADER = /^#[^\n]{0,80}\bhf-vram-calc\b/

export const modelList: FileFormat = {
  kind: 'file',
  name: 'model-list',
  title: 'Lists of model ids in .txt files whose first line is a comment naming hf-vram-calc',
  marks: ['hf-vram-calc'],
  paths: path => path.endsWith('.txt'),
  read: async ({ text, path, notUnderstood }) => {
    if (!HEADER.test(text.value)) return []
    return text.value.split('\n').flatMap((raw, index) => {
      const line = raw.replace(/(?:^|\s)#.*$/, '').trim()
      if (line === '') return []
      const read = /^[\w.-]+\/[\w.-]+(?:@\S+)?(?:\s|$)/.test(line) ? directDeployments([line], path) : null
      const [one] = read?.ok ? read.value : []
      if (!one) {
        const message = read && !read.ok ? read.problem.message : 'not a line org/name [setting=value ...]'
        notUnderstood({ line: index + 1, reason: 'unsupported-form', message })
        return []
      }
      const placed = (piece: string | undefined): { file: string; line: number; column: number } => ({
        file: path,
        line: index + 1,
        column: Math.max(0, raw.indexOf(piece ?? '')) + 1,
      })
      const settings = Object.entries(one.settings).map(([name, setting]: [string, Setting]) => [
        name,
        { ...setting, from: 'file', ...placed(setting.text) },
      ])
      const at = placed(one.model.text)
      return [
        {
          ...one,
          format: 'model-list',
          location: at,
          model: { ...one.model, at },
          settings: Object.fromEntries(settings) as Settings,
        },
      ]
    })
  },
}
