/** How long a check waits, and what it says of a machine that is slow. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Host } from "../../src/host/host.ts";
import { nodeSays, statusOnConsole } from "../../src/check/node-says.ts";
import { lostConnection, patience, slowness, slownessNote, timedApart } from "../../src/check/patience.ts";

const minutes = (pace: Parameters<typeof patience>[0]): number => patience(pace) / 60_000;

describe("patience", () => {
  it("is a quarter of an hour where nothing else is known", () => {
    expect(minutes({})).toBe(15);
    expect(minutes({ boot: 30, lastBoot: 30, last: 100 })).toBe(15);
  });

  it("grows with what the machine has shown", () => {
    // Ssh came after 170 s, last time after 10: the agents, 120 s last time, have 3 x 17 x 120 s.
    expect(slowness({ boot: 170, lastBoot: 10 })).toBe(17);
    expect(minutes({ boot: 170, lastBoot: 10, last: 120 })).toBe(102);
    expect(minutes({ boot: 400 })).toBeCloseTo(66.7, 1);
    // Also before the machine has shown anything in this run.
    expect(minutes({ lastBoot: 300 })).toBe(50);
  });

  it("ends: after two hours something is stuck", () => {
    expect(minutes({ boot: 3000, lastBoot: 10, last: 3000 })).toBe(120);
  });

  it("says so when the machine is much slower than last time", () => {
    expect(slownessNote({ boot: 170, lastBoot: 10 })).toBe(
      "  this machine is 17 times slower than last time (ssh answered after 2 min 50 s, last time 10 s): waiting accordingly, up to 28 min a step",
    );
    expect(slownessNote({ boot: 20, lastBoot: 10 })).toBeUndefined();
    expect(slownessNote({ boot: 20 })).toBeUndefined();
  });
});

describe("a job that lost its builder", () => {
  it("is known by what buildx and Docker print", () => {
    const log = `#1 [internal] load build definition\nERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server\nERROR: error reading server preface: read |0: use of closed network connection\r\n`;
    expect(lostConnection(log)).toBe("ERROR: error reading server preface: read |0: use of closed network connection");
    expect(lostConnection("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n")).toContain(
      "Cannot connect",
    );
  });

  it("is no other failure, nor one of long before its end", () => {
    expect(lostConnection("#7 ERROR: process did not complete successfully: exit code: 1")).toBeUndefined();
    expect(lostConnection(`dial tcp: connection refused\n${"more\n".repeat(20)}`)).toBeUndefined();
  });
});

const console = `[    1.000000] systemd[1]: Starting
[   80.100000] bake-ready[900]: NOT READY: takes no jobs: checked 2026-11-26T10:00:00Z (boot), 3 passed, 1 failed
[   80.200000] bake-ready[900]:   failed G1 the first
[   80.300000] bake-ready[900]:          detail
[  160.100000] bake-ready[901]: NOT READY: takes no jobs: checked 2026-11-26T10:01:00Z (boot), 3 passed, 0 failed, 1 without an answer
[  160.200000] bake-ready[901]:   no answer G21 Docker keeps its data in /mnt
[  170.000000] systemd[1]: Something else
`;

describe("what a node says", () => {
  it("is read from its console, the last of it", () => {
    expect(statusOnConsole(console)).toBe(
      "NOT READY: takes no jobs: checked 2026-11-26T10:01:00Z (boot), 3 passed, 0 failed, 1 without an answer\n  no answer G21 Docker keeps its data in /mnt",
    );
    expect(statusOnConsole("nothing of it\n")).toBe("");
  });

  it("is asked by ssh, each question alone, and is there also when ssh has no answer", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bake-says-"));
    const log = join(folder, "console.log");
    writeFileSync(log, console);
    try {
      const asked: string[] = [];
      // The second question is too much for the machine.
      const partly = await nodeSays(async (command) => {
        asked.push(command);
        if (command.includes("bake-status")) throw new Error("no answer");
        return { exitCode: 0, stdout: `${command.split(" ")[0]}\n`, stderr: "" };
      }, log);
      expect(partly).toBe("cat\njournalctl");
      expect(asked.map((command) => command.split(/[ /]+/)[0])).toHaveLength(4);
      const silent = await nodeSays(() => Promise.reject(new Error("no answer")), log);
      expect(silent).toMatch(/^nothing by ssh .*; its console says\nNOT READY: .*\n {2}no answer G21/s);
      const nothing = await nodeSays(
        () => Promise.resolve({ exitCode: 128, stdout: "\n", stderr: "" }),
        join(folder, "no"),
      );
      expect(nothing).toContain("its console ends with\nnothing");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

it("an emulated machine of another processor is compared with its own kind alone", async () => {
  const asked: string[] = [];
  const last: Readonly<Record<string, number>> = { "boot-ssh": 95, "boot-ssh-aarch64": 400 };
  const host = {
    progress: {
      note: () => undefined,
      step: (id: string, _title: string, work: (update: () => void) => Promise<number>) => {
        asked.push(id);
        return work(() => undefined);
      },
      lastTime: (id: string) => last[id],
    },
  } as unknown as Host;
  expect(timedApart(host, "x86_64")).toBe(host);
  const other = timedApart(host, "aarch64");
  await other.progress.step("boot-ssh", "boot", () => Promise.resolve(1));
  expect(asked).toEqual(["boot-ssh-aarch64"]);
  expect(other.progress.lastTime?.("boot-ssh")).toBe(400);
});
