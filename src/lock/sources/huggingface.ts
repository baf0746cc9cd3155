/** Hugging Face (facts: API). Large files have a sha256; small ones a git blob's sha1, which is compared when they are hashed. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Model } from "../lock.ts";
import type { ModelWish } from "../wish.ts";
import { isForGit, requirePlainPaths } from "./model-files.ts";
import type { Context, Resolver } from "./resolver.ts";

const Info = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.int().nonnegative(),
      blobId: z.string(),
      lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().nonnegative() }).nullish(),
    }),
  ),
});

/** @throws BakeError BK233 when the answer is no list of files, BK235 for one that is not right. */
const infoOf = async (wish: ModelWish, { web, sources }: Context): Promise<z.infer<typeof Info>> => {
  const url = `${sources.huggingface}/api/models/${wish.name}/revision/${encodeURIComponent(wish.asked)}?blobs=true`;
  const text = await web.text(url);
  let info: z.infer<typeof Info>;
  try {
    info = Info.parse(JSON.parse(text));
  } catch {
    throw new BakeError(
      "BK233",
      `${sources.huggingface} gives no list of the files of ${wish.name} at ${wish.asked}`,
      "Is there such a model, and such a branch, tag or commit?",
    );
  }
  requirePlainPaths(
    info.siblings.map(({ rfilename }) => rfilename),
    wish.name,
  );
  return info;
};

export const huggingface: Resolver<ModelWish, Model> = {
  versions: () => Promise.resolve([]),
  resolve: async (wish, context) => {
    const { web, sources } = context;
    const { sha, siblings } = await infoOf(wish, context);
    const files: Model["files"] = [];
    for (const { rfilename: path, size, blobId, lfs } of siblings) {
      if (isForGit(path)) continue;
      const url = `${sources.huggingface}/${wish.name}/resolve/${sha}/${path.split("/").map(encodeURIComponent).join("/")}`;
      if (lfs != null) {
        files.push({ path, url, size: lfs.size, sha256: lfs.sha256 });
        continue;
      }
      const stored = await web.store({ name: `${wish.name} ${path}`, url, size, gitBlob: blobId });
      files.push({ path, url, ...stored });
    }
    return {
      kind: "model",
      hub: "huggingface",
      name: wish.name,
      version: sha,
      asked: wish.asked,
      files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    };
  },
};
