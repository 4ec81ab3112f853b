interface Weights {
  parameters: number | null
  stored: number | null
  bytes?: number
  roundedBytes?: number
  source: string
}
/** The one form of a row of the catalogue; throws an Error that names the row and the fault. */
export function catalogueRow(row: object): { id: string; aliases?: string[]; config: object; weights: Weights }
