/** Files of the machine that bakes, on their way from beside the profile to the node. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readLocalFile } from "../../src/commands/local-file.ts";
import { planFor } from "../../src/commands/plan.ts";
import { caCertificates } from "../../src/profile/ca-certificates.ts";
import { largestLocalFile } from "../../src/profile/local-files.ts";
import { nodeArchive } from "../../src/render/stock.ts";
import { writeTree } from "../../src/render/write.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { certificatesFor } from "../huaweicloud/certificates.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";
import { runBake, userIn } from "./run-bake.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-local-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (path: string): string => join(folder, path);

const hook = "#!/bin/bash\necho 队列\n";
const motd = Buffer.from("\ufeffWelcome\r\n");
/** Every byte there is: no text in any encoding. */
const binary = Buffer.from(Array.from({ length: 256 }, (_, byte) => 255 - byte));
const [one, other] = ["one.example", "other.example"].map((name) =>
  readFileSync(certificatesFor(name).authority, "utf8"),
) as [string, string];

mkdirSync(at("profiles/site/files"), { recursive: true });
writeFileSync(at("profiles/site/files/hook"), hook);
writeFileSync(at("profiles/site/files/motd"), motd);
writeFileSync(at("profiles/site/files/tool"), binary);
writeFileSync(at("profiles/site/ca.pem"), `of the site\r\n${one.replaceAll("\n", "\r\n")}\n${other}`);
writeFileSync(
  at("profiles/site/base.yaml"),
  `extends: 2cards
network: { caCertificates: [ { from: ca.pem } ] }
files:
  - { from: ./files/tool, path: /opt/site/tool, mode: "0755" }
  - { from: files/motd, path: /opt/site/motd }
  - { from: ${at("profiles/site/files/hook")}, path: /root/.buildkite-agent/hooks/pre-command, mode: "0755" }
`,
);
writeFileSync(at("profiles/site.yaml"), "extends: site/base.yaml\n");

/** As a trial bakes it: it has a lock of its own here, and the files stay. */
const planned = () => {
  const profile = readProfile(at("profiles/site.yaml"));
  return render(planFor({ name: "site", profile: substitute(profile).profile, lock: trialLock, trial: true }));
};

test("their bytes are what is rendered, in the archive of stock hosts, and a part of the bake id", async () => {
  const before = planned();
  await writeTree(at("out"), before.files);
  expect(readFileSync(at("out/node/opt/site/tool"))).toEqual(binary);
  expect(readFileSync(at("out/node/opt/site/motd"))).toEqual(motd);
  expect(readFileSync(at("out/node/root/.buildkite-agent/hooks/pre-command"), "utf8")).toBe(hook);
  expect(readFileSync(at("out/provision/files.tsv"), "utf8")).toContain("0755\t/opt/site/tool\n");
  expect(await writeTree(at("out"), planned().files)).toEqual([]);
  writeFileSync(at("archive.tar"), nodeArchive(before));
  expect(execFileSync("tar", ["--extract", "--to-stdout", "--file", at("archive.tar"), "node/opt/site/tool"])).toEqual(
    binary,
  );
  writeFileSync(at("profiles/site/files/tool"), binary.toReversed());
  const after = planned();
  expect(after.bakeId).not.toBe(before.bakeId);
  expect(await writeTree(at("out"), after.files)).toContain("node/opt/site/tool");
  writeFileSync(at("profiles/site/files/tool"), binary);
  expect(planned().bakeId).toBe(before.bakeId);
});

test("a file of authorities may hold a chain, words, and the ends of lines of another system", () => {
  expect(caCertificates(readProfile(at("profiles/site.yaml")))).toEqual([one, other]);
  const content = planned().files.find(({ path }) => path === "node/etc/bake/ca.pem")?.content;
  expect(content).toBe(`${one}${other}`);
});

test("on the command line: explained with its digest, shown when it changed, and refused with its place", async () => {
  const options = userIn(folder, {});
  const explained = await runBake(["validate", "site", "--explain"], options);
  expect(explained.stderr).toBe("");
  expect(explained.stdout).toContain("sha256");
  expect((await runBake(["render", "site"], options)).status).toBe(0);
  expect(readFileSync(at("out/site/node/opt/site/tool"))).toEqual(binary);
  writeFileSync(
    at("profiles/other.yaml"),
    `extends: site.yaml\nfiles: [{ from: tool, path: /opt/site/tool, mode: "0755" }]\n`,
  );
  writeFileSync(at("profiles/tool"), Buffer.from([...binary].toReversed()));
  const compared = await runBake(["diff", "site", "other"], options);
  expect(compared.stdout, compared.stderr).toMatch(
    /-no text, sha256 [0-9a-f]{64}\n\s*\+no text, sha256 [0-9a-f]{64}$/m,
  );
  writeFileSync(at("profiles/site/files/tool"), "now a text\n");
  const { status, stdout } = await runBake(["render", "site", "--check"], options);
  expect(status).toBe(1);
  expect(stdout).toContain("out/site/node/opt/site/tool");
  rmSync(at("profiles/site/files/tool"));
  const refused = await runBake(["validate", "site"], options);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("error[BK153]: profiles/site/files/tool is not there");
  expect(refused.stderr).toContain("--> profiles/site/base.yaml:4:13");
  writeFileSync(at("profiles/site/files/tool"), binary);
}, 120_000);

test("what is no small plain file is refused before it is read", () => {
  execFileSync("mkfifo", [at("pipe")]);
  writeFileSync(at("large"), "");
  truncateSync(at("large"), largestLocalFile);
  expect(readLocalFile(at("large"))).toBeInstanceOf(Uint8Array);
  truncateSync(at("large"), largestLocalFile + 1);
  expect(readLocalFile(at("large"))).toMatchObject({ why: "has 1048577 bytes: 1048576 are the most" });
  expect(readLocalFile(at("pipe"))).toMatchObject({ why: "is no plain file" });
  expect(readLocalFile("/dev/zero")).toMatchObject({ why: "is no plain file" });
  expect(readLocalFile(at("profiles"))).toMatchObject({ why: "is a folder" });
  expect(readLocalFile(at("larg"))).toMatchObject({ why: "is not there", help: `did you mean ${at("large")}?` });
  expect(readLocalFile(at("large/x"))).toMatchObject({ why: "is not there" });
});
