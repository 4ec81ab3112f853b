/** File name in schema/ and its text. */
export function schemaFiles(): [string, string][]
