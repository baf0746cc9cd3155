/** The catalogue against the emulated cloud: states, promotions, shares, copies and removals, with what goes wrong between two calls. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copyImage, type CopyRequest, lookForCopy } from "../../src/huaweicloud/catalog/copy.ts";
import type { CatalogImage } from "../../src/huaweicloud/catalog/image.ts";
import { findImage, listCatalog, listPrivate, usageOf } from "../../src/huaweicloud/catalog/look.ts";
import { promote } from "../../src/huaweicloud/catalog/promote.ts";
import { idsIn, lookForPrune, prune } from "../../src/huaweicloud/catalog/prune.ts";
import { requireProjects, share } from "../../src/huaweicloud/catalog/share.ts";
import { momentOf, promotionMoment, statesOf } from "../../src/huaweicloud/catalog/states.ts";
import { failing } from "../failing.ts";
import { cloudOf, hostOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { bakedImage, ids, type Image } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 26, 13);
let emulator: Emulator;
let cloud: TestCloud;
let host: ReturnType<typeof hostOf>;
beforeEach(async () => {
  emulator = await startEmulator(() => start);
  cloud = cloudOf(emulator);
  host = hostOf(emulator, cloud);
});
afterEach(() => emulator.close());

const idOf = (number: number): string => `aaaaaaaa-0000-4000-8000-${String(number).padStart(12, "0")}`;
const day = (number: number): string => `2026-11-${String(number).padStart(2, "0")}T12:00:00Z`;
const stamp = (number: number): string => `202611${String(number).padStart(2, "0")}T120000Z`;

const add = (number: number, rest: Partial<Image> = {}): Image => {
  const image = bakedImage(idOf(number), `Bake${number}`, { createdAt: day(number), ...rest });
  emulator.world.images.push(image);
  return image;
};

const states = async (): Promise<string[]> =>
  (await listCatalog(cloud, "2cards")).map(({ image, state }) => `${Number(image.id.slice(-12))} ${state}`);

/** Clients that a process has which is killed before so many calls and one more; they count together. */
const killed = (calls: number) => {
  let left = calls;
  return (alive: TestCloud): TestCloud => ({
    ...alive,
    call: async (name, request) => {
      left -= 1;
      if (left < 0) throw new Error("killed");
      return alive.call(name, request);
    },
  });
};

const tagsCall = "IMS POST /v2/{project_id}/images/{image_id}/tags/action";
const patchCall = "IMS PATCH /v2/cloudimages/{image_id}";
const deleteCall = "IMS DELETE /v2/images/{image_id}";

describe("states", () => {
  test("newest promotion is current, the second previous, others retired; never promoted, being made and failed", async () => {
    add(1, { tags: { "bake-promoted": stamp(2) } });
    add(2, { tags: { "bake-promoted": stamp(9) } });
    add(3, { tags: { "bake-promoted": stamp(5) } });
    add(4);
    add(5, { status: "queued", tags: { "bake-promoted": stamp(20) } });
    add(6, { status: "killed" });
    add(7, { tags: { "bake-promoted": "yesterday" } });
    expect(await states()).toEqual([
      "7 unclear",
      "6 failed",
      "5 making",
      "4 candidate",
      "3 previous",
      "2 current",
      "1 retired",
    ]);
  });

  test("images of other profiles, of people and of the cloud are not in it", async () => {
    add(1, { tags: { "bake-profile": "2cards-npu" } });
    add(2, { tags: { "bake-id": "" } });
    add(3, { type: "shared" });
    add(4, { elsewhere: true });
    emulator.world.images.push({ ...bakedImage(idOf(5), "x"), tags: { "bake-promoted": stamp(9) } });
    expect(await states()).toEqual(["4 candidate"]);
  });

  test("moments are those that bake writes, to the second, and no others", () => {
    expect(momentOf("20261126T130000Z")).toBe(start);
    for (const text of ["", "20261131T130000Z", "20261126T250000Z", "2026-11-26T13:00:00Z", "20261126T130000", "now"])
      expect(momentOf(text), text).toBeUndefined();
  });

  test("two promotions of one second: the image that was made later, in any order of the list", async () => {
    add(1, { tags: { "bake-promoted": stamp(9) } });
    add(2, { tags: { "bake-promoted": stamp(9) } });
    const images = (await listCatalog(cloud, "2cards")).map(({ image }) => image);
    for (const list of [images, images.toReversed()])
      expect(statesOf(list).map(({ state }) => state)).toEqual(["current", "previous"]);
  });

  test("a promotion is newer than all before it, also when a clock is behind", () => {
    const image = { promoted: "20270101T000000Z" } as CatalogImage;
    expect(promotionMoment([], start)).toBe("20261126T130000Z");
    expect(promotionMoment([image], start)).toBe("20270101T000001Z");
  });

  test("an image is named by ID, by the beginning of its bake id, by current and previous; else it is told what fits", async () => {
    add(1, { tags: { "bake-promoted": stamp(1), "bake-id": "AbCdEfGh" } });
    add(2, { tags: { "bake-id": "AbCdEfXx" } });
    const catalog = await listCatalog(cloud, "2cards");
    const find = (wanted: string): string => findImage(catalog, wanted, "2cards").image.id;
    expect([find(idOf(2)), find("AbCdEfG"), find("current")]).toEqual([idOf(2), idOf(1), idOf(1)]);
    for (const wanted of ["AbCdEf", "AbCdE", "previous", ids.sourceImage])
      expect(() => find(wanted), wanted).toThrow(expect.objectContaining({ code: "BK430" }));
  });
});

describe("promote", () => {
  const go = (number: number, verified = false) =>
    promote(cloud, host, { profileTag: "2cards", id: idOf(number), verified });

  test("one tag of one image; going back is promoting the older one again; servers get 300 s to stop", async () => {
    const [one, two] = [add(1, { tags: { site: "x" } }), add(2)];
    await go(1);
    emulator.advance(60_000);
    const { promoted, notes } = await go(2, true);
    expect({ promoted, notes }).toEqual({ promoted: "20261126T130100Z", notes: [] });
    expect(await states()).toEqual(["2 current", "1 previous"]);
    expect(one.tags).toMatchObject({ site: "x", "bake-promoted": "20261126T130000Z" });
    expect(two.tags).toMatchObject({ "bake-promoted": promoted, "bake-verified": promoted });
    expect([one.shutdownTimeout, two.shutdownTimeout]).toEqual(["300", "300"]);
    await go(1);
    expect(await states()).toEqual(["2 previous", "1 current"]);
  });

  test("an attribute that is not there yet is added, one that is there replaced, one that is right left", async () => {
    add(1);
    add(2, { shutdownTimeout: "60" });
    add(3, { shutdownTimeout: "300" });
    const patches = (): number => emulator.calls.filter((call) => call === patchCall).length;
    for (const [number, total] of [
      [1, 2],
      [2, 3],
      [3, 3],
    ] as const) {
      await go(number);
      expect(patches()).toBe(total);
    }
    expect(emulator.world.images.slice(1).map(({ shutdownTimeout }) => shutdownTimeout)).toEqual(["300", "300", "300"]);
  });

  test("an attribute that may not be set is told, and the promotion stands", async () => {
    add(1);
    emulator.forbid(patchCall);
    expect((await go(1)).notes).toEqual([
      expect.stringMatching(/^servers made from it get the cloud's own time to stop: /),
    ]);
    expect(await states()).toEqual(["1 current"]);
  });

  test.each([
    ["queued", "BK431"],
    ["killed", "BK431"],
    ["deleted", "BK430"],
  ] as const)("an image that is %s is not promoted, and nothing is written", async (status, code) => {
    add(1, { status });
    expect((await failing(go(1))).code).toBe(code);
    expect(emulator.calls).toEqual(["IMS GET /v2/cloudimages"]);
  });

  test("tags at the limit: a tenth is written, an eleventh refused before anything changes, one that is there replaced", async () => {
    const own = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`own${at}`, "x"]));
    add(1, { tags: own(6) });
    add(2, { tags: own(7) });
    add(3, { tags: { ...own(6), "bake-promoted": stamp(1) } });
    await go(1);
    expect(await failing(go(1, true))).toMatchObject({
      code: "BK432",
      message: `image ${idOf(1)} has 10 tags and would get bake-verified: 10 are all that the cloud takes`,
      help: "Remove one that is not bake's in the console: own0, own1, own2, own3, own4, own5.",
    });
    const before = emulator.calls.length;
    expect((await failing(go(2))).code).toBe("BK432");
    expect(emulator.calls.slice(before)).toEqual(["IMS GET /v2/cloudimages"]);
    await go(3);
    expect(emulator.world.images.find(({ id }) => id === idOf(3))?.tags["bake-promoted"]).toMatch(/^20261126T/);
  });

  test("the answer is lost, or the service busy: it is sent again, and is done once", async () => {
    add(1);
    emulator.fail(tagsCall, { lost: true }, { status: 429, retryAfter: "7" }, { status: 500 });
    await go(1);
    expect(await states()).toEqual(["1 current"]);
    expect(cloud.waits).toContain(7000);
  });

  test("killed before each of its calls: the old one is current, or the new one; again, and the new one is", async () => {
    const [one, two] = [add(1, { tags: { "bake-promoted": stamp(1) } }), add(2)];
    const tags = [one.tags, two.tags];
    const seen = new Set<string>();
    for (let calls = 0; calls < 6; calls += 1) {
      [one.tags, two.tags] = [tags[0] ?? {}, tags[1] ?? {}];
      delete two.shutdownTimeout;
      const ended = await promote(killed(calls)(cloud), host, {
        profileTag: "2cards",
        id: two.id,
        verified: true,
      }).then(
        () => "done",
        () => "killed",
      );
      const current = (await states()).filter((line) => line.endsWith(" current"));
      expect(current, `${calls}`).toHaveLength(1);
      seen.add(`${ended}: ${current[0] ?? ""}`);
      await go(2);
      expect(await states()).toEqual(["2 current", "1 previous"]);
    }
    expect([...seen]).toEqual(["killed: 1 current", "killed: 2 current", "done: 2 current"]);
  });

  test("a refused write leaves all as it was", async () => {
    add(1, { tags: { "bake-promoted": stamp(1) } });
    add(2);
    emulator.fail(tagsCall, { status: 403 });
    expect((await failing(go(2))).code).toBe("BK421");
    expect(await states()).toEqual(["2 candidate", "1 current"]);
  });

  test("the image goes between two calls: before the tag, and after it", async () => {
    const image = add(1);
    const remove = (): void => void emulator.world.images.splice(emulator.world.images.indexOf(image), 1);
    emulator.on(tagsCall, remove);
    expect((await failing(go(1))).code).toBe("BK430");
    emulator.world.images.push(image);
    emulator.on(tagsCall, () => emulator.on("IMS GET /v2/cloudimages", remove));
    expect((await failing(go(1))).code).toBe("BK430");
  });

  test("two at once, in one second: one of them is current, and the other is told so", async () => {
    add(1);
    add(2);
    // The other one is promoted between the look and the write.
    const other = emulator.world.images.find(({ id }) => id === idOf(2));
    emulator.on(tagsCall, () => {
      if (other !== undefined) other.tags = { ...other.tags, "bake-promoted": "20261126T130000Z" };
    });
    expect(await failing(go(1))).toMatchObject({
      code: "BK434",
      message: `image ${idOf(1)} was promoted, and ${idOf(2)} at the same time: that one is current now`,
    });
    expect(await states()).toEqual(["2 current", "1 previous"]);
    const results = await Promise.allSettled([go(1), go(2)]);
    const told = results.filter(({ status }) => status === "rejected").length;
    expect(told).toBeLessThan(2);
    expect((await states()).filter((line) => line.endsWith(" current"))).toHaveLength(1);
  });
});

describe("share", () => {
  const project = (number: number): string => number.toString(16).padStart(32, "0");
  const projects = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [project(1000 + at), "accepted" as const]));
  const image = async (number: number): Promise<CatalogImage> =>
    findImage(await listCatalog(cloud, "2cards"), idOf(number), "2cards").image;

  test("is a job that is waited for; again it does nothing; and it can be stopped", async () => {
    const shared = add(1);
    const request = { image: await image(1), projects: [project(1), project(2)], stop: false };
    expect(await share(cloud, host, request)).toEqual([
      { project: project(1), status: "pending" },
      { project: project(2), status: "pending" },
    ]);
    const calls = emulator.calls.length;
    await share(cloud, host, request);
    expect(emulator.calls.slice(calls)).toEqual(["IMS GET /v2/images/{image_id}/members"]);
    await share(cloud, host, { ...request, projects: [project(2), project(3)], stop: true });
    expect(shared.members).toEqual({ [project(1)]: "pending" });
  });

  test("256 projects are all: the 256th is taken, the 257th refused before anything is sent", async () => {
    const shared = add(1, { members: projects(255) });
    await share(cloud, host, { image: await image(1), projects: [project(1)], stop: false });
    expect(Object.keys(shared.members ?? {})).toHaveLength(256);
    const calls = emulator.calls.length;
    expect(
      (await failing(share(cloud, host, { image: await image(1), projects: [project(2)], stop: false }))).code,
    ).toBe("BK432");
    expect(emulator.calls.slice(calls).every((call) => call.startsWith("IMS GET"))).toBe(true);
  });

  test("what is no project, or an image by the cloud's own key, is refused", async () => {
    expect(requireProjects([project(1), project(1)])).toEqual([project(1)]);
    for (const wrong of ["cn-north-4", idOf(1), project(1).toUpperCase().replace("1", "A"), ""])
      expect(() => requireProjects([wrong]), wrong).toThrow(expect.objectContaining({ code: "BK432" }));
    add(1);
    const encrypted = { ...(await image(1)), encryptedBy: "" };
    const error = await failing(share(cloud, host, { image: encrypted, projects: [project(1)], stop: false }));
    expect(error.message).toContain("encrypted by the cloud's own key");
  });

  test("a lost answer is no failure when it was done; one that was not done is", async () => {
    const shared = add(1);
    emulator.fail("IMS POST /v1/cloudimages/members", { lost: true });
    await share(cloud, host, { image: await image(1), projects: [project(1)], stop: false });
    expect(shared.members).toEqual({ [project(1)]: "pending" });
    emulator.fail("IMS POST /v1/cloudimages/members", { job: { code: "IMG.0077", reason: "no such project" } });
    const error = await failing(share(cloud, host, { image: await image(1), projects: [project(2)], stop: false }));
    expect(error).toMatchObject({ code: "BK433" });
    expect(error.message).toMatch(/^the IMS job [0-9a-f]{32} failed: IMG\.0077: no such project$/);
  });

  test("somebody else takes it back, or has the image made anew, meanwhile: that is told", async () => {
    const shared = add(1, { members: { [project(1)]: "accepted" } });
    const found = await image(1);
    emulator.on("IMS DELETE /v1/cloudimages/members", () => (shared.members = {}));
    expect(await share(cloud, host, { image: found, projects: [project(1)], stop: true })).toEqual([]);
    emulator.on("IMS POST /v1/cloudimages/members", () => (shared.status = "queued"));
    expect((await failing(share(cloud, host, { image: found, projects: [project(1)], stop: false }))).code).toBe(
      "BK422",
    );
    emulator.world.images.splice(emulator.world.images.indexOf(shared), 1);
    expect(await failing(share(cloud, host, { image: found, projects: [project(1)], stop: false }))).toMatchObject({
      status: 404,
    });
  });
});

describe("copy", () => {
  const key = "12121212-3434-4565-8787-909090909090";
  const request = async (more: Partial<CopyRequest> = {}): Promise<CopyRequest> => ({
    image: findImage(await listCatalog(cloud, "2cards"), idOf(1), "2cards").image,
    from: cloud,
    to: cloud,
    key,
    ...more,
  });
  const abroad = () => ({
    to: cloudOf(emulator, { region: "cn-south-1", projectId: emulator.other.project.id }),
    crossing: { project: "cn-south-1", agency: "ims_copy" },
    key: undefined as never,
  });
  const tags = { site: "x", "bake-promoted": stamp(3), "bake-verified": stamp(3) };
  const copies = (images: readonly Image[]): Image[] =>
    images.filter(({ description }) => description.startsWith("Copy of"));

  test("with encryption: waits, and gives it the tags but promotion and verification; again it makes none", async () => {
    add(1, { tags, description: "Made by bake." });
    const { id, outcome } = await copyImage(host, await request());
    const [copy, ...more] = copies(emulator.world.images);
    expect({ id, outcome, more }).toEqual({ id: copy?.id, outcome: "made", more: [] });
    expect(copy).toMatchObject({
      encryptedBy: key,
      description: `Copy of ${idOf(1)} in cn-north-4 by key ${key}. Made by bake.`,
    });
    expect(Object.keys(copy?.tags ?? {})).toEqual(["bake-id", "bake-lock", "bake-profile", "site"]);
    expect(await copyImage(host, await request())).toEqual({ id, outcome: "there already" });
    expect((await lookForCopy(await request()))?.id).toBe(id);
  });

  test("a copy of a copy of a long description: what was copied stands first, the bake id is never cut off", async () => {
    const own = `${"x".repeat(560)} Bake id ${"B".repeat(43)}. Lock`.padEnd(1024, "y");
    add(1, { tags, description: `Copy of ${idOf(2)} in cn-north-4 by key ${key}. ${own}`.slice(0, 1024) });
    await copyImage(host, await request());
    const made = copies(emulator.world.images).at(-1)?.description ?? "";
    expect(made).toMatch(new RegExp(`^Copy of ${idOf(1)} in cn-north-4 by key ${key}\\. x{560} Bake id B{43}\\. Lock`));
    expect(made).not.toContain(idOf(2));
    expect(made.length).toBeLessThanOrEqual(1024);
  });

  test("to another region, where it becomes part of the catalogue", async () => {
    add(1, { tags });
    const there = await request(abroad());
    const { outcome } = await copyImage(host, there);
    expect(outcome).toBe("made");
    const found = await listCatalog(there.to, "2cards");
    expect(found.map(({ state }) => state)).toEqual(["candidate"]);
    expect(await listCatalog(cloud, "2cards")).toHaveLength(1);
  });

  test("cut off before the tags were written, or while it was made: the next one finishes it", async () => {
    add(1);
    emulator.fail(tagsCall, { status: 403 });
    await failing(copyImage(host, await request()));
    expect((await listPrivate(cloud)).filter(({ bakeId }) => bakeId === "")).toHaveLength(1);
    expect((await copyImage(host, await request())).outcome).toBe("finished");
    expect(copies(emulator.world.images)).toHaveLength(1);
    emulator.world.images.splice(-1);
    emulator.fail("IMS GET /v1/{project_id}/jobs/{job_id}", { status: 404 });
    await failing(copyImage(host, await request()));
    expect((await copyImage(host, await request())).outcome).toBe("finished");
    expect(copies(emulator.world.images)).toHaveLength(1);
  });

  test("killed before each of its calls: again, and there is one copy with all its tags", async () => {
    add(1, { tags });
    emulator.world.takes.copy = 8000;
    const ends: string[] = [];
    for (let calls = 0; calls < 14; calls += 1) {
      emulator.other.images.length = 0;
      const there = await request(abroad());
      const kill = killed(calls);
      const dying = { ...there, from: kill(cloud), to: kill(there.to as TestCloud) };
      ends.push(
        await copyImage(host, dying).then(
          ({ outcome }) => outcome,
          () => "killed",
        ),
      );
      const { outcome } = await copyImage(host, there);
      expect(["made", "finished", "there already"], `${calls}`).toContain(outcome);
      expect(emulator.other.images, `${calls}`).toHaveLength(1);
      expect((await listCatalog(there.to, "2cards")).map(({ state }) => state)).toEqual(["candidate"]);
    }
    expect(new Set(ends)).toEqual(new Set(["killed", "made"]));
  });

  test("a lost answer is looked after: one copy, whether it had been started or not", async () => {
    add(1);
    emulator.fail("IMS POST /v1/cloudimages/{image_id}/copy", { lost: true });
    expect((await copyImage(host, await request())).outcome).toBe("made");
    expect(copies(emulator.world.images)).toHaveLength(1);
    emulator.world.images.splice(-1);
    emulator.fail("IMS POST /v1/cloudimages/{image_id}/copy", { status: 500 });
    expect((await failing(copyImage(host, await request()))).code).toBe("BK423");
    expect(copies(emulator.world.images)).toHaveLength(0);
  });

  test("a job that fails has the cloud's reason; what it left is no copy, and a next one is made", async () => {
    add(1);
    emulator.fail("IMS POST /v1/cloudimages/{image_id}/copy", { job: { code: "IMG.0088", reason: "KMS says no" } });
    expect((await failing(copyImage(host, await request()))).message).toMatch(/failed: IMG\.0088: KMS says no$/);
    expect((await copyImage(host, await request())).outcome).toBe("made");
  });

  test.each([
    ["128 GB", (): void => void add(1, { size: 128 * 1024 ** 3 }), undefined],
    ["more than 128 GB", (): void => void add(1, { size: 128 * 1024 ** 3 + 1 }), /at most 128 GB/],
    ["an encrypted one", (): void => void add(1, { encryptedBy: key }), /is encrypted/],
    ["the last of the quota", (): void => void (add(1), (emulator.other.quotas.images = [99, 100])), undefined],
    [
      "a full quota",
      (): void => void (add(1), (emulator.other.quotas.images = [100, 100])),
      /^100 of 100 private images/,
    ],
    ["four on their way", (): void => (add(1), onTheirWay(4)), undefined],
    ["five on their way", (): void => (add(1), onTheirWay(5)), /^5 copies to cn-south-1 are on their way/],
  ])("limits of another region: %s", async (_, prepare, refused) => {
    prepare();
    const there = await request(abroad());
    if (refused === undefined) expect((await copyImage(host, there)).outcome).toBe("made");
    else {
      expect(await failing(copyImage(host, there))).toMatchObject({
        code: "BK432",
        message: expect.stringMatching(refused),
      });
      expect(emulator.calls.some((call) => call.includes("copy"))).toBe(false);
    }
  });

  const onTheirWay = (count: number): void => {
    for (let at = 0; at < count; at += 1)
      emulator.other.images.push({
        ...bakedImage(idOf(50 + at), "x"),
        status: "queued",
        description: "Copy of another.",
      });
  };
});

describe("prune", () => {
  const rules = (keep: number, journaled: readonly string[] = []) => ({ keep, journaled: new Set(journaled) });
  const judged = async (keep: number, journaled: readonly string[] = []): Promise<string[]> =>
    (await lookForPrune(cloud, "2cards", rules(keep, journaled))).map(
      ({ image, stays }) => `${Number(image.id.slice(-12))}: ${stays.join(", ") || "goes"}`,
    );
  const server = (imageId: string) => ({
    id: "server-1",
    name: "ci-1",
    imageId,
    flavorId: "kc1.large.4",
    zone: "cn-north-4b",
    status: "ACTIVE" as const,
    address: "192.168.0.9",
    addressId: undefined,
    keyName: undefined,
    diskSize: 40,
    tags: {},
  });

  test("stays: current, previous, the newest, used, shared, named by a rollout, and what is not clear; the rest goes", async () => {
    add(1);
    add(2, { tags: { "bake-promoted": stamp(2) } });
    add(3, { tags: { "bake-promoted": stamp(3) } });
    add(4, { tags: { "bake-promoted": stamp(4) } });
    add(5);
    add(6);
    add(7, { members: { ["1".repeat(32)]: "rejected" } });
    add(8);
    add(9, { tags: { "bake-promoted": "soon" } });
    add(10, { status: "killed" });
    add(11, { status: "saving" });
    add(12);
    emulator.world.servers.push(server(idOf(5)));
    emulator.world.scalingConfigurations.push({ id: "as-1", name: "ci", imageId: idOf(6) });
    expect(await judged(1, [idOf(8)])).toEqual([
      "12: the newest",
      "11: the cloud has not finished it",
      "10: goes",
      "9: its tag bake-promoted is no moment",
      "8: a rollout's journal names it",
      "7: shared with 1 project",
      "6: 1 AS configuration with it",
      "5: 1 server made from it",
      "4: current",
      "3: previous",
      "2: goes",
      "1: goes",
    ]);
  });

  test("--keep 0 leaves current and previous; the newest are counted without failed ones", async () => {
    add(1);
    add(2);
    add(3, { status: "killed" });
    expect(await judged(0)).toEqual(["3: goes", "2: goes", "1: goes"]);
    expect(await judged(1)).toEqual(["3: goes", "2: the newest", "1: goes"]);
  });

  test("removes what goes, and nothing without bake's tags", async () => {
    add(1);
    add(2);
    add(3, { tags: { "bake-profile": "other" } });
    emulator.world.images.push({ ...bakedImage(idOf(4), "x"), tags: {} });
    const going = [idOf(1), idOf(3), idOf(4), ids.sourceImage];
    expect(await prune(cloud, host.signal, { profileTag: "2cards", rules: rules(0), going })).toEqual([
      { id: idOf(1), outcome: "removed" },
      { id: idOf(3), outcome: "gone already" },
      { id: idOf(4), outcome: "gone already" },
      { id: ids.sourceImage, outcome: "gone already" },
    ]);
    expect(emulator.world.images.map(({ id }) => id)).toEqual([ids.sourceImage, idOf(2), idOf(3), idOf(4)]);
  });

  test("promoted, shared or used since it was shown: it stays; gone meanwhile is no failure; a lost answer neither", async () => {
    const [one] = [add(1), add(2), add(3), add(4), add(5)];
    const members = emulator.world.images.find(({ id }) => id === idOf(2));
    if (members !== undefined) members.members = { ["2".repeat(32)]: "pending" };
    one.tags = { ...one.tags, "bake-promoted": stamp(20) };
    emulator.world.servers.push(server(idOf(3)));
    emulator.fail(deleteCall, { lost: true });
    const going = [1, 2, 3, 4, 5].map(idOf);
    emulator.on(
      deleteCall,
      () => undefined,
      () => undefined,
      () => {
        emulator.world.images = emulator.world.images.filter(({ id }) => id !== idOf(5));
      },
    );
    expect(await prune(cloud, host.signal, { profileTag: "2cards", rules: rules(0), going })).toEqual([
      { id: idOf(1), outcome: "left", reason: "current" },
      { id: idOf(2), outcome: "left", reason: "shared with 1 project" },
      { id: idOf(3), outcome: "left", reason: "1 server made from it" },
      { id: idOf(4), outcome: "gone already" },
      { id: idOf(5), outcome: "gone already" },
    ]);
  });

  test("an image that the cloud keeps is told, and the others go", async () => {
    add(1);
    add(2);
    emulator.fail(deleteCall, { status: 409 });
    const results = await prune(cloud, host.signal, {
      profileTag: "2cards",
      rules: rules(0),
      going: [idOf(1), idOf(2)],
    });
    expect(results.map(({ outcome }) => outcome)).toEqual(["left", "removed"]);
  });

  test.each([
    "ECS GET /v1/{project_id}/cloudservers/detail",
    "AS GET /autoscaling-api/v1/{project_id}/scaling_configuration",
    "IMS GET /v2/images/{image_id}/members",
  ])("without the right to %s nobody knows who uses an image: nothing goes", async (route) => {
    add(1);
    emulator.forbid(route);
    expect((await failing(judged(0))).code).toBe("BK435");
    const work = prune(cloud, host.signal, { profileTag: "2cards", rules: rules(0), going: [idOf(1)] });
    expect((await failing(work)).code).toBe("BK435");
    expect(emulator.calls).not.toContain(deleteCall);
  });

  test("a region without the service AS has no configurations", async () => {
    add(1);
    emulator.fail("AS GET /autoscaling-api/v1/{project_id}/scaling_configuration", { status: 404 });
    expect(await judged(0)).toEqual(["1: goes"]);
  });

  test("a journal's IDs are read wherever they stand", () => {
    expect(idsIn(`{"image":"${idOf(1)}","note":"from ${idOf(2).toUpperCase()} on"}\n{"half a li`)).toEqual([
      idOf(1),
      idOf(2),
    ]);
  });

  test("more servers than one page has: the last one counts", async () => {
    const image = add(1);
    for (let at = 0; at < 1000; at += 1)
      emulator.world.servers.push({ ...server(ids.sourceImage), id: `s${at}`, name: `s${at}` });
    emulator.world.servers.push(server(image.id));
    const usage = await usageOf(
      cloud,
      (await listCatalog(cloud, "2cards")).map((each) => each.image),
    );
    expect(usage.get(image.id)?.servers).toEqual({ value: [{ id: "server-1", name: "ci-1" }] });
    expect(JSON.stringify([...usage])).not.toContain("U0VDUkVU");
  });
});
