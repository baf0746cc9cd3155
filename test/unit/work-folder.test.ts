/** Work folders: what is mounted in one, and who removes it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freeBytes } from "../../src/host/disk-space.ts";
import { currentProcess, pidNamespace } from "../../src/host/process-identity.ts";
import { mountsBelow, withWorkFolder } from "../../src/host/work-folder.ts";

test("mounts at and below a folder are seen, those beside it are not", () => {
  const mounts = [
    "proc /cache/work/base-1/root/proc proc rw 0 0",
    "tmpfs /cache/work/base-12 tmpfs rw 0 0",
    "/dev/vda /cache/work/base\\0401/x ext4 rw 0 0",
    "sysfs /sys sysfs rw 0 0",
  ].join("\n");
  expect(mountsBelow("/cache/work/base-1", mounts)).toEqual(["/cache/work/base-1/root/proc"]);
  expect(mountsBelow("/cache/work/base-12", mounts)).toEqual(["/cache/work/base-12"]);
  expect(mountsBelow("/cache/work/base 1", mounts)).toEqual(["/cache/work/base 1/x"]);
  expect(mountsBelow("/cache/work/other", mounts)).toEqual([]);
});

test("a work folder is there for the work alone; what a dead process left goes, what a living one has stays", async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), "bake-work-folder-"));
  try {
    const work = join(cacheDir, "work");
    mkdirSync(join(work, `bake-${pidNamespace()}-999999999-1`, "disk"), { recursive: true });
    mkdirSync(join(work, `check-${currentProcess()}`));
    const seen = await withWorkFolder({ cacheDir }, "bake", async (folder) => {
      writeFileSync(join(folder, "file"), "");
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      expect(await freeBytes(folder)).toBeGreaterThan(0);
      return [folder, readdirSync(work).toSorted()];
    });
    expect(seen).toEqual([
      join(work, `bake-${currentProcess()}`),
      [`bake-${currentProcess()}`, `check-${currentProcess()}`],
    ]);
    await expect(withWorkFolder({ cacheDir }, "bake", () => Promise.reject(new Error("failed")))).rejects.toThrow(
      "failed",
    );
    expect(existsSync(join(work, `bake-${currentProcess()}`))).toBe(false);
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
});
