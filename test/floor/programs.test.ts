/** What a node runs, under the oldest programs that can be had as packages. docs/hosts.md names them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { root } from "../../src/host/root.ts";
import { needs } from "../needs.ts";
import { withOldPrograms } from "./old-programs.ts";
import { bashScripts, checkCommands, hostScript, units } from "./scripts-of-nodes.ts";
import { debian11 } from "./systems.ts";

const { test } = needs("root", "programs of Debian 11");

const folder = mkdtempSync(join(tmpdir(), "bake-floor-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("they are of the versions that docs/hosts.md has", () => {
  const { output } = withOldPrograms([
    "sh",
    "-c",
    `bash --version; stat --version; findmnt --version; mke2fs -V 2>&1; git --version; systemctl --version; curl --version; gawk --version`,
  ]);
  // Their libraries do the work.
  expect(output).toContain(`libcurl/${debian11.curl}`);
  expect(output).toContain(`EXT2FS Library version ${debian11.e2fsprogs}`);
  for (const [name, version] of Object.entries(debian11)) {
    expect(output, name).toMatch(new RegExp(`(?<![\\d.])${version.replaceAll(".", "\\.")}(?![\\d])`));
  }
});

test("bash reads every script, and every command of a check", () => {
  const texts = [...bashScripts, ...checkCommands, hostScript];
  expect(bashScripts.length).toBeGreaterThan(20);
  expect(checkCommands.length).toBeGreaterThan(60);
  for (const [index, { text }] of texts.entries()) writeFileSync(join(folder, `${index}.sh`), text);
  const { status, output } = withOldPrograms([
    "bash",
    "-c",
    'for file in "$0"/*.sh; do bash -n "$file" || exit 1; done; echo "$BASH_VERSION"',
    folder,
  ]);
  expect(output).toMatch(new RegExp(`^${debian11.bash}`));
  expect(status).toBe(0);
});

test("systemd-analyze verify finds nothing in the units", () => {
  const verify = (each: readonly { readonly name: string; readonly content: string }[]): string => {
    const at = mkdtempSync(join(folder, "units-"));
    // It knows no other root: what units start is looked for on this machine.
    const write = (name: string, content: string): void =>
      writeFileSync(join(at, name), content.replaceAll(/^(Exec\w+=-?)\/\S+/gm, "$1/bin/true"));
    for (const { name, content } of each) write(name, content);
    for (const name of [
      "basic",
      "sysinit",
      "shutdown",
      "multi-user",
      "sockets",
      "local-fs",
      "network",
      "network-online",
    ])
      write(`${name}.target`, "[Unit]\nDescription=stand-in\n");
    const paths = each.map(({ name }) => join(at, name));
    return withOldPrograms(["systemd-analyze", "verify", "--man=no", ...paths], { env: { SYSTEMD_UNIT_PATH: at } })
      .output;
  };
  const named = new Map(units.map(({ name, text }) => [name.split("/").at(-1) ?? "", text]));
  expect(verify([...named].map(([name, content]) => ({ name, content })))).toBe("");
  expect(verify([{ name: "wrong.service", content: "[Service]\nExecStrat=/bin/true\n" }])).toContain("ExecStrat");
});

/**
 * Whole files of the fast tests. None that writes to a device or fills a file system: with programs mounted over this machine's own
 * those tests cannot tell which disks are theirs.
 */
const again = ["node-scripts", "first-boot", "identity", "cloud-init-wait", "no-proxy"];

test("the scripts do what their own tests want of them", { timeout: 600_000 }, () => {
  const { status, output } = withOldPrograms(
    [
      ...[process.execPath, join(root, "node_modules/vitest/vitest.mjs"), "run", "--project", "fast", "--no-color"],
      ...again.map((name) => `test/consumers/${name}.test.ts`),
    ],
    { cwd: root, env: { VITEST: "", VITEST_WORKER_ID: "", VITEST_POOL_ID: "", NO_COLOR: "1" } },
  );
  expect(output).toMatch(/^ *Test Files +5 passed \(5\)$/m);
  expect(status, output).toBe(0);
});
