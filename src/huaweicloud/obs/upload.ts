/** Uploads a file in parts, each with its digest. Called again after it was cut off, it goes on with the parts that are there. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { CloudError } from "../client.ts";
import type { Bucket } from "./bucket.ts";
import { elements } from "./xml.ts";

const MiB = 1024 * 1024;

/** Of an object (facts: OBS reference, uploading a part). */
const mostParts = 10_000;

/** Parts that are on their way at a time: each is held in memory. */
const atOnce = 3;

/** Bytes that are handed on at a time, so that a slow line counts as one that moves. */
const piece = 256 * 1024;

/** Bytes of each part but the last. Pure. */
export const partSizeFor = (size: number): number => Math.max(32 * MiB, Math.ceil(size / (mostParts - 1) / MiB) * MiB);

export interface UploadRequest {
  readonly file: string;
  readonly size: number;
  /** Of the whole file, in hex: the object carries it. */
  readonly sha256: string;
  readonly key: string;
  readonly partSize?: number;
  /** Told after each part. */
  readonly onProgress?: (done: number) => void;
}

interface Part {
  readonly number: number;
  readonly start: number;
  readonly length: number;
}

/** Where the parts of a file are. Pure. */
const partsOf = (size: number, partSize: number): Part[] =>
  Array.from({ length: Math.max(1, Math.ceil(size / partSize)) }, (_, at) => ({
    number: at + 1,
    start: at * partSize,
    length: Math.min(partSize, size - at * partSize),
  }));

const bare = (etag: string | undefined): string => (etag ?? "").replaceAll('"', "");

/** Whether the object is there, and whole. @throws CloudError */
const isThere = async (bucket: Bucket, { key, size, sha256 }: UploadRequest): Promise<boolean> => {
  try {
    const { headers } = await bucket.call("showObject", { key });
    return headers["content-length"] === String(size) && headers["x-obs-meta-sha256"] === sha256;
  } catch (error) {
    if (error instanceof CloudError && error.status === 404) return false;
    throw error;
  }
};

export interface StartedUpload {
  readonly id: string;
  readonly key: string;
  /** ISO 8601. */
  readonly initiated: string;
}

/** Uploads that were begun and not ended, the newest first. @throws CloudError */
export const listUploads = async (bucket: Bucket, prefix: string): Promise<StartedUpload[]> => {
  const all: StartedUpload[] = [];
  for (let marker: Record<string, string> = {}; ; ) {
    const { text } = await bucket.call("listUploads", {
      query: { uploads: undefined, prefix, "max-uploads": "1000", ...marker },
    });
    for (const each of elements(text, "Upload")) {
      const [[key = ""], [id = ""], [initiated = ""]] = [
        elements(each, "Key"),
        elements(each, "UploadId"),
        elements(each, "Initiated"),
      ];
      all.push({ id, key, initiated });
    }
    const [keyMarker = ""] = elements(text, "NextKeyMarker");
    if (elements(text, "IsTruncated")[0] !== "true" || keyMarker === "" || keyMarker === marker["key-marker"]) break;
    marker = { "key-marker": keyMarker, "upload-id-marker": elements(text, "NextUploadIdMarker")[0] ?? "" };
  }
  return all.toSorted((a, b) => b.initiated.localeCompare(a.initiated));
};

interface SentPart {
  readonly digest: string;
  /** ISO 8601; empty where it is not said. */
  readonly modified: string;
}

/** The parts that an upload has, by number. @throws CloudError */
const listParts = async (bucket: Bucket, key: string, uploadId: string): Promise<Map<number, SentPart>> => {
  const parts = new Map<number, SentPart>();
  for (let marker = ""; ; ) {
    const { text } = await bucket.call("listParts", {
      key,
      query: { uploadId, "max-parts": "1000", ...(marker !== "" && { "part-number-marker": marker }) },
    });
    for (const each of elements(text, "Part"))
      parts.set(Number(elements(each, "PartNumber")[0]), {
        digest: bare(elements(each, "ETag")[0]),
        modified: elements(each, "LastModified")[0] ?? "",
      });
    const [next = ""] = elements(text, "NextPartNumberMarker");
    if (elements(text, "IsTruncated")[0] !== "true" || next === "" || next === marker) return parts;
    marker = next;
  }
};

/**
 * When an upload grew last: its newest part, or its beginning.
 * @returns ISO 8601; undefined where it has gone meanwhile.
 * @throws CloudError
 */
export const lastGrowth = async (
  bucket: Bucket,
  { key, id, initiated }: StartedUpload,
): Promise<string | undefined> => {
  try {
    const moments = [...(await listParts(bucket, key, id)).values()].map(({ modified }) => modified);
    return [initiated, ...moments].toSorted().at(-1);
  } catch (error) {
    if (error instanceof CloudError && error.status === 404) return undefined;
    throw error;
  }
};

const readPart = async (file: FileHandle, { start, length }: Part): Promise<Buffer> => {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, start + done);
    if (bytesRead === 0)
      throw new BakeError("BK438", "the image's file became shorter while it was read", "Bake it again.");
    done += bytesRead;
  }
  return bytes;
};

const streamOf = (bytes: Buffer): Readable =>
  Readable.from(
    (function* pieces() {
      for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
    })(),
    { objectMode: false },
  );

/** Uploads one part, unless it is there. @returns its digest. @throws CloudError, BakeError BK438 */
const sendPart = async (
  bucket: Bucket,
  file: FileHandle,
  { key }: UploadRequest,
  { uploadId, part, there }: { readonly uploadId: string; readonly part: Part; readonly there: string | undefined },
): Promise<string> => {
  const bytes = await readPart(file, part);
  const digest = createHash("md5").update(bytes).digest();
  const wanted = digest.toString("hex");
  if (there === wanted) return wanted;
  const { headers } = await bucket.call("putPart", {
    key,
    query: { partNumber: String(part.number), uploadId },
    stream: { open: () => streamOf(bytes), length: bytes.length, md5: digest.toString("base64") },
  });
  if (bare(headers["etag"]) === wanted) return wanted;
  throw new BakeError(
    "BK438",
    `part ${part.number} of ${key} came out otherwise than it was sent`,
    "A proxy in between changes what it carries. The same command sends that part again.",
  );
};

/** @throws CloudError, BakeError BK438 */
const sendParts = async (
  bucket: Bucket,
  host: Pick<Host, "signal">,
  request: UploadRequest,
  uploadId: string,
): Promise<ReadonlyMap<number, string>> => {
  const { file: path, size, partSize = partSizeFor(request.size), key, onProgress } = request;
  const there = await listParts(bucket, key, uploadId);
  const digests = new Map<number, string>();
  const waiting = partsOf(size, partSize);
  let done = 0;
  const file = await open(path);
  try {
    const worker = async (): Promise<void> => {
      for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
        host.signal.throwIfAborted();
        digests.set(
          part.number,
          await sendPart(bucket, file, request, { uploadId, part, there: there.get(part.number)?.digest }),
        );
        done += part.length;
        onProgress?.(done);
      }
    };
    const ended = await Promise.allSettled(
      Array.from({ length: atOnce }, () =>
        worker().catch((error: unknown) => {
          // The others end with the part that they have.
          waiting.length = 0;
          throw error;
        }),
      ),
    );
    const failed = ended.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return digests;
  } finally {
    await file.close();
  }
};

const completion = (digests: ReadonlyMap<number, string>): string =>
  `<CompleteMultipartUpload>${[...digests]
    .toSorted(([a], [b]) => a - b)
    .map(([number, digest]) => `<Part><PartNumber>${number}</PartNumber><ETag>${digest}</ETag></Part>`)
    .join("")}</CompleteMultipartUpload>`;

/** An upload of this key that was begun, else a new one. @returns its ID. @throws CloudError */
const beginUpload = async (bucket: Bucket, { key, sha256 }: UploadRequest): Promise<string> => {
  const [begun] = (await listUploads(bucket, key)).filter((upload) => upload.key === key);
  if (begun !== undefined) return begun.id;
  const { text } = await bucket.call("startUpload", {
    key,
    query: { uploads: undefined },
    headers: { "x-obs-meta-sha256": sha256, "content-type": "application/octet-stream" },
  });
  const [id] = elements(text, "UploadId");
  if (id !== undefined) return id;
  throw new CloudError("BK424", "OBS POST /{key}?uploads names no upload", "Tell the makers of bake.", {
    call: "startUpload",
  });
};

const isGone = (error: unknown): error is CloudError => error instanceof CloudError && error.status === 404;

/**
 * Sends the parts and puts them together.
 * @returns an error after which only looking tells what came of it: no answer, or the upload has gone meanwhile.
 * @throws CloudError; BakeError BK438; the signal's reason.
 */
const sendAll = async (
  bucket: Bucket,
  host: Pick<Host, "signal">,
  request: UploadRequest,
): Promise<CloudError | undefined> => {
  const { key } = request;
  const uploadId = await beginUpload(bucket, request);
  try {
    const digests = await sendParts(bucket, host, request, uploadId);
    await bucket.call("completeUpload", { key, query: { uploadId }, body: completion(digests) });
    return undefined;
  } catch (error) {
    if (isGone(error)) return error;
    const isEnd = error instanceof CloudError && error.call === "completeUpload";
    if (isEnd && (error.status === undefined || error.status >= 500)) return error;
    throw error;
  }
};

/**
 * Uploads the file under its key; what is there already is not sent again.
 * @throws CloudError; BakeError BK438 when what is there afterwards is not the file; the signal's reason.
 */
export const uploadFile = async (
  bucket: Bucket,
  host: Pick<Host, "signal">,
  request: UploadRequest,
): Promise<"there already" | "uploaded"> => {
  const { key } = request;
  if (await isThere(bucket, request)) return "there already";
  let lost = await sendAll(bucket, host, request);
  let there = await isThere(bucket, request);
  if (!there && isGone(lost)) {
    // Somebody took it for a leftover: once more, from the beginning.
    lost = await sendAll(bucket, host, request);
    there = await isThere(bucket, request);
  }
  if (!there) {
    throw (
      lost ??
      new BakeError(
        "BK438",
        `${key} in the bucket ${bucket.name} is not the file that was sent`,
        "The same command sends it again.",
      )
    );
  }
  for (const { id } of (await listUploads(bucket, key)).filter((upload) => upload.key === key))
    await bucket.call("abortUpload", { key, query: { uploadId: id } }).catch((error: unknown) => {
      // Gone already: the list was old, or the answer to the first attempt was lost.
      if (!isGone(error)) throw error;
    });
  return "uploaded";
};
