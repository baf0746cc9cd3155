/** Rules that rewrite git's URLs, as git itself reads them, and the check that a node proves them by. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { isGitPrefix } from "../../src/profile/git-rewrites.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { readProfile, render } from "../plan-of.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-git-rewrites-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = readProfile();
const made = (network: Partial<Profile["network"]>) => {
  const plan = planFor({ name: "site", profile: { ...base, network: { ...base.network, ...network } } });
  const { files } = render(plan);
  return { plan, config: files.find(({ path }) => path === "node/etc/gitconfig")?.content };
};
const proxy = "https://gh-proxy.example.com/https://github.com/";

describe("what git URLs begin with", () => {
  it.each([
    "https://github.com/",
    "gh:",
    "http://git.example.com:8080/a/b/",
    "git@github.com:",
    "git@github.com:org/",
    "gitee.com:",
    "ssh://git@github.com/",
    "ssh://git@github.com:2222/org",
    "ssh://github.com/",
    "git://github.com/",
    "ssh://git@[2001:db8::1]:22/",
    "git@[2001:db8::1]:",
  ])("%s can be", (text) => expect(isGitPrefix(text)).toBe(true));

  it.each([
    "",
    "https://",
    "https:",
    "ssh:",
    "https://github.com",
    "ssh://git@github.com",
    "git@",
    "git@github.com",
    "github.com",
    "ftp://github.com/",
    "https://git@github.com/",
    "https://user:password@github.com/",
    "ssh://token123@github.com/",
    "token123@github.com:",
    "ssh://git@github.com:99999/",
    "https://github.com:0/",
    "https://git hub.com/",
    'https://github.com/"',
    "https://github.com/\n",
    "https://github.com/\\",
    "https://github.com/'x",
    "-git@github.com:",
    "git@github.com:a b",
    "git@github.com:]\n[core]",
    "https://github.com/?token=x#y\t",
    "git@../x:",
  ])("%j cannot be", (text) => expect(isGitPrefix(text)).toBe(false));
});

describe("git", () => {
  const { plan, config } = made({
    gitProxy: { for: "https://github.com/", via: proxy },
    gitRewrites: [
      { for: ["git@github.com:", "ssh://git@github.com/", "https://github.com/own/"], via: proxy },
      { for: ["https://gitee.com/"], via: "https://git.example.com/a;b,(c)*[d]&e=$HOME%20`id`/" },
    ],
  });
  const home = join(folder, "home");
  mkdirSync(home);
  const env = (system = config): NodeJS.ProcessEnv => {
    writeFileSync(join(folder, "gitconfig"), system ?? "");
    return {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      GIT_CONFIG_SYSTEM: join(folder, "gitconfig"),
      GIT_CONFIG_NOSYSTEM: "0",
    };
  };
  const rewritten = (url: string): string =>
    execFileSync("git", ["ls-remote", "--get-url", url], { cwd: folder, encoding: "utf8", env: env() }).trimEnd();

  it.each([
    ["https://github.com/org/repo.git", `${proxy}org/repo.git`],
    ["git@github.com:org/repo.git", `${proxy}org/repo.git`],
    ["ssh://git@github.com/org/repo.git", `${proxy}org/repo.git`],
    // The longer beginning counts.
    ["https://github.com/own/repo", `${proxy}repo`],
    ["https://gitee.com/org/repo", "https://git.example.com/a;b,(c)*[d]&e=$HOME%20`id`/org/repo"],
    ["ssh://git@github.com:2222/org/repo", "ssh://git@github.com:2222/org/repo"],
    ["git@gitee.com:org/repo", "git@gitee.com:org/repo"],
  ])("%s becomes %s", (from, to) => expect(rewritten(from)).toBe(to));

  const check = String(plan.checks.find(({ id }) => id === "git-rewrites")?.resource[2]["exec"]).replaceAll(
    "HOME=/root",
    `HOME=${home}`,
  );
  const checked = (system?: string) => {
    const { status, stdout } = spawnSync("sh", ["-c", check], { cwd: folder, encoding: "utf8", env: env(system) });
    return { status, stdout };
  };

  it("is proven by the node's check", () => expect(checked()).toEqual({ status: 0, stdout: "" }));

  it.each([
    ["without the rules", () => "", "git@github.com:\n"],
    [
      "with a second rule for the same beginning",
      () => `${config}[url "https://other.example.com/"]\n\tinsteadOf = ssh://git@github.com/\n`,
      "ssh://git@github.com/\n",
    ],
    [
      "with a rule that beats it",
      () => `${config}[url "https://other.example.com/"]\n\tinsteadOf = https://gitee.com/owner/\n`,
      "https://gitee.com/\n",
    ],
  ])("%s the check names the beginning", (_title, system, named) =>
    expect(checked(system())).toEqual({ status: 1, stdout: named }),
  );

  it("one rule of its proxy is written as before, and none without", () => {
    expect(
      made({ gitProxy: { for: "https://github.com/", via: proxy } })
        .config?.split("\n")
        .slice(1),
    ).toEqual([`[url "${proxy}"]`, '\tinsteadOf = "https://github.com/"', "# End of what bake made.", ""]);
    expect(made({ gitProxy: undefined }).config).toBeUndefined();
    const further = made({
      gitProxy: undefined,
      gitRewrites: [{ for: ["git@github.com:"], via: "https://github.com/" }],
    });
    expect(further.config).toContain('insteadOf = "git@github.com:"');
    expect(further.plan.checks.map(({ id }) => id)).not.toContain("git-proxy");
    expect(further.plan.destinations.map(({ host }) => host)).toContain("github.com");
  });
});
