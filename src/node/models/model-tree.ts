/** A locked model as files: laid out as the clients of its hub keep it, so that they read it without a network. */
import type { Model } from "../../artifact.ts";

interface ModelTreeEntry {
  /** Below the hub's cache: `~/.cache/modelscope`, or `$HF_HOME` (`~/.cache/huggingface`). */
  readonly path: string;
  readonly source:
    | { readonly kind: "stored"; readonly sha256: string; readonly size: number }
    | { readonly kind: "text"; readonly text: string }
    /** A symbolic link, relative: the tree may lie anywhere. */
    | { readonly kind: "link"; readonly target: string };
}

/** A character as Python escapes it; a pair of UTF-16 halves would stay two there. */
const escaped = (character: string): string => {
  const point = (character.codePointAt(0) ?? 0).toString(16);
  return point.length > 4 ? `\\U${point.padStart(8, "0")}` : `\\u${point.padStart(4, "0")}`;
};

/** Text in a pickle of protocol 0: a line of printable ASCII, the rest escaped. */
const pickled = (text: string): string => `V${text.replace(/[^\x20-\x5b\x5d-\x7e]/gu, escaped)}\n`;

/** A list of dicts of strings, as Python's pickle reads it. */
const pickledList = (dicts: readonly Readonly<Record<string, string>>[]): string => {
  const items = dicts.map(
    (dict) =>
      `(d${Object.entries(dict)
        .map(([key, value]) => `${pickled(key)}${pickled(value)}s`)
        .join("")}a`,
  );
  return `(l${items.join("")}.`;
};

/**
 * The layout of modelscope 1.24 to 1.37, which newer clients take over. The three files with a dot are the old client's own
 * notes of what is there.
 */
const modelscopeTree = (model: Model): ModelTreeEntry[] => {
  const [owner = "", name = ""] = model.name.split("/");
  const masked = `${owner}/${name.replaceAll(".", "___")}`;
  const folder = `hub/models/${masked}`;
  const revisions = model.files.map(({ path, revision }) => ({ Path: path, Revision: revision ?? model.version }));
  const notes: [string, string][] = [
    [".mdl", `(d${pickled("id")}${pickled(masked)}s.`],
    [".msc", pickledList(revisions)],
    // When the branch was made is not known, and not asked for.
    [".mv", `Revision:${model.asked},CreatedAt:0`],
  ];
  return [
    ...notes.map(([file, text]): ModelTreeEntry => ({ path: `${folder}/${file}`, source: { kind: "text", text } })),
    ...model.files.map(
      ({ path, sha256, size }): ModelTreeEntry => ({
        path: `${folder}/${path}`,
        source: { kind: "stored", sha256, size },
      }),
    ),
  ];
};

/** The hub's own layout: blobs, and snapshots that link to them. Any name of a blob will do; files with the same bytes share one. */
const huggingfaceTree = (model: Model): ModelTreeEntry[] => {
  const folder = `hub/models--${model.name.replaceAll("/", "--")}`;
  // A profile that names a commit means what jobs get that name nothing.
  const branch = model.asked === model.version ? "main" : model.asked;
  const blobs = new Map(model.files.map(({ sha256, size }) => [sha256, size]));
  return [
    ...[...blobs].map(
      ([sha256, size]): ModelTreeEntry => ({
        path: `${folder}/blobs/${sha256}`,
        source: { kind: "stored", sha256, size },
      }),
    ),
    { path: `${folder}/refs/${branch}`, source: { kind: "text", text: model.version } },
    ...model.files.map(
      ({ path, sha256 }): ModelTreeEntry => ({
        path: `${folder}/snapshots/${model.version}/${path}`,
        source: { kind: "link", target: `${"../".repeat(path.split("/").length + 1)}blobs/${sha256}` },
      }),
    ),
  ];
};

/** Every file and link of a model below its hub's cache, sorted by path. */
export const modelTree = (model: Model): ModelTreeEntry[] =>
  (model.hub === "modelscope" ? modelscopeTree : huggingfaceTree)(model).toSorted((a, b) => (a.path < b.path ? -1 : 1));
