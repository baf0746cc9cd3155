/** `bake catalog import` as a user runs it: an image of the cloud from one that a local bake left, against the emulated cloud. */
import { createHash } from "node:crypto";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { type Ended, runBake, userIn } from "./run-bake.ts";

const bakeId = "Import".padEnd(43, "x");
const GiB = 1024 ** 3;

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  emulator.world.takes.import = 0;
  folder = mkdtempSync(join(tmpdir(), "bake-import-"));
  writeProfile("bucket: ci-images, system: openeuler-22.03");
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

const writeProfile = (settings: string): void =>
  writeFileSync(
    join(folder, "2cards.yaml"),
    `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}\ntargets: { huaweicloud: { ${settings} } }\n`,
  );

/** As much of a qcow2 as says what it is. */
const qcow2 = (disk = 40 * GiB): Buffer => {
  const bytes = Buffer.alloc(200_000, "some content of a disk");
  bytes.fill(0, 0, 104);
  bytes.write("QFI\xfb", "latin1");
  bytes.writeUInt32BE(3, 4);
  bytes.writeBigUInt64BE(BigInt(disk), 24);
  return bytes;
};

/** What a local bake leaves, as far as an import reads it. */
const lay = (
  content: Buffer = qcow2(),
  record: Record<string, unknown> = {},
  datasources = "datasource_list: [NoCloud, OpenStack, ConfigDrive, None]\n",
): void => {
  const out = join(folder, "out/2cards");
  mkdirSync(join(out, "node/etc/cloud/cloud.cfg.d"), { recursive: true });
  writeFileSync(join(out, "image.qcow2"), content);
  writeFileSync(join(out, "node/etc/cloud/cloud.cfg.d/90_bake.cfg"), datasources);
  writeFileSync(join(out, "plan.json"), JSON.stringify({ lockDigest: "lock-of-it" }));
  writeFileSync(
    join(out, "image.json"),
    JSON.stringify({
      ...{ bakeId, profile: "2cards", trial: false, target: "qemu", architecture: "aarch64", file: "image.qcow2" },
      size: content.length,
      sha256: createHash("sha256").update(content).digest("hex"),
      base: { name: "openeuler-22.03-lts-sp4", sha256: "0".repeat(64) },
      ...{ artifacts: [], accelerator: "kvm", steps: [], madeAt: "2026-11-26T12:00:00.000Z" },
      ...record,
    }),
  );
};

const catalog = (...args: readonly string[]): Promise<Ended> =>
  runBake(["catalog", ...args, "--profile", "2cards.yaml"], userIn(folder, emulator.env));
const importIt = (...args: readonly string[]): Promise<Ended> => catalog("import", "out/2cards", ...args);

const bucket = () => {
  const found = emulator.world.buckets.get("ci-images");
  if (found === undefined) throw new Error("no bucket");
  return found;
};
const imported = () => emulator.world.images.filter(({ type }) => type === "private");
const changed = (): string[] => emulator.calls.filter((call) => !/^\w+ (?:GET|HEAD) /.test(call));
const key = /^bake-import\/2cards\/Import\w{37}-[0-9a-f]{16}\.qcow2$/;

test("shown, imported with a bake's tags, there already; nothing of the upload stays; the page shows it", async () => {
  lay();
  const shown = await importIt();
  expect([shown.status, shown.stderr], shown.stdout).toEqual([0, ""]);
  expect(shown.stdout).toMatch(
    /^an image of bake id Importx{37} would be made in cn-north-4:\n(?: {2}.*\n)+nothing was changed; add --yes to do it\n$/,
  );
  expect(changed()).toEqual([]);
  const made = await importIt("--yes");
  expect(made.status, made.stderr).toBe(0);
  const [image, ...others] = imported();
  expect(others).toEqual([]);
  expect(image).toMatchObject({
    ...{ status: "active", name: "bake-2cards", architecture: "arm", minDisk: 40, osVersion: "openEuler 22.03 64bit" },
    tags: { "bake-id": bakeId, "bake-lock": "lock-of-it", "bake-profile": "2cards" },
  });
  expect(made.stdout).toContain(`image made: ${image?.id}, in cn-north-4\n`);
  expect([bucket().objects.size, bucket().uploads.size]).toEqual([0, 0]);
  // The local image's record stays; the cloud's lies beside it.
  expect(JSON.parse(readFileSync(join(folder, "out/2cards/image.json"), "utf8"))).toMatchObject({ target: "qemu" });
  expect(JSON.parse(readFileSync(join(folder, "out/2cards/huaweicloud/image.json"), "utf8"))).toMatchObject({
    ...{ target: "huaweicloud", bakeId, region: "cn-north-4", imageId: image?.id, imported: { file: "image.qcow2" } },
  });
  const before = emulator.calls.length;
  const again = await importIt("--yes", "--json");
  expect(JSON.parse(again.stdout)).toMatchObject({ id: image?.id, changed: false, bakeId });
  expect(emulator.calls.slice(before).filter((call) => call.startsWith("OBS"))).toEqual([]);
  expect((await catalog("ls")).stdout).toMatch(/^ {2}candidate {2}\S+ {2}Importxxxx {2}/m);
  for (const { stdout, stderr } of [shown, made, again]) {
    for (const secret of [emulator.env["HW_ACCESS_KEY"], emulator.env["HW_SECRET_KEY"]])
      expect(stdout + stderr).not.toContain(secret);
  }
  const page = readFileSync(join(root, "docs/catalog.md"), "utf8");
  const lines = shown.stdout.trimEnd().replace(/\b[0-9a-f]{16}(?=\.qcow2)/, "0123456789abcdef");
  expect(page).toContain(lines.replace(/^/gm, "    "));
  // A copy that encrypts it carries its tags and words, and is not it.
  if (image !== undefined) image.description = `Copy of ${image.id} in cn-north-4 by key k. ${image.description}`;
  expect((await importIt()).stdout).toContain(`an image of bake id ${bakeId} would be made in cn-north-4:`);
}, 240_000);

test("what is no image for the cloud is refused before anything is asked for", async () => {
  const none = await importIt("--yes");
  expect([none.status, none.stderr]).toEqual([
    2,
    expect.stringMatching(/^error\[BK438\]: out\/2cards holds no image with a bake id\n/),
  ]);
  const cases: readonly (readonly [Buffer, Record<string, unknown>, string | undefined, RegExp])[] = [
    [qcow2(), { bakeId: "" }, undefined, /holds no image with a bake id/],
    [qcow2(), { sha256: "1".repeat(64) }, undefined, /holds no image that is as its image\.json says/],
    [qcow2(), { profile: "other" }, undefined, /is of the profile other, not of 2cards/],
    [qcow2(), { trial: true }, undefined, /is a trial's image/],
    [qcow2(), {}, "datasource_list: [NoCloud, None]\n", /looks for its user-data in a local VM alone/],
    [Buffer.alloc(4096, "raw"), {}, undefined, /image\.qcow2 is no qcow2/],
    [qcow2(1025 * GiB), {}, undefined, /has 1025 GiB: a system disk has 1024 at most/],
  ];
  for (const [content, record, datasources, words] of cases) {
    lay(content, record, datasources);
    const { status, stderr } = await importIt("--yes");
    expect([status, stderr], String(words)).toEqual([2, expect.stringMatching(words)]);
  }
  expect(changed()).toEqual([]);
}, 240_000);

test("no bucket, a wrong one, one elsewhere, a system that the region does not know: nothing is uploaded", async () => {
  lay();
  const refusedWith = async (words: RegExp, ...args: readonly string[]): Promise<void> => {
    const { status, stderr } = await importIt("--yes", ...args);
    expect([status, stderr], String(words)).toEqual([2, expect.stringMatching(words)]);
  };
  await refusedWith(/^error\[BK437\]: there is no bucket nowhere in cn-north-4/, "--bucket", "nowhere");
  await refusedWith(/^error\[BK437\]: the bucket far-away is in cn-south-1/, "--bucket", "far-away");
  await refusedWith(/^error\[BK437\]: "evil\.example\.com\/" is no bucket/, "--bucket", "evil.example.com/");
  await refusedWith(
    /^error\[BK438\]: cn-north-4 takes no image of the system "Plan 9"\n.*openEuler 22\.03 64bit/,
    "--os-version",
    "Plan 9",
  );
  writeProfile("system: other");
  await refusedWith(/^error\[BK437\]: no bucket is named for the upload/);
  expect(changed()).toEqual([]);
  // The base's name tells as well.
  const { status, stderr } = await importIt("--yes", "--bucket", "ci-images");
  expect(status, stderr).toBe(0);
}, 240_000);

test("a right that is missing, a job that fails with a reason: the upload stays, is used again, and leftovers names it", async () => {
  lay();
  emulator.fail("IMS POST /v2/cloudimages/action", {
    job: { code: "IMG.0161", reason: "The file format is not supported." },
  });
  const failed = await importIt("--yes");
  expect([failed.status, failed.stderr]).toEqual([
    2,
    expect.stringMatching(/error\[BK433\]: .*IMG\.0161: The file format is not supported\./),
  ]);
  expect([...bucket().objects.keys()]).toEqual([expect.stringMatching(key)]);
  // The cloud's clock is known to the second: what it made just now may be younger than what it says the time is.
  for (const [name, object] of bucket().objects)
    bucket().objects.set(name, { ...object, modified: new Date(Date.now() + 60_000).toISOString() });
  const left = await catalog("leftovers", "--older-than", "0");
  expect([left.status, left.stdout]).toEqual([
    1,
    expect.stringMatching(
      /^ {2}object +bake-import\/2cards\/Import\S+ {2}ci-images:.*an import of this profile uploaded it$/m,
    ),
  ]);
  // Young ones stay: their import may run.
  expect((await catalog("leftovers")).status).toBe(0);

  const puts = changed().filter((call) => call.startsWith("OBS PUT")).length;
  const again = await importIt("--yes");
  expect(again.status, again.stderr).toBe(0);
  expect(changed().filter((call) => call.startsWith("OBS PUT")).length).toBe(puts);
  expect(bucket().objects.size).toBe(0);

  emulator.world.images = emulator.world.images.filter(({ type }) => type !== "private");
  emulator.forbid("OBS POST /{key}?uploadId");
  const forbidden = await importIt("--yes");
  expect([forbidden.status, forbidden.stderr]).toEqual([
    2,
    expect.stringMatching(/error\[BK421\]: .*\n.*obs:object:PutObject/),
  ]);
  expect(bucket().uploads.size).toBe(1);
  const cut = await catalog("leftovers", "--older-than", "0", "--yes");
  expect([cut.status, cut.stdout]).toEqual([0, expect.stringMatching(/^removed: upload /m)]);
  expect(bucket().uploads.size).toBe(0);
}, 240_000);

test("kill -9 after the upload, and while the cloud makes the image: the same command finishes it, and makes no second one", async () => {
  lay();
  const killedAt = (route: string): Promise<void> =>
    new Promise((resolve) => {
      const child = execFile(
        join(root, "bin/bake"),
        ["catalog", "import", "out/2cards", "--profile", "2cards.yaml", "--yes"],
        {
          ...userIn(folder, emulator.env),
        },
      );
      child.on("close", () => resolve());
      emulator.on(route, () => child.kill("SIGKILL"));
    });
  // Before the image service is asked: the object is there, and no image.
  await killedAt("IMS POST /v2/cloudimages/action");
  emulator.world.images = emulator.world.images.filter(({ type }) => type !== "private");
  expect([bucket().objects.size, imported().length]).toEqual([1, 0]);
  // And once more while the job runs.
  await killedAt("IMS GET /v1/{project_id}/jobs/{job_id}");
  expect([bucket().objects.size, imported().length]).toEqual([1, 1]);
  expect(existsSync(join(folder, "out/2cards/huaweicloud"))).toBe(false);
  const [image] = imported();
  if (image !== undefined) image.status = "queued";
  setTimeout(() => {
    if (image !== undefined) image.status = "active";
  }, 3000);
  const finished = await importIt("--yes");
  expect(finished.status, finished.stderr).toBe(0);
  expect(finished.stdout).toContain(`image finished: ${image?.id}, in cn-north-4\n`);
  expect([bucket().objects.size, imported().length]).toEqual([0, 1]);
}, 240_000);
