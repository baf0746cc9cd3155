/** `bake catalog` as a user runs it, against the emulated cloud behind a proxy. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { type Ended, runBake, userIn } from "./run-bake.ts";
import { bakedImage, type Image } from "../huaweicloud/world.ts";

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  emulator.world.takes.share = 0;
  emulator.world.takes.copy = 0;
  folder = mkdtempSync(join(tmpdir(), "bake-catalog-"));
  writeFileSync(
    join(folder, "2cards.yaml"),
    `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}\n`,
  );
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

const bake = (...args: readonly string[]) =>
  runBake(["catalog", ...args, "--profile", "2cards.yaml"], userIn(folder, emulator.env));

const idOf = (number: number): string => `aaaaaaaa-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** So many hours ago. */
const ago = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();

/** The first of five is five days old. */
const add = (number: number, rest: Partial<Image> = {}): Image => {
  const image = bakedImage(idOf(number), `Bake${number}`, { createdAt: ago((6 - number) * 24 + 1), ...rest });
  emulator.world.images.push(image);
  return image;
};

const changed = (): string[] => emulator.calls.filter((call) => call.split(" ")[1] !== "GET");

/** Its example is a session as it was printed; BAKE_TEST_UPDATE_DOCS=1 prints it. */
const page = readFileSync(join(root, "docs/catalog.md"), "utf8");

test("a session: ls, promote, ls, prune; the page shows what is printed", async () => {
  add(1, { tags: { "bake-promoted": "20261112T090000Z" } });
  add(2, { tags: { "bake-promoted": "20261120T090000Z" } });
  add(3, { tags: { "bake-promoted": "20261123T090000Z" } });
  add(4);
  emulator.world.servers.push({
    id: "5e7ae7aa-0000-4000-8000-000000000001",
    name: "ci-1",
    imageId: idOf(3),
    flavorId: "kc1.large.4",
    zone: "cn-north-4b",
    status: "ACTIVE",
    address: "192.168.0.9",
    addressId: undefined,
    keyName: undefined,
    diskSize: 40,
    tags: {},
  });
  const session: string[] = [];
  const run = async (...args: readonly string[]): Promise<Ended> => {
    const ended = await bake(...args);
    session.push(
      `bake catalog ${[args[0], "--profile 2cards", ...args.slice(1)].join(" ")}`,
      ended.stdout.trimEnd(),
      "",
    );
    return ended;
  };
  expect((await run("ls")).status).toBe(0);
  await run("promote", "Bake4x");
  expect(changed()).toEqual([]);
  expect((await run("promote", "Bake4x", "--yes")).status).toBe(0);
  await run("prune", "--keep", "2");
  expect(emulator.world.images).toHaveLength(5);
  expect((await run("prune", "--keep", "2", "--yes")).status).toBe(0);
  expect(emulator.world.images.map(({ id }) => id)).not.toContain(idOf(1));
  expect(emulator.world.images.map(({ id }) => id)).not.toContain(idOf(2));
  const shown = session
    .join("\n")
    .replace(/(?<=since )\d{8}T\d{6}Z/g, "20261126T130000Z")
    .replace(/^(?=.)/gm, "    ")
    .trimEnd();
  if (process.env["BAKE_TEST_UPDATE_DOCS"] !== undefined) process.stdout.write(`${shown}\n`);
  expect(page).toContain(shown);
});

test("--json has all of it, and nothing of credentials or user-data", async () => {
  add(1, { members: { ["1".repeat(32)]: "accepted" } });
  const { status, stdout, stderr } = await bake("ls", "--json");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({
    profile: "2cards",
    region: "cn-north-4",
    images: [
      {
        id: idOf(1),
        state: "candidate",
        status: "active",
        size: 3_221_225_472,
        promoted: null,
        servers: [],
        scaling: [],
        members: [{ project: "1".repeat(32), status: "accepted" }],
      },
    ],
  });
  const shown = await bake("show", idOf(1));
  expect(shown.stdout).toMatch(/^ {2}state {7}candidate: never promoted$/m);
  expect(shown.stdout).toMatch(/^ {2}shared {6}1{32} {2}accepted$/m);
  for (const value of [emulator.env["HW_ACCESS_KEY"], emulator.env["HW_SECRET_KEY"], "U0VDUkVU"])
    expect(stdout + shown.stdout).not.toContain(value);
});

test("share and copy are only shown without --yes, and done with it", async () => {
  const image = add(1);
  const project = "1".repeat(32);
  expect((await bake("share", idOf(1), "--with", project)).stdout).toContain(
    "nothing was changed; add --yes to do it\n",
  );
  expect((await bake("copy", idOf(1), "--to", "cn-south-1", "--agency", "ims_copy")).stdout).toContain(
    "would be copied",
  );
  expect(changed()).toEqual([]);
  const shared = await bake("share", idOf(1), "--with", project, "--yes");
  expect(shared.status).toBe(0);
  expect(shared.stdout).toMatch(/^ {2}1{32} {2}pending$/m);
  expect(image.members).toEqual({ [project]: "pending" });
  const copied = await bake("copy", idOf(1), "--to", "cn-south-1", "--agency", "ims_copy", "--yes");
  expect(copied.stderr).not.toContain("error");
  expect(copied.stdout).toMatch(/^copy made: [0-9a-f-]{36}, in cn-south-1\n$/);
  const there = await bake("ls", "--region", "cn-south-1", "--json");
  expect((JSON.parse(there.stdout) as { images: unknown[] }).images).toHaveLength(1);
});

test("what a journal of a rollout names stays; one that cannot be read keeps everything", async () => {
  add(1);
  add(2);
  mkdirSync(join(folder, "out/rollouts/one"), { recursive: true });
  writeFileSync(join(folder, "out/rollouts/one/journal.jsonl"), `{"image":"${idOf(1)}"}\n`);
  const { stdout } = await bake("prune", "--keep", "0");
  expect(stdout).toMatch(new RegExp(`^ {2}stays {2}${idOf(1)} .* a rollout's journal names it$`, "m"));
  expect(stdout).toMatch(/^1 of 2 images would go; add --yes to do it$/m);
  mkdirSync(join(folder, "out/rollouts/two/journal.jsonl"), { recursive: true });
  const refused = await bake("prune", "--keep", "0", "--yes");
  expect(refused.status).toBe(2);
  expect(refused.stderr).toMatch(/^error\[BK435\]: journals of rollouts cannot be read: EISDIR/);
  expect(changed()).toEqual([]);
});

test("leftovers: exit 1 while there are some; young ones stay, since their bake may run", async () => {
  const server = (id: string, name: string, created: string) => ({
    id,
    name,
    imageId: idOf(1),
    flavorId: "kc1.large.4",
    zone: "cn-north-4b",
    status: "ACTIVE" as const,
    address: "192.168.0.9",
    addressId: undefined,
    keyName: undefined,
    diskSize: 40,
    tags: {},
    created,
  });
  const none = await bake("leftovers");
  expect({ status: none.status, stdout: none.stdout }).toEqual({
    status: 0,
    stdout: "nothing that a bake of 2cards left more than 4 hours ago\n",
  });
  emulator.world.servers.push(
    // Both have the end that a bake gave them, 6 hours and imageTimeout after its last sign of life.
    { ...server("old", "bake-2cards-0123456789", ago(30)), endsAt: ago(4.1 - 7) },
    { ...server("long", "bake-2cards-9876543210", ago(30)), endsAt: ago(3.9 - 7) },
    server("young", "bake-2cards-AbCdEfGhIj", ago(3.9)),
    server("other", "bake-2cards-npu-0123456", ago(600)),
  );
  emulator.world.takes.delete = 0;
  const found = await bake("leftovers");
  expect(found.status).toBe(1);
  expect(found.stdout).toMatch(/^ {2}server {5}old {2}bake-2cards-0123456789, ACTIVE, /m);
  expect(found.stdout).toMatch(
    /^ {2}server\? {4}long .*last sign of life was at .* too young: the bake may still run$/m,
  );
  expect(found.stdout).toMatch(/^ {2}server\? {4}young .* too young: the bake may still run$/m);
  expect(found.stdout).toMatch(/^1 would be removed; add --yes to do it$/m);
  expect(changed()).toEqual([]);
  const removed = await bake("leftovers", "--yes");
  expect(removed.status).toBe(0);
  expect(removed.stdout).toMatch(/^removed: server old$/m);
  expect(emulator.world.servers.map(({ id }) => id)).toEqual(["long", "young", "other"]);
  const now = await bake("leftovers", "--bake-id", "AbCdEfGhIjKlMnOp", "--older-than", "0", "--yes");
  expect(now.stdout).toMatch(/^removed: server young$/m);
});

test("wrong usage, a profile without the cloud, an image that is not there", async () => {
  add(1);
  const wrong: readonly (readonly [args: string[], words: RegExp])[] = [
    [["copy", idOf(1)], /say where the copy goes by --to/],
    [["copy", idOf(1), "--to", "cn-south-1"], /--to and --agency go together/],
    [["share", idOf(1)], /required option '--with/],
    [["prune", "--keep", "-1"], /a number from 0 on is wanted/],
    [["show", "nothing"], /^error\[BK430\]: the catalogue of 2cards has no image nothing\n/],
    [["ls", "--region", "evil.example.com/"], /^error\[BK425\]: "evil.example.com\/" is no region\n/],
    [["share", idOf(1), "--with", "someone"], /^error\[BK432\]: no ID of a project: someone\n/],
  ];
  for (const [args, words] of wrong) {
    const { status, stderr } = await bake(...args);
    expect(status, args.join(" ")).toBe(2);
    expect(stderr).toMatch(words);
  }
  writeFileSync(join(folder, "2cards.yaml"), `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}\n`);
  expect((await bake("ls")).stderr).toMatch(/^error\[BK413\]: 2cards\.yaml has no target huaweicloud\n/);
});
