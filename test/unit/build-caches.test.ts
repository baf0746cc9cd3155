/** A folder of BuildKit's that is locked: what is taken of it, and what is refused. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Artifact, type BuildCache, filesOf } from "../../src/artifact.ts";
import { isBaked, lockedInputs } from "../../src/bake/inputs.ts";
import { planFor } from "../../src/commands/plan.ts";
import { localPlace, requireLocal } from "../../src/lock/ask.ts";
import { diskRoom, roomProblems } from "../../src/lock/room.ts";
import { lockedAs } from "../../src/lock/stale.ts";
import { buildCache } from "../../src/lock/sources/build-cache.ts";
import { cacheBytes } from "../../src/node/caches/facts.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import { Store } from "../../src/store/store.ts";
import { trialCache } from "../../src/trial/cache.ts";
import { substitute, trialVersions } from "../../src/trial/substitutions.ts";
import { readProfile, trialLock, trialPlan } from "../plan-of.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-cache-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (...path: string[]): string => join(folder, "cache", ...path);
const blobAt = (digest: string): string => at("blobs", digest.replace(":", "/"));
const put = (path: string, content: Buffer | string): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
};
const json = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
/** The trial's, in a folder. */
const layTrialCache = (): void => {
  for (const { path, content } of trialCache())
    put(at(path.slice(`caches/${trialVersions.buildCache}/`.length)), content);
};
const putBlob = (mediaType: string, content: Buffer | string) => {
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  put(blobAt(digest), content);
  return { mediaType, digest, size: Buffer.byteLength(content) };
};
const tagged = (descriptor: object, tag = "latest") => ({
  ...descriptor,
  annotations: { "org.opencontainers.image.ref.name": tag },
});
const putIndex = (...manifests: readonly object[]): void =>
  put(at("index.json"), JSON.stringify({ schemaVersion: 2, manifests }));

const resolve = (store = new Store(join(folder, "store"))): Promise<BuildCache> =>
  buildCache.resolve(
    { kind: "build-cache", name: "ci", asked: "caches/ci", folder: at(), path: ["caches", 0, "path"] },
    { localFile: (path: string) => store.add(path) } as Parameters<typeof buildCache.resolve>[1],
  );

test("a trial's cache is one: its bytes are the same each time, and all of it goes into the store", async () => {
  expect(trialCache()).toEqual(trialCache());
  layTrialCache();
  // Of an earlier export, which nothing leads to any more.
  putBlob("x", "old");
  const store = new Store(join(folder, "store"));
  const locked = await resolve(store);
  expect(locked).toMatchObject({ kind: "build-cache", name: "ci", asked: "caches/ci" });
  expect(locked.manifest.digest).toContain(locked.version);
  const files = filesOf(locked);
  expect(files.map(({ name }) => name)).toEqual(["ci manifest", "ci blob 1 of 2", "ci blob 2 of 2"]);
  for (const file of files) await store.verify(file);
  expect(cacheBytes([locked, locked])).toBe(files.reduce((sum, { size }) => sum + size, 0));
});

test("the manifest of an image is one, too, and a layer that is there twice is taken once", async () => {
  const config = putBlob("application/vnd.buildkit.cacheconfig.v0", "{}");
  const layer = putBlob("application/vnd.oci.image.layer.v1.tar+gzip", "layer");
  const manifest = putBlob(
    "application/vnd.oci.image.manifest.v1+json",
    JSON.stringify({ schemaVersion: 2, config, layers: [layer, layer] }),
  );
  putIndex(tagged({ ...manifest, digest: `sha256:${"0".repeat(64)}` }, "other"), tagged(manifest));
  expect(await resolve()).toMatchObject({ manifest, blobs: [layer, config] });
});

test("a store that cannot be written is no fault of the cache", async () => {
  layTrialCache();
  writeFileSync(join(folder, "file"), "");
  await expect(resolve(new Store(join(folder, "file/store")))).rejects.toMatchObject({
    code: "BK213",
    message: expect.stringMatching(/^the store cannot be written: ENOTDIR/),
  });
});

test.each([
  ["a folder that is not there", (): void => undefined, "BK247", "index.json is not there"],
  [
    "no index.json",
    () => (layTrialCache(), rmSync(at("index.json"))),
    "BK247",
    "caches.0.path: .*/cache is no build cache: its index.json is not there",
  ],
  ["an index.json that is no JSON", () => put(at("index.json"), "{"), "BK247", "none of an OCI layout"],
  [
    "one of something else",
    () => put(at("index.json"), '{"manifests": [{"digest": "../../x"}]}'),
    "BK247",
    "none of an",
  ],
  ["an index without the tag", () => putIndex(tagged(putBlob("x", "y"), "main")), "BK247", "nothing by the tag latest"],
  [
    "an image",
    () => putIndex(tagged(putBlob("x", '{"config": {"mediaType": "x", "digest": "x", "size": 1}, "layers": []}'))),
    "BK247",
    "names no cache of BuildKit's",
  ],
  ["a manifest that is no JSON", () => putIndex(tagged(putBlob("x", "y"))), "BK247", "names no cache of BuildKit's"],
] as const)("refused as no cache: %s", async (_, make, code, message) => {
  make();
  await expect(resolve()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

/** Digests of the manifest, and of what it names. */
const digests = (): readonly string[] => {
  layTrialCache();
  const [latest] = json(at("index.json"))["manifests"] as { digest: string }[];
  const manifest = latest?.digest ?? "";
  return [manifest, ...(json(blobAt(manifest))["manifests"] as { digest: string }[]).map(({ digest }) => digest)];
};

test.each([
  ["the manifest is missing", 0, (path: string) => rmSync(path), "is not there"],
  ["a layer is missing", 1, (path: string) => rmSync(path), "is not there"],
  ["a layer is short", 1, (path: string) => truncateSync(path, 3), "has 3 bytes in the place of"],
  [
    "a layer has other bytes",
    1,
    (path: string) =>
      writeFileSync(
        path,
        readFileSync(path).map((byte, index) => (index === 40 ? byte ^ 1 : byte)),
      ),
    "has other bytes: their sha256 is",
  ],
  ["the list is empty", 2, (path: string) => truncateSync(path, 0), "has 0 bytes in the place of"],
] as const)("refused as not whole, by the blob's name: %s", async (_, index, damage, message) => {
  const path = blobAt(digests()[index] ?? "");
  damage(path);
  await expect(resolve()).rejects.toMatchObject({
    code: "BK248",
    message: expect.stringContaining(`${path} ${message}`),
  });
});

test("nobody has its bytes to download: what the store lacks is taken in again", async () => {
  layTrialCache();
  const store = new Store(join(folder, "store"));
  const locked = await resolve(store);
  expect(localPlace(locked)).toBe("caches/ci");
  await requireLocal(store, [locked]);
  await expect(requireLocal(new Store(join(folder, "empty")), [locked])).rejects.toMatchObject({
    code: "BK246",
    message: expect.stringContaining("build cache ci that was locked from caches/ci"),
    help: "Take it in again: bake lock --update ci; or take what is locked from a mirror: --mirror",
  });
  // All that is gone, at once; a base is in no mirror.
  const other = { ...locked, name: "torch", asked: "caches/torch" };
  const base = { ...trialLock.artifacts[0], kind: "base", name: "site", url: "file:site.qcow2" } as Artifact;
  await expect(requireLocal(new Store(join(folder, "empty")), [locked, other, base])).rejects.toMatchObject({
    message:
      "the store has no longer all of build cache ci that was locked from caches/ci, nor of build cache torch that was locked from caches/torch, nor of the base that was locked from site.qcow2",
    help: "Take it in again: bake lock --update ci torch site",
  });
});

test("the lock answers for the folder from wherever bake runs, and for no other", () => {
  const requirement = { kind: "build-cache" as const, name: trialVersions.buildCache, path: ["caches", 0, "path"] };
  const answers = (asked: string): boolean =>
    lockedAs(trialLock, { ...requirement, asked, folder: asked }) !== undefined;
  for (const same of ["caches/tiny-cache", "../caches/tiny-cache", "profiles/caches/tiny-cache", "tiny-cache"])
    expect(answers(same), same).toBe(true);
  for (const other of ["caches/other", "caches/my-tiny-cache", "other/tiny-cache/x"])
    expect(answers(other), other).toBe(false);
});

test("the image carries it, and its size counts on the smallest disk", () => {
  const gib = 2 ** 30;
  const profile = substitute(readProfile()).profile;
  const artifacts = trialLock.artifacts.map(
    (each): Artifact =>
      each.kind === "build-cache" ? { ...each, manifest: { ...each.manifest, size: 7 * gib } } : each,
  );
  for (const each of artifacts) if (each.kind === "build-cache") expect(isBaked(trialPlan(), each)).toBe(true);
  const lock = { ...trialLock, artifacts };
  expect(diskRoom(profile, lock)).toMatchObject({ buildCaches: 8 });
  expect(roomProblems(profile, lock).map(({ message }) => message)).toEqual([
    expect.stringContaining("targets.qemu.diskSize"),
    expect.stringContaining("build caches (8 GiB)"),
  ]);
});

test("one from a mirror takes room on the data disk, and none in the image or where that is made", () => {
  const gib = 2 ** 30;
  const { profile } = substitute(readProfile());
  const artifacts = trialLock.artifacts.map(
    (each): Artifact =>
      each.kind === "build-cache" ? { ...each, manifest: { ...each.manifest, size: 7 * gib } } : each,
  );
  const lock = { ...trialLock, artifacts };
  const from = (place: "image" | "mirror") => ({
    ...profile,
    network: { ...profile.network, artifactMirror: "http://mirror.example.com/bake" },
    caches: profile.caches.map((each) => ({ ...each, from: place })),
  });
  const mirrored = from("mirror");
  const plan = planFor({ name: "2cards", profile: mirrored, lock, trial: true });
  const [cache] = artifacts.filter((each) => each.kind === "build-cache");
  expect(cache === undefined || isBaked(plan, cache)).toBe(false);
  expect(lockedInputs(plan).filter(({ name }) => name.startsWith(`${cache?.name} `))).toEqual([]);
  expect(diskRoom(mirrored, lock)).toMatchObject({ buildCaches: 8 });
  for (const [place, gibOfBake] of [
    ["mirror", 7],
    ["image", 15],
  ] as const)
    expect(roomProblems(from(place), lock).map(({ message }) => message)).toEqual([
      `targets.qemu.diskSize is 6 GiB, making the seed of images, models and build caches takes about ${gibOfBake} GiB`,
      expect.stringContaining("build caches (8 GiB)"),
    ]);
  const told = (made: NodePlan, what: string): string =>
    made.explain.find((each) => each.what === what)?.value ?? expect.fail(what);
  expect(told(plan, `build cache ${cache?.name}`)).toBe("7.0 GiB, 3 blobs, from the mirror, at the first boot");
  const inImage = planFor({ name: "2cards", profile: from("image"), lock, trial: true });
  expect(told(inImage, `build cache ${cache?.name}`)).toBe("7.0 GiB, 3 blobs, in the image");
  const [seeded, alone] = [inImage, plan].map((each) => told(each, "seed"));
  expect(seeded).toMatch(/^about 7\.0 GiB in the image, .* 7\.0 GiB on the data disk/);
  expect(alone).toMatch(/^about 0\.0 MiB in the image, 1 s .* 0\.0 MiB on the data disk/);
});
