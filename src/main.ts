import { startAction } from './github/start.ts'

process.exitCode = await startAction(process.env)
