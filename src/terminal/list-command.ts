import type { Command } from './run.ts'
export const listCommand: Command = async () => 2
