import type { Repository } from '../repository/repository.ts'
import { type PolicyResult, parsePolicy } from './parse.ts'
import { defaultPolicy } from './policy.ts'

/** Where a policy is looked for, relative to the root being checked. */
export const POLICY_FILES = [
  '.github/hf-vram-calc.yml',
  '.github/hf-vram-calc.yaml',
  'hf-vram-calc.yml',
  'hf-vram-calc.yaml',
] as const

/**
 * The policy of a repository: the named file, else the one at its usual places, else all defaults. Problems:
 * `path-missing` when the named file cannot be read, `policy-invalid` for its content, and for two files at once, since
 * one would be ignored without a word.
 */
export async function loadPolicy(
  repository: Pick<Repository, 'read' | 'readBytes'>,
  named?: string,
): Promise<PolicyResult> {
  if (named !== undefined) {
    const text = await repository.read(named)
    if (text !== null) return parsePolicy(text, named)
    return {
      ok: false,
      problems: [
        {
          code: 'path-missing',
          message: `policy ${JSON.stringify(named)} cannot be read`,
          hint: 'no such text file of at most 1 MiB',
        },
      ],
    }
  }
  const found: { file: string; text: string }[] = []
  for (const file of POLICY_FILES) {
    const text = await repository.read(file)
    if (text !== null) found.push({ file, text })
    // A policy that is there but cannot be read must not open the gate as if there were none.
    else if ((await repository.readBytes(file, 0, 1)) !== null)
      return {
        ok: false,
        problems: [
          {
            code: 'policy-invalid',
            message: 'the policy is no text of at most 1 MiB',
            hint: 'write it in UTF-8',
            at: { file, line: 1, column: 1 },
          },
        ],
      }
  }
  const [first, second] = found
  if (first === undefined) return { ok: true, value: defaultPolicy }
  if (second !== undefined)
    return {
      ok: false,
      problems: [
        {
          code: 'policy-invalid',
          message: `${first.file} and ${second.file} are both policies`,
          hint: 'keep one of them',
          at: { file: second.file, line: 1, column: 1 },
        },
      ],
    }
  return parsePolicy(first.text, first.file)
}
