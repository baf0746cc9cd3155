/** out/<profile>/: one writer at a time, and what a bake left there is never lost. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ownerOf, pidNamespace } from "../../src/host/process-identity.ts";
import { writeTree } from "../../src/render/write.ts";

let folder = "";
let out = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-write-"));
  out = join(folder, "out/x");
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "image.qcow2"), "an image");
  writeFileSync(join(out, "stale"), "of an earlier rendering");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const files = (content: string) => [
  { path: "a", content },
  { path: "b/c", content },
];

test("the tree is replaced, the image stays, nothing is left beside it", async () => {
  expect(await writeTree(out, files("1"))).toEqual(["a", "b/c", "stale"]);
  expect(await writeTree(out, files("1"))).toEqual([]);
  expect(readFileSync(join(out, "b/c"), "utf8")).toBe("1");
  expect(readFileSync(join(out, "image.qcow2"), "utf8")).toBe("an image");
  expect(readdirSync(join(folder, "out"))).toEqual(["x"]);
});

test("many at once: each is whole or refused, and the image stays", async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, (_, index) => writeTree(out, files(String(index)))),
  );
  const refused = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as { code: string }] : []));
  expect(refused.length).toBeLessThan(12);
  for (const { code } of refused) expect(code).toBe("BK405");
  expect(readFileSync(join(out, "a"), "utf8")).toBe(readFileSync(join(out, "b/c"), "utf8"));
  expect(readFileSync(join(out, "image.qcow2"), "utf8")).toBe("an image");
  expect(readdirSync(join(folder, "out"))).toEqual(["x"]);
});

test("a lock of a process that is no more is taken over; one of a living process is not", async () => {
  writeFileSync(`${out}.lock`, `${pidNamespace()}-999999999-1 a`);
  expect(await writeTree(out, files("1"))).toHaveLength(3);
  writeFileSync(`${out}.lock`, `${ownerOf(process.ppid)} a`);
  await expect(writeTree(out, files("2"))).rejects.toMatchObject({
    code: "BK405",
    message: `another bake (process ${process.ppid}) writes ${out} just now`,
  });
  expect(readFileSync(join(out, "a"), "utf8")).toBe("1");
  expect(existsSync(join(out, "image.qcow2"))).toBe(true);
});

test("an empty lock, one of an older bake, and one with our own ID from a life before, are taken over", async () => {
  for (const [owner, content] of [
    ["", "1"],
    [String(process.ppid), "2"],
    [`${pidNamespace()}-${process.pid}-1 a`, "3"],
  ] as const) {
    writeFileSync(`${out}.lock`, owner);
    // Empty, it may be just being written.
    if (owner === "") {
      await expect(writeTree(out, files(content))).rejects.toMatchObject({ code: "BK405" });
      utimesSync(`${out}.lock`, new Date(0), new Date(0));
    }
    expect((await writeTree(out, files(content))).length).toBeGreaterThan(0);
    expect(existsSync(`${out}.lock`)).toBe(false);
  }
});

test("a writer that was killed between two renames: what a bake left comes back", async () => {
  // The former folder is aside, the new one is not there yet.
  renameSync(out, `${out}.old-${pidNamespace()}-999999999-1`);
  expect(await writeTree(out, files("1"))).toHaveLength(3);
  expect(readFileSync(join(out, "image.qcow2"), "utf8")).toBe("an image");
  // The new one is there, the image is not in it yet.
  mkdirSync(`${out}.old-${pidNamespace()}-999999999-1`);
  renameSync(join(out, "image.qcow2"), join(`${out}.old-${pidNamespace()}-999999999-1`, "image.qcow2"));
  expect(await writeTree(out, files("2"))).toEqual(["a", "b/c"]);
  expect(readFileSync(join(out, "image.qcow2"), "utf8")).toBe("an image");
  expect(readdirSync(join(folder, "out"))).toEqual(["x"]);
});

test("a link that leads nowhere in the place of a file is replaced", async () => {
  await writeTree(out, files("1"));
  rmSync(join(out, "a"));
  symlinkSync("nowhere", join(out, "a"));
  expect(await writeTree(out, files("1"))).toEqual(["a"]);
  expect(readFileSync(join(out, "a"), "utf8")).toBe("1");
});

test("a place that cannot be written is an error with its name, and nothing changes", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(writeTree(join(folder, "file/x"), files("1"))).rejects.toMatchObject({ code: "BK518" });
  expect(readdirSync(folder).toSorted()).toEqual(["file", "out"]);
});
