/** Two machines that import the same bake at once, and who takes an upload that is under way for a leftover. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { importImage, type ImportRequest, uploadKey, uploadPrefix } from "../../src/huaweicloud/catalog/import.ts";
import { endpointsOf } from "../../src/huaweicloud/endpoints.ts";
import { onlyOlder } from "../../src/huaweicloud/leftovers.ts";
import { type Bucket, openBucketOf } from "../../src/huaweicloud/obs/bucket.ts";
import { findUploads } from "../../src/huaweicloud/obs/leftovers.ts";
import { uploadFile } from "../../src/huaweicloud/obs/upload.ts";
import { elements } from "../../src/huaweicloud/obs/xml.ts";
import { makeHttp } from "../../src/store/http.ts";
import { failing } from "../failing.ts";
import { cloudOf, hostOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { bakedImage, type Image, key as credentials } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 26, 13);
const bakeId = "Import".padEnd(43, "x");
const partSize = 102_400;
const partsOfFile = 4;

let folder = "";
let emulator: Emulator;
let cloud: TestCloud;
let bucket: Bucket;
let host: ReturnType<typeof hostOf>;
let request: ImportRequest & { readonly partSize: number };
beforeEach(async () => {
  emulator = await startEmulator(() => start);
  cloud = cloudOf(emulator);
  host = hostOf(emulator, cloud);
  folder = mkdtempSync(join(tmpdir(), "bake-import-"));
  bucket = openBucketOf(
    makeHttp({ env: emulator.env, stall: 3000 }),
    { ...host, random: () => 0.5 },
    { credentials, region: "cn-north-4", endpoints: endpointsOf("cn-north-4") },
    "ci-images",
  );
  const bytes = Buffer.alloc(partSize * partsOfFile, "a disk");
  bytes.write("QFI\xfb", "latin1");
  const file = join(folder, "image.qcow2");
  writeFileSync(file, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  request = {
    ...{ file, size: bytes.length, sha256, name: "bake-2cards", description: `Imported. Bake id ${bakeId}.` },
    tags: { "bake-id": bakeId, "bake-profile": "2cards" },
    ...{ system: "openEuler 22.03 64bit", architecture: "aarch64", minDisk: 40, enterpriseProject: undefined },
    ...{ key: uploadKey("2cards", bakeId, sha256), imageTime: 3_600_000, partSize },
  };
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

const quiet = { onUpload: () => undefined, onLook: () => undefined };
const importIt = () => importImage(cloud, bucket, host, request, quiet);
const putCall = "OBS PUT /{key}?partNumber&uploadId";
const registerCall = "IMS POST /v2/cloudimages/action";
const registrations = (): number => emulator.calls.filter((call) => call === registerCall).length;
const imported = (): Image[] => emulator.world.images.filter(({ tags }) => tags["bake-id"] === bakeId);
const stored = () => {
  const found = emulator.world.buckets.get("ci-images");
  if (found === undefined) throw new Error("no bucket");
  return found;
};

describe("two machines import the same bake", () => {
  const theirs = (rest: Partial<Image> = {}): Image =>
    bakedImage("aaaaaaaa-0000-4000-8000-000000000001", bakeId, {
      ...{ createdAt: new Date(start).toISOString(), tags: { "bake-id": bakeId }, status: "queued" },
      ...rest,
    });

  test("an image that appears while this one uploads is waited for and taken: none is registered, the upload goes", async () => {
    const image = theirs();
    emulator.on(putCall, () => void emulator.world.images.push(image));
    const work = importIt();
    const watch = setInterval(() => {
      if (emulator.calls.at(-1) === "IMS GET /v2/cloudimages") image.status = "active";
    }, 20);
    const result = await work.finally(() => clearInterval(watch));
    expect(result).toEqual({ id: image.id, outcome: "finished", twins: [] });
    expect(registrations()).toBe(0);
    expect(image.tags).toMatchObject(request.tags);
    expect([stored().objects.size, stored().uploads.size]).toEqual([0, 0]);
  });

  test("one is through with all of it while the other sends its first part: both end with one image", async () => {
    let first: Awaited<ReturnType<typeof importIt>> | undefined;
    emulator.on(putCall, async () => {
      first = await importIt();
    });
    const second = await importIt();
    expect(second).toEqual({ id: first?.id, outcome: "finished", twins: [] });
    expect(first).toMatchObject({ outcome: "made", twins: [] });
    expect(registrations()).toBe(1);
    expect(imported().map(({ id, status }) => [id, status])).toEqual([[first?.id, "active"]]);
    expect([stored().objects.size, stored().uploads.size]).toEqual([0, 0]);
  });

  test("both register in one moment: both name the older image, and tell of the other", async () => {
    // It comes last in the cloud's list.
    emulator.on("IMS GET /v1/{project_id}/jobs/{job_id}", () => {
      const twin = theirs({ status: "active", createdAt: new Date(start - 1000).toISOString() });
      emulator.world.images.push(twin);
    });
    const { id: older } = theirs();
    const { id, twins } = await importIt();
    expect(id).toBe(older);
    expect(twins).toEqual(imported().flatMap((image) => (image.id === older ? [] : [image.id])));
    expect(twins).toHaveLength(1);
  });

  test("one that failed is no twin, and a copy is none", async () => {
    emulator.world.images.push(
      theirs({ status: "killed" }),
      theirs({ id: "aaaaaaaa-0000-4000-8000-000000000002", status: "active", description: "Copy of x in cn-north-4." }),
    );
    expect(await importIt()).toMatchObject({ outcome: "made", twins: [] });
    expect(registrations()).toBe(1);
  });
});

describe("leftovers beside an upload that is under way", () => {
  const hour = 3_600_000;
  const prefix = uploadPrefix("2cards");
  /** What a scheduled `bake catalog leftovers --yes` would remove: what is older than four hours. */
  const removable = async (): Promise<string[]> => {
    const found = await findUploads(bucket, prefix);
    return onlyOlder({ found, notLookedAt: [] }, emulator.now() - 4 * hour)
      .found.filter(({ ours }) => ours)
      .map(({ kind }) => kind);
  };

  test("it is none while parts come, however long it takes; it is one when none came for so long", async () => {
    const { text } = await bucket.call("startUpload", { key: request.key, query: { uploads: undefined } });
    const [uploadId] = elements(text, "UploadId");
    for (let number = 1; number <= 4; number += 1) {
      emulator.advance(3 * hour);
      expect(await removable(), `${number}`).toEqual([]);
      const bytes = Buffer.alloc(partSize, number);
      await bucket.call("putPart", {
        key: request.key,
        query: { partNumber: String(number), uploadId },
        stream: {
          open: () => Readable.from([bytes]),
          length: bytes.length,
          md5: createHash("md5").update(bytes).digest("base64"),
        },
      });
    }
    const newest = new Date(emulator.now()).toISOString();
    emulator.advance(3 * hour);
    expect(await removable()).toEqual([]);
    emulator.advance(2 * hour);
    expect(await removable()).toEqual(["upload"]);
    expect(await findUploads(bucket, prefix)).toMatchObject([
      { created: new Date(start).toISOString(), lastSign: newest, why: expect.stringContaining(newest) as string },
    ]);
  });

  test("one without a part is as old as its beginning; one that goes while it is looked at is none", async () => {
    await bucket.call("startUpload", { key: request.key, query: { uploads: undefined } });
    emulator.advance(3 * hour);
    expect(await removable()).toEqual([]);
    emulator.advance(2 * hour);
    expect(await removable()).toEqual(["upload"]);
    emulator.on("OBS GET /{key}?uploadId", () => stored().uploads.clear());
    expect(await removable()).toEqual([]);
  });

  test("more parts than one page has: the newest one counts, on whatever page it is", async () => {
    await bucket.call("startUpload", { key: request.key, query: { uploads: undefined } });
    const [upload] = stored().uploads.values();
    for (let number = 1; number <= 1001; number += 1) upload?.parts.set(number, Buffer.alloc(1));
    emulator.advance(5 * hour);
    expect(await removable()).toEqual(["upload"]);
    upload?.modified.set(1001, new Date(emulator.now()).toISOString());
    expect(await removable()).toEqual([]);
  });

  test("parts that may not be listed: nothing is removed, nor said to be old", async () => {
    await bucket.call("startUpload", { key: request.key, query: { uploads: undefined } });
    emulator.forbid("OBS GET /{key}?uploadId");
    expect((await failing(findUploads(bucket, prefix))).code).toBe("BK421");
  });

  test("removed all the same while parts come: it is begun once more, and is whole", async () => {
    emulator.on(
      putCall,
      () => undefined,
      () => stored().uploads.clear(),
    );
    expect(await uploadFile(bucket, host, request)).toBe("uploaded");
    expect(stored().objects.get(request.key)?.metadata["x-obs-meta-sha256"]).toBe(request.sha256);
    expect(emulator.calls.filter((call) => call === "OBS POST /{key}?uploads")).toHaveLength(2);
  });
});
