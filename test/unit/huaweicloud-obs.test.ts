/** Uploads to the object storage: signatures against the official SDK's own, parts, and what goes wrong between them. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { endpointsOf } from "../../src/huaweicloud/endpoints.ts";
import { type Bucket, openBucketOf, requireBucketName } from "../../src/huaweicloud/obs/bucket.ts";
import { obsAuthorization, obsStringToSign, type UnsignedObs } from "../../src/huaweicloud/obs/sign.ts";
import { partSizeFor, uploadFile, type UploadRequest } from "../../src/huaweicloud/obs/upload.ts";
import { elements } from "../../src/huaweicloud/obs/xml.ts";
import { makeHttp } from "../../src/store/http.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { key as credentials } from "../huaweicloud/world.ts";

/** The official SDK's signer: its class is not exported by name, and its types are none. */
const { prototype } = createRequire(import.meta.url)("esdk-obs-nodejs/lib/utils.js") as {
  prototype: {
    doAuth: (
      options: { headers: Record<string, string> } & Record<string, unknown>,
      name: string,
      context: object,
    ) => void;
  };
};

/** As the SDK's signature of `obs` has it. */
const obsContext = {
  signature: "obs",
  headerPrefix: "x-obs-",
  headerMetaPrefix: "x-obs-meta-",
  authPrefix: "OBS",
  stsToken: "x-obs-security-token",
};

const theirs = ({ method, bucket, key, query = {}, headers }: UnsignedObs): string => {
  const named = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      { "content-md5": "Content-MD5", "content-type": "Content-Type", date: "Date" }[name] ?? name,
      value,
    ]),
  );
  const options = {
    method,
    uri: `/${bucket}/${key}`,
    urlPath: `?${Object.entries(query)
      .map(([name, value]) => (value === undefined ? name : `${name}=${encodeURIComponent(value)}`))
      .join("&")}`,
    headers: named,
  };
  const self = {
    ak: credentials.accessKey,
    sk: credentials.secretKey,
    isCname: false,
    log: { isLevelEnabled: () => false },
  };
  prototype.doAuth.call(self, options, "PutObject", obsContext);
  return options.headers["Authorization"] ?? "";
};

const date = "Tue, 27 Mar 2007 21:15:45 +0000";
const requests: readonly UnsignedObs[] = [
  { method: "HEAD", bucket: "ci-images", key: "", headers: { date } },
  { method: "HEAD", bucket: "ci-images", key: "bake-import/2cards/x.qcow2", headers: { date } },
  {
    method: "GET",
    bucket: "ci-images",
    key: "",
    query: { uploads: undefined, prefix: "bake-import/", "max-uploads": "9" },
    headers: { date },
  },
  { method: "GET", bucket: "ci-images", key: "", query: { prefix: "bake-import/", marker: "a/b" }, headers: { date } },
  {
    method: "POST",
    bucket: "ci-images",
    key: "a.qcow2",
    query: { uploads: undefined },
    headers: {
      date,
      "x-obs-meta-sha256": "00ff",
      "content-type": "application/octet-stream",
      "x-obs-security-token": "token",
    },
  },
  {
    method: "PUT",
    bucket: "ci-images",
    key: "a.qcow2",
    query: { partNumber: "12", uploadId: "0000018A+/=" },
    headers: { date, "content-md5": "I5pU0r4+sgO9Emgl1KMQUg==", "content-type": "application/octet-stream" },
  },
  { method: "DELETE", bucket: "ci-images", key: "a.qcow2", query: { uploadId: "x" }, headers: { date } },
];

test.each(requests)("the official SDK signs alike: $method /$key", (request) => {
  expect(obsAuthorization(request, credentials)).toBe(theirs(request));
});

test("a published vector of this way of signing, which Amazon's S3 had first: its key, its words, another prefix", () => {
  // AWS, "Signing and authenticating REST requests", example "Object PUT".
  const request: UnsignedObs = {
    method: "PUT",
    bucket: "awsexamplebucket1",
    key: "photos/puppy.jpg",
    headers: { "content-type": "image/jpeg", date: "Tue, 27 Mar 2007 21:15:45 +0000" },
  };
  expect(obsStringToSign(request)).toBe(
    "PUT\n\nimage/jpeg\nTue, 27 Mar 2007 21:15:45 +0000\n/awsexamplebucket1/photos/puppy.jpg",
  );
  expect(
    obsAuthorization(request, {
      accessKey: "AKIAIOSFODNN7EXAMPLE",
      secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    }),
  ).toBe("OBS AKIAIOSFODNN7EXAMPLE:iqRzw+ileNPu1fhspnRs8nOjjIA=");
});

test("there is no signature without a time", () => {
  expect(() => obsAuthorization({ method: "GET", bucket: "b", key: "", headers: {} }, credentials)).toThrow(RangeError);
});

test("names of buckets that lead elsewhere are refused", () => {
  expect(requireBucketName("ci-images")).toBe("ci-images");
  for (const name of ["", "ab", "Ci", "a.b.c", "evil.example.com/", "-ab", "ab-", "a".repeat(64), "a@b"])
    expect(() => requireBucketName(name), name).toThrow(/is no bucket that bake can use/);
});

test("sizes of parts keep within 10,000 of them", () => {
  for (const size of [1, 1 << 20, 40 * 1024 ** 3, 128 * 1024 ** 3, 1024 ** 4]) {
    expect(Math.ceil(size / partSizeFor(size)), String(size)).toBeLessThanOrEqual(10_000);
    expect(partSizeFor(size) % (1 << 20)).toBe(0);
  }
  expect(partSizeFor(1)).toBe(32 << 20);
});

test("elements of an answer, with entities", () => {
  expect(elements("<A><Key>a&amp;b&#47;&lt;</Key><Key>c</Key></A>", "Key")).toEqual(["a&b/<", "c"]);
  expect(elements("<Key><B>x</B></Key>", "Key")).toEqual(["<B>x</B>"]);
});

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  folder = mkdtempSync(join(tmpdir(), "bake-obs-"));
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

const waits: number[] = [];
const hostOf = (signal = new AbortController().signal) => ({
  now: emulator.now,
  random: () => 0.5,
  signal,
  sleep: async (milliseconds: number) => {
    waits.push(milliseconds);
    emulator.advance(milliseconds);
  },
});

const bucketNamed = (name = "ci-images", keys: { accessKey: string; secretKey: string } = credentials): Bucket =>
  openBucketOf(
    makeHttp({ env: emulator.env, stall: 3000 }),
    hostOf(),
    { credentials: keys, region: "cn-north-4", endpoints: endpointsOf("cn-north-4") },
    name,
  );

const partSize = 102_400;
const file = (parts: number): UploadRequest & { bytes: Buffer } => {
  const bytes = Buffer.alloc(Math.round(partSize * parts));
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 31 + (at >> 9)) & 255;
  writeFileSync(join(folder, "image"), bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return {
    bytes,
    file: join(folder, "image"),
    size: bytes.length,
    sha256,
    key: "bake-import/2cards/a.qcow2",
    partSize,
  };
};
const stored = (key: string): Buffer | undefined => emulator.world.buckets.get("ci-images")?.objects.get(key)?.bytes;
const uploads = (): number => emulator.world.buckets.get("ci-images")?.uploads.size ?? -1;
const puts = (): number => emulator.calls.filter((call) => call.startsWith("OBS PUT")).length;

test("a file in parts, whole; a second time nothing is sent", async () => {
  const request = file(4.3);
  const done: number[] = [];
  expect(await uploadFile(bucketNamed(), hostOf(), { ...request, onProgress: (bytes) => done.push(bytes) })).toBe(
    "uploaded",
  );
  expect(stored(request.key)?.equals(request.bytes)).toBe(true);
  expect([puts(), uploads(), done.at(-1)]).toEqual([5, 0, request.size]);
  expect(await uploadFile(bucketNamed(), hostOf(), request)).toBe("there already");
  expect(puts()).toBe(5);
});

test("500 and a cut in mid-part: that part is sent again, with a pause", async () => {
  const request = file(4);
  waits.length = 0;
  emulator.fail("OBS PUT /{key}?partNumber&uploadId", {}, { status: 500 }, { status: 503 }, { lost: true });
  expect(await uploadFile(bucketNamed(), hostOf(), request)).toBe("uploaded");
  expect(stored(request.key)?.equals(request.bytes)).toBe(true);
  expect(puts()).toBe(7);
  expect(waits.length).toBe(3);
});

test("a service that stays broken ends it; the next command goes on with the parts that are there", async () => {
  const request = file(6);
  const broken = Array.from({ length: 30 }, () => ({ status: 500 }));
  emulator.fail("OBS PUT /{key}?partNumber&uploadId", {}, {}, {}, ...broken);
  await expect(uploadFile(bucketNamed(), hostOf(), request)).rejects.toMatchObject({ code: "BK423" });
  emulator.fail("OBS PUT /{key}?partNumber&uploadId");
  const [begun] = emulator.world.buckets.get("ci-images")?.uploads.values() ?? [];
  const there = begun?.parts.size ?? 0;
  expect(there).toBe(3);
  const before = puts();
  expect(await uploadFile(bucketNamed(), hostOf(), request)).toBe("uploaded");
  expect(puts() - before).toBe(6 - there);
  expect(stored(request.key)?.equals(request.bytes)).toBe(true);
  expect(uploads()).toBe(0);
});

test("parts of another file are sent anew, though their numbers are there", async () => {
  const request = file(3);
  emulator.fail("OBS POST /{key}?uploadId", { status: 400 });
  await expect(uploadFile(bucketNamed(), hostOf(), request)).rejects.toMatchObject({ code: "BK422" });
  const [begun] = emulator.world.buckets.get("ci-images")?.uploads.values() ?? [];
  begun?.parts.set(2, Buffer.alloc(partSize, 1));
  expect(await uploadFile(bucketNamed(), hostOf(), request)).toBe("uploaded");
  expect(stored(request.key)?.equals(request.bytes)).toBe(true);
  expect(puts()).toBe(4);
});

test("the answer to the last call is lost: looking tells that it was done", async () => {
  const request = file(2);
  emulator.fail("OBS POST /{key}?uploadId", { lost: true });
  expect(await uploadFile(bucketNamed(), hostOf(), request)).toBe("uploaded");
  expect(stored(request.key)?.equals(request.bytes)).toBe(true);
});

test("an upload that nobody needs any more is gone, though the answer to its removal was lost", async () => {
  const request = file(2);
  const bucket = bucketNamed();
  for (let count = 0; count < 2; count += 1)
    await bucket.call("startUpload", {
      key: request.key,
      query: { uploads: undefined },
      headers: { "x-obs-meta-sha256": request.sha256, "content-type": "application/octet-stream" },
    });
  emulator.fail("OBS DELETE /{key}?uploadId", { lost: true });
  expect(await uploadFile(bucket, hostOf(), request)).toBe("uploaded");
  expect(uploads()).toBe(0);
  expect(emulator.calls.filter((call) => call.startsWith("OBS DELETE")).length).toBe(2);
});

test("the storage's words are told on one line, without secrets; a bucket of an address is none", async () => {
  const words = `\u001b[2J${credentials.secretKey}\nbkct-${"a".repeat(40)} <b>no</b>`;
  const answer = `<Error><Code>No\u001bSuch\nThing</Code><Message>${words.replaceAll("<", "&lt;")}</Message></Error>`;
  emulator.fail("OBS GET /?prefix", { status: 400, body: answer });
  const refused = (await bucketNamed()
    .call("listObjects", { query: { prefix: "x" } })
    .catch((error: unknown) => error)) as Error;
  expect(refused.message).toContain("No Such Thing: ");
  expect(refused.message).not.toContain(credentials.secretKey);
  // What a terminal would act on.
  expect(refused.message).not.toMatch(/\p{Cc}/u);
  const at = (obs: string): Bucket =>
    openBucketOf(
      makeHttp({ env: {}, stall: 3000 }),
      hostOf(),
      { credentials, region: "cn-north-4", endpoints: { ...endpointsOf("cn-north-4"), obs } },
      "ci-images",
    );
  for (const obs of ["https://10.0.0.5", "https://[fd00::5]"])
    expect(() => at(obs), obs).toThrow(/HW_ENDPOINT_OBS names an address/);
});

test("an error within an answer of 200 is an error; what is there must be the file", async () => {
  const request = file(2);
  emulator.fail("OBS POST /{key}?uploadId", {
    status: 200,
    body: "<Error><Code>InternalError</Code><Message>late</Message></Error>",
  });
  await expect(uploadFile(bucketNamed(), hostOf(), request)).rejects.toMatchObject({ code: "BK422" });
  emulator.fail("OBS POST /{key}?uploadId", { status: 200, body: "<CompleteMultipartUploadResult/>" });
  await expect(uploadFile(bucketNamed(), hostOf(), request)).rejects.toMatchObject({ code: "BK438" });
});

test("no such bucket, no right, wrong keys: each said once, and wrong keys are never sent again", async () => {
  const request = file(1);
  await expect(bucketNamed("nowhere").call("showBucket")).rejects.toMatchObject({
    code: "BK437",
    message: "there is no bucket nowhere in cn-north-4",
  });
  emulator.forbid("OBS PUT /{key}?partNumber&uploadId");
  await expect(uploadFile(bucketNamed(), hostOf(), request)).rejects.toMatchObject({
    code: "BK421",
    help: expect.stringContaining("obs:object:PutObject") as string,
  });
  const wrong = bucketNamed("ci-images", { accessKey: credentials.accessKey, secretKey: "another" });
  const before = emulator.calls.length;
  await expect(wrong.call("listObjects", { query: { prefix: "x" } })).rejects.toMatchObject({ code: "BK420" });
  await expect(wrong.call("listObjects", { query: { prefix: "x" } })).rejects.toMatchObject({ code: "BK420" });
  expect(emulator.calls.length - before).toBe(1);
});

test("the emulated storage is strict: small parts, missing parts, wrong digests, a clock that is off", async () => {
  const bucket = bucketNamed();
  const key = "bake-import/2cards/strict";
  const begin = async (): Promise<string> =>
    elements((await bucket.call("startUpload", { key, query: { uploads: undefined } })).text, "UploadId")[0] ?? "";
  const put = async (
    uploadId: string,
    number: number,
    bytes: Buffer,
    md5 = createHash("md5").update(bytes).digest("base64"),
  ) => {
    const { Readable } = await import("node:stream");
    return bucket.call("putPart", {
      key,
      query: { partNumber: String(number), uploadId },
      stream: { open: () => Readable.from([bytes]), length: bytes.length, md5 },
    });
  };
  const etag = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");
  const complete = (uploadId: string, parts: readonly (readonly [number, string])[]) =>
    bucket.call("completeUpload", {
      key,
      query: { uploadId },
      body: `<CompleteMultipartUpload>${parts.map(([number, tag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${tag}</ETag></Part>`).join("")}</CompleteMultipartUpload>`,
    });
  const small = Buffer.from("small");
  const uploadId = await begin();
  await put(uploadId, 1, small);
  await put(uploadId, 2, small);
  const reasonOf = (code: string) => ({ reason: { code } });
  await expect(
    complete(uploadId, [
      [1, etag(small)],
      [2, etag(small)],
    ]),
  ).rejects.toMatchObject(reasonOf("EntityTooSmall"));
  await expect(
    complete(uploadId, [
      [1, etag(small)],
      [3, etag(small)],
    ]),
  ).rejects.toMatchObject(reasonOf("InvalidPart"));
  await expect(
    complete(uploadId, [
      [2, etag(small)],
      [1, etag(small)],
    ]),
  ).rejects.toMatchObject(reasonOf("InvalidPartOrder"));
  await expect(put(uploadId, 1, small, Buffer.alloc(16).toString("base64"))).rejects.toMatchObject(
    reasonOf("BadDigest"),
  );
  await expect(put("none", 1, small)).rejects.toMatchObject(reasonOf("NoSuchUpload"));
  await bucket.call("abortUpload", { key, query: { uploadId } });
  expect(uploads()).toBe(0);
  const late = openBucketOf(
    makeHttp({ env: emulator.env, stall: 3000 }),
    { ...hostOf(), now: () => emulator.now() - 20 * 60_000 },
    { credentials, region: "cn-north-4", endpoints: endpointsOf("cn-north-4") },
    "ci-images",
  );
  await expect(late.call("listObjects", { query: { prefix: "x" } })).rejects.toMatchObject({
    code: "BK420",
    reason: { code: "RequestTimeTooSkewed" },
  });
});

test("stopped by Ctrl-C it sends nothing more; what was begun stays to go on with", async () => {
  const request = file(5);
  const controller = new AbortController();
  emulator.on(
    "OBS PUT /{key}?partNumber&uploadId",
    () => undefined,
    () => controller.abort(new Error("stopped")),
  );
  await expect(uploadFile(bucketNamed(), hostOf(controller.signal), request)).rejects.toThrow("stopped");
  expect(puts()).toBeLessThan(5);
  expect(uploads()).toBe(1);
});
