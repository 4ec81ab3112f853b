#!/usr/bin/env node
import { crashed, runCommandLine } from './terminal/run.ts'

// What no call waits for, such as a promise that is rejected later.
process.on('uncaughtException', error => process.exit(crashed(error, process)))

void runCommandLine(process.argv.slice(2), process).then(code => {
  process.exitCode = code
})
