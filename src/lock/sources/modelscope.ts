/**
 * ModelScope (facts: API). A branch is no commit there: each file of the list has the commit that changed it last, and is asked
 * for at that one.
 */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Model } from "../lock.ts";
import type { ModelWish } from "../wish.ts";
import { isForGit, requirePlainPaths } from "./model-files.ts";
import type { Context, Resolver } from "./resolver.ts";

const Listing = z.object({
  Data: z.object({
    Files: z.array(
      z.object({
        Path: z.string(),
        Type: z.string(),
        Size: z.int().nonnegative(),
        Sha256: z.string().nullish(),
        Revision: z.string(),
        CommittedDate: z.number().nullish(),
      }),
    ),
    IsTruncated: z.boolean().optional(),
  }),
});

/** @throws BakeError BK233 when the answer is no list of files, BK235 for a list that is not whole or not right. */
const filesOf = async (wish: ModelWish, { web, sources }: Context) => {
  const query = new URLSearchParams({ Revision: wish.asked, Recursive: "True" });
  const url = `${sources.modelscope}/api/v1/models/${wish.name}/repo/files?${query.toString()}`;
  const text = await web.text(url);
  let data: z.infer<typeof Listing>["Data"];
  try {
    data = Listing.parse(JSON.parse(text)).Data;
  } catch {
    throw new BakeError(
      "BK233",
      `${sources.modelscope} gives no list of the files of ${wish.name} at ${wish.asked}`,
      "Is there such a model, and such a branch, tag or commit?",
    );
  }
  if (data.IsTruncated === true) {
    throw new BakeError(
      "BK235",
      `${wish.name} has more files than ${sources.modelscope} lists at once`,
      "Nothing was taken.",
    );
  }
  const files = data.Files.filter(({ Type, Path }) => Type !== "tree" && !isForGit(Path));
  requirePlainPaths(
    files.map(({ Path }) => Path),
    wish.name,
  );
  return files.toSorted((a, b) => (a.Path < b.Path ? -1 : 1));
};

export const modelscope: Resolver<ModelWish, Model> = {
  versions: () => Promise.resolve([]),
  resolve: async (wish, context) => {
    const { web, sources } = context;
    const files = await filesOf(wish, context);
    const locked: Model["files"] = [];
    for (const { Path: path, Size: size, Sha256: published, Revision: revision } of files) {
      const query = new URLSearchParams({ Revision: revision, FilePath: path });
      const url = `${sources.modelscope}/api/v1/models/${wish.name}/repo?${query.toString()}`;
      const sha256 =
        published != null && published !== ""
          ? published.toLowerCase()
          : // Old files have none: the first download is trusted.
            (await web.store({ name: `${wish.name} ${path}`, url, size })).sha256;
      locked.push({ path, url, size, sha256, revision });
    }
    const newest = files.toSorted((a, b) => (b.CommittedDate ?? 0) - (a.CommittedDate ?? 0))[0];
    return {
      kind: "model",
      hub: "modelscope",
      name: wish.name,
      version: newest?.Revision ?? wish.asked,
      asked: wish.asked,
      files: locked,
    };
  },
};
