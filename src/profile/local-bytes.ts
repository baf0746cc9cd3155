/** Bytes of the local files of a profile, as they were read with it. Pure. */
import { isUtf8 } from "node:buffer";
import type { Profile } from "./schema.ts";

/** What the file held. @throws RangeError when it was not read with its profile. */
export const localBytes = ({ localFiles }: Profile, from: string): Uint8Array => {
  const bytes = localFiles?.get(from);
  if (bytes === undefined) throw new RangeError(`${from} was not read with its profile`);
  return bytes;
};

/** Bytes as a text, of which `encoding` makes the same bytes again. */
export const textOfBytes = (bytes: Uint8Array): { readonly content: string; readonly encoding?: "latin1" } =>
  isUtf8(bytes)
    ? { content: Buffer.from(bytes).toString("utf8") }
    : { content: Buffer.from(bytes).toString("latin1"), encoding: "latin1" };
