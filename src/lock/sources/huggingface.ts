import { createHash } from "node:crypto";
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Model } from "../../artifact.ts";
import { shownUrl } from "../../store/url.ts";
import { statusOf, type WebRequest } from "../web.ts";
import type { ModelRequirement } from "../../node/requirement.ts";
import { parseAnswer } from "./json.ts";
import { type ModelFile, pathInUrl, requireModelName, requireUsablePaths } from "./model-files.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";

const Revision = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/, "expected a commit") });

const Entry = z.object({
  type: z.string(),
  path: z.string(),
  size: z.int().nonnegative(),
  /** Of the blob in git; of a large file that is only a pointer. */
  oid: z.string().regex(/^[0-9a-f]{40}$/, "expected a git object"),
  lfs: z
    .object({ oid: z.string().regex(/^[0-9a-f]{64}$/, "expected a sha256"), size: z.int().nonnegative() })
    .optional(),
});
type Entry = z.infer<typeof Entry>;

const request = ({ huggingfaceToken }: Context): WebRequest =>
  huggingfaceToken === undefined ? {} : { headers: { authorization: `Bearer ${huggingfaceToken}` } };

/** What 401, 403 and 404 mean there. */
const explained =
  (model: string, url: string, context: Context) =>
  (error: unknown): never => {
    const status = statusOf(error);
    if (status === 401 || status === 403) {
      throw new BakeError(
        "BK239",
        `model ${model} may not be read (${shownUrl(url)}, ${status})`,
        context.huggingfaceToken === undefined
          ? "Look at its name. If it is private, or its licence has to be accepted: set HF_TOKEN to a token of an account that may read it."
          : "The account of HF_TOKEN may not read it: accept the model's licence on its page, or use a token that may read it.",
      );
    }
    if (status === 404) {
      throw new BakeError(
        "BK243",
        `${shownUrl(url)}: no such model or revision`,
        "Look at the model's name and its branches and tags on the hub.",
      );
    }
    throw error;
  };

const commitOf = async (requirement: ModelRequirement, context: Context): Promise<string> => {
  const model = requireModelName(requirement);
  const url = `${context.sources.huggingface}/api/models/${model}/revision/${encodeURIComponent(requirement.asked)}`;
  const text = await context.web.text(url, request(context)).catch(explained(model, url, context));
  return parseAnswer(text, Revision, url).sha;
};

const list = async (model: string, commit: string, context: Context): Promise<{ url: string; files: Entry[] }> => {
  const url = `${context.sources.huggingface}/api/models/${model}/tree/${commit}?recursive=true`;
  const entries: Entry[] = [];
  try {
    for await (const page of context.web.pages(url, request(context)))
      entries.push(...parseAnswer(page, z.array(Entry), url));
  } catch (error) {
    explained(model, url, context)(error);
  }
  const odd = entries.find(({ type }) => type !== "file" && type !== "directory");
  if (odd !== undefined) {
    throw new BakeError(
      "BK235",
      `${shownUrl(url)}: ${JSON.stringify(odd.path)} is neither a file nor a folder`,
      "A model's files are all that bake takes.",
    );
  }
  const files = entries.filter(({ type }) => type === "file");
  if (files.length === 0) {
    throw new BakeError("BK243", `model ${model} has no files (${shownUrl(url)})`, "Look at the model on the hub.");
  }
  requireUsablePaths(
    files.map(({ path }) => path),
    model,
    url,
  );
  return { url, files };
};

/** git's own name of a file's bytes. */
const gitBlob = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

/** The hub gives the sha256 of large files; a small one is fetched, and compared with what git calls it. */
const lockFile = async (
  model: string,
  commit: string,
  entry: Entry,
  listUrl: string,
  context: Context,
): Promise<ModelFile> => {
  const { path, size, lfs } = entry;
  const url = `${context.sources.huggingface}/${model}/resolve/${commit}/${pathInUrl(path)}`;
  const differs = (what: string) =>
    new BakeError(
      "BK240",
      `model ${model}: ${path} ${what} (${shownUrl(listUrl)})`,
      "Try again; if it stays, does a mirror serve something else?",
    );
  if (lfs !== undefined) {
    if (lfs.size !== size) throw differs(`has two sizes in the list, ${size} and ${lfs.size} bytes`);
    return { path, url, size, sha256: lfs.oid };
  }
  const bytes = await context.web.bytes(url, request(context)).catch(explained(model, url, context));
  if (bytes.length !== size) throw differs(`has ${bytes.length} bytes, and the list says ${size}`);
  const found = gitBlob(bytes);
  if (found !== entry.oid) throw differs(`is git object ${found}, and the list says ${entry.oid}`);
  return { path, url, size, sha256: createHash("sha256").update(bytes).digest("hex") };
};

/** A model of Hugging Face, at one commit. */
export const huggingface: Resolver<ModelRequirement, Model> = {
  versions: async (requirement, context) => [await commitOf(requirement, context)],
  resolve: async (requirement, context) => {
    const commit = await commitOf(requirement, context);
    const { url, files } = await list(requirement.name, commit, context);
    const locked: ModelFile[] = [];
    for (const entry of files) locked.push(await lockFile(requirement.name, commit, entry, url, context));
    return {
      kind: requirement.kind,
      ...entryOf(requirement, commit),
      hub: requirement.hub,
      files: locked.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    };
  },
};
