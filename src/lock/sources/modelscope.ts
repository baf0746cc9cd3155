import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Model } from "../../artifact.ts";
import { shownUrl } from "../../store/url.ts";
import { statusOf } from "../web.ts";
import type { ModelRequirement } from "../../node/requirement.ts";
import { parseAnswer } from "./json.ts";
import { type ModelFile, requireModelName, requireUsablePaths } from "./model-files.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";

/** The hub cuts a list there, and does not say so. */
const longestList = 3000;

/** Left out as its client leaves them out. */
const notModel = new Set([".gitignore", ".gitattributes"]);

const commit = z.string().regex(/^[0-9a-f]{40}$/, "expected a commit");

const Entry = z.object({
  Name: z.string(),
  Path: z.string(),
  Type: z.enum(["blob", "tree"]),
  Size: z.int().nonnegative(),
  Sha256: z.union([z.literal(""), z.string().regex(/^[0-9a-fA-F]{64}$/, "expected a sha256")]).nullish(),
  /** The commit that last changed it. */
  Revision: z.string(),
  /** Seconds since the epoch. */
  CommittedDate: z.number().optional(),
});
type Entry = z.infer<typeof Entry>;

const Listing = z.object({
  Files: z.array(Entry).nullish(),
  /** Of the commit that was listed. */
  LatestCommitter: z.object({ Id: z.string().optional(), ShortId: z.string().optional() }).nullish(),
  TotalCount: z.int().optional(),
});

const Answer = z.object({
  Code: z.int(),
  Success: z.boolean().optional(),
  Message: z.string().optional(),
  Data: z.unknown(),
});

/** What a server said, as far as a line of a message may hold it. */
const oneLine = (text: string): string => text.replace(/[\0-\x1f\x7f]+/g, " ").slice(0, 200);

const isCommit = (text: string): boolean => commit.safeParse(text).success;

interface ListedModel {
  readonly url: string;
  readonly commit: string;
  readonly files: readonly Entry[];
}

/** @throws BakeError BK237 */
const requireWhole = (entries: readonly Entry[], total: number | undefined, model: string, url: string): void => {
  const cut = (why: string) =>
    new BakeError(
      "BK237",
      `model ${model}: ${shownUrl(url)} ${why}`,
      "bake takes no model in part. Take it from Hugging Face, or name one with fewer files.",
    );
  if (entries.length >= longestList) throw cut(`lists ${entries.length} entries, where the hub cuts its lists`);
  if (total !== undefined && total > entries.length) throw cut(`lists ${entries.length} of ${total} entries`);
  // git keeps no empty folders.
  const hollow = entries.find(
    ({ Type, Path }) =>
      Type === "tree" && !entries.some((entry) => entry.Type === "blob" && entry.Path.startsWith(`${Path}/`)),
  );
  if (hollow !== undefined) throw cut(`names the folder ${JSON.stringify(hollow.Path)} without a file in it`);
};

/**
 * The commit of a listing. The hub often gives only the first digits of it; the files' own commits complete them.
 * A commit that only removed files is no file's: the newest of theirs stands for it.
 */
const commitOf = (listing: z.infer<typeof Listing>, entries: readonly Entry[], asked: string): string | undefined => {
  if (isCommit(asked)) return asked;
  const { Id = "", ShortId = "" } = listing.LatestCommitter ?? {};
  if (isCommit(Id)) return Id;
  const own = entries.filter(({ Type, Revision }) => Type === "blob" && isCommit(Revision));
  const completed = ShortId.length < 7 ? undefined : own.find(({ Revision }) => Revision.startsWith(ShortId))?.Revision;
  if (completed !== undefined) return completed;
  const dated = own.toSorted((a, b) => (b.CommittedDate ?? 0) - (a.CommittedDate ?? 0));
  const several = new Set(own.map(({ Revision }) => Revision)).size > 1;
  return several && own.some(({ CommittedDate }) => CommittedDate === undefined) ? undefined : dated[0]?.Revision;
};

const list = async (requirement: ModelRequirement, { web, sources }: Context): Promise<ListedModel> => {
  const model = requireModelName(requirement);
  const url = `${sources.modelscope}/api/v1/models/${model}/repo/files?Revision=${encodeURIComponent(requirement.asked)}&Recursive=True`;
  const text = await web.text(url).catch((error: unknown) => {
    const status = statusOf(error);
    if (status === 401 || status === 403) {
      throw new BakeError(
        "BK239",
        `model ${model} may not be read (${shownUrl(url)}, ${status})`,
        "bake reads public models of ModelScope only. Is the name right?",
      );
    }
    if (status !== 404) throw error;
    throw new BakeError(
      "BK243",
      `${shownUrl(url)}: there is no such model`,
      "Look at its name, owner/name, and at `sources.modelscope`.",
    );
  });
  const answer = parseAnswer(text, Answer, url);
  if (answer.Code !== 200 || answer.Success === false) {
    throw new BakeError(
      "BK243",
      `${shownUrl(url)}: the hub refuses, code ${answer.Code}: ${oneLine(answer.Message ?? "no reason given")}`,
      "Look at the model's name and revision.",
    );
  }
  const listing = parseAnswer(JSON.stringify(answer.Data ?? null), Listing, url);
  const entries = listing.Files ?? [];
  const files = entries.filter(({ Type, Name }) => Type === "blob" && !notModel.has(Name));
  if (files.length === 0) {
    // It answers so for a branch that is not there, too.
    throw new BakeError(
      "BK243",
      `model ${model} has no revision ${requirement.asked}, or no files in it (${shownUrl(url)})`,
      "Look at its branches and tags on the hub.",
    );
  }
  requireWhole(entries, listing.TotalCount, model, url);
  requireUsablePaths(
    files.map(({ Path }) => Path),
    model,
    url,
  );
  const found = commitOf(listing, entries, requirement.asked);
  if (found === undefined) {
    throw new BakeError(
      "BK235",
      `${shownUrl(url)} does not say which commit ${requirement.asked} is`,
      "Name a commit in the profile.",
    );
  }
  const other = files.find(({ Revision }) => !isCommit(Revision));
  if (other !== undefined) {
    throw new BakeError(
      "BK235",
      `${shownUrl(url)} gives no commit for ${JSON.stringify(other.Path)}`,
      "Name another model, or take it from Hugging Face.",
    );
  }
  return { url, commit: found, files };
};

/** A model of ModelScope. Each file is pinned to the commit that last changed it: the hub's client records that one. */
export const modelscope: Resolver<ModelRequirement, Model> = {
  versions: async (requirement, context) => [(await list(requirement, context)).commit],
  resolve: async (requirement, context) => {
    const { web, sources } = context;
    const { url: listUrl, commit: version, files } = await list(requirement, context);
    const locked: ModelFile[] = [];
    for (const { Path: path, Size: size, Sha256, Revision: revision } of files) {
      const url = `${sources.modelscope}/api/v1/models/${requirement.name}/repo?Revision=${revision}&FilePath=${encodeURIComponent(path)}`;
      const known = (Sha256 ?? "").toLowerCase();
      // Without a digest in the list the first download counts.
      const stored =
        known === "" ? await web.store({ name: `${requirement.name} ${path}`, url, size }) : { sha256: known, size };
      if (stored.size !== size) {
        throw new BakeError(
          "BK240",
          `model ${requirement.name}: ${path} has ${stored.size} bytes, and ${shownUrl(listUrl)} says ${size}`,
          "Try again: it may be changing just now.",
        );
      }
      locked.push({
        path,
        url,
        size,
        sha256: stored.sha256,
        revision,
        ...(known === "" && { trust: "first-use" as const }),
      });
    }
    return {
      kind: requirement.kind,
      ...entryOf(requirement, version),
      hub: requirement.hub,
      files: locked.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    };
  },
};
