/** From an image's folder to its report.html: records of it and of the one before, the lock, the times of steps. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { recordedParts } from "../../src/bake/image-record.ts";
import { imagePage, keepRecord, nodesPage, recordBefore, writeReport } from "../../src/commands/report-file.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { readProfile, trialLock, trialPlan } from "../plan-of.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-report-file-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const plan = trialPlan();
const { profile } = substitute(readProfile());
const bakeSteps = [
  { id: "packer:seed", title: "in the VM: the seed", seconds: 60 },
  { id: "packer", title: "Packer builds the image", seconds: 300 },
];

/** As a bake writes it. */
const record = (
  bakeId: string,
  change: (artifact: { name: string; version: string; sha256: string }) => object = (each) => each,
) => {
  const { artifacts, ...rest } = recordedParts(plan, bakeSteps, Date.UTC(2026, 10, 27, 2, 37));
  return `${JSON.stringify({
    bakeId,
    profile: "2cards",
    trial: true,
    target: "qemu",
    architecture: "x86_64",
    file: "image.qcow2",
    size: 357_302_272,
    sha256: "a".repeat(64),
    base: { name: "debian-trixie-stand-in", sha256: "b".repeat(64) },
    artifacts: artifacts.map(change),
    accelerator: "tcg",
    stages: [
      { name: "payload", id: "p".repeat(43), reused: true, madeAt: "2026-11-27T01:00:00.000Z" },
      { name: "node", id: bakeId, reused: false, seconds: 81.5 },
    ],
    ...rest,
  })}\n`;
};

const lay = (text: string): void => writeFileSync(join(folder, "image.json"), text);
const about = { profile: "2cards", trial: true, now: Date.UTC(2026, 10, 27, 3), secrets: [] };
const pageOf = (times: { id: string; title: string; seconds: number }[] = []): Promise<string> =>
  imagePage(about, {
    folder,
    plan,
    profile,
    lock: trialLock,
    progress: { times, lastTime: (id) => (id === "packer" ? 240 : undefined) },
    nodes: [],
  });

test("the record of the image before is kept once another one took its place, and not when the same was baked again", async () => {
  const kept = join(folder, "previous-image.json");
  await keepRecord(folder, await recordBefore(folder));
  lay(record("first"));
  await keepRecord(folder, undefined);
  expect(existsSync(kept)).toBe(false);

  const before = await recordBefore(folder);
  lay(record("second"));
  await keepRecord(folder, before);
  expect(readFileSync(kept, "utf8")).toBe(record("first"));

  // Up to date: what there was before this image still is what there was before it.
  await keepRecord(folder, await recordBefore(folder));
  const same = await recordBefore(folder);
  lay(`${record("second")}\n`);
  await keepRecord(folder, same);
  expect(readFileSync(kept, "utf8")).toBe(record("first"));
  await keepRecord(folder, "no record");
  expect(readFileSync(kept, "utf8")).toBe(record("first"));
});

test("what changed since the image before, with the lock's sizes", async () => {
  lay(record("second"));
  expect(await pageOf()).toContain("There is no earlier image");
  writeFileSync(
    join(folder, "previous-image.json"),
    record("first", (each) => (each.name === "docker" ? { ...each, version: "26.1.4", sha256: "c".repeat(64) } : each)),
  );
  const page = await pageOf();
  expect(page).toContain("was 26.1.4");
  expect(page).toContain("1 artifact changed");
  expect(page).toContain("This is a TRIAL");
  expect(page).toContain("Data disk: the smallest");
  expect(page).toMatch(/>\d+ B</);
  expect(page).toContain("2026-11-27 02:37 UTC");
});

test("steps: those of the bake from its record, those of this run with what they took the last time", async () => {
  lay(record("second"));
  const found = await pageOf([{ id: "boot-ssh", title: "boot the image", seconds: 87 }]);
  for (const title of ["in the VM: the seed", "Packer builds the image", "boot the image"])
    expect(found).toContain(title);
  expect(found).not.toContain("+25 %");
  const made = await pageOf(bakeSteps);
  expect(made).toContain("+25 %");
  expect(made.match(/Packer builds the image/g)).toHaveLength(1);
});

test("a record that cannot be read is none: what else is known is told", async () => {
  lay("{");
  const page = await pageOf();
  expect(page).not.toContain("What was baked");
  expect(page).toContain("Data disk: the smallest");
});

test("a place that cannot be written is an error with a code", async () => {
  await expect(writeReport(join(folder, "no/such/report.html"), nodesPage(about, []))).rejects.toMatchObject({
    code: "BK518",
  });
});

test("says which stages were made anew, and from when the layers of the others are", async () => {
  lay(record("a".repeat(43)));
  const page = await pageOf();
  expect(page).toContain("Stages of the bake");
  expect(page).toMatch(/payload<\/th><td[^>]*>the layer of 2026-11-27/);
  expect(page).toMatch(/node<\/th><td[^>]*>made anew<\/td><td[^>]*>81.5/);
  expect(page).toContain("p".repeat(43));
});
