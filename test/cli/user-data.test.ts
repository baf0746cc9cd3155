/** `bake user-data` as a user runs it; what it writes is read by PyYAML and by cloud-init. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cloudConfigProblems } from "../cloud-config-schema.ts";
import { root } from "../../src/host/root.ts";
import { layLockedProfile } from "../locked-profile.ts";
import { needs } from "../needs.ts";

const token = "bkct_EXAMPLEEXAMPLE0001";
const git = "ghp_EXAMPLEEXAMPLE0002";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-user-data-"));
  writeFileSync(join(folder, "token"), `${token}\n`, { mode: 0o600 });
  const base = JSON.stringify(join(root, "profiles/2cards.yaml"));
  writeFileSync(
    join(folder, "p.yaml"),
    `extends: ${base}\nsecrets: { agentToken: { file: token }, gitToken: { env: GIT_FOR_NODES } }\n`,
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bake = (args: readonly string[], env: Record<string, string> = { GIT_FOR_NODES: git }) =>
  spawnSync(join(root, "bin/bake"), ["user-data", "--profile", "p.yaml", ...args], {
    cwd: folder,
    encoding: "buffer",
    env: { ...process.env, ...env },
  });

interface CloudConfig {
  readonly hostname?: string;
  readonly users: readonly { readonly ssh_authorized_keys?: readonly string[] }[];
  readonly write_files: readonly { readonly path: string; readonly permissions: string; readonly content: string }[];
}

const parse = (text: string): CloudConfig =>
  JSON.parse(
    execFileSync("python3", ["-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"], {
      input: text,
      encoding: "utf8",
    }),
  ) as CloudConfig;

test("secrets are in it, from a file and from a variable, and its size is said", () => {
  const { status, stdout, stderr } = bake([]);
  expect(status, stderr.toString()).toBe(0);
  const files = parse(stdout.toString()).write_files;
  expect(files.every(({ permissions }) => permissions === "0600")).toBe(true);
  expect(files.find(({ path }) => path === "/etc/bake/secrets/agent-token")?.content).toBe(`${token}\n`);
  const header = files.find(({ path }) => path === "/root/.gitconfig.d/private")?.content ?? "";
  expect(header).toContain(Buffer.from(`x-access-token:${git}`).toString("base64"));
  expect(stdout.toString()).not.toContain("<secrets.");
  expect(stderr.toString()).toMatch(
    new RegExp(
      `user-data: ${stdout.length} bytes as text, \\d+ as gzip; Huawei Cloud takes 32000 before base64\\. It holds secrets\\.\n$`,
    ),
  );
});

test("gzip and base64 hold the same text, and the same bytes each time", () => {
  const text = bake(["--node", "npu-7", "--no-npus"]).stdout;
  const base64 = bake(["--node", "npu-7", "--no-npus", "--format", "base64"]).stdout;
  const gzip = bake(["--node", "npu-7", "--no-npus", "--format", "gzip"]).stdout;
  expect(gunzipSync(gzip)).toEqual(text);
  expect(base64.toString()).toBe(`${gzip.toString("base64")}\n`);
  expect(parse(text.toString())).toMatchObject({ hostname: "npu-7" });
  expect(parse(text.toString()).write_files.find(({ path }) => path === "/etc/bake/instance.env")?.content).toBe(
    'BAKE_ABSENT="npu"\n',
  );
});

needs("cloud-init's schema").test("cloud-init's schema accepts it, with a name and keys", () => {
  writeFileSync(
    join(folder, "key.pub"),
    "# mine\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars me@here\n",
  );
  expect(bake(["--node", "npu-7", "--authorized-key", "key.pub", "--output", "u.yaml"]).status).toBe(0);
  const text = readFileSync(join(folder, "u.yaml"), "utf8");
  expect(parse(text).users[0]?.ssh_authorized_keys).toEqual([
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars me@here",
  ]);
  expect(cloudConfigProblems(parse(text))).toBe("");
});

test("a file is its owner's alone, replaces only what bake made, and never lies in out/", () => {
  expect(bake(["--output", "u.b64", "--format", "base64"]).status).toBe(0);
  expect(statSync(join(folder, "u.b64")).mode & 0o777).toBe(0o600);
  chmodSync(join(folder, "u.b64"), 0o644);
  // In another form, over the first.
  expect(bake(["--output", "u.b64"]).status).toBe(0);
  expect(statSync(join(folder, "u.b64")).mode & 0o777).toBe(0o600);
  expect(bake(["--output", "u.b64", "--format", "gzip"]).status).toBe(0);
  const over = bake(["--output", "token"]);
  expect(over.status).toBe(2);
  expect(over.stderr.toString()).toContain("error[BK603]: token is there and is no user-data that bake made");
  expect(readFileSync(join(folder, "token"), "utf8")).toBe(`${token}\n`);
  mkdirSync(join(folder, "out/p"), { recursive: true });
  expect(bake(["--output", "out/p/user-data.yaml"]).stderr.toString()).toContain("error[BK603]");
  expect(bake(["--output", "no/such/folder/u"]).stderr.toString()).toContain("error[BK603]");
  expect(readdirSync(folder).toSorted()).toEqual(["out", "p.yaml", "token", "u.b64"]);
  expect(readdirSync(join(folder, "out/p"))).toEqual([]);
});

test("everything wrong with secrets is said at once, without their values, and nothing is written", () => {
  writeFileSync(join(folder, "token"), "two words EXAMPLEEXAMPLE\n");
  writeFileSync(
    join(folder, "p.yaml"),
    `${readFileSync(join(folder, "p.yaml"), "utf8").trim().replace(/ }$/, "")}, proxyCredentials: { env: PROXY_FOR_NODES }, nodeKey: { file: keys/node } }\nnetwork: { httpProxy: { url: "http://proxy.example:3128" } }\n`,
  );
  const { status, stdout, stderr } = bake(["--output", "u"], { GIT_FOR_NODES: "", PROXY_FOR_NODES: "EXAMPLEEXAMPLE" });
  expect(status).toBe(2);
  expect(stdout.length).toBe(0);
  expect(stderr.toString()).toBe(`error[BK601]: secrets that the profile names cannot be had:
  secrets.agentToken: token holds blanks or several lines; a token is one word
  secrets.gitToken: variable GIT_FOR_NODES is empty
  secrets.proxyCredentials: variable PROXY_FOR_NODES is not user:password in one line
  secrets.nodeKey: keys/node is not there
  Nothing was written or changed.
`);
  expect(existsSync(join(folder, "u"))).toBe(false);
});

test("a secret that others can read is warned about", () => {
  chmodSync(join(folder, "token"), 0o644);
  expect(bake([]).stderr.toString()).toContain(
    "warning: token (secrets.agentToken) can be read by others, mode 0644: chmod 600 token",
  );
});

test("it says when it lets nobody in", () => {
  const warning = "warning: this user-data lets nobody log in";
  expect(bake([]).stderr.toString()).toContain(warning);
  writeFileSync(
    join(folder, "me.pub"),
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars me@example\n",
  );
  const { status, stderr } = bake(["--authorized-key", "me.pub"]);
  expect(status).toBe(0);
  expect(stderr.toString()).not.toContain(warning);
});

test("what is too large for the cloud is refused, with the form that fits", () => {
  const line = (index: number): string =>
    `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars operator-${index}@example`;
  writeFileSync(join(folder, "many.pub"), Array.from({ length: 500 }, (_, index) => line(index)).join("\n"));
  const { status, stdout, stderr } = bake(["--authorized-key", "many.pub"]);
  expect(status).toBe(2);
  expect(stdout.length).toBe(0);
  expect(stderr.toString()).toMatch(
    /error\[BK602\]: user-data has \d+ bytes, Huawei Cloud takes 32000\n {2}Take --format gzip or base64: \d+ bytes\./,
  );
  expect(bake(["--authorized-key", "many.pub", "--format", "base64"]).status).toBe(0);
});

test("wrong options", () => {
  for (const name of ["Node_1", "npu.example.com", "-a", "a".repeat(64)]) {
    expect(bake([`--node=${name}`]).stderr.toString()).toContain("error[BK604]");
  }
  expect(bake(["--authorized-key", "token"]).stderr.toString()).toContain("error[BK604]: token holds no public keys");
  expect(bake(["--format", "xml"]).status).toBe(2);
  const mirror = bake(["--mirror", "http://mirror.example.com"]);
  expect(mirror.status).toBe(2);
  expect(mirror.stderr.toString()).toContain("--mirror is for a stock image alone");
});

test("a mirror may be named by an IPv6 address; what no path can be put behind is refused", () => {
  layLockedProfile(folder, readFileSync(join(folder, "p.yaml"), "utf8"));
  renameSync(join(folder, "site.lock.json"), join(folder, "p.lock.json"));
  const stock = (mirror: string) => bake(["--stock", "--mirror", mirror]);
  const { status, stdout, stderr } = stock("http://[fd00::9]:8080/bake/");
  expect(status, stderr.toString()).toBe(0);
  expect(stdout.toString()).toContain('STOCK_MIRROR="http://[fd00::9]:8080/bake"\n');
  for (const wrong of [
    "http://",
    "http://[fd00",
    "http://[x]/",
    "http://mirror.example.com/[1-9]",
    "http://a/b?c",
    "http://a/b#c",
  ])
    expect(stock(wrong).stderr.toString()).toContain(
      `error[BK605]: ${JSON.stringify(wrong)} is no mirror's URL: http or https,`,
    );
});

test("a mirror with a login is refused, and its login is not repeated", () => {
  const { status, stderr } = bake(["--stock", "--mirror", "https://somebody:hunter2@mirror.example/bake"]);
  expect(status).toBe(2);
  expect(stderr.toString()).toContain('error[BK605]: "https://***@mirror.example/bake" is no mirror\'s URL');
  expect(stderr.toString()).not.toMatch(/hunter|somebody/);
});
