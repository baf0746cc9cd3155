/** out/<profile>/: one writer at a time, and what a bake left there is never lost. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { needs } from "../needs.ts";
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
  writeFileSync(join(out, ".rendered"), "stale\n");
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

test("what bake did not render stays: beside it where it is, and out of what is baked in kept/", async () => {
  await writeTree(out, files("1"));
  writeFileSync(join(out, "notes.txt"), "mine");
  mkdirSync(join(out, "photos"));
  writeFileSync(join(out, "photos/rack.jpg"), "mine");
  symlinkSync("../../elsewhere", join(out, "link"));
  // All of such a folder becomes a part of the image.
  writeFileSync(join(out, "b/mine"), "mine");
  const aside: string[] = [];
  const write = (content: string) => writeTree(out, files(content), (path) => aside.push(path));
  expect(await write("1")).toEqual(["b/mine"]);
  expect(aside).toEqual(["kept/b/mine"]);
  mkdirSync(join(out, "b/more"));
  writeFileSync(join(out, "b/mine"), "mine, another");
  expect(await write("2")).toEqual(["a", "b/c", "b/mine"]);
  expect(aside).toEqual(["kept/b/mine", "kept/b/mine.1"]);
  expect(readdirSync(join(out, "b"))).toEqual(["c"]);
  expect(readFileSync(join(out, "kept/b/mine.1"), "utf8")).toBe("mine, another");
  for (const path of ["notes.txt", "photos/rack.jpg"]) expect(readFileSync(join(out, path), "utf8")).toBe("mine");
  expect(readlinkSync(join(out, "link"))).toBe("../../elsewhere");
  expect(readFileSync(join(out, "image.qcow2"), "utf8")).toBe("an image");
  // A file that is rendered no more goes; the others stay.
  expect(await writeTree(out, [{ path: "a", content: "2" }])).toEqual(["b/c"]);
  expect(existsSync(join(out, "b"))).toBe(false);
  expect(existsSync(join(out, "notes.txt"))).toBe(true);
});

test("a link to another place is followed, also to one that cannot be renamed", async () => {
  const disk = join(folder, "disk/x");
  mkdirSync(join(folder, "disk"));
  renameSync(out, disk);
  symlinkSync(disk, out);
  expect(await writeTree(out, files("1"))).toEqual(["a", "b/c", "stale"]);
  expect(lstatSync(out).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(disk, "a"), "utf8")).toBe("1");
  expect(readFileSync(join(disk, "image.qcow2"), "utf8")).toBe("an image");
  expect(readdirSync(join(folder, "disk"))).toEqual(["x"]);
});

needs("root").test("a disk that is mounted in its place keeps the image, and what somebody put there", () => {
  writeFileSync(
    join(folder, "run.ts"),
    `
import { writeTree } from ${JSON.stringify(join(root, "src/render/write.ts"))};
const files = (content: string) => [{ path: "a", content }, { path: "b/c", content }];
for (const content of ["1", "2"]) console.log(JSON.stringify(await writeTree(${JSON.stringify(out)}, files(content))));
`,
  );
  const bundle = join(folder, "run.mjs");
  execFileSync(join(root, "node_modules/.bin/esbuild"), [
    join(folder, "run.ts"),
    "--bundle",
    "--platform=node",
    "--format=esm",
    `--outfile=${bundle}`,
    "--log-level=error",
  ]);
  const stdout = execFileSync(
    "unshare",
    [
      "-m",
      "sh",
      "-ec",
      `mount -t tmpfs none ${out}; echo image >${out}/image.qcow2; echo mine >${out}/notes; node ${bundle}; cat ${out}/a ${out}/b/c ${out}/image.qcow2 ${out}/notes; ls -A ${out}`,
    ],
    { encoding: "utf8" },
  );
  expect(stdout).toBe('["a","b/c"]\n["a","b/c"]\n22image\nmine\n.rendered\na\nb\nimage.qcow2\nnotes\n');
});

test("a place that cannot be written is an error with its name, and nothing changes", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(writeTree(join(folder, "file/x"), files("1"))).rejects.toMatchObject({ code: "BK518" });
  expect(readdirSync(folder).toSorted()).toEqual(["file", "out"]);
});
