import type { Artifact } from "../../artifact.ts";
import type { Web } from "../web.ts";
import type { Sources, Requirement } from "../../node/requirement.ts";

export interface Context {
  readonly web: Web;
  readonly sources: Sources;
  /** Reads and hashes a file of this machine; rejects when it cannot be read. */
  readonly localFile: (path: string) => Promise<{ readonly sha256: string; readonly size: number }>;
  /** For models that need one. It goes into a header, never into the lock or a message. */
  readonly huggingfaceToken?: string;
}

export interface Resolver<W extends Requirement, A extends Artifact> {
  /** The exact artifact of a requirement. @throws BakeError BK230 to BK245 */
  resolve(requirement: W, context: Context): Promise<A>;
  /**
   * Newest first, stable releases only, down to the line of `requirement.asked` at least. Of a model it is the one commit that the requirement
   * names now; of a plain file nothing is known.
   */
  versions(requirement: W, context: Context): Promise<string[]>;
}

/** What every artifact takes over from its requirement. */
export const entryOf = (requirement: Requirement, version: string) => ({
  name: requirement.name,
  ...(requirement.architecture === undefined ? {} : { architecture: requirement.architecture }),
  version,
  asked: requirement.asked,
  ...requirement.pin,
});
