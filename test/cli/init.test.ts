/** `bake init` as a user runs it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { newProfile } from "../../src/profile/new-profile.ts";
import { loadProfile } from "../../src/profile/load.ts";
import { rules } from "../../src/commands/rules.ts";
import { root } from "../../src/host/root.ts";
import { hostileStrings } from "../hostile.ts";

// bake is started many times in each of them.
vi.setConfig({ testTimeout: 240_000 });

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-init-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bake = (...args: string[]) =>
  spawnSync(join(root, "bin/bake"), args, { cwd: folder, encoding: "utf8", input: "" });

test("with options it asks nothing, and what it writes validates and renders", () => {
  const { status, stdout, stderr } = bake(
    ...["init", "site", "--cards", "4", "--queue", "npu", "--pypi-cache", "http://192.0.2.10:3141/"],
    ...["--git-proxy", "https://proxy.example.com", "--token-env", "AGENT_TOKEN", "--architecture", "x86_64"],
    ...["--image", "quay.io/example/one:1", "--image", "quay.io/example/two:2"],
  );
  expect(status, stderr).toBe(0);
  expect(stdout).toContain("next: bake validate site --explain");
  expect(bake("validate", "--profile", "site")).toMatchObject({ status: 0, stderr: "" });
  expect(bake("render", "--profile", "site").status).toBe(0);
  const { profile } = loadProfile(readFileSync(join(folder, "profiles/site.yaml"), "utf8"), "site.yaml", { rules });
  expect(profile).toMatchObject({
    agents: { spawn: 2, cards: 4, npus: 8, queue: "npu" },
    network: {
      pypiCache: { host: "192.0.2.10", port: 3141 },
      gitProxy: { for: "https://github.com/", via: "https://proxy.example.com/https://github.com/" },
    },
    images: [
      { image: "quay.io/example/one:1", from: "image" },
      { image: "quay.io/example/two:2", from: "image" },
    ],
    secrets: { agentToken: { env: "AGENT_TOKEN" } },
    targets: { qemu: { architecture: "x86_64" } },
  });
  expect(readFileSync(join(folder, "profiles/profile.schema.json"), "utf8")).toBe(
    readFileSync(join(root, "schema/profile.schema.json"), "utf8"),
  );
});

test("without any it takes what suits most", () => {
  expect(bake("init", "plain").status).toBe(0);
  expect(bake("validate", "--profile", "plain")).toMatchObject({ status: 0, stderr: "" });
});

test("nothing is written over, and nothing that does not validate", () => {
  mkdirSync(join(folder, "profiles"));
  writeFileSync(join(folder, "profiles/mine.yaml"), "mine\n");
  expect(bake("init", "mine").stderr).toContain("error[BK130]: profiles/mine.yaml is there already");
  expect(readFileSync(join(folder, "profiles/mine.yaml"), "utf8")).toBe("mine\n");
  const wrong = bake("init", "wrong", "--cards", "16", "--queue", "two words");
  expect(wrong.status).toBe(1);
  expect(wrong.stderr).toContain("error[BK119]");
  expect(wrong.stderr).toContain("error[BK102]: agents.queue cannot be");
  expect(wrong.stderr).toMatch(/nothing was written\n$/);
  for (const args of [
    ["../x"],
    ["x", "--npus", "many"],
    ["x", "--pypi-cache", "host"],
    ["x", "--git-proxy", "proxy"],
    ["x", "--from-host", "a b"],
  ]) {
    expect(bake("init", ...args)).toMatchObject({ status: 2, stdout: "" });
  }
  expect(readdirSync(join(folder, "profiles"))).toEqual(["mine.yaml"]);
});

test("no answer gets out of its place", () => {
  for (const text of hostileStrings(600)) {
    const written = newProfile(
      {
        npus: 8,
        cards: 2,
        queue: text,
        architecture: text,
        base: text,
        adopt: text,
        images: [text, text],
        agentToken: { file: text },
        from: text,
      },
      "./profile.schema.json",
    );
    const { diagnostics, tree } = loadProfile(written, "p.yaml", { rules });
    // One text may be refused at several places, but it never is another key, nor the end of the document.
    expect(
      diagnostics.filter(({ code }) => code === "BK101" || code === "BK103"),
      JSON.stringify(text.slice(0, 100)),
    ).toEqual([]);
    expect(tree).toBeDefined();
  }
});

test("a target in Huawei Cloud, a key that may log in, and a name that is bake's own", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars operator@example";
  writeFileSync(join(folder, "op.pub"), `${key}\n`);
  const id = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
  const cloud = ["--region", "cn-north-4", "--source-image", id, "--flavor", "kc1.large.4", "--vpc", id];
  const { status, stderr } = bake(
    ...["init", "2cards", "--operator-key", "op.pub", ...cloud, "--subnet", id, "--security-group", id],
  );
  expect(stderr).toMatch(/^note: bake has a profile 2cards of its own; here yours is taken in its place/);
  expect(status).toBe(0);
  expect(bake("validate", "2cards")).toMatchObject({ status: 0, stdout: "profiles/2cards.yaml: ok\n" });
  const { profile } = loadProfile(readFileSync(join(folder, "profiles/2cards.yaml"), "utf8"), "p.yaml", { rules });
  expect(profile?.ssh.operatorKeys).toEqual([key]);
  expect(profile?.targets).toMatchObject({ huaweicloud: { region: "cn-north-4", vpc: id, architecture: "aarch64" } });
  expect(profile?.targets.qemu).toBeUndefined();
  const lacking = bake("init", "other", "--target", "huaweicloud", "--region", "cn-north-4");
  expect(lacking.status).toBe(2);
  expect(lacking.stderr).toContain("needs --source-image, --flavor, --vpc, --subnet, --security-group");
  expect(bake("init", "other", ...cloud.with(3, "img-1"), "--subnet", id, "--security-group", id).stderr).toMatch(
    /--source-image: "img-1" cannot be: expected the ID of an image/,
  );
  expect(bake("init", "other", "--operator-key", "no.pub").status).toBe(2);
});

/** Types each answer when bake has asked for one, on a terminal that Python makes. */
const onTerminal = (answers: readonly string[], ...args: string[]): string =>
  spawnSync(
    "python3",
    [
      "-c",
      `import os, pty, sys, json, re
answers = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
told, seen = "", 0
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    told += re.sub(r"\\x1b\\[[0-9;?]*[A-Za-z]", "", data.decode())
    if re.search(r": $", told[seen:]) and answers:
        seen = len(told)
        os.write(fd, (answers.pop(0) + "\\r").encode())
print(told.replace("\\r", ""))
print("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`,
      JSON.stringify(answers),
      join(root, "bin/bake"),
      ...args,
    ],
    { cwd: folder, encoding: "utf8", env: { ...process.env, HOME: folder, TERM: "xterm" }, timeout: 55_000 },
  ).stdout;

test("on a terminal each question is asked until its answer is right; keys of ~/.ssh are offered", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars operator@example";
  mkdirSync(join(folder, ".ssh"));
  writeFileSync(join(folder, ".ssh/id_ed25519.pub"), `${key}\n`);
  const disk = "UUID=85805e4a-2b1f-4ba6-9d5e-0f6b7bd92a4e";
  writeFileSync(join(folder, ".ssh/broken.pub"), "ssh-ed25519 AAAA\n");
  const told = onTerminal(
    [
      ...["many", "8", "9", "4", "two words", "npu", "nowhere", "192.0.2.10:3141", "", "sda", "UUID=0-1", disk, ""],
      ...["7", "1", "qmu", "qemu", "amd65", "arm64", "openeuler-24.03-lts-sp9", "openeuler-24.03-lts-sp1"],
    ],
    ...["init", "site"],
  );
  expect(told).toContain('NPUs: "many" is no number from 1 on');
  expect(told).toContain("cards: 9 is more than 8");
  expect(told).toContain('the queue: "two words" cannot be: ');
  expect(told).toContain('the PyPI cache: "nowhere" is no HOST:PORT');
  expect(told).toContain('the data disk: "sda" is neither blank nor UUID=... or LABEL=...');
  expect(told).toContain('the data disk: "UUID=0-1" cannot be: expected LABEL=');
  expect(told).toContain("  1  id_ed25519.pub  ssh-ed25519 operator@example\n");
  expect(told).not.toContain("broken.pub");
  expect(told).toContain('"7" is no number from 1 to 1');
  expect(told).toMatch(/the target: "qmu" is none of qemu, huaweicloud\n {2}Did you mean qemu\?/);
  expect(told).toContain("Did you mean openeuler-24.03-lts-sp");
  expect(told).toMatch(/profiles\/site\.yaml: written[^]*\nexit 0\n$/);
  const { profile } = loadProfile(readFileSync(join(folder, "profiles/site.yaml"), "utf8"), "p.yaml", { rules });
  expect(profile).toMatchObject({
    agents: { spawn: 2, cards: 4, npus: 8, queue: "npu" },
    network: { pypiCache: { host: "192.0.2.10", port: 3141 } },
    storage: { disk: { adopt: disk } },
    ssh: { operatorKeys: [key] },
    targets: { qemu: { architecture: "aarch64", base: "openeuler-24.03-lts-sp1" } },
  });
});
