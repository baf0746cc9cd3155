/** What of Docker several concerns, and those who check a node, need to know (guide rows G15, G21). Pure. */
import type { Profile } from "../../profile/schema.ts";

export interface DockerFacts {
  readonly version: string;
  /** On the data disk. */
  readonly dataRoot: string;
}

/** What others need to know of Docker. Pure. */
export const dockerFacts = ({ docker }: Profile): DockerFacts => ({
  version: docker.version,
  dataRoot: docker.dataRoot,
});
