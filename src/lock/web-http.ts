/** The resolvers' edge on real HTTP and the real store. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { BakeError } from "../errors.ts";
import { type Http, type HttpResponse, reasonOf, shownUrl } from "../store/http.ts";
import type { DownloadRequest, Downloaded } from "../store/download.ts";
import type { Store } from "../store/store.ts";
import type { Web } from "./web.ts";

export interface WebEdges {
  readonly http: Http;
  readonly store: Store;
  readonly download: (request: DownloadRequest) => Promise<Downloaded>;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly signal: AbortSignal;
  /** What to send along to a URL: a hub's token. */
  readonly headers: (url: string) => Readonly<Record<string, string>>;
  /** Milliseconds before a second attempt; doubled each time. */
  readonly backoff?: number;
}

const attempts = 4;

/** Longer than any list of checksums, releases or files. */
const mostBytes = 32 << 20;

const helpFor = (status: number): string | undefined => {
  switch (status) {
    case 401:
    case 403:
      return "It wants to know who asks. For models of Hugging Face set HF_TOKEN; a mirror may be open: sources in docs/profile.md.";
    case 404:
      return "Is there such a version, and does the source have it? Sources are settings: docs/profile.md.";
    default:
      return "Is the host reachable from here? Mirrors and proxies: docs/lock.md.";
  }
};

const readText = async (response: HttpResponse): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += (chunk as Buffer).length;
    if (size > mostBytes) throw new Error("it sends more than any such list has");
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
};

const gitBlobOf = async (path: string, size: number): Promise<string> => {
  const hash = createHash("sha1").update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
};

export const makeWeb = ({ http, store, download, sleep, signal, headers, backoff = 1000 }: WebEdges): Web => {
  /** Repeats what may pass: a busy server, a connection that was cut. */
  const ask = async <T>(
    url: string,
    method: "GET" | "HEAD",
    more: Readonly<Record<string, string>>,
    read: (response: HttpResponse) => Promise<T>,
  ): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      let reason: string;
      let status = 0;
      let wait: number | undefined;
      try {
        const response = await http(url, {
          method,
          signal,
          headers: { "user-agent": "bake", ...headers(url), ...more },
        });
        ({ status } = response);
        if (status === 200) return await read(response);
        response.body.destroy();
        reason = `it answers ${status}`;
        const after = Number(response.headers["retry-after"]);
        if (after > 0 && after <= 60) wait = after * 1000;
      } catch (error) {
        signal.throwIfAborted();
        reason = reasonOf(error);
        if ((error as { passing?: boolean }).passing === false) status = 400;
      }
      const passing = status === 0 || status === 429 || status >= 500;
      if (!passing || attempt === attempts) {
        throw new BakeError("BK230", `${shownUrl(url)}: ${reason}`, helpFor(status));
      }
      await sleep(wait ?? backoff * 2 ** (attempt - 1));
    }
  };
  return {
    text: (url, options) => ask(url, "GET", options?.headers ?? {}, readText),
    size: (url) =>
      ask(url, "HEAD", { "accept-encoding": "identity" }, (response) => {
        response.body.destroy();
        const length = response.headers["content-length"];
        return Promise.resolve(length === undefined ? undefined : Number(length));
      }),
    store: async ({ name, url, sha256, size, gitBlob }) => {
      const done = await download({
        name,
        urls: [url],
        headers: (asked) => Promise.resolve(headers(asked)),
        ...(sha256 !== undefined && { sha256 }),
        ...(size !== undefined && { size }),
      });
      if (gitBlob !== undefined) {
        const found = await gitBlobOf(store.path(done.sha256), done.size);
        if (found !== gitBlob) {
          throw new BakeError(
            "BK236",
            `${name} is not the git blob that its hub lists: ${shownUrl(url)}\n  expected sha1 ${gitBlob}\n  found    sha1 ${found}`,
            "A mirror or a proxy between gives something else. Nothing of it is locked.",
          );
        }
      }
      return { sha256: done.sha256, size: done.size };
    },
    keep: async (path) => {
      try {
        return await store.add(path);
      } catch (error) {
        throw new BakeError("BK237", `${path} cannot be taken into the store: ${(error as Error).message}`);
      }
    },
  };
};
