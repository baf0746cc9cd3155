/** What bake renders, read by the programs that will read it on a node. A missing program fails the test. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { cloudConfigProblems } from "../cloud-config-schema.ts";
import { planFor } from "../../src/commands/plan.ts";
import { readProfile, render, trialPlan } from "../plan-of.ts";
import { verifyUnits } from "../systemd-verify.ts";
import { needs, toolPath } from "../needs.ts";

const run = (file: string, args: string[], env: Record<string, string> = {}): string =>
  execFileSync(file, args, { encoding: "utf8", env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });

let folder = "";
const { files } = render(trialPlan());
const at = (path: string): string => join(folder, path);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-consumers-"));
  for (const { path, content } of files) {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), content, { mode: path.includes("/bin/") ? 0o755 : 0o644 });
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake");
const packer = toolPath("packer");
const packerEnvironment = {
  PACKER_PLUGIN_PATH: join(cache, "packer/plugins"),
  PACKER_CONFIG_DIR: join(cache, "packer/config"),
  CHECKPOINT_DISABLE: "1",
};

test("shellcheck finds nothing in the node's scripts", () => {
  const scripts = files.filter(({ content }) => content.startsWith("#!/bin/bash")).map(({ path }) => at(path));
  expect(scripts.length).toBeGreaterThan(5);
  expect(run("shellcheck", scripts)).toBe("");
});

test("systemd-analyze verify finds nothing in the units", () => {
  const units = files
    .filter(({ path }) => path.startsWith("node/etc/systemd/system/"))
    .map(({ path, content }) => ({ name: path.split("/").at(-1) ?? "", content }));
  expect(units.length).toBeGreaterThan(6);
  expect(verifyUnits(units)).toBe("");
  expect(verifyUnits([{ name: "wrong.service", content: "[Service]\nExecStrat=/bin/true\n" }])).toContain("ExecStrat");
});

needs("packer").describe("packer", () => {
  test("fmt has nothing to change", () => {
    expect(run(packer, ["fmt", "-check", "-diff", at("packer/qemu.pkr.hcl")], packerEnvironment)).toBe("");
  });

  const validate = (template: string): string[] => {
    const variables = Object.entries({
      base: "/dev/null",
      artifacts: folder,
      output: at("out"),
      log: folder,
      ssh_private_key_file: "/dev/null",
      packages: "packages.tar.gz",
      ssh_public_key: "ssh-ed25519 AAAA",
    }).flatMap(([name, value]) => ["-var", `${name}=${value}`]);
    return ["validate", ...variables, "-var", `ssh_private_key_file=${at("key")}`, template];
  };
  beforeAll(() => {
    run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("key")]);
  });

  test("the template of the other architecture and of a base with a password is as good", () => {
    const profile = readProfile(join(root, "profiles/2cards-aarch64.yaml"));
    const other = join(folder, "aarch64");
    for (const { path, content } of render(planFor({ name: "2cards-aarch64", profile })).files) {
      mkdirSync(dirname(join(other, path)), { recursive: true });
      writeFileSync(join(other, path), content);
    }
    const template = join(other, "packer/qemu.pkr.hcl");
    expect(run(packer, ["fmt", "-check", "-diff", template], packerEnvironment)).toBe("");
    const args = validate(join(other, "packer"));
    args.splice(1, 0, "-var", "base_checksum=none");
    expect(run(packer, args, { ...packerEnvironment, PKR_VAR_root_password: "12#$" })).toContain("valid");
    const text = readFileSync(template, "utf8");
    expect(text).toMatch(/machine_type = "virt,/);
    expect(text).not.toContain("q35");
    // Its first step ends the password; the build VM is reached over loopback alone.
    expect(text).toMatch(/build \{[^}]*provisioner "shell" \{\s*inline = \[\s*"echo 'bake: step lock-password'"/);
    expect(text).toContain("hostfwd=tcp:127.0.0.1:");
    expect(text).not.toContain("openEuler12");
    expect(readFileSync(at("packer/qemu.pkr.hcl"), "utf8")).not.toContain("password");
  });

  test("validate accepts the template, and refuses it with a misspelt argument", () => {
    expect(run(packer, validate(at("packer")), packerEnvironment)).toContain("valid");
    mkdirSync(at("wrong"), { recursive: true });
    writeFileSync(
      at("wrong/qemu.pkr.hcl"),
      readFileSync(at("packer/qemu.pkr.hcl"), "utf8").replace("cd_label", "cd_labl"),
    );
    const wrong = spawnSync(packer, validate(at("wrong")), {
      encoding: "utf8",
      env: { ...process.env, ...packerEnvironment },
    });
    expect(wrong.status).toBe(1);
    expect(wrong.stdout + wrong.stderr).toContain("cd_labl");
  });
});

describe("PyYAML", () => {
  const read = (path: string): unknown =>
    JSON.parse(
      run("/usr/bin/python3", [
        "-c",
        "import sys,yaml,json; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))",
        at(path),
      ]),
    );

  test("reads the user-data that was meant", () => {
    expect(read("user-data/golden.yaml")).toMatchObject({
      users: [{ name: "root" }],
      disable_root: false,
      write_files: [
        {
          path: "/etc/bake/secrets/agent-token",
          permissions: "0600",
          content: "<secrets.agentToken>\n",
        },
      ],
    });
    expect(read("user-data/build.yaml")).toMatchObject({
      users: [{ name: "root", ssh_authorized_keys: ["bake-build-key"] }],
    });
  });
});

needs("cloud-init's schema").test("cloud-init's schema accepts both user-data", async () => {
  const { parse } = await import("yaml");
  for (const path of ["user-data/golden.yaml", "user-data/build.yaml"]) {
    expect(cloudConfigProblems(parse(readFileSync(at(path), "utf8")))).toBe("");
  }
  expect(cloudConfigProblems({ write_files: [{ content: "a path is missing" }] })).not.toBe("");
});

test("git reads the proxy's rule", () => {
  const url = "https://github.com/vllm-project/vllm";
  const config = { GIT_CONFIG_SYSTEM: at("node/etc/gitconfig"), GIT_CONFIG_GLOBAL: "/dev/null" };
  expect(run("git", ["ls-remote", "--get-url", url], config).trim()).toBe(`https://gh-proxy.test.osinfra.cn/${url}`);
});

test("findmnt reads the fstab line", () => {
  const said = run("findmnt", ["--fstab", "--tab-file", at("provision/fstab"), "-nro", "SOURCE,TARGET,FSTYPE"]);
  expect(said.trim()).toMatch(/^UUID=\S+ \/mnt ext4$/);
});

test("bash and systemd read the environment files alike", () => {
  const names = files.filter(({ path }) => path.endsWith(".env")).map(({ path }) => path);
  expect(names.length).toBeGreaterThan(2);
  for (const path of names) expect(run("bash", ["-euc", '. "$1"', "bash", at(path)])).toBe("");
  expect(
    run("bash", ["-c", '. "$1"; printf %s "$PYPI_CACHE_HOST:$PYPI_CACHE_PORT"', "bash", at("node/etc/bake/agent.env")]),
  ).toBe("172.22.0.80:30367");
});

test("templates are not changed by being read", () => {
  expect(readFileSync(join(root, "templates/node/bake-gate"), "utf8")).toBe(
    files.find(({ path }) => path === "node/opt/bake/bin/bake-gate")?.content,
  );
});
