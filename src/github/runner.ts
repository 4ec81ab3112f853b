import { randomUUID } from 'node:crypto'
import * as core from '@actions/core'
import { type Annotation, cappedAnnotations } from '../report/annotations.ts'
import type { Outputs } from './outputs.ts'
import type { Scrubber } from './secrets.ts'

/** What the action tells the runner: log, outputs, summary, annotations. All text is scrubbed of secrets. */
export interface Runner {
  readonly mask: () => void
  /** Prints text of ours that quotes the repository: no line of it can be a workflow command. */
  readonly log: (text: string) => void
  readonly warn: (message: string) => void
  readonly fail: (message: string) => void
  readonly outputs: (outputs: Outputs) => void
  readonly summary: (markdown: string) => Promise<void>
  readonly annotate: (annotations: readonly Annotation[], prefix: string) => void
}

export function runnerOf(scrubber: Scrubber, env: NodeJS.ProcessEnv): Runner {
  const clean = scrubber.scrub
  return {
    mask: () => {
      for (const secret of scrubber.masks) core.setSecret(secret)
    },
    log: text => {
      const token = randomUUID()
      process.stdout.write(`::stop-commands::${token}\n${clean(text).replaceAll('##[', '##\u200b[')}\n::${token}::\n`)
    },
    warn: message => core.warning(clean(message)),
    fail: message => core.error(clean(message)),
    outputs: outputs => {
      if (!env['GITHUB_OUTPUT']) {
        core.warning('GITHUB_OUTPUT is not set: no output is written')
        return
      }
      try {
        for (const [name, value] of Object.entries(outputs)) core.setOutput(name, clean(value))
      } catch (error) {
        core.warning(`the outputs could not be written: ${clean(String(error))}`)
      }
    },
    summary: async markdown => {
      if (!env['GITHUB_STEP_SUMMARY']) {
        core.warning('GITHUB_STEP_SUMMARY is not set: no job summary is written')
        return
      }
      try {
        await core.summary.addRaw(clean(markdown), true).write()
      } catch (error) {
        core.warning(
          `the job summary could not be written: ${clean(error instanceof Error ? error.message : String(error))}`,
        )
      }
    },
    annotate: (annotations, prefix) => {
      const say = { error: core.error, warning: core.warning, notice: core.notice }
      for (const annotation of cappedAnnotations(annotations))
        say[annotation.level](clean(annotation.message), {
          title: clean(annotation.title),
          file: `${prefix}${annotation.file}`,
          startLine: annotation.line,
          ...(annotation.column === null ? {} : { startColumn: annotation.column }),
        })
    },
  }
}
