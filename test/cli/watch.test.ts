/** `bake validate --watch` as a process of its own, beside somebody who edits. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { root } from "../../src/host/root.ts";

vi.setConfig({ testTimeout: 240_000 });

let folder = "";
let child: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-watch-"));
  mkdirSync(join(folder, "profiles"));
});
afterEach(() => {
  child?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string): string => join(folder, "profiles", name);
const good = "extends: 2cards\n";
const bad = "extends: 2cards\nagents: { spawn: four }\n";

/** Another file in its place, as most editors save. */
const replace = (name: string, text: string): void => {
  writeFileSync(path(`.${name}.swp`), text);
  renameSync(path(`.${name}.swp`), path(name));
};

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

const { BAKE_PROFILE: _profile, ...env } = process.env;

const start = (...args: string[]) => {
  const started = spawn(join(root, "bin/bake"), ["validate", "--watch", ...args], { cwd: folder, env });
  child = started;
  let said = "";
  for (const stream of [started.stdout, started.stderr])
    stream.on("data", (text: Buffer) => {
      said += text.toString();
    });
  const ended = new Promise<number | null>((done) => started.on("exit", done));
  let from = 0;
  return {
    /** What was said since the last time, once this is in it. */
    until: async (wanted: RegExp): Promise<string> => {
      for (let waited = 0; waited < 90_000; waited += 50) {
        const text = said.slice(from);
        if (wanted.test(text)) {
          // What belongs to it may still be on its way.
          await pause(700);
          const whole = said.slice(from);
          from = said.length;
          return whole;
        }
        await pause(50);
      }
      throw new Error(`it does not say ${wanted}, but: ${said.slice(from)}`);
    },
    rest: () => said.slice(from),
    stop: async (signal: "SIGINT" | "SIGTERM"): Promise<number | null> => {
      started.kill(signal);
      return ended;
    },
    /** Ticks of the processor that it took, in hundredths of a second. */
    ticks: (): number => {
      const fields = readFileSync(`/proc/${started.pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
      return Number(fields[11]) + Number(fields[12]);
    },
  };
};

const watching = /^\d\d:\d\d:\d\d watching .*Ctrl-C ends it$/m;
const changed = (name: string): RegExp => new RegExp(`^\\d\\d:\\d\\d:\\d\\d .*${name} changed$`, "m");

test("it tells anew when the profile, one that it extends, or its lock changes, and is quiet otherwise", async () => {
  writeFileSync(path("base.yaml"), good);
  writeFileSync(path("site.yaml"), "extends: base\n");
  const bake = start("site");
  expect(await bake.until(watching)).toContain("profiles/site.yaml: ok\n");

  replace("site.yaml", "extends: base\nagents: { spawn: four }\n");
  const wrong = await bake.until(/1 error\n/);
  expect(wrong).toMatch(changed("profiles/site.yaml"));
  expect(wrong).toContain("--> profiles/site.yaml:2:18");
  expect(wrong.match(/ changed$/gm)).toHaveLength(1);

  // In place, in two steps.
  writeFileSync(path("site.yaml"), "exten");
  appendFileSync(path("site.yaml"), "ds: base\n");
  expect(await bake.until(/profiles\/site\.yaml: ok\n/)).toMatch(changed("profiles/site.yaml"));

  replace("base.yaml", bad);
  expect(await bake.until(/1 error\n/)).toContain("profiles/base.yaml:2:18");
  replace("base.yaml", good);
  await bake.until(/site\.yaml: ok\n/);

  writeFileSync(path("site.lock.json"), "{}");
  expect(await bake.until(/site\.yaml: ok\n/)).toMatch(changed("site.lock.json"));
  rmSync(path("site.lock.json"));
  await bake.until(changed("site.lock.json"));

  // Neither another file, nor one that was saved as it was.
  writeFileSync(path("other.yaml"), bad);
  writeFileSync(path("notes.txt"), "x");
  replace("site.yaml", readFileSync(path("site.yaml"), "utf8"));
  const before = bake.ticks();
  await pause(3000);
  expect(bake.rest()).toBe("");
  // It waits, and does not look all the time.
  expect(bake.ticks() - before).toBeLessThan(60);

  expect(await bake.stop("SIGINT")).toBe(130);
  expect(bake.rest()).toBe("");
});

test("a profile that goes and comes back, with its folder, or one that is not there yet", async () => {
  const bake = start("site");
  expect(await bake.until(watching)).toContain("error[BK100]");
  writeFileSync(path("site.yaml"), "extends: ../shared/base.yaml\n");
  expect(await bake.until(/error\[BK\d+\][\s\S]*1 error/)).toContain("shared/base.yaml");
  mkdirSync(join(folder, "shared"));
  writeFileSync(join(folder, "shared/base.yaml"), good);
  await bake.until(/site\.yaml: ok\n/);
  renameSync(join(folder, "profiles"), join(folder, "away"));
  expect(await bake.until(/error\[BK100\]/)).toMatch(changed("profiles/site.yaml"));
  mkdirSync(join(folder, "profiles"));
  writeFileSync(path("site.yaml"), good);
  await bake.until(/site\.yaml: ok\n/);
  replace("site.yaml", bad);
  await bake.until(/1 error\n/);
  expect(await bake.stop("SIGTERM")).toBe(143);
});

test("a link: what it leads to counts", async () => {
  mkdirSync(join(folder, "real"));
  writeFileSync(join(folder, "real/site.yaml"), good);
  symlinkSync("../real/site.yaml", path("site.yaml"));
  const bake = start("site");
  await bake.until(watching);
  writeFileSync(join(folder, "real/site.yaml"), bad);
  await bake.until(/1 error\n/);
  expect(await bake.stop("SIGINT")).toBe(130);
});

test("--all: a profile that is new is told too", async () => {
  writeFileSync(path("one.yaml"), good);
  const bake = start("--all");
  expect(await bake.until(watching)).toContain("profiles/one.yaml: ok");
  writeFileSync(path("two.yaml"), good);
  const told = await bake.until(/two\.yaml: ok/);
  expect(told).toContain("profiles/one.yaml: ok");
  expect(await bake.stop("SIGINT")).toBe(130);
});

test("it is for people", () => {
  writeFileSync(path("site.yaml"), good);
  const { status, stderr } = spawnSync(join(root, "bin/bake"), ["validate", "site", "--watch", "--json"], {
    cwd: folder,
    encoding: "utf8",
    env,
  });
  expect(status).toBe(2);
  expect(stderr).toContain("--watch is for people: it tells text, not json");
});
