/** bake-identity with the real ssh-keygen, below another root. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

let folder = "";
const at = (path: string): string => join(folder, path);
const identity = (key: string) => {
  writeFileSync(at("etc/bake/identity.env"), `IDENTITY_KEY="${key}"\nIDENTITY_FOLDER="${at("mnt/.bake")}"\n`);
  const text = readFileSync(join(root, "templates/node/bake-identity"), "utf8")
    .replaceAll("/etc/bake", at("etc/bake"))
    .replaceAll("/root/.ssh", at("root/.ssh"))
    .replaceAll("/etc/hostname", at("etc/hostname"))
    .replaceAll("/proc/sys/kernel/hostname", at("kernel-hostname"))
    .replaceAll("/var/lib/bake", at("var/lib/bake"));
  return spawnSync("bash", ["--norc", "-c", text], { encoding: "utf8" });
};
const read = (path: string): string => readFileSync(at(path), "utf8");
const modes = (...paths: string[]): string =>
  execFileSync("stat", ["-c", "%a", ...paths.map(at)], { encoding: "utf8" })
    .trim()
    .replaceAll("\n", " ");

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-identity-"));
  for (const path of ["etc/bake/secrets", "mnt"]) mkdirSync(at(path), { recursive: true });
  writeFileSync(at("kernel-hostname"), "npu-0008\n");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ["npu-0008.novalocal", "npu-0008"],
  ["npu-0008.site.openstacklocal", "npu-0008.site"],
  ["npu-0008.example.com", undefined],
  ["novalocal", undefined],
])("a name as a cloud makes it up loses its domain before the agents take it: %s", (name, expected) => {
  writeFileSync(at("kernel-hostname"), `${name}\n`);
  const { status, stdout } = identity("none");
  expect(status).toBe(0);
  expect(read("kernel-hostname")).toBe(`${expected ?? name}\n`);
  expect(existsSync(at("etc/hostname"))).toBe(expected !== undefined);
  if (expected === undefined) return;
  expect(read("etc/hostname")).toBe(`${expected}\n`);
  expect(modes("etc/hostname")).toBe("644");
  expect(stdout).toContain(`bake-identity: this node is ${expected}, not ${name}\n`);
});

test("a key pair is made once and outlives the system disk", () => {
  expect(identity("ed25519")).toMatchObject({ status: 0 });
  const key = read("root/.ssh/id_ed25519");
  expect(modes("root/.ssh", "root/.ssh/id_ed25519", "root/.ssh/id_ed25519.pub", "mnt/.bake/ssh/id_ed25519")).toBe(
    "700 600 644 600",
  );
  rmSync(at("root"), { recursive: true });
  const { status, stdout } = identity("ed25519");
  expect(status).toBe(0);
  expect(read("root/.ssh/id_ed25519")).toBe(key);
  expect(stdout).toContain(`bake-identity: key pair: ${read("mnt/.bake/ssh/id_ed25519.pub").trim()}`);
});

test("a key pair of the system disk is kept on a new data disk", () => {
  identity("ed25519");
  const key = read("root/.ssh/id_ed25519");
  rmSync(at("mnt/.bake"), { recursive: true });
  expect(identity("ed25519").status).toBe(0);
  expect(read("mnt/.bake/ssh/id_ed25519")).toBe(key);
});

test("a public half that was lost in a power cut comes back", () => {
  identity("ed25519");
  const half = read("mnt/.bake/ssh/id_ed25519.pub").split(" ").slice(0, 2);
  rmSync(at("root"), { recursive: true });
  writeFileSync(at("mnt/.bake/ssh/id_ed25519.pub"), "");
  expect(identity("ed25519").status).toBe(0);
  expect(
    read("root/.ssh/id_ed25519.pub")
      .split(" ")
      .slice(0, 2)
      .map((part) => part.trim()),
  ).toEqual(half);
});

test("what was lost of the key pair in use comes back from the data disk, and is for root alone again", () => {
  identity("ed25519");
  const pair = [read("root/.ssh/id_ed25519"), read("root/.ssh/id_ed25519.pub")];
  rmSync(at("root/.ssh/id_ed25519.pub"));
  chmodSync(at("root/.ssh/id_ed25519"), 0o644);
  expect(identity("ed25519").status).toBe(0);
  expect([read("root/.ssh/id_ed25519"), read("root/.ssh/id_ed25519.pub")]).toEqual(pair);
  expect(modes("root/.ssh/id_ed25519", "root/.ssh/id_ed25519.pub")).toBe("600 644");
});

test("two different key pairs: refused, and neither is replaced", () => {
  identity("ed25519");
  cpSync(at("root/.ssh"), at("kept"), { recursive: true });
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("other")]);
  cpSync(at("other"), at("root/.ssh/id_ed25519"));
  const { status, stderr } = identity("ed25519");
  expect(status).toBe(1);
  expect(stderr).toContain("refused: ");
  expect(read("root/.ssh/id_ed25519")).toBe(read("other"));
  expect(read("mnt/.bake/ssh/id_ed25519")).toBe(read("kept/id_ed25519"));
});

test("a delivered key is used under its own kind's name", () => {
  execFileSync("ssh-keygen", ["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", at("etc/bake/secrets/node-key")]);
  rmSync(at("etc/bake/secrets/node-key.pub"));
  expect(identity("delivered").status).toBe(0);
  expect(read("root/.ssh/id_rsa")).toBe(read("etc/bake/secrets/node-key"));
  expect(read("root/.ssh/id_rsa.pub")).toMatch(/^ssh-rsa AAAA/);
  expect(existsSync(at("mnt/.bake"))).toBe(false);
});

test("a newer delivered key replaces the earlier one, and no other", () => {
  const deliver = (name: string): string => {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(name)]);
    return read(name);
  };
  const [first, second, own] = [deliver("first"), deliver("second"), deliver("own")];
  writeFileSync(at("etc/bake/secrets/node-key"), first);
  expect(identity("delivered").status).toBe(0);
  writeFileSync(at("etc/bake/secrets/node-key"), second);
  expect(identity("delivered").status).toBe(0);
  expect(read("root/.ssh/id_ed25519")).toBe(second);
  writeFileSync(at("root/.ssh/id_ed25519"), own);
  expect(identity("delivered")).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("is another key than the one delivered"),
  });
  expect(read("root/.ssh/id_ed25519")).toBe(own);
});

test("a delivered key that is missing, or has a passphrase, is refused", () => {
  expect(identity("delivered").stderr).toContain("node-key is not there: golden user-data brings it");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "a passphrase", "-f", at("etc/bake/secrets/node-key")]);
  expect(identity("delivered").stderr).toContain("is no private key without a passphrase");
  expect(existsSync(at("root/.ssh"))).toBe(false);
});
