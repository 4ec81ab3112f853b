import { annotationsOf, cappedAnnotations } from './annotations.ts'
import type { Report } from './report.ts'

/** `--format github`: workflow commands, for steps that run the command line instead of the action. */
export function reportWorkflowCommands(report: Report): string {
  const data = (text: string) => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
  const property = (text: string) => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
  return cappedAnnotations(annotationsOf(report))
    .map(
      a =>
        `::${a.level} file=${property(a.file)},line=${a.line}${a.column ? `,col=${a.column}` : ''},title=${property(a.title)}::${data(a.message)}\n`,
    )
    .join('')
}
