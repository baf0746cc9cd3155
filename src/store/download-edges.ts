/** The real edges of downloads. */
import type { Host } from "../host/host.ts";
import { makeHttp, withFiles } from "./http.ts";
import type { Store } from "./store.ts";
import type { DownloadEdges } from "./transfer.ts";

/**
 * What downloads of a run need of the world, by its host.
 * @param rewrite Where a URL is really asked for.
 * @throws BakeError BK219 when the environment names a proxy or a file of certificates that cannot be used.
 */
export const downloadEdges = (
  { env, now, sleep, random, signal }: Host,
  store: Store,
  rewrite?: (url: string) => string,
  onEvent?: DownloadEdges["onEvent"],
): DownloadEdges => ({
  store,
  http: withFiles(makeHttp({ env, ...(rewrite !== undefined && { rewrite }) })),
  now,
  sleep,
  random,
  signal,
  ...(onEvent !== undefined && { onEvent }),
});
