/** Brings files into the store, with something to see while it lasts. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";
import { downloadAll, type DownloadRequest, type TransferEvent } from "../store/download.ts";
import { type Store, storePath } from "../store/store.ts";
import { TransferProgress } from "../store/transfer-progress.ts";
import { downloadEdges } from "./ask.ts";
import type { LockedFile } from "./lock.ts";

/**
 * Downloads what the store lacks.
 * @throws BakeError as `downloadAll`.
 */
export const fetchFiles = async (
  host: Host,
  store: Store,
  requests: readonly DownloadRequest[],
  { json = false, rewrite }: { readonly json?: boolean; readonly rewrite?: (url: string) => string } = {},
): Promise<void> => {
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

/** Files of a mirror: by URL they are downloaded; out of a folder they are copied at once. @throws BakeError BK216 */
export const requestsOfMirror = async (
  store: Store,
  files: readonly LockedFile[],
  mirror: string,
): Promise<DownloadRequest[]> => {
  if (/^https?:\/\//.test(mirror)) {
    return files.map((file) => ({ ...file, urls: [`${mirror.replace(/\/+$/, "")}/${storePath(file.sha256)}`] }));
  }
  if (
    !(await stat(mirror).then(
      (found) => found.isDirectory(),
      () => false,
    ))
  ) {
    throw new BakeError("BK216", `${mirror} is no mirror: neither a folder nor an http or https URL`);
  }
  for (const file of files) {
    if (await store.has(file.sha256)) continue;
    await takeFrom(store, file, join(mirror, storePath(file.sha256)));
  }
  return [];
};

/** @throws BakeError BK210 when it is another file, BK216 when it cannot be read. */
const takeFrom = async (store: Store, file: LockedFile, path: string): Promise<void> => {
  const found = await store.add(path, file.sha256).catch((error: NodeJS.ErrnoException) => {
    throw new BakeError(
      "BK216",
      error.code === "ENOENT"
        ? `the mirror lacks ${file.name}: ${path} is not there`
        : `${path} cannot be read: ${error.message}`,
      "Fill it again where there is a network: bake fetch --to.",
    );
  });
  if (found.sha256 === file.sha256) return;
  throw new BakeError(
    "BK210",
    `${file.name} is not what the lock names: ${path}\n  expected sha256 ${file.sha256}\n  found    sha256 ${found.sha256}, ${found.size} bytes`,
    "The mirror was changed. Nothing was taken from that file.",
  );
};
