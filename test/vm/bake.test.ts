/** The whole path on the real tools: bake, boot, check; then what can go wrong. Takes minutes under TCG. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/artifact.ts";
import { ownerState } from "../../src/host/process-identity.ts";
import { root } from "../../src/host/root.ts";
import { storePath } from "../../src/store/store.ts";
import { bake, cache, goldenFolder, goldenLock, startBake, takeLock } from "./golden-image.ts";
import { until } from "./node/power-cuts.ts";
import { needs } from "../needs.ts";
import { planTrial } from "./trial.ts";
import { expectWholeRun } from "./whole-run.ts";

/** Work folders that a bake left behind. One of a bake that goes on beside this file is its own to remove. */
const leftFolders = (): string[] =>
  readdirSync(join(cache, "work")).filter(
    (name) => name.startsWith("bake-") && ownerState(name.slice("bake-".length)) !== "alive",
  );

/** Where the other VM tests find what is baked here. */
const folder = goldenFolder;
const result = join(folder, "out/2cards-trial");

/** Bakes from nothing, and checks. The other files may have the image as soon as it is there. */
const bakeAndCheck = async (): Promise<{ readonly code: number; readonly output: string }> => {
  const release = await takeLock(goldenLock);
  try {
    mkdirSync(folder, { recursive: true });
    rmSync(result, { recursive: true, force: true });
    // All of it: without layers that an earlier run has left.
    const running = startBake(folder, ["image", "--profile", "2cards", "--trial", "--no-cache"]);
    await running.said(/^check$/m);
    await release();
    return await running.ended;
  } finally {
    await release();
  }
};

describe("bake image --profile 2cards --trial", () => {
  let first: { readonly code: number; readonly output: string };
  beforeAll(async () => {
    first = await bakeAndCheck();
  });

  test("bakes an image that boots twice, with four agents that build", () => {
    expectWholeRun("2cards", first);
  });

  test("image.json says what was baked, and the image stands alone", () => {
    const record = JSON.parse(readFileSync(join(result, "image.json"), "utf8")) as Record<string, unknown>;
    expect(record).toMatchObject({ profile: "2cards", trial: true, target: "qemu", file: "image.qcow2" });
    expect(record["bakeId"]).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(first.output).toContain(String(record["sha256"]));
    // A backing file would have its name in the first cluster.
    expect(readFileSync(join(result, "image.qcow2")).subarray(8, 16)).toEqual(Buffer.alloc(8));
  });

  test("report.html tells of it: boots, jobs, rows, steps", () => {
    const page = readFileSync(join(result, "report.html"), "utf8");
    for (const text of ["First boot, blank data disk", "After a reboot", "docker.service", "G28", "This is a TRIAL"])
      expect(page).toContain(text);
    expect(page.match(/class="mark passed"/g)?.length).toBeGreaterThan(10);
    expect(page).not.toContain("<script");
  });

  test("nothing is left in the work folder", () => {
    expect(leftFolders()).toEqual([]);
  });

  test("a second run bakes nothing", async () => {
    const again = await bake(folder, ["image", "--profile", "2cards", "--trial", "--no-check"]);
    expect(again.code, again.output).toBe(0);
    expect(again.output).toContain("up to date: nothing to bake");
    expect(again.output).toMatch(/ 0 changed/);
  });
});

describe("a bake from layers", () => {
  let scratch = "";
  beforeAll(() => {
    scratch = mkdtempSync(join(cache, "test/bake-layers-"));
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const recordOf = (place: string) =>
    JSON.parse(readFileSync(join(place, "image.json"), "utf8")) as {
      readonly stages: readonly { readonly name: string; readonly reused: boolean }[];
      readonly steps: readonly { readonly id: string }[];
    };

  /** Mode, owner and path of whatever is in the root file system of an image. */
  const filesIn = (image: string, name: string): string[] => {
    const raw = join(scratch, `${name}.raw`);
    const mount = join(scratch, name);
    mkdirSync(mount);
    execFileSync("qemu-img", ["convert", "-O", "raw", image, raw]);
    const { partitiontable } = JSON.parse(execFileSync("sfdisk", ["--json", raw], { encoding: "utf8" })) as {
      partitiontable: { partitions: { start: number; size: number }[] };
    };
    const [largest] = partitiontable.partitions.toSorted((a, b) => b.size - a.size);
    const script = `mount -o ro,noload,loop,offset=$3 "$1" "$2" && cd "$2" && find . -xdev -printf '%M %U:%G %p\\n' | sort`;
    const offset = String((largest?.start ?? 0) * 512);
    return execFileSync("unshare", ["--mount", "sh", "-c", script, "sh", raw, mount, offset], {
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    }).split("\n");
  };

  needs("root").test("another queue makes the last stage alone, and the image has the same files", async () => {
    expect(recordOf(result).stages.map(({ name, reused }) => `${name} ${reused}`)).toEqual([
      ...["base false", "runtime false", "payload false", "node false"],
    ]);
    // Of the same name: it stands in the first line of each file.
    mkdirSync(join(scratch, "profiles"), { recursive: true });
    const base = JSON.stringify(join(root, "profiles/2cards.yaml"));
    writeFileSync(join(scratch, "profiles/2cards.yaml"), `extends: ${base}\nagents: { queue: another }\n`);
    const { code, output } = await bake(scratch, ["image", "--profile", "2cards", "--trial", "--no-check"]);
    expect(code, output).toBe(0);
    for (const stage of ["base", "runtime", "payload"])
      expect(output).toMatch(new RegExp(`^ +stage ${stage} +reused`, "m"));
    expect(output).toMatch(/^ +stage node +made in /m);
    expect(output).not.toContain("artifact docker");
    expect(output).not.toContain("pack the seed");
    const made = join(scratch, "out/2cards-trial");
    expect(recordOf(made).steps.map(({ id }) => id)).not.toContain("packer:seed");
    expect(filesIn(join(made, "image.qcow2"), "layered")).toEqual(filesIn(join(result, "image.qcow2"), "whole"));
  });
});

describe("what goes wrong", () => {
  let scratch = "";
  beforeAll(() => {
    // On the file system of the store, whose files it links.
    scratch = mkdtempSync(join(cache, "test/bake-vm-"));
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  /** Another queue: another bake id, so that there is something to bake. */
  const variant = (name: string): void => {
    mkdirSync(join(scratch, "profiles"), { recursive: true });
    const base = JSON.stringify(join(root, "profiles/2cards.yaml"));
    writeFileSync(join(scratch, "profiles", `${name}.yaml`), `extends: ${base}\nagents: { queue: ${name} }\n`);
  };

  test("an artifact with one byte changed is refused by name before Packer starts", async () => {
    variant("changed");
    const { plan } = await planTrial();
    const goss = plan.artifacts?.find(({ name }) => name === "goss");
    if (goss === undefined) throw new Error("the trial has no goss");
    // In a cache of its own, which shares all other files: what runs beside this test reads the store, too.
    const own = join(scratch, "cache/bake");
    mkdirSync(own, { recursive: true });
    for (const name of readdirSync(cache).filter((each) => !["store", "work"].includes(each)))
      symlinkSync(join(cache, name), join(own, name));
    execFileSync("cp", ["--archive", "--link", join(cache, "store"), own]);
    const path = join(own, "store", storePath(digestOf(goss)));
    const changed = readFileSync(path);
    changed[1000] = (changed[1000] ?? 0) ^ 1;
    rmSync(path);
    writeFileSync(path, changed, { mode: 0o444 });
    const { code, output } = await bake(scratch, ["image", "--profile", "changed", "--trial", "--offline"], {
      XDG_CACHE_HOME: join(scratch, "cache"),
    });
    expect(code).toBe(2);
    expect(output).toContain("error[BK202]: artifact goss does not match its digest");
    expect(output).not.toContain("Packer builds");
    expect(existsSync(join(scratch, "out/changed-trial/image.qcow2"))).toBe(false);
  });

  test("an interrupt stops Packer and QEMU and leaves nothing half-made", async () => {
    variant("interrupted");
    const running = startBake(scratch, ["image", "--profile", "interrupted", "--trial"]);
    await running.said(/Packer builds the image/);
    const commands = (): string[] =>
      readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => {
          try {
            return readFileSync(`/proc/${pid}/cmdline`, "utf8");
          } catch {
            return "";
          }
        })
        .filter((command) => command.includes("interrupted-trial"));
    // Packer's plugin has started the build VM, whose console is a file of that folder.
    const vmRuns = (): boolean => commands().some((command) => command.includes("qemu-system"));
    await until("the build VM runs", async () => vmRuns(), { everyMs: 100, timeoutMs: 60_000 });
    running.interrupt();
    const { code, output } = await running.ended;
    expect(code).toBe(130);
    expect(output).toContain("stopping (SIGINT)");
    expect(leftFolders()).toEqual([]);
    expect(readdirSync(join(scratch, "out/interrupted-trial")).filter((name) => name.startsWith("image"))).toEqual([]);
    expect(commands()).toEqual([]);
  });

  test("a bake without a lock and without --trial says what to do", async () => {
    const { code, output } = await bake(scratch, ["image", "--profile", "2cards"]);
    expect(code).toBe(2);
    expect(output).toContain("error[BK204]");
    expect(output).toContain("--trial");
  });
});
