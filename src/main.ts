import { startAction } from './github/start.ts'

// A cancelled job sends these; leaving by exit lets what was made for the run be removed.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => {
    process.stderr.write(`hf-vram-calc: ended by ${signal}\n`)
    process.exit(code)
  })

void startAction(process.env).then(code => {
  process.exitCode = code
})
