/** A trial's models: made-up files, and the answers that their hubs would give about them. Pure. */
import { createHash } from "node:crypto";
import { trialVersions } from "./substitutions.ts";

/** Commits that nobody made. */
const commit = "b".repeat(40);

/** Small, in a folder too, and one that both models have. */
const contents: Readonly<Record<string, string>> = {
  "config.json": '{ "architectures": ["Trial"] }\n',
  "model.safetensors": "These are no weights: a trial's model has none.\n".repeat(4096),
  "1_Pooling/config.json": "{}\n",
};

const hash = (name: "sha1" | "sha256", text: string): string => createHash(name).update(text).digest("hex");

interface SourceFile {
  /** Below the source that `serveSource` serves. */
  readonly path: string;
  readonly text: string;
}

/** As `www.modelscope.cn` lists and gives files; its questions are queries, which the source takes for the end of a path. */
const ofModelscope = (name: string): SourceFile[] => {
  const repository = `modelscope/api/v1/models/${name}/repo`;
  const files = Object.entries(contents).map(([path, text]) => ({
    Name: path.split("/").at(-1),
    Path: path,
    Type: "blob",
    Size: text.length,
    Sha256: hash("sha256", text),
    Revision: commit,
  }));
  return [
    {
      path: `${repository}/files`,
      text: JSON.stringify({ Code: 200, Success: true, Data: { Files: files, LatestCommitter: { Id: commit } } }),
    },
    ...Object.entries(contents).map(([path, text]) => ({ path: `${repository}/file/${path}`, text })),
  ];
};

/** As `huggingface.co` does. */
const ofHuggingface = (name: string): SourceFile[] => {
  const api = `huggingface/api/models/${name}`;
  const entries = Object.entries(contents).map(([path, text]) => ({
    type: "file",
    path,
    size: text.length,
    oid: hash("sha1", `blob ${text.length}\0${text}`),
  }));
  return [
    { path: `${api}/revision/main`, text: JSON.stringify({ sha: commit }) },
    { path: `${api}/tree/${commit}`, text: JSON.stringify(entries) },
    ...Object.entries(contents).map(([path, text]) => ({
      path: `huggingface/${name}/resolve/${commit}/${path}`,
      text,
    })),
  ];
};

/** All files that the source has of them. */
export const trialModels = (): SourceFile[] => [
  ...ofModelscope(trialVersions.modelscopeModel),
  ...ofHuggingface(trialVersions.huggingfaceModel),
];
