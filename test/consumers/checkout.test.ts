/** The repository of the check's jobs against git itself, of whatever version is here. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkedOutFile, checkoutCommit } from "../../src/check/checkout/repository.ts";
import { type CheckoutSource, checkoutEnvironment, startCheckoutSource } from "../../src/check/checkout/source.ts";

const named = "https://github.com/bake/check.git";
const via = "https://git-proxy.invalid/https://github.com/";
let folder: string;
let source: CheckoutSource | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-checkout-"));
});
afterEach(async () => {
  await source?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** git as a job of the node runs it, with the node's rule. */
const start = async (rewritten: string, gitConfig: string) => {
  const from = await startCheckoutSource(rewritten);
  source = from;
  writeFileSync(join(folder, ".gitconfig"), gitConfig);
  const env = { PATH: process.env["PATH"], HOME: folder, GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0" };
  return async (...args: string[]): Promise<string> => {
    const { execFile } = await import("node:child_process");
    const { promisify } = await import("node:util");
    const { stdout } = await promisify(execFile)("git", args, {
      env: { ...env, ...checkoutEnvironment(from, "127.0.0.1") },
      timeout: 30_000,
    });
    return stdout.trim();
  };
};

const rule = (prefix: string): string => `[url "${prefix}"]\n\tinsteadOf = https://github.com/\n`;

test.each([
  ["the guide's flags", ["--depth=1"], via],
  ["the agent's own flags", ["-v"], via],
  ["a partial clone", ["--filter=blob:none", "--no-tags"], via],
  ["a proxy by plain http", ["--depth=1"], "http://git-proxy.invalid/github.com/"],
])("git clones through the rule, with %s", async (_title, flags, prefix) => {
  const git = await start(`${prefix}bake/check.git`, rule(prefix));
  const checkout = join(folder, "checkout");
  await git("clone", ...flags, "--", named, checkout);
  expect(await git("-C", checkout, "rev-parse", "HEAD")).toBe(checkoutCommit);
  expect(readFileSync(join(checkout, checkedOutFile.name), "utf8")).toBe(checkedOutFile.content);
  expect(await git("-C", checkout, "fsck", "--strict")).toBe("");
  // The second job of an agent fetches into the same folder.
  await git("-C", checkout, "fetch", "--depth=1", "--", "origin", checkoutCommit);
  await git("-C", checkout, "fetch", "-v", "--prune", "--", "origin", checkoutCommit);
  await git("-C", checkout, "checkout", "-f", checkoutCommit);
  expect(source?.elsewhere()).toEqual([]);
});

test("a rule that is not there, or another one, does not reach the repository, and is told by its URL", async () => {
  const git = await start(`${via}bake/check.git`, "");
  await expect(git("clone", named, join(folder, "a"))).rejects.toThrow();
  expect(source?.elsewhere()).toEqual([`${named}/info/refs?service=git-upload-pack`]);
  writeFileSync(join(folder, ".gitconfig"), rule("https://other.invalid/"));
  await expect(git("clone", named, join(folder, "a"))).rejects.toThrow();
  expect(source?.elsewhere()[1]).toBe("https://other.invalid/bake/check.git/info/refs?service=git-upload-pack");
});

test("the certificate is one that openssl reads and that has signed itself", async () => {
  const { selfSigned } = await import("../../src/check/checkout/certificate.ts");
  const { cert } = selfSigned("bake check");
  const file = join(folder, "cert.pem");
  writeFileSync(file, cert);
  expect(execFileSync("openssl", ["x509", "-in", file, "-noout", "-subject"]).toString()).toContain("bake check");
  expect(spawnSync("openssl", ["verify", "-CAfile", file, "-check_ss_sig", file]).stdout.toString()).toContain("OK");
});
