/** What a failed build tells: phase, last lines, journal; on a stand-in for Packer that prints what Packer prints. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runPacker } from "../../src/bake/packer.ts";
import { BakeError } from "../../src/errors.ts";
import type { Host } from "../../src/host/host.ts";
import type { StepTime } from "../../src/host/progress.ts";
import { system } from "../../src/host/system.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-packer-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A host on which `packer build` prints `lines`; its clock goes on by a second a look. */
const hostThatPrints = (lines: readonly string[], exitCode: number): Host => {
  let now = 0;
  return {
    ...system,
    run: async (_file, args, options) => {
      if (args[0] !== "build") return { exitCode: 0, stdout: "", stderr: "" };
      for (const line of lines) options?.onLine?.(line, "stdout");
      return { exitCode, stdout: "", stderr: "" };
    },
    now: () => (now += 1000),
    env: {},
    cacheDir: folder,
    signal: new AbortController().signal,
    progress: { step: (_id, _title, work) => work(() => {}), note: () => {} },
  };
};

const build = (lines: readonly string[], exitCode: number, phases: StepTime[] = []) =>
  runPacker(hostThatPrints(lines, exitCode), {
    packer: "packer",
    environment: {},
    template: folder,
    source: "qemu.node",
    variables: {},
    logDir: folder,
    onPhase: (phase) => phases.push(phase),
    update: () => {},
  });

test("a failed build names the phase and the artifact, and keeps the VM's journal apart", async () => {
  const lines = [
    "==> qemu.node: Starting VM",
    "    qemu.node: bake: step install-artifacts",
    "    qemu.node: bake: artifact buildx",
    "==> qemu.node: bake: failed artifact buildx does not match its digest: expected sha256 aa, found bb",
    "    qemu.node: bake: journal Nov 24 kernel: a line of the journal",
    "Build 'qemu.node' errored after 1 minute",
  ];
  const error: unknown = await build(lines, 1).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(BakeError);
  expect(error).toMatchObject({
    code: "BK401",
    message:
      "the build failed at: install artifacts: artifact buildx does not match its digest: expected sha256 aa, found bb",
  });
  expect((error as BakeError).help).toContain("bake: artifact buildx");
  expect((error as BakeError).help).toContain(join(folder, "journal.log"));
  expect(readFileSync(join(folder, "journal.log"), "utf8")).toBe("Nov 24 kernel: a line of the journal\n");
  expect(readFileSync(join(folder, "packer.log"), "utf8")).not.toContain("kernel:");
});

test("a VM that never answers shows its serial console", async () => {
  writeFileSync(join(folder, "console.log"), "Kernel panic - not syncing\n");
  const error: unknown = await build(["==> qemu.node: Timeout waiting for SSH."], 1).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "BK401", message: "the build failed at: start the build VM" });
  expect((error as BakeError).help).toContain("Kernel panic");
});

test("phases are timed in order", async () => {
  const phases: StepTime[] = [];
  await build(["    qemu.node: bake: step install-artifacts", "    qemu.node: bake: step hygiene"], 0, phases);
  expect(phases.map(({ id }) => id)).toEqual(["start-vm", "install-artifacts", "hygiene"]);
  expect(phases.every(({ seconds }) => seconds > 0)).toBe(true);
});

test("a sensitive variable reaches each of Packer's runs by its environment, and no command line", async () => {
  const runs: { args: readonly string[]; env: Readonly<Record<string, string>> | undefined }[] = [];
  const host = hostThatPrints([], 0);
  await runPacker(
    {
      ...host,
      run: (file, args, options) => {
        runs.push({ args, env: options?.env });
        return host.run(file, args, options);
      },
    },
    {
      packer: "packer",
      environment: {},
      template: folder,
      source: "qemu.node",
      variables: { base: "b" },
      sensitive: { root_password: "openEuler12#$" },
      logDir: folder,
      onPhase: () => {},
      update: () => {},
    },
  );
  expect(runs.map(({ args }) => args[0])).toEqual(["init", "validate", "build"]);
  for (const { args, env } of runs) {
    expect(env?.["PKR_VAR_root_password"]).toBe("openEuler12#$");
    expect(args.join(" ")).not.toContain("openEuler12");
  }
});
