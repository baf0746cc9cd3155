/**
 * Model trees against the clients that read them, without a network: modelscope 1.35.x, the newest modelscope, the newest
 * huggingface_hub.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { runProcess } from "../../src/host/host.ts";
import type { Model } from "../../src/artifact.ts";
import { modelTree } from "../../src/node/models/model-tree.ts";
import { needs, type Tool, toolPath } from "../needs.ts";

const { test } = needs("modelscope 1.35", "modelscope", "huggingface_hub");

const contents: Readonly<Record<string, string>> = {
  "config.json": "{}",
  "model.safetensors": "weights",
  "1_Pooling/config.json": "{}",
  "a/b/字 𝛼 \"'%.txt": "more",
};
const [first, second] = ["1a".repeat(20), "2b".repeat(20)];
const sha256 = (bytes: string): string => createHash("sha256").update(bytes).digest("hex");

const model = (hub: Model["hub"], asked: string): Model => ({
  kind: "model",
  hub,
  name: "Qwen/Qwen3-0.6B",
  version: second,
  asked,
  files: Object.entries(contents).map(([path, bytes]) => ({
    path,
    url: "https://example.com/x",
    size: bytes.length,
    sha256: sha256(bytes),
    ...(hub === "modelscope" ? { revision: first } : {}),
  })),
});

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "bake-model-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const layOut = (locked: Model, cache: string): void => {
  const byDigest = new Map(Object.values(contents).map((bytes) => [sha256(bytes), bytes]));
  for (const { path, source } of modelTree(locked)) {
    const file = join(cache, path);
    mkdirSync(dirname(file), { recursive: true });
    if (source.kind === "link") symlinkSync(source.target, file);
    else writeFileSync(file, source.kind === "text" ? source.text : (byDigest.get(source.sha256) ?? ""));
  }
};

/** Runs a program of Python without a network; what it prints is JSON. */
const python = async (client: Tool, program: string, env: Record<string, string> = {}): Promise<unknown> => {
  const nowhere = "http://127.0.0.1:1";
  const { stdout } = await runProcess(new AbortController().signal)("python3", ["-c", program], {
    env: {
      HOME: home,
      PYTHONPATH: toolPath(client),
      PYTHONUTF8: "1",
      HTTP_PROXY: nowhere,
      HTTPS_PROXY: nowhere,
      https_proxy: nowhere,
      ...env,
    },
  });
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
};

const readAll = `
import json, os
def read(folder):
    found = {}
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            if not name.startswith("."):
                found[os.path.relpath(path, folder)] = open(path, encoding="utf-8").read()
    return found
`;

test.each(["modelscope 1.35", "modelscope"] as const)(
  "%s reads a model of ModelScope where CI has it",
  async (client) => {
    layOut(model("modelscope", "master"), join(home, ".cache/modelscope"));
    const program = `${readAll}
from modelscope import snapshot_download
folder = snapshot_download("Qwen/Qwen3-0.6B", local_files_only=True)
print(json.dumps({"folder": folder, "files": read(folder)}))`;
    expect(await python(client, program)).toEqual({
      folder: join(home, ".cache/modelscope/hub/models/Qwen/Qwen3-0___6B"),
      files: contents,
    });
  },
);

test("modelscope 1.35 would download no file again", async () => {
  layOut(model("modelscope", "master"), join(home, ".cache/modelscope"));
  const notes = `
import json, os
from modelscope.hub.utils.caching import ModelFileSystemCache
cache = ModelFileSystemCache(os.path.expanduser("~/.cache/modelscope/hub/models/Qwen/Qwen3-0___6B"))
digests = ${JSON.stringify({ ...Object.fromEntries(Object.entries(contents).map(([path, bytes]) => [path, sha256(bytes)])), "gone.json": sha256("") })}
hits = [cache.exists({"Path": path, "Revision": revision, "Sha256": digest}) for path, digest in digests.items() for revision in ["${first}", "${second}"]]
print(json.dumps([cache.get_model_id(), hits, cache.cached_model_revision]))`;
  expect(await python("modelscope 1.35", notes, { MODELSCOPE_ENABLE_DEFAULT_HASH_VALIDATION: "true" })).toEqual([
    "Qwen/Qwen3-0___6B",
    [true, false, true, false, true, false, true, false, false, false],
    "Revision:master,CreatedAt:0",
  ]);
});

test("the client of Hugging Face reads a model of it", async () => {
  layOut(model("huggingface", "main"), join(home, ".cache/huggingface"));
  const program = `${readAll}
from huggingface_hub import hf_hub_download, snapshot_download
folder = snapshot_download("Qwen/Qwen3-0.6B")
one = hf_hub_download("Qwen/Qwen3-0.6B", "1_Pooling/config.json", revision="${second}")
print(json.dumps({"folder": folder, "one": one, "files": read(folder)}))`;
  const folder = join(home, ".cache/huggingface/hub/models--Qwen--Qwen3-0.6B/snapshots", second);
  expect(await python("huggingface_hub", program, { HF_HUB_OFFLINE: "1" })).toEqual({
    folder,
    one: join(folder, "1_Pooling/config.json"),
    files: contents,
  });
  expect(readdirSync(join(folder, "../../blobs"))).toHaveLength(3);
});
