/** User-data as it travels: what the cloud takes, and how much of it. Pure. */
import { gunzipSync, gzipSync } from "node:zlib";

export type UserDataForm = "yaml" | "gzip" | "base64";

const compress = (text: string): Buffer => gzipSync(text, { level: 9 });

/** The same text is always the same bytes. `base64` is of the gzip file, in one line. */
export const inForm = (text: string, form: UserDataForm): Buffer =>
  form === "yaml"
    ? Buffer.from(text)
    : form === "gzip"
      ? compress(text)
      : Buffer.from(`${compress(text).toString("base64")}\n`);

/** Bytes that count against the limit: as text, and compressed. */
export const sizes = (text: string): { readonly plain: number; readonly compressed: number } => ({
  plain: Buffer.byteLength(text),
  compressed: compress(text).length,
});

/** Whether bytes are user-data that bake made, in whatever form. */
export const isBakeUserData = (content: Buffer): boolean => {
  const begin = (bytes: Buffer): boolean =>
    bytes.subarray(0, 60).toString().startsWith("#cloud-config\n# Made by bake ");
  const unzipped = (bytes: Buffer): boolean => {
    try {
      return begin(gunzipSync(bytes));
    } catch {
      return false;
    }
  };
  return begin(content) || unzipped(content) || unzipped(Buffer.from(content.toString("latin1"), "base64"));
};
