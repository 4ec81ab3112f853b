import { loadPolicy } from '../policy/load.ts'
import { defaultPolicy, type Policy } from '../policy/policy.ts'
import { type Problem, problemText } from '../problem.ts'
import type { ReportPolicy } from '../report/report.ts'
import type { Repository } from '../repository/repository.ts'

type PolicyAnswer = Awaited<ReturnType<typeof loadPolicy>>

export async function basePolicyOf(
  base: Repository | null,
  wanted: boolean,
  name: string | undefined,
): Promise<PolicyAnswer | 'unreadable' | null> {
  if (!wanted) return null
  if (base === null) return 'unreadable'
  const found = await loadPolicy(base, name)
  // A named file that the base lacks is a first adoption, like a missing one at the usual places.
  if (!found.ok && found.problems.every(problem => problem.code === 'path-missing'))
    return { ok: true, value: defaultPolicy }
  return found
}

interface Decided {
  readonly policy: Policy
  /** Set when a pull request changes the policy. */
  readonly headPolicy: Policy | null
  readonly facts: Omit<ReportPolicy, 'messages' | 'edited'> & { readonly messages: ReportPolicy['messages'] }
}

export type Decision = { ok: true; value: Decided } | { ok: false; problems: readonly Problem[] }

/** Whose policy decides: the base's where it has one; the head's on a first adoption, which is said. */
export function decide(head: PolicyAnswer, base: PolicyAnswer | 'unreadable' | null, asked: boolean): Decision {
  if (base === null) {
    if (!head.ok) return head
    return {
      ok: true,
      value: {
        policy: head.value,
        headPolicy: null,
        facts: { file: head.value.file, from: head.value.file === null ? 'defaults' : 'head', messages: [] },
      },
    }
  }
  if (base === 'unreadable') {
    if (!head.ok) return head
    const messages =
      head.value.file === null && !asked
        ? []
        : [
            {
              level: 'warning' as const,
              message:
                'the base cannot be read, so the built-in policy decides instead of one that this change could have loosened',
            },
          ]
    return {
      ok: true,
      value: {
        policy: defaultPolicy,
        headPolicy: head.value.file === null ? null : head.value,
        facts: { file: null, from: 'defaults', messages },
      },
    }
  }
  if (!base.ok) {
    // A broken policy in the base: the head may be the repair.
    if (!head.ok) return base
    return {
      ok: true,
      value: {
        policy: head.value,
        headPolicy: null,
        facts: {
          file: head.value.file,
          from: 'head',
          messages: [
            {
              level: 'warning',
              message: `the base's policy cannot be read (${base.problems.map(problemText).join('; ')}): this change's policy decides`,
            },
          ],
        },
      },
    }
  }
  if (base.value.file === null) {
    if (!head.ok) return head
    if (head.value.file === null)
      return {
        ok: true,
        value: { policy: head.value, headPolicy: null, facts: { file: null, from: 'defaults', messages: [] } },
      }
    return {
      ok: true,
      value: {
        policy: head.value,
        headPolicy: null,
        facts: {
          file: head.value.file,
          from: 'head',
          messages: [
            {
              level: 'notice',
              message: `first adoption: the base branch has no policy, so the one in this pull request applies (${head.value.file})`,
            },
          ],
        },
      },
    }
  }
  const broken = head.ok
    ? []
    : [
        {
          level: 'warning' as const,
          message: `this change breaks the policy: ${head.problems.map(problemText).join('; ')}`,
        },
      ]
  const changed = head.ok && JSON.stringify(plain(head.value)) !== JSON.stringify(plain(base.value))
  return {
    ok: true,
    value: {
      policy: base.value,
      headPolicy: changed ? head.value : null,
      facts: { file: base.value.file, from: 'base', messages: broken },
    },
  }
}

/** A policy as comparable data: places and functions left out. */
function plain(policy: Policy): unknown {
  return JSON.parse(
    JSON.stringify(policy, (key, value) =>
      key === 'at' || typeof value === 'function' ? undefined : value instanceof Map ? [...value] : value,
    ),
  )
}
