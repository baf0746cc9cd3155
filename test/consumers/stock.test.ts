/** Stock user-data and the archive it names, read by what reads them on a host. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { toTar } from "../../src/formats/tar.ts";
import { nodeArchive, stockInstanceUserData, stockTemplateNames } from "../../src/render/stock.ts";
import type { Templates } from "../../src/render/templates.ts";
import { userDataLimit } from "../../src/profile/user-data-limit.ts";
import { sizes } from "../../src/render/user-data-forms.ts";
import { root } from "../../src/host/root.ts";
import { cloudConfigProblems } from "../cloud-config-schema.ts";
import { render, trialPlan } from "../plan-of.ts";
import { verifyUnits } from "../systemd-verify.ts";
import { needs } from "../needs.ts";

const plan = trialPlan();
const rendered = render(plan);
const { files } = rendered;
const templates: Templates = Object.fromEntries(
  stockTemplateNames.map((name) => [name, readFileSync(join(root, name), "utf8")]),
);
const userData = (mirror = "http://mirror.example.com/bake/"): string =>
  stockInstanceUserData(
    plan,
    templates,
    { agentToken: "bkct_EXAMPLE", authorizedKeys: [], environment: {}, hostname: "npu-0008" },
    { mirror, rendered },
  );
interface Written {
  readonly write_files: readonly { readonly path: string; readonly permissions: string; readonly content: string }[];
}
const written = (text: string, path: string): string =>
  (parse(text) as Written).write_files.find((file) => file.path === path)?.content ?? "";

let folder = "";
let server: Server;
let port = 0;
/** What the mirror gives for everything. */
let answer: Buffer = Buffer.alloc(0);
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-stock-"));
  server = createServer((_request, response) => response.end(answer));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

needs("cloud-init's schema").test("is what is expected, and cloud-init's schema accepts it", async () => {
  await expect(userData()).toMatchFileSnapshot(join(root, "test/golden/2cards/stock.yaml"));
  expect(cloudConfigProblems(parse(userData()))).toBe("");
  expect(sizes(userData()).plain).toBeLessThan(userDataLimit / 4);
});

test("its script is clean under shellcheck, its unit under systemd-analyze", () => {
  const script = join(folder, "bake-stock");
  writeFileSync(script, written(userData(), "/var/lib/bake/stock/bake-stock"));
  expect(execFileSync("shellcheck", [script], { encoding: "utf8" })).toBe("");
  const content = written(userData(), "/etc/systemd/system/bake-stock.service");
  expect(verifyUnits([{ name: "bake-stock.service", content }])).toBe("");
});

test("tar unpacks the archive into what a bake uploads", () => {
  const archive = join(folder, "node.tar");
  const into = join(folder, "unpacked");
  mkdirSync(into);
  writeFileSync(archive, nodeArchive(rendered));
  execFileSync("tar", ["--extract", "--file", archive, "--directory", into]);
  // A stock image has found its user-data: nobody tells it another place.
  const datasource = "etc/cloud/cloud.cfg.d/90_bake.cfg";
  const uploaded = files.filter(({ path }) => /^(node|provision)\//.test(path) && path !== `node/${datasource}`);
  expect(uploaded.length).toBeGreaterThan(50);
  for (const { path, content } of uploaded) {
    const expected = path === "provision/files.tsv" ? content.replace(`node\t0644\t/${datasource}\n`, "") : content;
    expect(readFileSync(join(into, path.replace(/^provision\//, "")), "utf8"), path).toBe(expected);
  }
  const listed = execFileSync("tar", ["--list", "--verbose", "--numeric-owner", "--file", archive], {
    encoding: "utf8",
    env: { ...process.env, TZ: "UTC" },
  }).trimEnd();
  expect(listed.split("\n")).toHaveLength(uploaded.length);
  for (const line of listed.split("\n")) expect(line).toMatch(/^-rw-r--r-- 0\/0 +\d+ 1970-01-01 00:00 \S/);
});

test("paths that an archive cannot hold, or should not, are refused", () => {
  const long = `${"a".repeat(120)}/${"b".repeat(100)}`;
  expect(
    toTar([{ path: long, content: "x" }])
      .subarray(345, 347)
      .toString(),
  ).toBe("aa");
  for (const path of ["/etc/passwd", "../up", "a/../b", "a/./b", "tab\there", "a".repeat(101), "ü"]) {
    expect(() => toTar([{ path, content: "" }]), path).toThrow(RangeError);
  }
});

/** Runs the script on folders of the test's own. */
const run = async (environment: Record<string, string> = {}): Promise<{ code: number | null; output: string }> => {
  const text = userData(`http://127.0.0.1:${port}`);
  const stock = join(folder, "stock");
  mkdirSync(stock, { recursive: true });
  writeFileSync(join(stock, "stock.env"), written(text, "/var/lib/bake/stock/stock.env"));
  const script = join(stock, "bake-stock");
  writeFileSync(
    script,
    written(text, "/var/lib/bake/stock/bake-stock")
      .replaceAll("/var/lib/bake/stock", stock)
      .replaceAll("/var/tmp/bake", join(folder, "work")),
  );
  const child = spawn("bash", [script], { env: { ...process.env, no_proxy: "*", ...environment } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
  return { code: await new Promise((done) => child.on("exit", done)), output };
};

test("node's files that are not those of the digest are never unpacked", async () => {
  answer = toTar([{ path: "provision.sh", content: `#!/bin/sh\ntouch ${join(folder, "ran")}\n` }]);
  const { code, output } = await run();
  expect(code).toBe(1);
  const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
  expect(output).toBe(
    [
      `bake-stock: fetching the node's files from http://127.0.0.1:${port}`,
      `bake-stock: the node's files do not match their digest: expected sha256 ${digest(nodeArchive(rendered))}, found ${digest(answer)}; tried again in 30 s`,
      "",
    ].join("\n"),
  );
  expect(() => readFileSync(join(folder, "ran"))).toThrow("ENOENT");
});

test("a host of another processor says so in one line, once, and is left as it is", async () => {
  answer = toTar([{ path: "provision.sh", content: `#!/bin/sh\ntouch ${join(folder, "ran")}\n` }]);
  rmSync(join(folder, "stock"), { recursive: true, force: true });
  const bin = join(folder, "other");
  mkdirSync(bin);
  writeFileSync(join(bin, "uname"), "#!/bin/sh\necho aarch64\n", { mode: 0o755 });
  const { code, output } = await run({ PATH: `${bin}:${process.env["PATH"]}` });
  expect(code).toBe(78);
  expect(output).toBe(
    "bake-stock: this user-data is for x86_64, this host is aarch64: nothing was changed; make user-data from a profile for aarch64\n",
  );
  expect(existsSync(join(folder, "ran"))).toBe(false);
  // systemd does not start it again.
  expect(written(userData(), "/etc/systemd/system/bake-stock.service")).toContain("RestartPreventExitStatus=78\n");
});
