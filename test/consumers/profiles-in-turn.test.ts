/** Two profiles in turn on one data disk: A, B and A again, with models and build caches. Images have theirs in seed.test.ts. */
import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import type { Blob, BuildCache } from "../../src/artifact.ts";
import { eachWithModelNode, lockedModelOf, type Mirror, type ModelNode, planWith, sha256 } from "../models.ts";
import { needs } from "../needs.ts";

const { test } = needs("root");

const contents: Record<string, Buffer> = {};
const content = (bytes: Buffer | string): Buffer => {
  const made = Buffer.from(bytes);
  contents[sha256(made)] = made;
  return made;
};

const weights = content(randomBytes(200_000));
const files = { "config.json": content("{}"), "model.safetensors": weights };
/** The same model at two commits: of two files one is another. */
const models = {
  a: lockedModelOf("modelscope", "Qwen/Qwen3-0.6B", files),
  b: lockedModelOf(
    "modelscope",
    "Qwen/Qwen3-0.6B",
    { ...files, "config.json": content('{"new":1}') },
    { version: "3c".repeat(20) },
  ),
};

const blobOf = (bytes: Buffer | string, mediaType: string): Blob => ({
  digest: `sha256:${sha256(content(bytes))}`,
  size: Buffer.byteLength(bytes),
  mediaType,
});
const layer = "application/vnd.oci.image.layer.v1.tar+gzip";
const config = "application/vnd.buildkit.cacheconfig.v0";
const shared = blobOf(randomBytes(50_000), layer);
const cacheOf = (name: string): BuildCache => {
  const blobs = [shared, blobOf(randomBytes(30_000), layer), blobOf(`{"of":"${name}"}`, config)];
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType, manifests: blobs });
  return {
    ...{ kind: "build-cache", name, version: "1", asked: name, blobs },
    manifest: blobOf(manifest, mediaType),
  };
};
const caches = { a: cacheOf("of-a"), b: cacheOf("of-b") };

let node: ModelNode;
let mirror: Mirror;
eachWithModelNode(contents, (opened) => ({ node, mirror } = opened));

test.each([
  ["reported", false],
  ["removed", true],
])(
  "A, B and A again: what the lock does not name is %s, a cache that a job wrote stays, and A is whole again",
  async (_what, removes) => {
    const plans = {
      a: planWith(node.mount, [{ model: models.a }], { removeOtherModels: removes }, [caches.a]),
      b: planWith(node.mount, [{ model: models.b }], { removeOtherModels: removes }, [caches.b]),
    };
    const idOf = (turn: "a" | "b"): string => plans[turn].facts.models[0]?.locked?.id ?? "";
    node.lay(plans.a, "a");
    node.lay(plans.b, "b");
    const view = (agent: number): string => `${node.mount}/modelscope${agent}/hub/models/Qwen/Qwen3-0___6B`;
    const cache = (agent: number): string => `${node.mount}/docker-cache${agent}`;
    const turn = (which: "a" | "b", failed: number): string => `use ${which}
$models fetch ${mirror.url} && $models start || exit ${failed}
$caches fetch ${mirror.url} && $caches start || exit ${failed + 1}
for agent in 1 2 3 4; do
  [ "$($models seen $agent)" = "sees 1 models" ] && [ "$($caches warm $agent)" = warm ] || exit ${failed + 2}
done
$models verify && $caches verify || exit ${failed + 3}
echo "${which}: $(cat ${view(1)}/config.json) $(sha256sum <${view(2)}/model.safetensors | cut -c 1-64)"
`;
    const asked: number[] = [];
    const run = async (script: string): Promise<string> => {
      const { code, output } = await node.run(`caches=${node.folder}/opt/bake/bin/bake-caches\n${script}`);
      expect(code, output).toBe(0);
      asked.push(mirror.asked.length);
      return output;
    };
    const said = (of: "a" | "b"): string => `${of}: ${of === "a" ? "{}" : '{"new":1}'} ${sha256(weights)}\n`;

    const first = await run(`${turn("a", 10)}
cp ${cache(1)}/index.json ${node.folder}/first
# A job of agent 2: its own note in its view, and a cache of its own over what it found.
echo note >${view(2)}/note
printf '%s' '{"manifests":[${JSON.stringify(caches.a.manifest)}],"own":1}' >${cache(2)}/index.json`);
    expect(first).toContain(said("a"));
    const second = await run(`${turn("b", 20)}
cmp ${cache(1)}/index.json ${node.folder}/first && exit 30
grep -q '"own":1' ${cache(2)}/index.json || exit 31
ls ${node.mount}/.bake/models/modelscope`);
    expect(second).toContain(said("b"));
    expect(second).toContain("agent 2: a job has written a cache of its own since: it stays");
    expect(second).toContain(`${idOf("a")} is not of this lock${removes ? ": removing it" : " and stays"}`);
    const folders = ["a", "b"].map((of) => idOf(of as "a" | "b").slice("modelscope/".length));
    expect(
      second
        .trimEnd()
        .split("\n")
        .slice(removes ? -1 : -2)
        .toSorted(),
    ).toEqual((removes ? folders.slice(1) : folders).toSorted());
    const third = await run(`${turn("a", 40)}
cmp ${cache(1)}/index.json ${node.folder}/first || exit 50
grep -q '"own":1' ${cache(2)}/index.json || exit 51
[ ! -e ${view(2)}/note ] || exit 52`);
    expect(third).toContain(said("a"));
    // B needs one file of its model and two blobs with their manifest; shared bytes are on the disk. A again the same for its cache,
    // and its model only where that was removed.
    const needed = 3;
    expect([(asked[1] ?? 0) - (asked[0] ?? 0), (asked[2] ?? 0) - (asked[1] ?? 0)]).toEqual([
      1 + needed,
      (removes ? 1 : 0) + needed,
    ]);
  },
);
