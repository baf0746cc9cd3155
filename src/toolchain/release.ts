/** Official releases of tools, checked against their checksums. */
import { createHash } from "node:crypto";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import { checksumOf } from "../formats/checksum-file.ts";
import type { Host } from "../host/host.ts";
import { currentProcess } from "../host/process-identity.ts";
import { type Http, makeHttp } from "../store/http.ts";
import { reasonOf } from "../store/http-error.ts";
import { askWhole } from "../store/whole-answer.ts";
import type { GoTool, Release } from "./catalog.ts";

/** Runs whose release hosts do not answer: one wait is enough for a run. Kept by host, so that no run knows of another. */
const withoutReleases = new WeakSet<Host>();

/** Of a checksum file, and of the largest archive many times over. */
const mostBytes = 1 << 30;

/** Milliseconds for one file, with all attempts at it. */
const longestDownload = 600_000;

/** A file of a release; undefined when it cannot be had. @throws the host's signal's reason. */
const download = async (http: Http, url: string, host: Host): Promise<Buffer | undefined> => {
  const { now, sleep, random } = host;
  const signal = AbortSignal.any([host.signal, AbortSignal.timeout(longestDownload)]);
  try {
    const { status, body } = await askWhole(
      url,
      { attempts: 3, backoff: 1000, longestWait: 30_000, limit: mostBytes },
      { http, now, sleep, random, signal },
    );
    return status === 200 ? body : undefined;
  } catch {
    host.signal.throwIfAborted();
    return undefined;
  }
};

/** Why a host does not answer, without a long wait where there is no network; undefined when it does. */
const silence = async (http: Http, url: string, host: Host): Promise<string | undefined> => {
  const soon = AbortSignal.timeout(4000);
  try {
    (await http(url, { signal: AbortSignal.any([host.signal, soon]) })).body.destroy();
    return undefined;
  } catch (error) {
    host.signal.throwIfAborted();
    return soon.aborted ? "no answer in 4 s" : reasonOf(error);
  }
};

/** Where a fetched release lies. Pure. */
export const releaseFile = (host: Host, tool: GoTool, { version }: Release): string =>
  join(host.cacheDir, "tools", `${tool}-release-${version}`, tool);

/**
 * The official release, checked against its checksums; undefined when its host does not answer.
 * @throws BakeError BK308 when the bytes are not those that the checksums name.
 */
export const fetchRelease = async (host: Host, tool: GoTool, release: Release): Promise<string | undefined> => {
  if (withoutReleases.has(host)) return undefined;
  const http = makeHttp({ env: host.env });
  const reason = await silence(http, `${release.url}/${release.sums}`, host);
  if (reason !== undefined) {
    if (!withoutReleases.has(host)) {
      host.progress.note(`  ${new URL(release.url).host} does not answer (${reason}): no releases`);
    }
    withoutReleases.add(host);
    return undefined;
  }
  const target = releaseFile(host, tool, release);
  return host.progress.step(`fetch:${tool}`, `fetch ${tool} ${release.version}`, async () => {
    const [sums, archive] = await Promise.all([
      download(http, `${release.url}/${release.sums}`, host),
      download(http, `${release.url}/${release.archive}`, host),
    ]);
    if (sums === undefined || archive === undefined) return undefined;
    const checksum = checksumOf(sums.toString("utf8"), release.archive);
    const wanted = "sha256" in checksum ? checksum.sha256 : undefined;
    const found = createHash("sha256").update(archive).digest("hex");
    if (wanted !== found) {
      throw new BakeError(
        "BK308",
        `${release.archive} is not what ${release.sums} says: expected ${wanted ?? "an entry"}, found ${found}`,
        "The download was changed on its way, or the release was. Nothing of it was used.",
      );
    }
    const work = `${target}.${currentProcess()}`;
    try {
      await makeFolder(work);
      const file = join(work, release.archive);
      await writeFile(file, archive);
      if (release.archive.endsWith(".zip")) await host.run("unzip", ["-q", file, release.member, "-d", work]);
      else await host.run("tar", ["-xzf", file, "--no-same-owner", "-C", work, release.member]);
      await chmod(join(work, release.member), 0o755);
      await rename(join(work, release.member), target);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return target;
  });
};
