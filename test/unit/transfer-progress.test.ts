/** What people see of downloads, on a clock of the test's own. */
import { expect, test } from "vitest";
import { StepProgress } from "../../src/host/progress.ts";
import { TransferProgress } from "../../src/store/transfer-progress.ts";

const mib = 1_000_000;

test("a bar for each download that runs, and a total with its rate and the time left", () => {
  let now = 10_000;
  const shown: string[][] = [];
  const progress = new TransferProgress({
    requests: [
      { name: "docker", size: 60 * mib },
      { name: "cann layer 1 of 3", size: 40 * mib },
      { name: "goss", size: 20 * mib },
    ],
    now: () => now,
    update: (detail, rows = []) => void shown.push([detail, ...rows]),
  });
  progress.on({ type: "there", name: "goss", bytes: 20 * mib });
  progress.on({ type: "start", name: "docker", bytes: 0, total: 60 * mib, url: "https://example.com/docker" });
  progress.on({
    type: "start",
    name: "cann layer 1 of 3",
    bytes: 10 * mib,
    total: 40 * mib,
    url: "https://example.com/l",
  });
  expect(shown).toEqual([["docker"], ["cann layer 1 of 3, going on after 10.0 MB"]]);
  progress.on({ type: "progress", name: "docker", bytes: 4 * mib });
  now += 2000;
  progress.on({ type: "progress", name: "docker", bytes: 24 * mib });
  expect(shown.at(-1)).toEqual([
    "[#########-----------]  54.0 MB of 120.0 MB  10.0 MB/s  6.6 s left",
    "[########------------] 24.0 MB of 60.0 MB  docker",
    "[#####---------------] 10.0 MB of 40.0 MB  cann layer 1 of 3",
  ]);
  // No more than one moment a second.
  const before = shown.length;
  now += 200;
  progress.on({ type: "progress", name: "docker", bytes: 25 * mib });
  expect(shown).toHaveLength(before);
  progress.on({
    type: "retry",
    name: "docker",
    reason: "the connection was cut",
    seconds: 2,
    url: "https://example.com/d",
  });
  expect(shown.at(-1)).toEqual(["docker: the connection was cut; again in 2.0 s (https://example.com/d)"]);
  expect(
    progress.summary([
      { name: "docker", sha256: "", size: 60 * mib, fetched: true },
      { name: "goss", sha256: "", size: 20 * mib, fetched: false },
    ]),
  ).toBe("1 fetched (60.0 MB), 1 were there");
});

test("sizes that nobody tells leave out what follows from them", () => {
  let now = 10_000;
  const shown: string[][] = [];
  const progress = new TransferProgress({
    requests: [{ name: "unknown" }],
    now: () => now,
    update: (detail, rows = []) => void shown.push([detail, ...rows]),
  });
  progress.on({ type: "start", name: "unknown", bytes: 0, url: "https://example.com/u" });
  now += 1000;
  progress.on({ type: "progress", name: "unknown", bytes: 5 * mib });
  expect(shown.at(-1)).toEqual(["5.0 MB", "                       5.0 MB  unknown"]);
});

test("in a log the moments of a step are told every ten seconds, everything else at once", async () => {
  let now = 100_000;
  let written = "";
  const output = { write: (text: string) => void (written += text), live: false, columns: 80 };
  await new StepProgress(output, () => now, {}).step("fetch", "fetch 2 files", async (update) => {
    update("docker");
    for (let second = 0; second < 25; second++) {
      now += 1000;
      update(`${second} MB`, ["a row"]);
    }
    update("2 fetched");
  });
  expect(written).toBe(
    [
      "  ... fetch 2 files",
      "      docker",
      "      0 MB",
      "      10 MB",
      "      20 MB",
      "      2 fetched",
      "  done fetch 2 files (25 s)",
      "",
    ].join("\n"),
  );
});

test("on a terminal rows stand below the step, and are written over", async () => {
  let written = "";
  const output = { write: (text: string) => void (written += text), live: true, columns: 30 };
  await new StepProgress(output, () => 0, {}).step("fetch", "fetch", async (update) => {
    update("all", ["one row", "another row that is longer than the terminal"]);
    await new Promise((done) => setTimeout(done, 600));
  });
  expect(written).toContain(
    "\r\u001b[J  ... fetch 0.0 s - all\n      one row\n      another row that is lon\u001b[2A\r",
  );
  expect(written.endsWith("\r\u001b[J  done fetch (0.0 s)\n")).toBe(true);
});

test.each([
  ["in the middle of what it took last time", 5, "[##########----------] about 5.0 s left - detail"],
  ["beyond it", 12, "[####################] 2.0 s longer than last time - detail"],
])("on a terminal a step has a bar by what it took last time: %s", async (_title, seconds, expected) => {
  let now = 0;
  let written = "";
  const output = { write: (text: string) => void (written += text), live: true, columns: 120 };
  await new StepProgress(output, () => now, { boot: 10 }).step("boot", "boot", async (update) => {
    update("detail");
    now = seconds * 1000;
    await new Promise((done) => setTimeout(done, 600));
  });
  expect(written).toContain(`  ... boot ${seconds < 10 ? `${seconds}.0` : seconds} s ${expected}\r`);
});

test("without such a time, or for a moment, there is none; and none in a log", async () => {
  for (const [live, last] of [
    [true, {}],
    [true, { boot: 1 }],
    [false, { boot: 10 }],
  ] as const) {
    let written = "";
    const output = { write: (text: string) => void (written += text), live, columns: 120 };
    await new StepProgress(output, () => 0, last).step("boot", "boot", async (update) => {
      update("detail");
      await new Promise((done) => setTimeout(done, 600));
    });
    expect(written).not.toContain("[#");
    expect(written).not.toContain("[-");
  }
});
