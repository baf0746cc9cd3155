/** Journals on the disk: what is written is read, what a crash tore is no fault, what somebody changed is. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  beganAt,
  findRollout,
  listRollouts,
  newId,
  openJournal,
  readEvents,
  readRollout,
  requireId,
  stepIdOf,
} from "../../src/rollout/journal.ts";
import { lineOf, type RolloutEvent } from "../../src/rollout/journal-events.ts";
import { hostileStrings } from "../hostile.ts";
import { begin, goOn, settingsOf } from "../rollout/rolling.ts";
import { TestWorld } from "../rollout/world.ts";

let folder = "";
const home = process.cwd();
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-journal-"));
  process.chdir(folder);
});
afterEach(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

const whole = async (): Promise<readonly RolloutEvent[]> => {
  const world = new TestWorld();
  world.addImage("old");
  world.addImage("new");
  world.add("n1", "old");
  await begin(world, "new", { settings: settingsOf({ minHealthy: 0 }) });
  await goOn(world);
  return world.journal;
};

test("written and read: the same events, for its owner alone", async () => {
  const events = await whole();
  const journal = await openJournal("r1");
  await Promise.all(events.map((event) => journal.append([event])));
  await journal.close();
  const file = "out/rollouts/r1/journal.jsonl";
  expect(readEvents(readFileSync(file, "utf8"), file)).toEqual(events);
  expect([statSync("out/rollouts/r1").mode & 0o777, statSync(file).mode & 0o777]).toEqual([0o700, 0o600]);
  expect((await readRollout("r1")).state.status).toBe("done");
  expect(await beganAt(["r1", "r2", "../r1"])).toEqual(new Map([["r1", events[0]?.at]]));
});

test("append comes back when the disk has the events, and not before", async () => {
  const [first, second] = await whole();
  if (first === undefined || second === undefined) throw new Error("too short");
  const probe = await open(join(folder, "probe"), "w");
  const handles = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  // The disk takes its time, and says what it had then.
  const disk: string[] = [];
  const spied = vi.spyOn(handles, "sync").mockImplementation(async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    disk.push(readFileSync("out/rollouts/r1/journal.jsonl", "utf8"));
  });
  try {
    const journal = await openJournal("r1");
    // Of a new file its name, too.
    expect(disk).toEqual([""]);
    await journal.append([first]);
    expect(disk.at(-1)).toBe(lineOf(first));
    await journal.append([second]);
    expect(disk.at(-1)).toBe(lineOf(first) + lineOf(second));
    await journal.close();
  } finally {
    spied.mockRestore();
  }
});

test("a torn last line is cut away before more is written", async () => {
  const [first, second] = await whole();
  if (first === undefined || second === undefined) throw new Error("too short");
  const journal = await openJournal("r1");
  await journal.append([first]);
  await journal.close();
  const file = "out/rollouts/r1/journal.jsonl";
  appendFileSync(file, lineOf(second).slice(0, 20));
  expect((await readRollout("r1")).state.wave).toBe(-1);
  const again = await openJournal("r1");
  await again.append([second]);
  await again.close();
  expect(readFileSync(file, "utf8")).toBe(lineOf(first) + lineOf(second));
});

test("any other line that is no event is told with file and line", async () => {
  const [first, second] = await whole();
  if (first === undefined || second === undefined) throw new Error("too short");
  const [one, two] = [lineOf(first), lineOf(second)];
  for (const [text, line] of [
    [`${one}{"event":\n${two}`, 2],
    [`${one}\n`, 2],
    [two, 1],
    [`${one}${two}${one}`, 3],
    [`${one}{"event":"exploded","at":"2026-11-27T02:00:00Z"}\n`, 2],
    [`${one}null\n`, 2],
    [`${one}{"event":"done","at":"yesterday"}\n`, 2],
    [`${one}${JSON.stringify({ event: "node", at: "2026-11-27T02:00:00Z", node: "x", state: "flying" })}\n`, 2],
  ] as const)
    expect(() => readEvents(text, "j")).toThrow(
      expect.objectContaining({ code: "BK708", message: expect.stringContaining(`j:${line}: `) }),
    );
});

test("hostile names stay on their line", async () => {
  const [first] = await whole();
  if (first?.event !== "begun") throw new Error("no beginning");
  const strings = hostileStrings(60);
  const events: RolloutEvent[] = [
    first,
    ...strings.map(
      (why): RolloutEvent => ({ event: "node", at: first.at, node: "id-n1", state: "change-failed", why }),
    ),
  ];
  const read = readEvents(events.map(lineOf).join(""), "j");
  expect(read.slice(1).map((event) => ("why" in event ? event.why : undefined))).toEqual(strings);
});

test("IDs are parts of a path and values of a tag", () => {
  expect(newId(Date.UTC(2026, 10, 27, 2, 50), "3f9c1a")).toBe("20261127T025000Z-3f9c1a");
  expect(requireId("20261127T025000Z-3f9c1a")).toBe("20261127T025000Z-3f9c1a");
  for (const id of ["", ".", "..", "../x", "a/b", "a b", "-x", "a".repeat(44), "a\n", "ä"])
    expect(() => requireId(id), id).toThrow(expect.objectContaining({ code: "BK709" }));
});

test("the step of one node has a folder of its own, whatever the node is called", () => {
  expect(stepIdOf("build-17", "npu-0002")).toBe("build-17.npu-0002");
  const odd = ["节点", "a/b", "..", "a".repeat(60), `${"a".repeat(60)}b`].map((name) => stepIdOf("build-17", name));
  expect(new Set(odd).size).toBe(odd.length);
  for (const id of odd) expect(requireId(id)).toBe(id);
});

test("the newest is found; folders without a journal are none", async () => {
  await expect(findRollout(undefined)).rejects.toMatchObject({ code: "BK709" });
  const [first] = await whole();
  if (first === undefined) throw new Error("too short");
  for (const id of ["20261127T025000Z-b", "20261126T025000Z-c"]) {
    mkdirSync(join("out/rollouts", id), { recursive: true });
    const at = id.includes("1127") ? first.at : first.at - 86_400_000;
    writeFileSync(join("out/rollouts", id, "journal.jsonl"), lineOf({ ...first, at }));
  }
  mkdirSync("out/rollouts/20261128T025000Z-d");
  writeFileSync("out/rollouts/zzz", "");
  expect(await listRollouts()).toEqual(["20261126T025000Z-c", "20261127T025000Z-b"]);
  expect((await findRollout(undefined)).id).toBe("20261127T025000Z-b");
  // A step of one node, whose ID sorts behind all moments, began before.
  mkdirSync("out/rollouts/build-17.n1");
  writeFileSync("out/rollouts/build-17.n1/journal.jsonl", lineOf({ ...first, at: first.at - 1000 }));
  expect((await findRollout(undefined)).id).toBe("20261127T025000Z-b");
  await expect(findRollout("20261128T025000Z-d")).rejects.toMatchObject({ code: "BK709" });
});
