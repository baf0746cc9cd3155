/** One attempt at one URL: what is asked for, what the answer means, and its bytes into the part. */
import { createHash } from "node:crypto";
import { BakeError } from "../errors.ts";
import { formatBytes } from "../formats/bytes.ts";
import { pidNamespace } from "../host/process-identity.ts";
import type { HttpResponse } from "./http.ts";
import { shownUrl } from "./url.ts";
import { isTransientStatus, PermanentError, reasonOf, TransientError } from "./http-error.ts";
import { lengthOf, rangeOf, strongTag } from "./range.ts";
import { retryAfter } from "./retry.ts";
import type { Arrived, DownloadRequest, Running } from "./transfer.ts";
import { originOf } from "./url.ts";

/** Bytes of a file between two events. */
const eventEvery = 4 << 20;

/** What a URL's answer says about where to go on. @throws PermanentError, TransientError */
const judge = (
  response: HttpResponse,
  offset: number,
  { size }: DownloadRequest,
  now: number,
): { readonly from: number; readonly total?: number } => {
  const { status, headers } = response;
  if (isTransientStatus(status)) throw new TransientError(`it answers ${status}`, retryAfter(headers, now));
  if (status === 206) {
    const total = rangeOf(headers)?.total;
    if (size !== undefined && total !== undefined && total !== size) {
      throw new PermanentError(`it has ${total} bytes, ${size} are expected`);
    }
    return { from: offset, ...(total !== undefined && { total }) };
  }
  if (status === 200) {
    const length = lengthOf(headers);
    if (size !== undefined && length !== undefined && length !== size) {
      throw new PermanentError(`it has ${length} bytes, ${size} are expected`);
    }
    return { from: 0, ...(length !== undefined && { total: length }) };
  }
  throw new PermanentError(`it answers ${status}`);
};

/** Reads an answer to its end. @throws TransientError when it ends too early or breaks off. */
const receive = async (response: HttpResponse, most: number | undefined, running: Running): Promise<void> => {
  const {
    part,
    request: { name },
    edges: { onEvent },
  } = running;
  let told = part.size;
  try {
    for await (const chunk of response.body) {
      const data = chunk as Buffer;
      if (most !== undefined && part.size + data.length > most) {
        throw new PermanentError(`it sends more than the ${most} bytes that it should`);
      }
      const behind = part.write(data);
      if (behind !== undefined) await behind;
      if (part.size - told >= eventEvery) {
        told = part.size;
        onEvent?.({ type: "progress", name, bytes: told, ...(most !== undefined && { total: most }) });
      }
    }
  } catch (error) {
    if (part.failure !== undefined) throw part.failure;
    if (error instanceof PermanentError) throw error;
    throw new TransientError(`after ${formatBytes(part.size)}: ${reasonOf(error)}`);
  }
  if (most !== undefined && part.size < most) throw new TransientError(`it ended after ${part.size} of ${most} bytes`);
};

/** A URL as a part's record names it: what a query holds may be a secret. Lower-case hex. Pure. */
export const sourceOf = (url: string): string => createHash("sha256").update(url).digest("hex");

/**
 * Whether the part can be resumed. Where a digest is known it tells in the end, whatever the bytes are from. Without one the
 * source has to say that it is the same file still. And the bytes have to be those that were written: see `place`.
 */
const mayResume = ({ request: { sha256 }, part: { origin } }: Running, source: string): boolean =>
  sha256 !== undefined ||
  (origin?.source === source && strongTag(origin.etag) !== undefined && origin.place === pidNamespace());

/** Whether a 206 goes on with the file that the part is of. */
const continues = ({ request: { sha256 }, part }: Running, response: HttpResponse, source: string): boolean => {
  const range = rangeOf(response.headers);
  if (part.size === 0 || range?.start !== part.size) return false;
  if (sha256 !== undefined) return true;
  const { origin } = part;
  // What is sent may be less than was asked for: without the whole's length nobody knows when it is there.
  return (
    origin?.source === source &&
    origin.etag === response.headers["etag"] &&
    origin.total !== undefined &&
    (range.total === undefined || range.total === origin.total)
  );
};

/** What to send along. @throws PermanentError where it cannot be had: another place may do without. */
const headersFor = async (url: string, { headers }: DownloadRequest): Promise<Readonly<Record<string, string>>> => {
  try {
    return (await headers?.(url)) ?? {};
  } catch (error) {
    if (error instanceof BakeError) {
      throw new PermanentError([error.message, ...(error.help?.split("\n") ?? [])].join("\n    "));
    }
    throw error;
  }
};

/**
 * One attempt at one URL. It goes on where the part ends, when that is safe; else it begins anew.
 * @returns what the whole file is, once all of it has come.
 * @throws PermanentError, TransientError or HttpError; the disk's errors; the signal's reason.
 */
export const attempt = async (url: string, running: Running): Promise<Arrived> => {
  const {
    request,
    part,
    reach,
    edges: { http, now, signal, onEvent },
  } = running;
  const source = sourceOf(url);
  const most = request.size ?? (part.origin?.source === source ? part.origin.total : undefined);
  if (part.size > 0 && (!mayResume(running, source) || (most !== undefined && part.size > most))) await part.restart();
  if (part.size > 0 && part.size === most) return { sha256: part.digest(), size: part.size, resumed: true };
  const { origin, size: offset } = part;
  const validator = origin?.source === source ? (strongTag(origin.etag) ?? origin.modified) : undefined;
  const ask = async (): Promise<HttpResponse> =>
    http(url, {
      signal,
      headers: {
        "accept-encoding": "identity",
        "user-agent": "bake",
        ...(await headersFor(url, request)),
        ...(offset > 0 && { range: `bytes=${offset}-`, ...(validator !== undefined && { "if-range": validator }) }),
      },
    });
  let response = await ask();
  for (const each of [originOf(url), originOf(response.url)]) reach.answered.add(each);
  if (response.status === 401 && request.headers !== undefined) {
    // A token lives for minutes; a download may not.
    response.body.destroy();
    response = await ask();
  }
  try {
    if (response.status === 416) {
      await part.restart();
      throw new TransientError("the part that is here does not go with what it has now");
    }
    if (response.status === 206 && !continues(running, response, source)) {
      await part.restart();
      throw new TransientError("it sends another part than was asked for");
    }
    const place = judge(response, offset, request, now());
    const resumed = place.from > 0;
    const total = request.size ?? place.total ?? (resumed && origin?.source === source ? origin.total : undefined);
    // Emptied before it is said where the new bytes are from.
    if (!resumed && offset > 0) await part.restart();
    const { etag, "last-modified": modified } = response.headers;
    await part.setOrigin({
      url: shownUrl(url),
      source,
      ...(etag !== undefined && { etag }),
      ...(modified !== undefined && { modified }),
      ...(total !== undefined && { total }),
    });
    onEvent?.({
      type: "start",
      name: request.name,
      bytes: place.from,
      url: shownUrl(url),
      ...(total !== undefined && { total }),
    });
    await receive(response, total, running);
    return { sha256: part.digest(), size: part.size, resumed };
  } finally {
    response.body.destroy();
  }
};
