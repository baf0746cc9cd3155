/**
 * Promotes an image: one call that writes one tag. Killed before it, nothing has happened; after it, all has. Going back is
 * promoting the older image again.
 */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { sdkDate } from "../sign.ts";
import { type Cloud, CloudError } from "../client.ts";
import type { CatalogImage } from "./image.ts";
import { listCatalog } from "./look.ts";
import { promotionMoment, type Stated } from "./states.ts";

/** Of an image's tags, and of a tag (facts: Huawei Cloud, image tags). */
const mostTags = 10;

/** Seconds that a server may take to stop softly; the service's default of 60 cuts jobs off. */
const shutdownTimeout = "300";

/** What is no tag of an image that it has now. Pure. @throws BakeError BK432 when there is no room for them. */
export const requireTagRoom = (image: CatalogImage, wanted: readonly string[]): void => {
  const has = Object.keys(image.tags);
  const added = wanted.filter((name) => !has.includes(name));
  if (has.length + added.length <= mostTags) return;
  const own = has.filter((name) => !name.startsWith("bake-"));
  throw new BakeError(
    "BK432",
    `image ${image.id} has ${has.length} tags and would get ${added.join(" and ")}: ${mostTags} are all that the cloud takes`,
    `Remove one that is not bake's in the console: ${own.join(", ")}.`,
  );
};

/** @throws BakeError BK431 for an image that nothing can be made of. Pure. */
export const requireActive = ({ image: { id, status } }: Pick<Stated, "image">, what: string): void => {
  if (status === "active") return;
  throw new BakeError(
    "BK431",
    `image ${id} is ${status}: only an active image can be ${what}`,
    status === "killed" ? "The cloud could not make it: bake it again." : "Wait until the cloud has finished it.",
  );
};

/**
 * Gives an image an attribute. The service replaces only what is there, and adds what is not.
 * @returns why it could not be set, when the service refuses it.
 * @throws CloudError BK420, BK423; the signal's reason.
 */
const setAttribute = async (cloud: Cloud, id: string, name: string, value: string): Promise<string | undefined> => {
  const send = (op: "replace" | "add") =>
    cloud.call("updateImage", {
      parameters: { image_id: id },
      body: [{ op, path: `/${name}`, value }],
      answer: z.unknown(),
    });
  const refusal = async (work: () => Promise<unknown>): Promise<CloudError | undefined> => {
    try {
      await work();
      return undefined;
    } catch (error) {
      if (error instanceof CloudError && (error.code === "BK421" || error.code === "BK422")) return error;
      throw error;
    }
  };
  const first = await refusal(() => send("replace"));
  const last = first?.reason.code === "IMG.0035" ? await refusal(() => send("add")) : first;
  return last?.message;
};

/** Writes tags, over those that are there. @throws CloudError; BakeError BK430 when the image has gone. */
export const writeTags = async (cloud: Cloud, id: string, tags: Readonly<Record<string, string>>): Promise<void> => {
  try {
    await cloud.call("changeImageTags", {
      parameters: { image_id: id },
      body: { action: "create", tags: Object.entries(tags).map(([key, value]) => ({ key, value })) },
      answer: z.unknown(),
    });
  } catch (error) {
    if (error instanceof CloudError && error.status === 404) throw gone(id);
    throw error;
  }
};

const gone = (id: string): BakeError =>
  new BakeError("BK430", `image ${id} has gone meanwhile`, "Somebody removed it: bake catalog ls says what there is.");

export interface Promotion {
  readonly id: string;
  /** The value of its tag. */
  readonly promoted: string;
  /** The catalogue afterwards. */
  readonly catalog: readonly Stated[];
  /** What could not be done besides; the promotion stands. */
  readonly notes: readonly string[];
}

/**
 * Promotes.
 * @param request `verified`: a server made from it was checked, which is written too.
 * @throws BakeError BK430 when the image has gone, BK431 when it is not active, BK432 without room for the tag, BK434 when
 * another was promoted at the same time and is current now; CloudError.
 */
export const promote = async (
  cloud: Cloud,
  { now }: Pick<Host, "now">,
  { profileTag, id, verified }: { readonly profileTag: string; readonly id: string; readonly verified: boolean },
): Promise<Promotion> => {
  const before = await listCatalog(cloud, profileTag);
  const chosen = before.find(({ image }) => image.id === id);
  if (chosen === undefined) throw gone(id);
  requireActive(chosen, "promoted");
  requireTagRoom(chosen.image, ["bake-promoted", ...(verified ? ["bake-verified"] : [])]);
  const notes: string[] = [];
  // First: an image that was not promoted is not harmed by it.
  if (chosen.image.shutdownTimeout !== shutdownTimeout) {
    const refused = await setAttribute(cloud, id, "os_shutdown_timeout", shutdownTimeout);
    if (refused !== undefined) notes.push(`servers made from it get the cloud's own time to stop: ${refused}`);
  }
  const cloudNow = now() + (cloud.clockSkew() ?? 0);
  const promoted = promotionMoment(
    before.map(({ image }) => image),
    cloudNow,
  );
  await writeTags(cloud, id, {
    "bake-promoted": promoted,
    ...(verified && { "bake-verified": sdkDate(cloudNow) }),
  });
  const catalog = await listCatalog(cloud, profileTag);
  const after = catalog.find(({ image }) => image.id === id);
  if (after === undefined) throw gone(id);
  requireActive(after, "promoted");
  if (after.state !== "current") {
    const current = catalog.find(({ state }) => state === "current");
    throw new BakeError(
      "BK434",
      `image ${id} was promoted, and ${current?.image.id ?? "another"} at the same time: that one is current now`,
      "Whoever is right promotes once more; no image was lost.",
    );
  }
  return { id, promoted, catalog, notes };
};
