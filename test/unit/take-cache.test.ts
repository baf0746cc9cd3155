/** A build cache that is copied from somewhere: what is taken, what is noticed, and what a cut leaves. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildxArguments, profileLine } from "../../src/commands/cache.ts";
import { type CacheSource, cacheInFolder, type TakenCache, takeCache } from "../../src/lock/take-cache.ts";
import { trialCache } from "../../src/trial/cache.ts";
import { trialVersions } from "../../src/trial/substitutions.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-take-cache-"));
  for (const { path, content } of trialCache()) {
    const file = join(folder, "host", path.slice(`caches/${trialVersions.buildCache}/`.length));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  // Of an earlier export, which nothing leads to any more.
  writeFileSync(join(folder, "host/blobs/sha256", "0".repeat(64)), "old");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const host = (...path: string[]): string => join(folder, "host", ...path);
const to = (...path: string[]): string => join(folder, "to", ...path);
const blobs = (): string[] => readdirSync(host("blobs/sha256")).filter((name) => !name.startsWith("000"));
const take = (source: CacheSource, told: string[] = []): Promise<TakenCache> =>
  takeCache(source, to(), { sleep: () => Promise.resolve(), tell: (detail) => void told.push(detail) });
/** The host's, with something in the place of what a function does. */
const hostWith = (changes: Partial<CacheSource>): CacheSource => ({ ...cacheInFolder(host()), ...changes });

test("what the tag leads to is taken, and taken again nothing is copied", async () => {
  expect(await take(cacheInFolder(host()))).toMatchObject({ copied: 3 });
  expect(readdirSync(to()).toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
  expect(readdirSync(to("blobs/sha256")).toSorted()).toEqual(blobs().toSorted());
  for (const name of ["index.json", "oci-layout"])
    expect(JSON.parse(readFileSync(to(name), "utf8"))).toEqual(JSON.parse(readFileSync(host(name), "utf8")));
  expect(await take(cacheInFolder(host()))).toMatchObject({ copied: 0 });
  // A wrong byte in the folder is no blob of that name.
  rmSync(to("blobs/sha256", blobs()[0] ?? ""));
  writeFileSync(to("blobs/sha256", blobs()[0] ?? ""), "x");
  expect(await take(cacheInFolder(host()))).toMatchObject({ copied: 1 });
});

test.each([
  ["a blob that is missing", () => Promise.resolve(false), /blobs\/sha256\/[0-9a-f]{64} is not there/],
  [
    "a blob that is short",
    (blob: string, file: string) => (writeFileSync(file, blob.slice(0, 3)), Promise.resolve(true)),
    /has other bytes: 3 in the place of \d+/,
  ],
] as const)("%s: the cache is not whole, and the folder holds none", async (_, copy, message) => {
  await expect(take(hostWith({ copy }))).rejects.toMatchObject({
    code: "BK248",
    message: expect.stringMatching(message),
  });
  expect(readdirSync(to()).toSorted()).toEqual(["blobs", "ingest"]);
  expect(readdirSync(to("ingest"))).toEqual([]);
  expect(readdirSync(to("blobs/sha256"))).toEqual([]);
});

test("a connection that is lost: what came is kept, an older cache in the folder stays, and it is gone on from there", async () => {
  await take(cacheInFolder(host()));
  const before = readFileSync(to("index.json"), "utf8");
  rmSync(to("blobs/sha256"), { recursive: true });
  let count = 0;
  const lost = hostWith({
    copy: (blob, file) =>
      ++count > 2 ? Promise.reject(new Error("the connection was lost")) : cacheInFolder(host()).copy(blob, file),
  });
  await expect(take(lost)).rejects.toThrow("the connection was lost");
  expect(readFileSync(to("index.json"), "utf8")).toBe(before);
  expect(await take(cacheInFolder(host()))).toMatchObject({ copied: 1 });
});

test("a build that writes meanwhile is noticed: the cache of its end is taken", async () => {
  const whole = readFileSync(host("index.json"), "utf8");
  const texts = [
    // Written in place: half of it, then a manifest that is gone already, then the one that stays.
    whole.slice(0, 40),
    whole.replace(/sha256:[0-9a-f]{64}/, `sha256:${"1".repeat(64)}`),
    whole,
  ];
  const told: string[] = [];
  const index = (): Promise<string | undefined> => Promise.resolve(texts.length > 1 ? texts.shift() : texts[0]);
  expect(await take(hostWith({ index }), told)).toMatchObject({ copied: 3 });
  expect(told).toContain("a build has written to it meanwhile: once more");
  expect(JSON.parse(readFileSync(to("index.json"), "utf8"))).toEqual(JSON.parse(whole));
});

test("one that changes all the time is not taken, with what was copied kept", async () => {
  const whole = readFileSync(host("index.json"), "utf8");
  let count = 0;
  await expect(
    take(hostWith({ index: () => Promise.resolve(`${whole}${" ".repeat(++count)}`) })),
  ).rejects.toMatchObject({ code: "BK259", message: expect.stringContaining("builds write to it") });
  expect(readdirSync(to("blobs/sha256"))).toHaveLength(3);
});

test.each([
  ["no index.json", undefined, "its index.json is not there"],
  ["one of something else", "{}", "none of an OCI layout"],
  ["one without the tag", '{"manifests": []}', "names nothing by the tag latest"],
])("no cache: %s", async (_, text, message) => {
  await expect(take(hostWith({ index: () => Promise.resolve(text) }))).rejects.toMatchObject({
    code: "BK247",
    message: expect.stringContaining(message),
  });
});

test("into a folder of something else nothing is written", async () => {
  mkdirSync(to());
  writeFileSync(to("photo.jpg"), "");
  await expect(take(cacheInFolder(host()))).rejects.toMatchObject({
    code: "BK249",
    message: expect.stringContaining("photo.jpg lies in it"),
  });
  expect(readdirSync(to())).toEqual(["photo.jpg"]);
  await expect(
    takeCache(cacheInFolder(host()), to("photo.jpg"), { sleep: () => Promise.resolve(), tell: () => undefined }),
  ).rejects.toMatchObject({ code: "BK249" });
});

test("blobs of this machine are linked, and what a killed run left goes", async () => {
  mkdirSync(to("ingest"), { recursive: true });
  writeFileSync(to("ingest", `${"2".repeat(64)}.no-process`), "half");
  await take(cacheInFolder(host()));
  for (const name of blobs()) expect(statSync(to("blobs/sha256", name)).nlink).toBe(2);
  expect(readdirSync(to())).not.toContain("ingest");
});

test("the line for a profile is right from profiles/, whatever the folder is called", () => {
  expect(profileLine("caches/vllm-ci")).toEqual({ name: "vllm-ci", path: "../caches/vllm-ci" });
  expect(profileLine("profiles/caches/ci/")).toEqual({ name: "ci", path: "caches/ci" });
  expect(profileLine("/srv/caches/-my cache")).toEqual({ name: "my-cache", path: "/srv/caches/-my cache" });
  expect(profileLine("/")).toEqual({ name: "cache", path: "/" });
});

test("docker gets the build as it was asked for, whatever is in a folder's name", () => {
  expect(buildxArguments({ to: "x", buildArg: [] }, "/c")).toEqual(
    "buildx build --progress=plain --cache-to type=local,dest=/c,mode=max -- .".split(" "),
  );
  expect(
    buildxArguments(
      {
        ...{ to: "x", context: "-c", file: "D", target: "t", platform: "linux/arm64", builder: "b" },
        buildArg: ["A=1", "B=--x"],
      },
      '/a,"b',
    ),
  ).toEqual([
    ...["buildx", "build", "--progress=plain", "--builder", "b", "--file", "D", "--target", "t"],
    ...["--platform", "linux/arm64", "--build-arg", "A=1", "--build-arg", "B=--x"],
    ...["--cache-to", 'type=local,"dest=/a,""b",mode=max', "--", "-c"],
  ]);
});
