import type { Profile } from "../profile/schema.ts";

/** Where a node fetches what its image does not carry: the mirror of its network, or that of the cloud it is baked in. Pure. */
export const artifactMirror = ({ network, targets }: Profile): string | undefined =>
  (network.artifactMirror ?? targets.huaweicloud?.mirror)?.replace(/\/+$/, "");
