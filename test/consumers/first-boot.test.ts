/** bake-first-boot below another root: what it forgets, what it leaves alone, and when it marks. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

let folder = "";
const at = (path: string): string => join(folder, path);
const firstBoot = (what: string) => {
  const text = readFileSync(join(root, "templates/node/bake-first-boot"), "utf8")
    .replaceAll("/var/lib/", at("var/lib/"))
    .replaceAll("/etc /root", `${at("etc")} ${at("root")}`);
  return spawnSync("bash", ["--norc", "-c", text, "bake-first-boot", what], { encoding: "utf8" });
};
const mark = (): string => readFileSync(at("var/lib/bake/first-boot"), "utf8");
const state = (): string[] => readdirSync(at("var/lib/cloud")).toSorted();

/** As cloud-init leaves it when it has run for an instance. */
const cloudInitRan = (instance: string): void => {
  for (const path of [`instances/${instance}/sem`, "data", "sem"])
    mkdirSync(at(`var/lib/cloud/${path}`), { recursive: true });
  writeFileSync(at(`var/lib/cloud/instances/${instance}/sem/config_write_files`), "");
  rmSync(at("var/lib/cloud/instance"), { force: true });
  symlinkSync(`instances/${instance}`, at("var/lib/cloud/instance"));
  writeFileSync(at("var/lib/cloud/data/instance-id"), `${instance}\n`);
};
const all = ["data", "instance", "instances", "seed", "sem"];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-first-boot-"));
  for (const path of ["var/lib/bake", "var/lib/cloud/seed", "etc", "root"]) mkdirSync(at(path), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("the first boot of an image: nothing to forget", () => {
  expect(firstBoot("again")).toMatchObject({ status: 0, stdout: "" });
  expect(state()).toEqual(["seed"]);
});

test("a first boot that came to its end is marked, and not done again", () => {
  cloudInitRan("i-1");
  expect(firstBoot("done")).toMatchObject({
    status: 0,
    stdout: "bake-first-boot: what user-data of i-1 brought is on the disk\n",
  });
  expect(mark()).toBe("i-1\n");
  expect(firstBoot("again")).toMatchObject({ status: 0, stdout: "" });
  expect(firstBoot("done")).toMatchObject({ status: 0, stdout: "" });
  expect(state()).toEqual(all);
});

test("one that was cut off is forgotten, but for seeds", () => {
  cloudInitRan("i-1");
  expect(firstBoot("again")).toMatchObject({
    status: 0,
    stdout: "bake-first-boot: the first boot of i-1 was cut off: cloud-init does it again\n",
  });
  expect(state()).toEqual(["seed"]);
});

test.each([
  ["empty", ""],
  ["zeros", "\0\0\0\0"],
])("an instance ID that is %s on the disk is none", (_name, content) => {
  cloudInitRan("i-1");
  firstBoot("done");
  writeFileSync(at("var/lib/cloud/data/instance-id"), content);
  expect(firstBoot("done")).toMatchObject({ status: 0, stdout: "" });
  expect(firstBoot("again").stdout).toContain("was cut off");
  expect(state()).toEqual(["seed"]);
});

test("a torn mark is no mark", () => {
  cloudInitRan("i-1");
  writeFileSync(at("var/lib/bake/first-boot"), "");
  expect(firstBoot("again").stdout).toContain("was cut off");
});

test("another instance on the same disk has a first boot of its own", () => {
  cloudInitRan("i-1");
  firstBoot("done");
  cloudInitRan("i-2");
  expect(firstBoot("again").stdout).toContain("the first boot of i-2 was cut off");
  cloudInitRan("i-2");
  expect(firstBoot("done").status).toBe(0);
  expect(mark()).toBe("i-2\n");
});

test("what `cloud-init clean` undid is a first boot again, also of the same instance", () => {
  cloudInitRan("i-1");
  firstBoot("done");
  for (const path of ["instance", "instances", "data", "sem"]) rmSync(at(`var/lib/cloud/${path}`), { recursive: true });
  expect(firstBoot("again")).toMatchObject({ status: 0, stdout: "" });
  expect(existsSync(at("var/lib/bake/first-boot"))).toBe(false);
  cloudInitRan("i-1");
  expect(firstBoot("again").stdout).toContain("was cut off");
});

test("wrong usage is no success", () => {
  expect(firstBoot("").status).toBe(2);
  expect(existsSync(at("var/lib/bake/first-boot"))).toBe(false);
});
