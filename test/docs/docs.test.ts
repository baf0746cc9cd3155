/** Pages and files that are made from the code, and what pages say by hand about it. `npm test -- -u` rewrites the former. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
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
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import * as YAML from "yaml";
import { errorCodes } from "../../src/error-codes.ts";
import { profileSchema } from "../../src/profile/json-schema.ts";
import { root } from "../../src/host/root.ts";
import { withoutCase } from "../negative/codes.ts";
import { reportOf } from "../negative/reports.ts";
import { planFor } from "../../src/commands/plan.ts";
import { certificatesFor } from "../huaweicloud/certificates.ts";
import { readProfile, render, unlockedPlan } from "../plan-of.ts";
import { roomMap } from "../rooms.ts";
import { errorsPage } from "./errors-page.ts";
import { guidePage } from "./guide-page.ts";
import { policyPage } from "./policy-page.ts";
import { profilePage } from "./profile-page.ts";

test("docs/errors.md", async () => {
  await expect(errorsPage()).toMatchFileSnapshot(join(root, "docs/errors.md"));
});

test("docs/guide.md", async () => {
  const profile = readProfile(join(root, "test/golden/everything/profile.yaml"));
  const { checks } = planFor({ name: "everything", profile });
  await expect(guidePage(checks)).toMatchFileSnapshot(join(root, "docs/guide.md"));
});

test("docs/profile.md", async () => {
  await expect(profilePage()).toMatchFileSnapshot(join(root, "docs/profile.md"));
});

test("docs/huaweicloud-policy.md", async () => {
  await expect(policyPage()).toMatchFileSnapshot(join(root, "docs/huaweicloud-policy.md"));
});

test("schema/profile.schema.json", async () => {
  await expect(`${JSON.stringify(profileSchema(), null, 2)}\n`).toMatchFileSnapshot(
    join(root, "schema/profile.schema.json"),
  );
});

test("CONTRIBUTING.md's map of the rooms", async () => {
  const page = join(root, "CONTRIBUTING.md");
  const made = readFileSync(page, "utf8").replace(
    /(<!-- rooms: [^\n]*-->\n\n)[\s\S]*?(\n?<!-- end of rooms -->)/,
    (_, start: string) => `${start}${roomMap()}\n<!-- end of rooms -->`,
  );
  expect(made).toContain(roomMap());
  await expect(made).toMatchFileSnapshot(page);
});

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && path !== "error-codes.ts")
  .map((path) => readFileSync(join(root, "src", path), "utf8"))
  .join("\n");

test("every code that is used is explained, and none besides", () => {
  const used = new Set(sources.match(/(?<=")BK\d{3}(?=")/g) ?? []);
  expect(Object.keys(errorCodes).toSorted()).toEqual([...used].toSorted());
});

test("every code of a profile has an example from a case that is tested", () => {
  const page = errorsPage();
  for (const code of Object.keys(errorCodes).filter((each) => each.startsWith("BK1") && !(each in withoutCase))) {
    expect(page, code).toMatch(new RegExp(`^    (error|warning)\\[${code}\\]: `, "m"));
  }
});

test("docs/hosts.md names tests and checks that there are", () => {
  const page = readFileSync(join(root, "docs/hosts.md"), "utf8");
  const tests = new Set(
    readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" }).flatMap((path) => [path, basename(path)]),
  );
  const named = [...page.matchAll(/`(?:test\/)?([\w/-]+\.test\.ts)`/g)].map(([, path = ""]) => path);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !tests.has(path))).toEqual([]);
  const [, told = ""] = /## What a first real run tells([\s\S]*?)\n## /.exec(page) ?? [];
  const asked = [...told.matchAll(/^\|.*\| (.*) \|$/gm)]
    .flatMap(([, cell = ""]) => [...cell.matchAll(/`([a-z0-9-]+)`/g)])
    .map(([, id = ""]) => id);
  const ids = new Set(unlockedPlan().checks.map(({ id }) => id));
  expect(asked.length).toBeGreaterThan(15);
  expect(asked.filter((id) => !ids.has(id))).toEqual([]);
});

/** Pictures aside. */
const pagesOfDocs = readdirSync(join(root, "docs"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name}`);

/** Lines of examples that call bake: the page, the command, and what stands behind it. */
const examples = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", ...pagesOfDocs].flatMap((page) =>
  [...readFileSync(join(root, page), "utf8").matchAll(/(?:^ {4}|`)(?:\.\/bin\/)?bake ([a-z-]+)([^\n`#|]*)/gm)].map(
    ([, command = "", rest = ""]) => ({ page, command, rest }),
  ),
);

test("every command and option in the pages is one that bake has", () => {
  const help = (...args: string[]): string =>
    execFileSync(join(root, "bin/bake"), [...args, "--help"], { encoding: "utf8", cwd: root });
  const commands = [...help().matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name ?? "");
  // Options of a command's own commands stand in their help.
  const withInner = (name: string): string => {
    const page = help(name);
    const inner = /^Commands:\n([\s\S]*)/m.exec(page)?.[1] ?? "";
    const names = [...inner.matchAll(/^ {2}([a-z-]+) /gm)].map(([, each]) => each ?? "");
    return [page, ...names.filter((each) => each !== "help").map((each) => help(name, each))].join("\n");
  };
  const pages = new Map(commands.map((name) => [name, withInner(name)]));
  expect(examples.length).toBeGreaterThan(30);
  for (const { page, command, rest } of examples) {
    expect(commands, `${page}: bake ${command}${rest}`).toContain(command);
    for (const [option] of rest.matchAll(/(?<![\w-])--[a-z-]+/g)) {
      expect(pages.get(command), `${page}: bake ${command}${rest}`).toMatch(new RegExp(`${option}(?![a-z-])`));
    }
  }
});

/** Indented lines of a page that call bake or its tests, without their comments. */
const commandsOf = (page: string): string[] =>
  [...readFileSync(join(root, page), "utf8").matchAll(/^ {4}((?:\.\/bin\/)?(?:bake|test|npm|npx)\b[^\n#]*)/gm)].map(
    ([, line = ""]) => line.trim(),
  );

test("README.zh-CN.md has README's commands, no others, in their order", () => {
  expect(commandsOf("README.zh-CN.md")).toEqual(commandsOf("README.md"));
  expect(commandsOf("README.md").length).toBeGreaterThan(14);
});

test("README.zh-CN.md shows a report as it is made now", () => {
  const { problems } = reportOf("full-width-colon");
  const shown = (problems[0] ?? "").trimEnd().replace(/^(?=.)/gm, "    ");
  expect(readFileSync(join(root, "README.zh-CN.md"), "utf8")).toContain(shown);
});

test("README.zh-CN.md leads to every page that README leads to", () => {
  const linksOf = (page: string): string[] =>
    [
      ...new Set(
        [...readFileSync(join(root, page), "utf8").matchAll(/\]\(([a-z][^)#\s]*|CONTRIBUTING\.md)\)/g)].map(
          ([, to = ""]) => to,
        ),
      ),
    ].toSorted();
  expect(linksOf("README.zh-CN.md")).toEqual(linksOf("README.md"));
});
/** What stands in a page as a command: without its comment, and without where its output goes. */
const commandLines = ["README.md", ...pagesOfDocs].flatMap((page) =>
  [...readFileSync(join(root, page), "utf8").matchAll(/^ {4}(?:\.\/bin\/)?bake (.*)$/gm)].map(([, rest = ""]) => ({
    page,
    args: [
      ...rest
        .replace(/\s+#.*$/, "")
        .replace(/\s+[|>].*$/, "")
        .matchAll(/'([^']*)'|(\S+)/g),
    ].map(([, quoted, word = ""]) => quoted ?? word),
  })),
);

test("every command of the pages is run: those that need nothing end well, of the others everything but the profile is right", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-pages-"));
  try {
    const run = (args: readonly string[]) => {
      const { BAKE_PROFILE: _profile, ...env } = process.env;
      return spawnSync(join(root, "bin/bake"), args, { cwd: folder, encoding: "utf8", env });
    };
    expect(run(["init", "site"]).status).toBe(0);
    rmSync(join(folder, "profiles/site.lock.json"), { force: true });
    const alone = new Set(["ls", "validate", "explain", "render", "completion"]);
    expect(commandLines.length).toBeGreaterThan(25);
    for (const { page, args } of commandLines) {
      const [verb = ""] = args;
      const what = `${page}: bake ${args.join(" ")}`;
      if (verb === "init") expect(run(["init", "another", ...args.slice(2)]).status, what).toBe(0);
      else if (verb === "doctor" && args.length === 1)
        expect(run(["doctor", "--offline"]).status, what).toBeLessThan(2);
      else if (alone.has(verb) || (verb === "rollout" && args[1] === "status")) {
        // What was only just made anew may lack a profile's folder.
        const { status, stderr } = run(args);
        expect(status, `${what}\n${stderr}`).toBe(args.includes("--check") ? 1 : 0);
      } else if (verb === "cache") {
        // It takes no profile: this machine has no such host and no such Dockerfile.
        const { status, stderr } = run(args);
        expect(status, what).toBe(2);
        expect(stderr, what).toMatch(/error\[BK(?:258|301|511|512)\]/);
      } else {
        const { status, stderr } = run(args.map((each) => each.replace(/\b(?:2cards|site)\b(?!\.)/, "no-such-one")));
        expect(status, what).toBe(2);
        expect(stderr, what).toMatch(/error\[BK(?:100|520)\]/);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 240_000);

test("the Buildkite example of many hosts runs: both files are written, the annotation is given, the step ends as the check does", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-step-"));
  try {
    const [, example = ""] =
      /\n {4}steps:\n((?: {6}.*\n)+)/.exec(readFileSync(join(root, "docs/check.md"), "utf8")) ?? [];
    const { steps } = YAML.parse(`steps:\n${example}`) as { steps: { command: string; artifact_paths: string }[] };
    const [step] = steps;
    expect(step?.command).toMatch(/bake check site --host root@a --host root@b --junit checks\.xml/);
    mkdirSync(join(folder, "bin"));
    writeFileSync(join(folder, "bin/buildkite-agent"), '#!/bin/sh\necho "$@" >told\ncat >shown\n', { mode: 0o755 });
    symlinkSync(join(root, "bin/bake"), join(folder, "bin/bake"));
    writeFileSync(join(folder, "site.yaml"), "extends: 2cards\n");
    // The agent's upload makes one dollar of two. Nobody listens at these.
    const command = (step?.command ?? "")
      .replaceAll("$$", "$")
      .replace("root@a", "root@127.0.0.1:1")
      .replace("root@b", "root@127.0.0.1:2");
    const { status, stderr } = spawnSync("bash", ["--norc", "-ec", command], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` },
    });
    expect(status, stderr).toBe(2);
    expect(readFileSync(join(folder, "told"), "utf8")).toBe("annotate --style error --context bake\n");
    expect(readFileSync(join(folder, "shown"), "utf8")).toContain("root@127.0.0.1:2");
    expect(readFileSync(join(folder, step?.artifact_paths ?? ""), "utf8").match(/<testsuite /g)).toHaveLength(2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the example of a site's own authorities, files and git rules is right as it stands", () => {
  const [, example = ""] =
    /## A site's own authorities, files and git rules\n\n((?: {4}.*\n)+)/.exec(profilePage()) ?? [];
  const folder = mkdtempSync(join(tmpdir(), "bake-site-example-"));
  try {
    mkdirSync(join(folder, "files"));
    copyFileSync(certificatesFor("site.example").authority, join(folder, "site-ca.pem"));
    writeFileSync(join(folder, "files/pre-command"), "#!/bin/bash\n");
    writeFileSync(join(folder, "files/site.repo"), "[site]\nname=site\nbaseurl=http://mirror.example.com/\n");
    writeFileSync(join(folder, "site.yaml"), `extends: 2cards\n${example.replace(/^ {4}/gm, "")}`);
    const paths = render(planFor({ name: "site", profile: readProfile(join(folder, "site.yaml")) })).files.map(
      ({ path }) => path,
    );
    for (const path of ["etc/bake/ca/1.crt", "etc/yum.repos.d/site.repo", "root/.buildkite-agent/hooks/pre-command"])
      expect(paths).toContain(`node/${path}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("links between the pages lead somewhere", () => {
  for (const page of ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", ...pagesOfDocs]) {
    const text = readFileSync(join(root, page), "utf8");
    for (const [, target = ""] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      expect(existsSync(join(root, page, "..", target)), `${page}: ${target}`).toBe(true);
    }
  }
});

test("pages that messages name are there", () => {
  const named = new Set(sources.match(/\bdocs\/[\w.-]+\.md\b/g) ?? []);
  expect(named.size).toBeGreaterThan(10);
  for (const page of named) expect(existsSync(join(root, page)), page).toBe(true);
});
