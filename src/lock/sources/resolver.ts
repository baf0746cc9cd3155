/** What a source of artifacts can be asked. */
import type { Artifact } from "../lock.ts";
import type { Web } from "../web.ts";
import type { Sources, Wish } from "../wish.ts";

export interface Context {
  readonly web: Web;
  readonly sources: Sources;
}

export interface Resolver<W extends Wish = Wish, A extends Artifact = Artifact> {
  /** The exact artifact of a wish. @throws BakeError */
  readonly resolve: (wish: W, context: Context) => Promise<A>;
  /** Stable versions that the source has, the newest first. @throws BakeError */
  readonly versions: (wish: W, context: Context) => Promise<string[]>;
}
