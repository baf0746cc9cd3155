import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readSecrets } from "../../src/profile/secret-values.ts";

const of = async (text: string, mode = 0o600) =>
  readSecrets(
    { agentToken: { file: "~/token" } },
    {
      environment: { HOME: "/home/somebody" },
      readFile: async (path) => {
        expect(path).toBe("/home/somebody/token");
        return { text, mode };
      },
    },
  );

describe("an agent token", () => {
  test.each([
    "bkct_xK3fGGhhY5tR6uW1",
    "bkct_9aB-XxxK3fGG",
    "replaceable0token",
    "0123456789abcdef0123456789abcdef01234567",
  ])("%s is one", async (token) => {
    expect(await of(`${token}\n`)).toEqual({ values: { agentToken: token }, problems: [], warnings: [] });
  });

  test.each([
    ["", "is empty"],
    ["bkct_xxx", "is a placeholder"],
    ["bkct_xxx.xxxoxxxxxxx", "is a placeholder"],
    ["bkct_XXXX-XXXX", "is a placeholder"],
    ["ghp_EXAMPLE0123456789EXAMPLE0123456789", "holds a GitHub token, not an agent token"],
    ["github_pat_EXAMPLE0123456789", "holds a GitHub token"],
    ["glpat-EXAMPLE0123456789", "holds a GitLab token"],
    ["hf_EXAMPLE0123456789012", "holds a Hugging Face token"],
    ["bkua_EXAMPLE0123456789", "holds a Buildkite API token of a user"],
    ["<token>", "is a placeholder"],
    ["your-token", "is a placeholder"],
    ["$BUILDKITE_AGENT_TOKEN", "is a placeholder"],
    ['"bkct_EXAMPLE0000"', "stands in quotes"],
    ["BUILDKITE_AGENT_TOKEN=bkct_EXAMPLE0000", "looks like NAME=value"],
    ["two words", "holds blanks"],
    ["\u001b[200~bkct_EXAMPLE0000", "holds other characters"],
    ["bkct_EXAMPLE0000\u200b", "holds other characters"],
    ["b\0k\0c\0t\0", "holds other characters"],
  ])("%j: %s", async (text, problem) => {
    const { values, problems } = await of(text);
    expect(values).toEqual({});
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
    expect(problems.join()).not.toContain("EXAMPLE");
  });
});

test.each([
  ["ghp_EXAMPLE0123456789", undefined],
  ["glpat-EXAMPLE0123456789", undefined],
  ["0123456789abcdef0123456789abcdef01234567", undefined],
  ["bkct_EXAMPLE0123456789", "secrets.gitToken: variable GIT holds a Buildkite token, not one of a git server"],
])("a git token %j: %s", async (text, problem) => {
  const { problems } = await readSecrets({ gitToken: { env: "GIT" } } as Parameters<typeof readSecrets>[0], {
    environment: { GIT: text },
    readFile: () => Promise.reject(new Error("no file is named")),
  });
  expect(problems).toEqual(problem === undefined ? [] : [problem]);
});

describe("a node key", () => {
  const key = (passphrase: string, ...options: string[]): string => {
    const folder = mkdtempSync(join(tmpdir(), "bake-key-"));
    try {
      execFileSync("ssh-keygen", [
        "-q",
        "-t",
        "rsa",
        "-b",
        "2048",
        "-N",
        passphrase,
        "-f",
        join(folder, "key"),
        ...options,
      ]);
      return readFileSync(join(folder, "key"), "utf8");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  const read = (text: string) =>
    readSecrets(
      { agentToken: { env: "T" }, nodeKey: { file: "key" } },
      { environment: { T: "bkct_EXAMPLE0000" }, readFile: async () => ({ text, mode: 0o600 }) },
    );

  test("without a passphrase, in both forms of ssh-keygen, with either kind of line ends", async () => {
    for (const text of [key(""), key("", "-m", "PEM")]) {
      expect((await read(text)).problems).toEqual([]);
      expect((await read(text.replaceAll("\n", "\r\n"))).values.nodeKey).toBe(text);
    }
  });

  test("with a passphrase, cut off, or the public half", async () => {
    for (const text of [key("secret"), key("secret", "-m", "PEM")]) {
      expect((await read(text)).problems).toEqual([
        "secrets.nodeKey: key is encrypted; a node cannot type its passphrase",
      ]);
    }
    for (const text of [key("").slice(0, 400), "ssh-rsa AAAAB3 me@here"]) {
      expect((await read(text)).problems).toEqual(["secrets.nodeKey: key is no private key as ssh-keygen writes it"]);
    }
  });
});

test("proxy credentials: any password, but no placeholder", async () => {
  const read = (value: string) =>
    readSecrets(
      { agentToken: { env: "T" }, proxyCredentials: { env: "P" } },
      { environment: { T: "bkct_EXAMPLE0000", P: value }, readFile: async () => ({ text: "", mode: 0 }) },
    );
  expect((await read("bob:p@ss:w/rd#%")).values.proxyCredentials).toBe("bob:p@ss:w/rd#%");
  for (const value of ["bob", ":x", "<user>:<password>", "bob:a\nb"])
    expect((await read(value)).problems).toHaveLength(1);
});

test("the password of a base is none of a node's: user-data does not ask for it", async () => {
  const reader = { environment: { TOKEN: "bkct_EXAMPLE0000" }, readFile: () => Promise.reject(new Error("not asked")) };
  expect(await readSecrets({ agentToken: { env: "TOKEN" }, basePassword: { env: "NOT_SET" } }, reader)).toEqual({
    values: { agentToken: "bkct_EXAMPLE0000" },
    problems: [],
    warnings: [],
  });
});
