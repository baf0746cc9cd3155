import type { Artifact } from "../lock.ts";
import type { Web } from "../web.ts";
import type { Sources, Wish } from "../wish.ts";

export interface Context {
  readonly web: Web;
  readonly sources: Sources;
  /** Reads and hashes a file of this machine; rejects when it cannot be read. */
  readonly localFile: (path: string) => Promise<{ readonly sha256: string; readonly size: number }>;
  /** For models that need one. It goes into a header, never into the lock or a message. */
  readonly huggingfaceToken?: string;
}

export interface Resolver<W extends Wish, A extends Artifact> {
  /** The exact artifact of a wish. @throws BakeError BK230 to BK245 */
  resolve(wish: W, context: Context): Promise<A>;
  /**
   * Newest first, stable releases only, down to the line of `wish.asked` at least. Of a model it is the one commit that the wish
   * names now; of a plain file nothing is known.
   */
  versions(wish: W, context: Context): Promise<string[]>;
}

/** What every artifact takes over from its wish. */
export const entryOf = (wish: Wish, version: string) => ({
  name: wish.name,
  ...(wish.architecture === undefined ? {} : { architecture: wish.architecture }),
  version,
  asked: wish.asked,
  ...wish.pin,
});
