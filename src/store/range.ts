/** Answers that are a part of a file, and whether they go on with what is there. Pure. */
import type { Headers } from "./http.ts";

/** What a 206 is of the whole file: its first byte, and the whole's bytes, which the server may not know. */
export const rangeOf = (headers: Headers): { readonly start: number; readonly total?: number } | undefined => {
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers["content-range"] ?? "") ?? [];
  if (start === undefined) return undefined;
  return { start: Number(start), ...(total !== "*" && { total: Number(total) }) };
};

/** Bytes of an answer; undefined when the server does not say, or compresses on the way. */
export const lengthOf = (headers: Headers): number | undefined => {
  const { "content-length": length, "content-encoding": encoding = "identity" } = headers;
  return length !== undefined && /^\d+$/.test(length) && encoding === "identity" ? Number(length) : undefined;
};

/** An entity tag that stands for the very bytes; a weak one does not. */
export const strongTag = (etag: string | undefined): string | undefined =>
  etag?.startsWith('"') === true ? etag : undefined;
