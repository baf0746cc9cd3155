import type { Profile } from "../profile/schema.ts";
import type { Destination } from "./concern.ts";
import type { StorageFacts } from "./storage/facts.ts";
import { portOf } from "./url-port.ts";

/** Where a node fetches what its image does not carry: the mirror of its network, or that of the cloud it is baked in. Pure. */
export const artifactMirror = ({ network, targets }: Profile): string | undefined =>
  (network.artifactMirror ?? targets.huaweicloud?.mirror)?.replace(/\/+$/, "");

/** Whether an image carries a model or a build cache. Only a seed does: an adopted disk and XFS have none. Pure. */
export const isInSeed = (from: "image" | "mirror", { seed }: Pick<StorageFacts, "seed">): boolean =>
  from === "image" && seed !== undefined;

/** How one comes to a node, in words. Pure. */
export const wayOf = (from: "image" | "mirror", storage: Pick<StorageFacts, "seed">): string =>
  isInSeed(from, storage) ? "in the image" : "from the mirror, at the first boot";

/** What a node asks of the mirror, and when: nothing where there is none. Pure. */
export const mirrorDestination = (mirror: string | undefined, why: string, order: number): Destination[] => {
  if (mirror === undefined) return [];
  const url = new URL(mirror);
  return [{ host: url.hostname, port: portOf(url), when: "node", why, order }];
};

/** How templates/node/fetch-blobs.sh fetches, as settings of a script that reads it: files at a time, and seconds. */
export const fetchSettings = (prefix: "IMAGES" | "MODELS"): Readonly<Record<string, string>> => ({
  [`${prefix}_CONNECTIONS`]: "4",
  [`${prefix}_RETRY_SECONDS`]: "2",
  [`${prefix}_PROGRESS_SECONDS`]: "10",
});
