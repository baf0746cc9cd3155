/** Brings files into the store, with something to see while it lasts. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { downloadAll } from "../store/download.ts";
import { downloadEdges } from "../store/download-edges.ts";
import type { DownloadRequest, TransferEvent } from "../store/transfer.ts";
import { type Store, storePath } from "../store/store.ts";
import { TransferProgress } from "../store/transfer-progress.ts";
import type { LockedFile } from "../artifact.ts";

/** What is asked for, and for which nodes. */
export type FileRequest = DownloadRequest & { readonly architecture?: string };

/** Names that stand for several files, of one architecture each, say which. */
const withUniqueNames = (files: readonly FileRequest[]): FileRequest[] => {
  const counts = new Map<string, number>();
  for (const { name } of files) counts.set(name, (counts.get(name) ?? 0) + 1);
  return files.map((file) =>
    counts.get(file.name) === 1 || file.architecture === undefined
      ? file
      : { ...file, name: `${file.name} (${file.architecture})` },
  );
};

/**
 * Downloads what the store lacks.
 * @throws BakeError as `downloadAll`.
 */
export const fetchFiles = async (
  host: Host,
  store: Store,
  files: readonly FileRequest[],
  { json = false, rewrite }: { readonly json?: boolean; readonly rewrite?: (url: string) => string } = {},
): Promise<void> => {
  const requests = withUniqueNames(files);
  if (json) {
    const onEvent = (event: TransferEvent): void => void process.stdout.write(`${JSON.stringify(event)}\n`);
    await downloadAll(requests, downloadEdges(host, store, rewrite, onEvent));
    return;
  }
  await host.progress.step("fetch", `fetch ${requests.length} files`, async (update) => {
    const progress = new TransferProgress({ requests, now: host.now, update });
    const done = await downloadAll(
      requests,
      downloadEdges(host, store, rewrite, (event) => progress.on(event)),
    );
    update(progress.summary(done));
  });
};

export const isMirrorUrl = (mirror: string): boolean => /^https?:\/\//i.test(mirror);

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** A mirror's URL, and the login that was given with it. @throws BakeError BK216 */
const readMirror = async (mirror: string): Promise<{ readonly root: string; readonly authorization?: string }> => {
  if (isMirrorUrl(mirror)) {
    const url = URL.canParse(mirror) ? new URL(mirror) : undefined;
    if (url === undefined || url.search !== "") {
      throw new BakeError("BK216", "the URL of the mirror is none, or has a query", "It is https://host/path.");
    }
    const login = `${decoded(url.username)}:${decoded(url.password)}`;
    url.username = "";
    url.password = "";
    return {
      root: url.href.replace(/\/+$/, ""),
      ...(login !== ":" && { authorization: `Basic ${Buffer.from(login).toString("base64")}` }),
    };
  }
  const isFolder = await stat(mirror).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return { root: pathToFileURL(resolve(mirror)).href };
  // A URL without its scheme may hold a password.
  const shown = /[@?]/.test(mirror) ? "what --mirror names" : mirror;
  throw new BakeError("BK216", `${shown} is no mirror: neither a folder nor an http or https URL`);
};

/** What is asked for at a mirror, a folder or a URL. @throws BakeError BK216 */
export const requestsOfMirror = async (files: readonly LockedFile[], mirror: string): Promise<FileRequest[]> => {
  const { root, authorization } = await readMirror(mirror);
  return files.map((file) => ({
    ...file,
    mirror: true,
    urls: [`${root}/${storePath(file.sha256)}`],
    ...(authorization !== undefined && { headers: () => Promise.resolve({ authorization }) }),
  }));
};
