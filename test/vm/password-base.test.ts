/** A base without cloud-init, which root enters by a password: baked from by Packer, and booted. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bakeTargets } from "../../src/bake/targets.ts";
import { planNode } from "../../src/plan/plan.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { renderTree } from "../../src/render/tree.ts";
import { writeTree } from "../../src/render/write.ts";
import { Store } from "../../src/store/store.ts";
import { planTarget } from "../../src/targets/index.ts";
import { packerEnvironment } from "../../src/toolchain/packer-environment.ts";
import { dockerLibraryPackages } from "../../src/trial/artifacts.ts";
import { standInBase } from "../../src/trial/base.ts";
import { debianMirror } from "../../src/trial/debian.ts";
import { readProfile } from "../plan-of.ts";
import { cache, type StartedVm, startVm, testHost } from "./golden-image.ts";
import { planTrial } from "./trial.ts";

const password = "stand-in of 12#$ characters";

/** What every process shows to every user. */
const commandLines = (): string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8");
      } catch {
        return "";
      }
    });

describe("a base without cloud-init", () => {
  let folder = "";
  let out = "";
  const seen = new Set<string>();
  let image = "";
  let started: StartedVm | undefined;
  let planned: Pick<Awaited<ReturnType<typeof planTrial>>, "plan" | "templates">;

  beforeAll(async () => {
    mkdirSync(join(cache, "test"), { recursive: true });
    folder = mkdtempSync(join(cache, "test/password-base-"));
    out = join(folder, "out");
    const host = { ...testHost(), env: { ...process.env, BASE_PASSWORD: password } };
    const store = new Store(join(cache, "store"));
    const base = await standInBase(host, store, {
      architecture: "x86_64",
      libraryPackages: dockerLibraryPackages,
      mirror: () => debianMirror(host),
      offline: false,
      without: { rootPassword: password },
    });
    const { plan: trial, templates } = await planTrial();
    if (trial.base === undefined || trial.artifacts === undefined) throw new Error("a trial has a lock");
    const { profile: own } = substitute(readProfile());
    const { qemu } = own.targets;
    if (qemu === undefined) throw new Error("a trial bakes in a local VM");
    const profile = {
      ...own,
      secrets: { ...own.secrets, basePassword: { env: "BASE_PASSWORD" } },
      targets: { qemu: { ...qemu, base: { file: store.path(base.sha256) } } },
    };
    const plan = planNode({
      name: "2cards",
      profile,
      target: planTarget("2cards", profile, "qemu"),
      trial: true,
      locked: {
        base: { ...trial.base, name: "base", asked: base.name, sha256: base.sha256, size: base.size },
        artifacts: trial.artifacts,
        digest: "made up",
      },
    });
    planned = { plan, templates };
    const { files, bakeId } = renderTree(plan, templates);
    if (bakeId === undefined) throw new Error("a plan with a lock has a bake id");
    await writeTree(out, files);
    const basePassword = await bakeTargets.qemu.basePassword(profile, host.env);
    if (basePassword === undefined) throw new Error("this base has a password");
    const baker = await bakeTargets.qemu.load();
    const look = setInterval(() => commandLines().forEach((line) => seen.add(line)), 250);
    try {
      const { bootable } = await baker.bake(host, {
        folder: out,
        plan,
        files,
        bakeId,
        trial: true,
        credentials: {},
        secrets: profile.secrets,
        basePassword,
        store,
        packer: { path: await baker.setUp(host, profile, { offline: true }), environment: packerEnvironment(host) },
        fetch: async () => undefined,
        recordStep: ({ title, seconds }) => process.stdout.write(`${title}: ${seconds.toFixed(0)} s\n`),
        steps: () => [],
        provenance: () => "",
        print: () => undefined,
      });
      image = bootable?.image ?? "";
    } finally {
      clearInterval(look);
    }
  });
  afterAll(async () => {
    await started?.end();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is baked from: Packer comes in by the password, which it locks first", () => {
    const log = readFileSync(join(out, "log/packer.log"), "utf8");
    expect(log).toContain("bake: cloud-init has no part in this boot");
    expect(log).toMatch(/bake: install .*cloud-init/);
    expect(log.indexOf("bake: step lock-password")).toBeLessThan(log.indexOf("bake: step packages"));
  });

  test("nobody sees the password: no process list, no file of out/; others cannot try it", () => {
    const lines = [...seen];
    const vm = lines.find((line) => line.includes("qemu-system") && line.includes(folder.split("/").at(-1) ?? ""));
    expect(vm).toMatch(/hostfwd=tcp:127\.0\.0\.1:\d+-:22/);
    expect(lines.filter((line) => line.includes(password))).toEqual([]);
    expect(spawnSync("grep", ["-rlF", "--exclude=*.qcow2", password, out], { encoding: "utf8" }).stdout).toBe("");
  });

  test("the node takes its user-data, lets its key in, and no password", async () => {
    started = await startVm(testHost(), { ...planned, image }, {});
    const { vm } = started;
    await vm.waitForSsh(15 * 60_000);
    const { stdout } = await vm.ssh(
      "grep ^root: /etc/shadow | cut -d : -f 2; ls /etc/bake/secrets; cat /etc/cloud/cloud.cfg.d/90_bake.cfg; systemctl is-enabled buildkite-agent; hostname; ss -tln | grep -c :22",
      { timeout: 120_000 },
    );
    expect(stdout).toMatch(/^\*\nagent-token/);
    expect(stdout).toContain("datasource_list: [NoCloud, None]");
    expect(stdout).toContain("enabled\nbake-test\n");
  });
});
