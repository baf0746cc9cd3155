/** What a profile with errors ends each command with, by the one rule of docs/errors.md; and that each command's help says its codes. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { mapLimited } from "../../src/host/map-limited.ts";
import { root } from "../../src/host/root.ts";
import { runBake, userIn } from "./run-bake.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-exit-codes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, "profiles"));
writeFileSync(join(folder, "profiles/wrong.yaml"), "extends: 2cards\nagents: { spam: 4 }\n");

const bake = (...args: readonly string[]) => runBake(args, userIn(folder, {}));

/** What follows each command; `WRONG` is the profile. */
const looksAtTheProfile: Readonly<Record<string, string>> = {
  validate: "WRONG",
  render: "WRONG",
  "render --check": "WRONG",
  lock: "WRONG",
  "lock --check": "WRONG",
  "lock --outdated": "WRONG",
  fetch: "WRONG",
  image: "WRONG",
  "image --trial": "WRONG",
  "user-data": "WRONG --node npu-1",
};
const looksAtSomethingElse: Readonly<Record<string, string>> = {
  check: "WRONG --host root@127.0.0.1:1",
  "check --image": "-p WRONG",
  doctor: "WRONG",
  diff: "2cards WRONG",
  "catalog ls": "-p WRONG",
  "catalog show": "current -p WRONG",
  "catalog promote": "current -p WRONG",
  "catalog share": "current --with 0123456789abcdef0123456789abcdef -p WRONG",
  "catalog copy": "current --to cn-east-3 --agency a -p WRONG",
  "catalog import": "out/2cards -p WRONG",
  "catalog prune": "-p WRONG",
  "catalog leftovers": "-p WRONG",
  "ecs create": "--image current --name npu-1 --flavor f -p WRONG",
  "rollout plan": "--image current --to pool=ci -p WRONG",
  "rollout run": "--image current --to pool=ci -p WRONG",
  "rollout node": "npu-1 --image current -p WRONG",
  pipeline: "WRONG --queue q --flavor f",
};
/** Or not at once: `store prune` reads the lock of a profile alone (json.test.ts), `rollout stop` first the journal of a rollout. */
const takesNoProfile = [
  ...[
    "init",
    "ls",
    "store ls",
    "store verify",
    "store prune",
    "cache harvest",
    "cache build",
    "rollout status",
    "rollout stop",
    "explain",
    "completion",
  ],
];

const words = (commands: Readonly<Record<string, string>>): string[] =>
  Object.keys(commands).map((each) => each.replace(/ --.*$/, ""));

test("every command is in one of the lists, and the page has the rule with these names", async () => {
  const { stdout } = await bake("completion", "bash");
  const all = [...stdout.matchAll(/^ {4}'([a-z][a-z -]*)'\)$/gm)].map(([, name = ""]) => name);
  expect(all.length).toBeGreaterThan(25);
  expect(
    [...new Set([...words(looksAtTheProfile), ...words(looksAtSomethingElse), ...takesNoProfile])].toSorted(),
  ).toEqual(all.toSorted());
  const [, section = ""] =
    /\n## Exit codes\n([^]*?)\n## /.exec(readFileSync(join(root, "docs/errors.md"), "utf8")) ?? [];
  const named = (line: RegExp): string[] =>
    [...(line.exec(section)?.[0] ?? "").matchAll(/`([a-z-]+)`/g)].map(([, name = ""]) => name).toSorted();
  const verbs = (commands: Readonly<Record<string, string>>): string[] =>
    [...new Set(words(commands).map((each) => each.split(" ")[0] ?? ""))].toSorted();
  expect(named(/^- .*look at the profile/m)).toEqual(verbs(looksAtTheProfile));
  expect(named(/^- .*look at hosts/m)).toEqual(verbs(looksAtSomethingElse));
});

test("a profile with errors, and one that is not there", async () => {
  const asked = [
    ...Object.entries(looksAtTheProfile).map(([command, rest]) => ({ line: `${command} ${rest}`, code: 1 })),
    ...Object.entries(looksAtSomethingElse).map(([command, rest]) => ({ line: `${command} ${rest}`, code: 2 })),
  ];
  await mapLimited(asked, 4, async ({ line, code }) => {
    const found = await bake(...line.replace("WRONG", "wrong").split(" "));
    expect({ line, code: found.status }).toEqual({ line, code });
    expect(found.stderr, line).toContain("error[BK103]: ");
    const none = await bake(...line.replace("WRONG", "no-such-one").split(" "));
    expect({ line, code: none.status }).toEqual({ line, code: 2 });
    expect(none.stderr, line).toMatch(/error\[BK(?:100|520)\]/);
  });
  expect(readdirSync(folder)).not.toContain("out");
}, 240_000);

test("each command's help has examples and exit codes", async () => {
  const { stdout } = await bake("--help");
  const commands = [...stdout.matchAll(/^ {2}([a-z-]+) (?:\[|<| )/gm)]
    .map(([, name = ""]) => name)
    .filter((name) => name !== "help");
  expect(commands.length).toBeGreaterThan(15);
  await mapLimited(commands, 4, async (name) => {
    const { status, stdout: help } = await bake(name, "--help");
    expect(status, name).toBe(0);
    expect(help, name).toMatch(new RegExp(`\\nExamples:\\n {4}.*bake ${name}\\b[^]*\\n\\nExit codes: 0 [^]*2 `));
  });
}, 120_000);
