/** Which images may go. What is needed, and what may be, stays; what could not be asked keeps everything. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import { type Cloud, CloudError } from "../client.ts";
import type { Seen } from "../preflight/line.ts";
import type { Stated } from "./states.ts";
import { listCatalog, type Usage, usageOf } from "./look.ts";

export interface PruneRules {
  /** How many of the newest images stay, whatever they are. */
  readonly keep: number;
  /** IDs that a rollout's journal names. */
  readonly journaled: ReadonlySet<string>;
}

export interface Judged extends Stated {
  /** Why it stays; empty when it may go. */
  readonly stays: readonly string[];
}

/** Every ID of an image that a text names: a journal's lines are not ours to understand. Pure. */
export const idsIn = (text: string): string[] =>
  [...text.matchAll(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi)].map(([id]) => id.toLowerCase());

/** How many there are. @throws BakeError BK435 for what could not be asked. */
const countOf = (what: string, seen: Seen<readonly unknown[]>): number => {
  if ("value" in seen) return seen.value.length;
  throw new BakeError(
    "BK435",
    `nobody knows ${what}: ${seen.error.message}`,
    [seen.error.help, "Nothing was removed."].filter((line) => line !== undefined).join("\n"),
  );
};

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;

/** Why an image is in use, or shared. Pure. @throws BakeError BK435 */
const uses = (usage: Usage): string[] => {
  const servers = countOf("which servers use it", usage.servers);
  const scaling = countOf("which AS configurations name it", usage.scaling);
  const members = countOf("whom it is shared with", usage.members);
  return [
    ...(servers > 0 ? [`${count(servers, "server")} made from it`] : []),
    ...(scaling > 0 ? [`${count(scaling, "AS configuration")} with it`] : []),
    ...(members > 0 ? [`shared with ${count(members, "project")}`] : []),
  ];
};

/**
 * Judges each image of the catalogue. Pure.
 * @throws BakeError BK435 when it is not known who uses one.
 */
const judgePrune = (
  catalog: readonly Stated[],
  usage: ReadonlyMap<string, Usage>,
  { keep, journaled }: PruneRules,
): Judged[] => {
  const newest = new Set(
    catalog
      .filter(({ state }) => state !== "failed" && state !== "making")
      .slice(0, keep)
      .map(({ image }) => image.id),
  );
  return catalog.map(({ image, state }) => {
    const used = usage.get(image.id);
    if (used === undefined) throw new Error(`nobody asked who uses ${image.id}`);
    return {
      image,
      state,
      stays: [
        ...(state === "current" || state === "previous" ? [state] : []),
        ...(state === "making" ? ["the cloud has not finished it"] : []),
        ...(state === "unclear" ? ["its tag bake-promoted is no moment"] : []),
        ...(newest.has(image.id) ? [keep === 1 ? "the newest" : `one of the newest ${keep}`] : []),
        ...(image.protected ? ["protected in the cloud"] : []),
        ...uses(used),
        ...(journaled.has(image.id) ? ["a rollout's journal names it"] : []),
      ],
    };
  });
};

export interface Pruned {
  readonly id: string;
  readonly outcome: "removed" | "gone already" | "left";
  readonly reason?: string;
}

/** @throws what asking throws. */
export const lookForPrune = async (cloud: Cloud, profileTag: string, rules: PruneRules): Promise<Judged[]> => {
  const catalog = await listCatalog(cloud, profileTag);
  return judgePrune(
    catalog,
    await usageOf(
      cloud,
      catalog.map(({ image }) => image),
    ),
    rules,
  );
};

/**
 * Removes what may go, one by one. Each is looked at once more right before: it may have been promoted, shared or used since.
 * @throws BakeError BK435; CloudError BK420; the signal's reason.
 */
export const prune = async (
  cloud: Cloud,
  signal: AbortSignal,
  {
    profileTag,
    rules,
    going,
  }: { readonly profileTag: string; readonly rules: PruneRules; readonly going: readonly string[] },
): Promise<Pruned[]> => {
  const results: Pruned[] = [];
  for (const id of going) {
    signal.throwIfAborted();
    const catalog = await listCatalog(cloud, profileTag);
    const now = catalog.find(({ image }) => image.id === id);
    if (now === undefined) {
      results.push({ id, outcome: "gone already" });
      continue;
    }
    const usage = await usageOf(cloud, [now.image]);
    // The others' uses say nothing of this one.
    const none: Usage = { servers: { value: [] }, scaling: { value: [] }, members: { value: [] } };
    const all = new Map(catalog.map(({ image }) => [image.id, usage.get(image.id) ?? none]));
    const stays = judgePrune(catalog, all, rules).find(({ image }) => image.id === id)?.stays ?? [];
    if (stays.length > 0) {
      results.push({ id, outcome: "left", reason: stays.join(", ") });
      continue;
    }
    try {
      await cloud.call("deleteImage", { parameters: { image_id: id }, answer: z.unknown() });
      results.push({ id, outcome: "removed" });
    } catch (error) {
      if (!(error instanceof CloudError) || error.code === "BK420") throw error;
      results.push(
        error.status === 404 ? { id, outcome: "gone already" } : { id, outcome: "left", reason: error.message },
      );
    }
  }
  return results;
};
