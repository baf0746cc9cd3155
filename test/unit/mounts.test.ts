import { expect, test } from "vitest";
import { mountsBelow } from "../../src/bake/image.ts";

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
