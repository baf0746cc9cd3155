/** What shells complete, asked of the shells themselves. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-completion-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bake = (...args: string[]): string =>
  spawnSync(join(root, "bin/bake"), args, { cwd: folder, encoding: "utf8" }).stdout;

beforeAll(() => {
  mkdirSync(join(folder, "profiles"));
  for (const name of ["site.yaml", "sister.yml", "notes.txt"]) writeFileSync(join(folder, "profiles", name), "");
  writeFileSync(join(folder, "bake.bash"), bake("completion", "bash"));
}, 120_000);

/** What bash offers for the last of these words. */
const offered = (...words: string[]): string[] => {
  const script = `. ./bake.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_bake
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-uc", script, "bash", "bake", ...words], {
    cwd: folder,
    encoding: "utf8",
  });
  expect({ status, stderr }, words.join(" ")).toEqual({ status: 0, stderr: "" });
  return [...new Set(stdout.split("\n").filter((line) => line !== ""))].toSorted();
};

test("bash: commands, options, what follows them, and profiles", () => {
  const commands = [...bake("--help").matchAll(/^ {2}([a-z-]+) (?:\[|<| )/gm)].map(([, name]) => name ?? "");
  expect(commands).toContain("completion");
  expect(offered("")).toEqual([...commands.filter((name) => name !== "help"), "--help", "--version"].toSorted());
  expect(offered("val")).toEqual(["validate"]);
  expect(offered("set-")).toEqual([]);
  expect(offered("store", "")).toEqual(["ls", "prune", "verify"]);
  expect(offered("store", "prune", "--k")).toEqual(["--keep"]);
  expect(offered("validate", "--f")).toEqual(["--format"]);
  expect(offered("validate", "--format", "")).toEqual(["github", "json", "sarif", "text"]);
  expect(offered("validate", "s")).toEqual(["sister", "site"]);
  expect(offered("validate", "site", "2")).toEqual(["2cards", "2cards-aarch64"]);
  expect(offered("image", "--profile", "si")).toEqual(["sister", "site"]);
  expect(offered("image", "site", "--target", "h")).toEqual(["huaweicloud"]);
  expect(offered("completion", "")).toEqual(["bash", "zsh"]);
  expect(offered("check", "site", "--junit", "prof")).toEqual(["profiles"]);
  expect(offered("init", "s")).toEqual([]);
  expect(offered("-")).toEqual([]);
});

test("bash takes it without a warning, and binds it to bake", () => {
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-uec", ". ./bake.bash; complete -p bake"], {
    cwd: folder,
    encoding: "utf8",
  });
  expect({ stdout, stderr }).toEqual({ stdout: "complete -o filenames -F _bake bake\n", stderr: "" });
});

test("zsh has the same through bashcompinit", () => {
  const script = bake("completion", "zsh");
  expect(script).toMatch(/^#compdef bake\n/);
  expect(script).toContain("bashcompinit\n");
  const zsh = spawnSync("zsh", ["-fc", "source /dev/stdin; print -r -- $+functions[_bake]"], {
    input: script,
    encoding: "utf8",
    env: { ...process.env, HOME: folder },
  });
  // Where there is a zsh, it reads it.
  if (zsh.error === undefined)
    expect({ stdout: zsh.stdout, stderr: zsh.stderr }).toEqual({ stdout: "1\n", stderr: "" });
  expect(bake("completion", "fish")).toBe("");
});
