import type { Command } from './run.ts'
export const explainCommand: Command = async () => 2
