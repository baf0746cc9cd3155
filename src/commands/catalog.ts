/** `bake catalog`: images that bakes of a profile made in the cloud. What changes or removes is only shown without `--yes`. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openBucket } from "../bake/cloud-bucket.ts";
import { serverLife } from "../bake/cloud-end.ts";
import { openCloud } from "../bake/cloud-project.ts";
import { BakeError } from "../errors.ts";
import { copyImage, type CopyRequest, lookForCopy } from "../huaweicloud/catalog/copy.ts";
import { findImage, listCatalog, membersOf, usageOf } from "../huaweicloud/catalog/look.ts";
import { promote as promoteImage, requireActive, requireTagRoom } from "../huaweicloud/catalog/promote.ts";
import { idsIn, lookForPrune, prune as pruneImages } from "../huaweicloud/catalog/prune.ts";
import { requireProjects, share as shareImage, shareChange } from "../huaweicloud/catalog/share.ts";
import type { Stated } from "../huaweicloud/catalog/states.ts";
import { uploadPrefix } from "../huaweicloud/catalog/import.ts";
import { findLeftovers, formatLeftovers, onlyOlder, removeLeftovers } from "../huaweicloud/leftovers.ts";
import { findUploads, removeUpload } from "../huaweicloud/obs/leftovers.ts";
import { rolloutsFolder } from "../rollout/journal.ts";
import { serverName, serverPrefix } from "../targets/huaweicloud.ts";
import { type CatalogOptions, type ChangeOptions, withCatalog } from "./catalog-context.ts";
import { formatCatalog, formatImage, formatJudged, imageObject, type Shown } from "./catalog-text.ts";

const again = "; add --yes to do it";

/** `bake catalog ls`. @returns the exit code. */
export const list = (options: CatalogOptions): Promise<number> =>
  withCatalog(options, async ({ host, cloud, name, profileTag, tell }) => {
    const catalog = await listCatalog(cloud, profileTag);
    const usage = await usageOf(
      cloud,
      catalog.map(({ image }) => image),
    );
    const shown = catalog.flatMap((each): Shown[] => {
      const used = usage.get(each.image.id);
      return used === undefined ? [] : [{ ...each, usage: used }];
    });
    tell(
      shown.length === 0
        ? `no images of ${name} in ${cloud.region}: bake image --profile ${name} --target huaweicloud makes one`
        : `images of ${name} in ${cloud.region}\n${formatCatalog(shown, host.now())}`,
      { images: shown.map((each) => imageObject(each, each.usage)) },
    );
    return 0;
  });

/** `bake catalog show`. @returns the exit code. */
export const show = (wanted: string, options: CatalogOptions): Promise<number> =>
  withCatalog(options, async ({ host, cloud, name, profileTag, tell }) => {
    const found = findImage(await listCatalog(cloud, profileTag), wanted, name);
    const usage = (await usageOf(cloud, [found.image])).get(found.image.id);
    if (usage === undefined) throw new Error("an image that nobody asked about");
    tell(formatImage({ ...found, usage }, host.now()), { image: imageObject(found, usage) });
    return 0;
  });

const describe = (catalog: readonly Stated[], state: Stated["state"]): string =>
  catalog.find((each) => each.state === state)?.image.id ?? "none";

/** `bake catalog promote`. @returns the exit code. */
export const promote = (wanted: string, options: ChangeOptions & { readonly verified?: boolean }): Promise<number> =>
  withCatalog(options, async ({ host, cloud, name, profileTag, tell }) => {
    const before = await listCatalog(cloud, profileTag);
    const chosen = findImage(before, wanted, name);
    const { id } = chosen.image;
    const verified = options.verified === true;
    requireActive(chosen, "promoted");
    requireTagRoom(chosen.image, ["bake-promoted", ...(verified ? ["bake-verified"] : [])]);
    if (chosen.state === "current" && (!verified || chosen.image.verified !== undefined)) {
      tell(`${id} is current already`, { id, changed: false, current: id });
      return 0;
    }
    const warning =
      verified || chosen.image.verified !== undefined
        ? []
        : [
            "it was never verified: make a server from it, check it with bake check --host, and promote it with --verified",
          ];
    if (options.yes !== true) {
      tell(
        [
          `would be current: ${id} (${chosen.state} now)`,
          `would be previous: ${chosen.state === "current" ? describe(before, "previous") : describe(before, "current")}`,
          ...warning,
          `nothing was changed${again}`,
        ].join("\n"),
        { id, changed: false, current: describe(before, "current"), notes: warning },
      );
      return 0;
    }
    const { promoted, catalog, notes } = await promoteImage(cloud, host, { profileTag, id, verified });
    tell(
      [`current: ${id}, since ${promoted}`, `previous: ${describe(catalog, "previous")}`, ...warning, ...notes].join(
        "\n",
      ),
      {
        id,
        changed: true,
        promoted,
        current: id,
        previous: describe(catalog, "previous"),
        notes: [...warning, ...notes],
      },
    );
    return 0;
  });

/** `bake catalog share`. @returns the exit code. */
export const share = (
  wanted: string,
  options: ChangeOptions & { readonly with: readonly string[]; readonly stop?: boolean },
): Promise<number> =>
  withCatalog(options, async ({ host, cloud, name, profileTag, tell }) => {
    const projects = requireProjects(options.with);
    const found = findImage(await listCatalog(cloud, profileTag), wanted, name);
    const { image } = found;
    requireActive(found, "shared");
    const stop = options.stop === true;
    const changes = shareChange(image, await membersOf(cloud, image.id), { projects, stop });
    const verb = stop ? "taken from" : "shared with";
    if (changes.length === 0 || options.yes !== true) {
      tell(
        changes.length === 0
          ? `${image.id} ${stop ? "is shared with none of them" : "is shared with all of them"} already`
          : `${image.id} would be ${verb}: ${changes.join(", ")}\nnothing was changed${again}`,
        { id: image.id, changed: false, projects: changes },
      );
      return 0;
    }
    const members = await host.progress.step("catalog-share", `the cloud changes who may use ${image.id}`, () =>
      shareImage(cloud, host, { image, projects, stop }),
    );
    tell(
      [
        `${image.id} was ${verb} ${changes.join(", ")}`,
        ...members.map(({ project, status }) => `  ${project}  ${status}`),
        ...(stop ? [] : ["Each has to accept it in the console; one that rejects it can still use it by its ID."]),
      ].join("\n"),
      { id: image.id, changed: true, projects: changes, members },
    );
    return 0;
  });

export interface CopyOptions extends ChangeOptions {
  readonly to?: string;
  readonly agency?: string;
  readonly project?: string;
  readonly encrypt?: string;
}

/** `bake catalog copy`. @returns the exit code. */
export const copy = (wanted: string, options: CopyOptions): Promise<number> =>
  withCatalog(options, async ({ host, cloud, name, profileTag, target, tell }) => {
    const found = findImage(await listCatalog(cloud, profileTag), wanted, name);
    requireActive(found, "copied");
    const { to: region, agency, encrypt: key } = options;
    const project = options.project ?? region;
    const request: CopyRequest = {
      image: found.image,
      from: cloud,
      to:
        region === undefined || region === cloud.region
          ? cloud
          : await openCloud(host, {
              region,
              home: region === target.region,
              ...(project !== undefined && { project }),
            }),
      ...(region !== undefined && agency !== undefined && { crossing: { agency, project: project ?? region } }),
      ...(key !== undefined && { key }),
      ...(target.enterpriseProject !== undefined && { enterpriseProject: target.enterpriseProject }),
    };
    const place = key === undefined ? `in ${request.to.region}` : `in ${request.to.region}, encrypted by ${key}`;
    if (options.yes !== true) {
      const earlier = await lookForCopy(request);
      tell(
        earlier === undefined
          ? `${found.image.id} would be copied: ${place}\nnothing was changed${again}`
          : `there is a copy of it ${place}: ${earlier.id}, ${earlier.status}${earlier.bakeId === "" ? ", without its tags: add --yes to give it them" : ""}`,
        { id: found.image.id, changed: false, copy: earlier?.id ?? null },
      );
      return 0;
    }
    const { id, outcome } = await host.progress.step("catalog-copy", `the cloud copies ${found.image.id}`, (update) =>
      copyImage(host, request, (seconds) => update(`for ${seconds} s`)),
    );
    tell(`copy ${outcome}: ${id}, ${place}`, { id: found.image.id, changed: outcome !== "there already", copy: id });
    return 0;
  });

/** IDs that journals of rollouts name. @throws BakeError BK435 for one that cannot be read. */
const journaledIds = async (folder: string): Promise<Set<string>> => {
  const named = new Set<string>();
  try {
    for (const rollout of await readdir(folder)) {
      const text = await readFile(join(folder, rollout, "journal.jsonl"), "utf8").catch(
        (error: NodeJS.ErrnoException) => {
          // A file beside the folders, or one without a journal.
          if (error.code === "ENOENT" || error.code === "ENOTDIR") return "";
          throw error;
        },
      );
      for (const id of idsIn(text)) named.add(id);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return named;
    throw new BakeError(
      "BK435",
      `journals of rollouts cannot be read: ${(error as Error).message}`,
      "Nothing was removed.",
    );
  }
  return named;
};

/** `bake catalog prune`. @returns the exit code: 1 when one that should have gone was left. */
export const prune = (options: ChangeOptions & { readonly keep: number }): Promise<number> =>
  withCatalog(options, async ({ host, cloud, profileTag, tell }) => {
    const rules = { keep: options.keep, journaled: await journaledIds(rolloutsFolder) };
    const judged = await lookForPrune(cloud, profileTag, rules);
    const going = judged.filter(({ stays }) => stays.length === 0).map(({ image }) => image.id);
    const objects = judged.map((each) => ({ ...imageObject(each), stays: each.stays }));
    const counts = `${going.length} of ${judged.length} images`;
    if (options.yes !== true || going.length === 0) {
      const ending = going.length === 0 ? "nothing to remove" : `${counts} would go${again}`;
      tell([...(judged.length === 0 ? [] : [formatJudged(judged)]), ending].join("\n"), {
        images: objects,
        removed: [],
      });
      return 0;
    }
    const results = await pruneImages(cloud, host.signal, { profileTag, rules, going });
    tell(
      [
        formatJudged(judged),
        ...results.map(({ id, outcome, reason }) => `${outcome}: ${id}${reason === undefined ? "" : `: ${reason}`}`),
      ].join("\n"),
      { images: objects, removed: results },
    );
    return results.some(({ outcome }) => outcome === "left") ? 1 : 0;
  });

/** Hours that a bake may take besides what its image does. */
const bakeHours = 3;

/**
 * `bake catalog leftovers`.
 * @returns the exit code: 0 when nothing of ours is left, 1 when something is, 2 when something could not be looked at.
 */
export const leftovers = (
  options: ChangeOptions & { readonly bakeId?: string; readonly olderThan?: number; readonly bucket?: string },
): Promise<number> =>
  withCatalog(options, async ({ host, cloud, name, profileTag, target, tell }) => {
    const { bakeId } = options;
    const hours = options.olderThan ?? bakeHours + Math.ceil(target.imageTimeout / 60);
    const bucketName = options.bucket ?? target.bucket;
    const bucket = bucketName === undefined ? undefined : openBucket(host, cloud.region, bucketName);
    const all = await findLeftovers(
      cloud,
      {
        ...(bakeId === undefined
          ? { serverName: serverPrefix(name), anyBake: true }
          : { serverName: serverName(name, bakeId) }),
        serverLife: serverLife(target.imageTimeout),
      },
      bucket === undefined ? undefined : () => findUploads(bucket, uploadPrefix(profileTag), bakeId),
    );
    // The cloud's clock is known to the second, and as old as an answer took. Zero means any age, and asks no clock.
    const left = onlyOlder(
      all,
      hours === 0 ? Number.POSITIVE_INFINITY : host.now() + (cloud.clockSkew() ?? 0) - hours * 3_600_000,
    );
    const ours = left.found.filter(({ ours: own }) => own);
    const removals =
      options.yes === true
        ? await removeLeftovers(
            cloud,
            host,
            left,
            bucket === undefined ? undefined : (upload) => removeUpload(bucket, upload),
          )
        : [];
    const kept = options.yes === true ? removals.filter(({ outcome }) => outcome === "left") : ours;
    const ending =
      ours.length === 0
        ? `nothing that a bake of ${name} left more than ${hours} hours ago`
        : options.yes === true
          ? removals
              .map(
                ({ leftover: { kind, id }, outcome, reason }) =>
                  `${outcome}: ${kind} ${id}${reason === undefined ? "" : `: ${reason}`}`,
              )
              .join("\n")
          : `${ours.length} would be removed${again}`;
    tell([formatLeftovers(left), ending].filter((text) => text !== "").join("\n"), {
      found: left.found,
      notLookedAt: left.notLookedAt,
      removed: removals.map(({ leftover: { kind, id }, ...rest }) => ({ kind, id, ...rest })),
    });
    return kept.length > 0 ? 1 : left.notLookedAt.length > 0 ? 2 : 0;
  });
