/** Archives with what no release holds, listed by the real tar. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requirePlainArchive } from "../../src/bake/archive.ts";
import { type Host, runProcess } from "../../src/host/host.ts";

const host = { run: runProcess(new AbortController().signal) } as Host;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-archive-"));
  mkdirSync(join(folder, "docker"));
  writeFileSync(join(folder, "docker/dockerd"), "#!/bin/sh\n", { mode: 0o755 });
  for (const name of ["name with a -> in it", "ok -> .."]) mkdirSync(join(folder, "docker", name));
  writeFileSync(join(folder, "docker/ok -> ../x"), "x");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pack = (...args: string[]): string => {
  const archive = join(folder, "docker.tgz");
  execFileSync("tar", ["--gzip", "--create", "--file", archive, "--directory", folder, ...args]);
  return archive;
};
const refusal = async (archive: string): Promise<string> =>
  requirePlainArchive(host, "docker", archive).then(
    () => "nothing",
    (error: Error) => error.message.replaceAll(folder, ""),
  );

test("files and folders are all that a release has", async () => {
  expect(await refusal(pack("docker"))).toBe("nothing");
});

test.each([
  [
    "a path that leads out",
    ["--transform=s,docker/dockerd,../etc/passwd,", "docker/dockerd"],
    "../etc/passwd: a path that leads out of it",
  ],
  [
    "an absolute path",
    ["--absolute-names", "--transform=s,docker/dockerd,/etc/passwd,", "docker/dockerd"],
    "/etc/passwd: an absolute path",
  ],
  [
    "a name that only looks as a symbolic link's",
    ["--transform=s,docker/dockerd,ok -> a/../../x,", "docker/dockerd"],
    "ok -> a/../../x: a path that leads out of it",
  ],
  [
    "a name that only looks as a hard link's",
    ["--transform=s,docker/dockerd,ok link to a/../../x,", "docker/dockerd"],
    "ok link to a/../../x: a path that leads out of it",
  ],
])("%s is refused", async (_, args, line) => {
  expect(await refusal(pack(...args))).toBe(`docker holds what no release does: /docker.tgz\n  ${line}`);
});

test.each([
  ["a link", () => symlinkSync("/etc/shadow", join(folder, "docker/link")), "docker/link: a symbolic link"],
  [
    "a hard link",
    () => linkSync(join(folder, "docker/dockerd"), join(folder, "docker/linked")),
    expect.stringMatching(/^docker\/(?:dockerd|linked): a hard link$/),
  ],
  [
    "a setuid file",
    () => chmodSync(join(folder, "docker/dockerd"), 0o4755),
    "docker/dockerd: a file that runs as its owner",
  ],
  [
    "a device",
    () => expect(spawnSync("mknod", [join(folder, "docker/null"), "c", "1", "3"]).status).toBe(0),
    "docker/null: a device",
  ],
  ["a pipe", () => expect(spawnSync("mkfifo", [join(folder, "docker/pipe")]).status).toBe(0), "docker/pipe: a pipe"],
])("%s is refused", async (_, make, line) => {
  make();
  const [first, ...lines] = (await refusal(pack("docker"))).split("\n  ");
  expect([first, lines]).toEqual(["docker holds what no release does: /docker.tgz", [line]]);
});

test("what is no archive is said to be none", async () => {
  writeFileSync(join(folder, "docker.tgz"), "<html>please log in</html>");
  expect(await refusal(join(folder, "docker.tgz"))).toBe("docker is no tar archive compressed with gzip: /docker.tgz");
});
