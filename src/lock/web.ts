/** What resolvers may do to the world: the edge that they are given. */

export interface WebRequest {
  /** Not sent on to another origin. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Web {
  /**
   * A small text, such as a checksum file or an API's answer; repeated when the server is busy.
   * @throws BakeError BK230 when it cannot be had (`statusOf` says why), BK231 when a redirect is not to be followed.
   */
  readonly text: (url: string, request?: WebRequest) => Promise<string>;
  /** A small file as it is. @throws BakeError as `text` does. */
  readonly bytes: (url: string, request?: WebRequest) => Promise<Uint8Array>;
  /** A list that the server gives page by page, each naming the next in its `Link`. @throws BakeError as `text` does. */
  readonly pages: (url: string, request?: WebRequest) => AsyncIterable<string>;
  /** Size in bytes as the server tells it, without getting the file; undefined when it does not tell. @throws BakeError as `text` does. */
  readonly size: (url: string) => Promise<number | undefined>;
  /**
   * Gets the file into the store and hashes it: for what nobody publishes a digest of.
   * @throws BakeError as the download does.
   */
  readonly store: (file: {
    readonly name: string;
    readonly url: string;
    readonly sha256?: string;
    readonly size?: number;
  }) => Promise<{ readonly sha256: string; readonly size: number }>;
}

/** The HTTP status behind a failure of `Web`; undefined when there was no answer. */
export const statusOf = (error: unknown): number | undefined => {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "status" in cause && typeof cause.status === "number" ? cause.status : undefined;
};
