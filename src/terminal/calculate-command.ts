import type { Command } from './run.ts'
export const calculateCommand: Command = async () => 2
