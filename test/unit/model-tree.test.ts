import { expect, test } from "vitest";
import type { Model } from "../../src/artifact.ts";
import { modelTree } from "../../src/node/models/model-tree.ts";

const [first, second] = ["1a".repeat(20), "2b".repeat(20)];
const file = (path: string, digit: string, size: number) => ({
  path,
  url: "https://example.com/x",
  size,
  sha256: digit.repeat(64),
  revision: first,
});
const model: Model = {
  kind: "model",
  hub: "modelscope",
  name: "Qwen/Qwen3-0.6B",
  version: second,
  asked: "master",
  files: [file("config.json", "a", 2), file("sub/é𝛼.txt", "b", 7), file("sub/same", "a", 2)],
};

test("ModelScope: the folder of the older clients, with their notes", () => {
  const folder = "hub/models/Qwen/Qwen3-0___6B";
  expect(modelTree(model)).toEqual([
    { path: `${folder}/.mdl`, source: { kind: "text", text: "(dVid\nVQwen/Qwen3-0___6B\ns." } },
    {
      path: `${folder}/.msc`,
      source: {
        kind: "text",
        text: `(l${["config.json", "sub/\\u00e9\\U0001d6fc.txt", "sub/same"]
          .map((path) => `(dVPath\nV${path}\nsVRevision\nV${first}\nsa`)
          .join("")}.`,
      },
    },
    { path: `${folder}/.mv`, source: { kind: "text", text: "Revision:master,CreatedAt:0" } },
    { path: `${folder}/config.json`, source: { kind: "stored", sha256: "a".repeat(64), size: 2 } },
    { path: `${folder}/sub/same`, source: { kind: "stored", sha256: "a".repeat(64), size: 2 } },
    { path: `${folder}/sub/é𝛼.txt`, source: { kind: "stored", sha256: "b".repeat(64), size: 7 } },
  ]);
});

test("Hugging Face: each content once, snapshots that link to it from wherever the tree lies", () => {
  const folder = "hub/models--Qwen--Qwen3-0.6B";
  const snapshot = `${folder}/snapshots/${second}`;
  expect(modelTree({ ...model, hub: "huggingface", asked: "main" })).toEqual([
    { path: `${folder}/blobs/${"a".repeat(64)}`, source: { kind: "stored", sha256: "a".repeat(64), size: 2 } },
    { path: `${folder}/blobs/${"b".repeat(64)}`, source: { kind: "stored", sha256: "b".repeat(64), size: 7 } },
    { path: `${folder}/refs/main`, source: { kind: "text", text: second } },
    { path: `${snapshot}/config.json`, source: { kind: "link", target: `../../blobs/${"a".repeat(64)}` } },
    { path: `${snapshot}/sub/same`, source: { kind: "link", target: `../../../blobs/${"a".repeat(64)}` } },
    { path: `${snapshot}/sub/é𝛼.txt`, source: { kind: "link", target: `../../../blobs/${"b".repeat(64)}` } },
  ]);
});

test("Hugging Face: a model that the profile names by commit is what jobs get by default", () => {
  const refs = modelTree({ ...model, hub: "huggingface", asked: second }).filter(({ path }) => path.includes("/refs/"));
  expect(refs).toEqual([{ path: "hub/models--Qwen--Qwen3-0.6B/refs/main", source: { kind: "text", text: second } }]);
});
