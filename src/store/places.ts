/** One file from the first of its places that gives it. */
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import { shownUrl } from "./url.ts";
import { PermanentError } from "./http-error.ts";
import type { Arrived, Downloaded, DownloadRequest, Running } from "./transfer.ts";
import { fromUrl } from "./url-attempts.ts";

const wrongBytes = (
  { name, sha256, mirror = false }: DownloadRequest,
  url: string,
  found: Arrived,
  aside: string,
): BakeError =>
  new BakeError(
    "BK210",
    `${name} is not what the lock names: ${shownUrl(url)}\n  expected sha256 ${sha256}\n  found    sha256 ${found.sha256}, ${found.size} bytes`,
    `Nothing uses it; for a look it lies in ${aside}.\n${mirror ? "The mirror was changed. Fill it again where there is a network: bake fetch --to." : "When its makers have replaced it and you know why: bake lock --update."}`,
  );

/**
 * Tries the URLs of a request in their order, and puts what arrives into the store.
 * @throws BakeError BK210 for wrong bytes, which are set aside; BK214 when no URL gives them.
 * @throws PartLost; the disk's errors; the signal's reason.
 */
export const fromAny = async (running: Running): Promise<Downloaded> => {
  const {
    request,
    part,
    edges: { store, onEvent },
  } = running;
  const refusals: string[] = [];
  for (const url of request.urls) {
    try {
      for (let again = false; ; again = true) {
        const arrived = await fromUrl(url, running);
        if (request.sha256 === undefined || arrived.sha256 === request.sha256) {
          await part.moveTo(store.path(arrived.sha256));
          onEvent?.({ type: "done", name: request.name, bytes: arrived.size });
          return { name: request.name, sha256: arrived.sha256, size: arrived.size, fetched: true };
        }
        // Another file since the first part was fetched: once more, from the beginning.
        if (arrived.resumed && !again) {
          await part.restart();
          continue;
        }
        // Kept aside for a look, and never used.
        const aside = join(store.root, "refused", `${request.sha256}-${arrived.sha256}`);
        await part.moveTo(aside);
        throw wrongBytes(request, url, arrived, aside);
      }
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      refusals.push(`${shownUrl(url)}: ${error.message}`);
    }
  }
  throw new BakeError(
    "BK214",
    `${request.name} cannot be fetched:\n  ${refusals.join("\n  ")}`,
    request.mirror === true
      ? "Fill the mirror again where there is a network: bake fetch --to."
      : "A mirror helps where a host cannot be reached: docs/lock.md.",
  );
};
