import type { Command } from './run.ts'
export const initCommand: Command = async () => 2
