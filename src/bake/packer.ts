/** Runs Packer on a rendered template: init, validate, build. */
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { StepTime } from "../host/progress.ts";

export interface PackerBuild {
  readonly packer: string;
  /** Isolation from the user's own Packer: plugin path, configuration folder, no phoning home. */
  readonly environment: Readonly<Record<string, string>>;
  /** Folder with the template of one target. */
  readonly template: string;
  /** Milliseconds that Packer has to clear up after an interrupt. Default 90000. */
  readonly cleanUp?: number;
  /** As Packer names it: `qemu.node`. */
  readonly source: string;
  readonly variables: Readonly<Record<string, string>>;
  /** Variables that no process list shows: Packer gets them by its environment. */
  readonly sensitive?: Readonly<Record<string, string>>;
  /** What to say when the plugins cannot be installed, instead of Packer's own words. */
  readonly withoutPlugin?: (reason: BakeError) => BakeError;
  /** Existing folder for packer.log and journal.log. */
  readonly logDir: string;
  /** Called when a phase inside the build ends. */
  readonly onPhase: (phase: StepTime) => void;
  readonly update: (detail: string) => void;
  /** Names of phases, where they differ from those in a local VM. */
  readonly titles?: Readonly<Record<string, string>>;
  /** The phase that begins with a line of the builder's own. */
  readonly phaseAt?: (line: string) => string | undefined;
  /** Called with each line of the build, without the builder's name before it. */
  readonly onLine?: (line: string) => void;
}

const phases: Readonly<Record<string, string>> = {
  "start-vm": "start the build VM",
  "lock-password": "lock the base's password",
  "wait-cloud-init": "wait for cloud-init",
  packages: "install packages",
  "install-docker": "install Docker",
  "install-payload": "install images",
  "base-leftovers": "look through what the base left behind",
  "install-artifacts": "install artifacts",
  "install-files": "install files",
  "docker-settings": "start Docker once with its settings",
  "enable-units": "enable units",
  seed: "put images, models and build caches into the seed",
  "pack-seed": "pack the seed",
  hygiene: "hygiene",
  "shut-down": "shut down",
};

/** Lines that say nothing to someone who looks for the cause of a failure. */
const noise = /^(==> Some builds didn't complete|==> Builds finished|Build '[^']+' errored|==> Wait completed)/;

/**
 * Runs init, validate and build. What the build says goes to packer.log, the node's journal to journal.log.
 * @throws BakeError BK302 when init or validate fails, BK401 when the build fails, with the phase, its last lines and
 * where the logs are.
 */
export const runPacker = async (host: Host, build: PackerBuild): Promise<void> => {
  const { template, environment, logDir } = build;
  const options = {
    env: {
      ...environment,
      ...Object.fromEntries(
        Object.entries(build.sensitive ?? {}).map(([name, value]) => [`PKR_VAR_${name}`, value] as const),
      ),
      PACKER_NO_COLOR: "1",
    },
    killAfter: build.cleanUp ?? 90_000,
    ownGroup: true,
  };
  const variables = Object.entries(build.variables).flatMap(([name, value]) => ["-var", `${name}=${value}`]);
  await host.run(build.packer, ["init", template], options).catch((error: unknown) => {
    const failed = error instanceof BakeError && error.code === "BK302";
    throw failed && build.withoutPlugin !== undefined ? build.withoutPlugin(error) : error;
  });
  await host.run(build.packer, ["validate", ...variables, template], options);

  await makeFolder(logDir);
  const log = join(logDir, "packer.log");
  const journal = join(logDir, "journal.log");
  await Promise.all([writeFile(log, ""), writeFile(journal, "")]);
  let writing = Promise.resolve();
  let phase = { id: "start-vm", started: host.now() };
  let tail: string[] = [];
  // Where the build was when the builder began to clear up: it does so after a failure too.
  let worked: { readonly id: string; readonly tail: readonly string[] } | undefined;
  const titleOf = (id: string): string => build.titles?.[id] ?? phases[id] ?? id;
  const prefix = new RegExp(`^(==>| {3}) ${build.source.replaceAll(".", "\\.")}: `);
  const enter = (id: string): void => {
    const now = host.now();
    if (id === "clean-up") worked = { id: phase.id, tail };
    build.onPhase({ id: phase.id, title: titleOf(phase.id), seconds: (now - phase.started) / 1000 });
    phase = { id, started: now };
    tail = [];
    build.update(titleOf(id));
  };
  const result = await host.run(build.packer, ["build", "-color=false", ...variables, template], {
    ...options,
    allowFailure: true,
    onLine: (raw) => {
      const line = raw.replace(prefix, "");
      if (line.startsWith("bake: journal ")) {
        writing = writing.then(() => appendFile(journal, `${line.slice("bake: journal ".length)}\n`));
        return;
      }
      writing = writing.then(() => appendFile(log, `${raw}\n`));
      build.onLine?.(line);
      const step = /^bake: step (\S+)/.exec(line)?.[1] ?? build.phaseAt?.(line);
      if (step !== undefined) enter(step);
      else if (/^(Gracefully halting virtual machine|Stopping server)/.test(line)) enter("shut-down");
      else if (line.trim() !== "" && !noise.test(raw)) {
        tail = [...tail.slice(-11), line];
        if (/^bake: (artifact|hygiene:) /.test(line)) build.update(line.slice("bake: ".length));
      }
    },
  });
  await writing;
  if (result.exitCode === 0) {
    enter("done");
    return;
  }
  const console = await readFile(join(logDir, "console.log"), "utf8").catch(() => "");
  const failedAt = worked?.id ?? phase.id;
  tail = [...(worked?.tail ?? []), ...tail];
  const failed = tail.find((line) => line.startsWith("bake: failed "));
  throw new BakeError(
    "BK401",
    failed === undefined
      ? `the build failed at: ${titleOf(failedAt)}`
      : `the build failed at: ${titleOf(failedAt)}: ${failed.slice("bake: failed ".length)}`,
    [
      "last lines:",
      ...tail.map((line) => `  ${line}`),
      ...(tail.length === 0 ? result.stderr.trim().split("\n").slice(-8) : []),
      ...(phase.id === "start-vm" && console !== ""
        ? ["serial console, last lines:", ...console.trimEnd().split("\n").slice(-8)]
        : []),
      `logs: ${log}, ${journal}${console === "" ? "" : `, ${join(logDir, "console.log")}`}`,
    ].join("\n"),
  );
};
