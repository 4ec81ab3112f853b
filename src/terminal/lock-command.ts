import type { Command } from './run.ts'
export const lockCommand: Command = async () => 2
