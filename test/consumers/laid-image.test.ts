/** Images that VM tests and benchmarks make from a golden one: a real file system in a real partition. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { layInto } from "../vm/laid-image.ts";

const sector = 512;
const first = 2048;

/** An image with one partition, which holds an old file that everybody may read. */
const makeGolden = (folder: string): string => {
  const at = (name: string): string => join(folder, name);
  writeFileSync(at("disk"), "");
  truncateSync(at("disk"), 16 * 2 ** 20);
  execFileSync("sfdisk", ["--quiet", at("disk")], { input: `label: gpt\nstart=${first}\n` });
  execFileSync("mke2fs", ["-q", "-t", "ext4", "-E", `offset=${first * sector}`, at("disk"), "12M"], { stdio: "pipe" });
  writeFileSync(at("old"), "old\n", { mode: 0o644 });
  execFileSync("debugfs", ["-w", "-R", `write ${at("old")} /kept`, `${at("disk")}?offset=${first * sector}`], {
    stdio: "pipe",
  });
  execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", at("disk"), at("golden.qcow2")]);
  return at("golden.qcow2");
};

/** @returns what debugfs says of a file in the image's partition. */
const ask = (image: string, folder: string, question: string): string => {
  const raw = join(folder, "asked");
  execFileSync("qemu-img", ["convert", "-O", "raw", image, raw]);
  return execFileSync("debugfs", ["-R", question, `${raw}?offset=${first * sector}`], {
    encoding: "utf8",
    stdio: "pipe",
  });
};

test("files laid into an image have the modes that the node's gate asks for, whatever the umask", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-laid-"));
  const image = join(folder, "next.qcow2");
  const files = [
    { path: "/kept", content: "new\n", mode: "0600" },
    { path: "/script", content: "#!/bin/sh\n", mode: "0755" },
  ];
  const before = process.umask(0o077);
  try {
    layInto(makeGolden(folder), image, files, { folder });
  } finally {
    process.umask(before);
  }
  expect(ask(image, folder, "cat /kept")).toBe("new\n");
  expect(ask(image, folder, "stat /kept")).toMatch(/Mode: {2}0600/);
  expect(ask(image, folder, "stat /script")).toMatch(/Mode: {2}0755/);
});

test("a file that could not be laid is an error", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-laid-"));
  const files = [{ path: "/no/such/folder", content: "new\n", mode: "0600" }];
  expect(() => layInto(makeGolden(folder), join(folder, "next.qcow2"), files, { folder })).toThrow(/was not laid/);
});
