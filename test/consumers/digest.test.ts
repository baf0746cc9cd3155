/** How scripts of a node and of the build VM hash: the same bytes by either program. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-digest-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const digestOf = (script: string): string | undefined =>
  /^digest\(\) \{.*\}$/m.exec(readFileSync(join(root, "templates/node", script), "utf8"))?.[0];
const found = (program: string): string =>
  execFileSync("bash", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();

const scripts = ["bake-seed", "fetch-blobs.sh", "seed.sh", "provision.sh"];

test("all have the same line", () => {
  expect(new Set(scripts.map(digestOf)).size).toBe(1);
  expect(digestOf("bake-seed")).toBeDefined();
});

test.each([
  ["openssl", ["openssl"], ""],
  ["sha256sum, where there is no openssl", ["sha256sum"], ""],
  ["sha256sum, where openssl cannot run", ["sha256sum"], "echo openssl: no such library >&2; exit 127"],
])("by %s", (_name, programs, openssl) => {
  const path = mkdtempSync(join(folder, "path-"));
  for (const program of ["cut", "grep", ...programs]) symlinkSync(found(program), join(path, program));
  if (openssl !== "") writeFileSync(join(path, "openssl"), `#!/bin/bash\n${openssl}\n`, { mode: 0o755 });
  const output = execFileSync("/bin/bash", ["-c", `set -euo pipefail\n${digestOf("bake-seed")}\nprintf abc | digest`], {
    env: { PATH: path },
    encoding: "utf8",
  });
  // Of FIPS 180-4's own example.
  expect(output).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
});
