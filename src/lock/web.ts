/** What resolvers may do to the world: the edge that they are given. */
interface Stored {
  readonly sha256: string;
  readonly size: number;
}

export interface Web {
  /**
   * A small text, such as a checksum file or an API's answer; repeated when the server is busy.
   * @throws BakeError BK230 when it cannot be had.
   */
  readonly text: (url: string, options?: { readonly headers?: Readonly<Record<string, string>> }) => Promise<string>;
  /** Size in bytes as the server tells it, without getting the file; undefined when it does not tell. @throws BakeError BK230 */
  readonly size: (url: string) => Promise<number | undefined>;
  /**
   * Gets the file into the store and hashes it: for what nobody publishes a digest of.
   * @throws BakeError as the download does, and BK236 when it is not the git blob that it should be.
   */
  readonly store: (file: {
    readonly name: string;
    readonly url: string;
    readonly sha256?: string;
    readonly size?: number;
    /** sha1 of the git blob. */
    readonly gitBlob?: string;
  }) => Promise<Stored>;
  /** Takes a file of this machine into the store. @throws BakeError BK237 */
  readonly keep: (path: string) => Promise<Stored>;
}
