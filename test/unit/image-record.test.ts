/** Whether the image in a folder is the one that a bake would make: by its record, its size and its bytes. */
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { currentImage } from "../../src/bake/image-record.ts";

let folder = "";
const at = (...path: string[]): string => join(folder, ...path);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-record-"));
  mkdirSync(at("log"));
  writeFileSync(at("image.qcow2"), "the image");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lay = (change: object = {}): void =>
  writeFileSync(
    at("image.json"),
    JSON.stringify({
      ...{ bakeId: "id", profile: "2cards", trial: true, target: "qemu", architecture: "x86_64", file: "image.qcow2" },
      ...{ size: 9, sha256: createHash("sha256").update("the image").digest("hex"), accelerator: "tcg" },
      ...{ base: { name: "base", sha256: "b" }, artifacts: [], steps: [], madeAt: "2026-11-27T00:00:00.000Z" },
      ...change,
    }),
  );

test("an image is current by its bake id, size and digest; also one of before there were stages", async () => {
  expect(await currentImage(folder, "id")).toBeUndefined();
  lay();
  expect(await currentImage(folder, "id")).toMatchObject({ bakeId: "id" });
  expect(await currentImage(folder, "another")).toBeUndefined();
  lay({ stages: [{ name: "node", id: "id", reused: false, seconds: 1 }] });
  expect(await currentImage(folder, "id")).toMatchObject({ stages: [{ name: "node" }] });
  lay({ size: 8 });
  expect(await currentImage(folder, "id")).toBeUndefined();
  lay({ sha256: "0" });
  expect(await currentImage(folder, "id")).toBeUndefined();
});

test("once read, it is read again when anybody has written to it, also with its size and time as they were", async () => {
  lay();
  expect(await currentImage(folder, "id")).toBeDefined();
  const { atime, mtime } = statSync(at("image.qcow2"));
  writeFileSync(at("image.qcow2"), "an image!");
  utimesSync(at("image.qcow2"), atime, mtime);
  expect(await currentImage(folder, "id")).toBeUndefined();
  // Nor does another record make it right.
  lay({ sha256: "0".repeat(64) });
  expect(await currentImage(folder, "id")).toBeUndefined();
  writeFileSync(at("image.qcow2"), "the image");
  lay();
  expect(await currentImage(folder, "id")).toBeDefined();
});

test("untouched since, it is not read: its file may be as large as it likes", async () => {
  lay();
  await currentImage(folder, "id");
  const { atimeNs } = statSync(at("image.qcow2"), { bigint: true });
  const started = performance.now();
  for (let index = 0; index < 10; index++) expect(await currentImage(folder, "id")).toBeDefined();
  expect(performance.now() - started).toBeLessThan(1000);
  expect(statSync(at("image.qcow2"), { bigint: true }).atimeNs).toBe(atimeNs);
});
