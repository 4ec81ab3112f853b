#!/usr/bin/env node
import { runCommandLine } from './terminal/run.ts'

void runCommandLine(process.argv.slice(2), process).then(code => {
  process.exitCode = code
})
