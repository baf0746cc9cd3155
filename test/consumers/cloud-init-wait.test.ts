/** The wait for cloud-init in the build VM, run as Packer runs it, with what each version of cloud-init leaves. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

let folder: string;
const at = (path: string): string => join(folder, path);
const put = (path: string, content: string, mode = 0o644): void => {
  mkdirSync(join(at(path), ".."), { recursive: true });
  writeFileSync(at(path), content, { mode });
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-cloud-init-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lines of the inline list of a template that waits, before the one that makes a folder; Packer joins them. */
const waitOf = (template: string, passwordLogin = false): string => {
  const text = readFileSync(join(root, "packer", template), "utf8").replaceAll(
    /\{\{#if passwordLogin\}\}\n([\s\S]*?)\{\{\/if\}\}\n/g,
    passwordLogin ? "$1" : "",
  );
  const lists = [...text.matchAll(/inline = \[\n([\s\S]*?)\n {4}\]/g)].map(([, list = ""]) => list);
  const lines = (lists.find((list) => list.includes("step wait-cloud-init")) ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith('"'))
    .map((line) => JSON.parse(line.replace(/,$/, "")) as string);
  return lines.filter((line) => !line.startsWith("install -d")).join("\n");
};

/** Below another root, with a wait of `seconds`. Packer's shell is `sh -e`. */
const scriptOf = (template: string, seconds: number, passwordLogin = false): string =>
  waitOf(template, passwordLogin)
    .replace("seq 900", `seq ${seconds}`)
    .replaceAll("/var/", at("var/"))
    .replaceAll("/run/", at("run/"));

const env = (): Record<string, string> => ({ PATH: `${at("bin")}:/usr/bin:/bin`, SHLVL: "2" });
const run = (template: string) =>
  spawnSync("/bin/sh", ["-e", "-c", scriptOf(template, 1)], { encoding: "utf8", env: env() });

const finished = "var/lib/cloud/instance/boot-finished";
const clean = '{\n "v1": {\n  "datasource": "DataSourceNoCloud",\n  "errors": []\n }\n}\n';

test("both templates wait in the same words", () => {
  expect(waitOf("qemu.pkr.hcl.hbs")).toBe(waitOf("huaweicloud.pkr.hcl.hbs"));
  expect(waitOf("qemu.pkr.hcl.hbs")).toContain("boot-finished");
});

describe.each(["qemu.pkr.hcl.hbs", "huaweicloud.pkr.hcl.hbs"])("%s", (template) => {
  test.each([
    ["17.1, which has no status", "echo \"invalid choice: 'status'\" >&2; exit 2"],
    ["23.4 with warnings", "echo 'status: done'; exit 2"],
    ["one that is done", "echo 'status: done'"],
  ])("takes the end of %s", (_title, status) => {
    put("bin/cloud-init", `#!/bin/sh\n${status}\n`, 0o755);
    put(finished, "23.38 - Thu, 26 Nov 2026 - v. 17.1\n");
    put("run/cloud-init/result.json", clean);
    expect(run(template)).toMatchObject({ status: 0, stdout: "bake: step wait-cloud-init\n", stderr: "" });
  });

  test("waits until it is there", async () => {
    put("run/cloud-init/result.json", clean);
    const child = spawn("/bin/sh", ["-e", "-c", scriptOf(template, 30)], { env: env() });
    setTimeout(() => put(finished, ""), 1500);
    const started = Date.now();
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(0);
    expect(Date.now() - started).toBeGreaterThan(1000);
  });

  test("errors of cloud-init are told, and the bake goes on", () => {
    put(finished, "");
    put("run/cloud-init/result.json", clean.replace("[]", "[\"('locale', ProcessExecutionError())\"]"));
    const { status, stdout } = run(template);
    expect(status).toBe(0);
    expect(stdout).toContain("bake: cloud-init ended with errors:");
    expect(stdout).toContain("'locale'");
  });

  test("without an end it fails with what is known, whatever status says", () => {
    put(
      "bin/cloud-init",
      '#!/bin/sh\n[ "$1" != --version ] || { echo "cloud-init 17.1" >&2; exit 0; }\nexit 2\n',
      0o755,
    );
    const { status, stdout } = run(template);
    expect(status).toBe(1);
    expect(stdout).toContain("bake: failed cloud-init did not come to its end within 15 minutes");
    expect(stdout).toContain("cloud-init 17.1");
    expect(stdout).toContain("exit 2 (1: it failed; 2: before 17.2 no such command, from 23.4 on done with warnings)");
    rmSync(at("bin/cloud-init"));
    expect(run(template).stdout).toContain("there is no cloud-init on this base");
  });
});

describe("a base that root enters by a password", () => {
  const ran = () =>
    spawnSync("/bin/sh", ["-e", "-c", scriptOf("qemu.pkr.hcl.hbs", 1, true)], { encoding: "utf8", env: env() });

  test("has no cloud-init, or one that is turned off: nothing is waited for", () => {
    const said = "bake: step wait-cloud-init\nbake: cloud-init has no part in this boot\n";
    expect(ran()).toMatchObject({ status: 0, stdout: said, stderr: "" });
    put("run/cloud-init/disabled", "");
    expect(ran()).toMatchObject({ status: 0, stdout: said });
  });

  test("has one that runs: it is waited for", () => {
    put("run/cloud-init/enabled", "");
    expect(ran()).toMatchObject({ status: 1 });
    put(finished, "");
    put("run/cloud-init/result.json", clean);
    expect(ran()).toMatchObject({ status: 0, stdout: "bake: step wait-cloud-init\n" });
  });
});
