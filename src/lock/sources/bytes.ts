import type { Release } from "../../artifact.ts";
import type { Web } from "../web.ts";
import { digestIn } from "./checksum-file.ts";

type Bytes = Pick<Release, "url" | "size" | "sha256" | "trust" | "checksums">;

/**
 * Which bytes a file has, from the best of: the profile's digest, a checksum file, the first download.
 * @throws BakeError BK230 to BK234, and as the download does
 */
export const lockBytes = async (
  wanted: {
    readonly name: string;
    readonly url: string;
    readonly sha256?: string | undefined;
    readonly checksums?: { readonly url: string; readonly file: string } | undefined;
  },
  web: Web,
): Promise<Bytes> => {
  const { name, url, checksums } = wanted;
  const published =
    wanted.sha256 === undefined && checksums !== undefined
      ? digestIn(await web.text(checksums.url), checksums.file, checksums.url)
      : undefined;
  const sha256 = wanted.sha256 ?? published;
  if (sha256 === undefined) {
    const stored = await web.store({ name, url });
    return { url, size: stored.size, sha256: stored.sha256, trust: "first-use" };
  }
  const size = (await web.size(url)) ?? (await web.store({ name, url, sha256 })).size;
  return published === undefined || checksums === undefined
    ? { url, size, sha256, trust: "profile" }
    : { url, size, sha256, trust: "checksums", checksums: checksums.url };
};
