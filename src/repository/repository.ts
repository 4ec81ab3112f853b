/**
 * Files as the pipeline sees them: the working tree or a git commit. Paths are relative to the root, with forward
 * slashes. Implementations are bounded (file count, file size, no symlink leaving the root).
 */
export interface Repository {
  /** Regular files under the asked paths, sorted, after include/exclude; `truncated` when a bound cut the list. */
  readonly list: () => Promise<{ readonly files: readonly RepositoryFile[]; readonly truncated: boolean }>
  /**
   * Text of a file (UTF-8, BOM removed); null when it does not exist, is larger than `limit` bytes (1 MiB unless given),
   * binary, or leaves the root.
   */
  readonly read: (path: string, limit?: number) => Promise<string | null>
  /** Bytes from `start` to `end` (exclusive) of a file, for headers of large files; null as above. */
  readonly readBytes: (path: string, start: number, end: number) => Promise<Uint8Array | null>
}

export interface RepositoryFile {
  readonly path: string
  readonly size: number
}
