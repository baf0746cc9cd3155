/** `bake cache`: makes the folder of a build cache that `caches` in a profile names: from a host, or by a build. */
import { mkdir, stat } from "node:fs/promises";
import { basename, isAbsolute, join, relative, resolve } from "node:path";
import { cacheOfHost } from "../check/cache-of-host.ts";
import { openRootShell } from "../check/check-host.ts";
import { onHostScript } from "../check/on-host.ts";
import { BakeError } from "../errors.ts";
import { formatBinary } from "../formats/bytes.ts";
import { toYaml } from "../formats/yaml.ts";
import type { Host, RunResult } from "../host/host.ts";
import { saidBy } from "../host/program-output.ts";
import { readTemplates } from "../host/root.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import { cacheInFolder, type CacheSource, takeCache } from "../lock/take-cache.ts";
import { formatSshTarget, parseSshTarget, sshToHost } from "../vm/ssh.ts";
import { endOf, makeHost } from "./host.ts";
import { printJson } from "./print-json.ts";

interface CacheOptions {
  /** The folder that is made. */
  readonly to: string;
  readonly json?: boolean;
}

export interface HarvestOptions extends CacheOptions {
  readonly host: string;
  /** On that host. */
  readonly from: string;
}

export interface BuildOptions extends CacheOptions {
  readonly context?: string;
  readonly file?: string;
  readonly target?: string;
  readonly buildArg: readonly string[];
  readonly platform?: string;
  readonly builder?: string;
  /** For bash, in the place of a build of bake's own. */
  readonly command?: string;
  /** Where that command exports its cache. */
  readonly exports?: string;
}

/** What `caches` takes for this folder, in a profile that lies in `profiles/`. Pure. */
export const profileLine = (to: string): { readonly name: string; readonly path: string } => ({
  name:
    basename(resolve(to))
      .replace(/[^A-Za-z0-9._-]+/g, "-")
      .replace(/^[^A-Za-z0-9]+/, "") || "cache",
  path: isAbsolute(to) ? to : relative("profiles", to),
});

const take = async (host: Host, source: CacheSource, { to, json }: CacheOptions): Promise<void> => {
  const { manifest, blobs, copied, bytes } = await host.progress.step(
    "cache-copy",
    `copy the build cache of ${source.name} to ${to}`,
    (update) => takeCache(source, to, { sleep: (milliseconds) => host.sleep(milliseconds, host.signal), tell: update }),
  );
  const line = profileLine(to);
  if (json === true)
    return printJson({
      ok: true,
      folder: to,
      ...{ manifest: manifest.digest, blobs: blobs.length + 1, copied, bytes },
      caches: [line],
    });
  process.stdout.write(
    `${to}: ${blobs.length + 1} blobs, ${formatBinary(bytes)}, of which ${copied} were copied\nin a profile of profiles/:\n\n${toYaml({ caches: [line] })}`,
  );
};

/** `bake cache harvest`: the cache that a host's builds have made. @returns the exit code. */
export const harvest = async (options: HarvestOptions): Promise<number> => {
  const { host, saveDurations } = await makeHost(process.stderr);
  try {
    const target = parseSshTarget(options.host);
    if (target === undefined) throw new BakeError("BK131", `--host ${options.host} is no [user@]host[:port]`);
    const connection = await sshToHost(host, target);
    try {
      const shell = await host.progress.step("cache-host", `reach ${formatSshTarget(target)}`, () =>
        openRootShell(connection.ssh, target, readTemplates([onHostScript])[onHostScript] ?? ""),
      );
      await take(host, cacheOfHost(shell, options.from), options);
    } finally {
      await connection.close();
    }
    await saveDurations();
    return 0;
  } catch (error) {
    return endOf(host, error);
  }
};

/** A field of buildx's lists: in quotes where it would end one. Pure. */
const field = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** How docker is asked for the build. Pure. */
export const buildxArguments = (
  { context = ".", file, target, buildArg, platform, builder }: BuildOptions,
  exports: string,
): string[] => {
  const given = (flag: string, value: string | undefined): string[] => (value === undefined ? [] : [flag, value]);
  return [
    ...["buildx", "build", "--progress=plain"],
    ...given("--builder", builder),
    ...given("--file", file),
    ...given("--target", target),
    ...given("--platform", platform),
    ...buildArg.flatMap((each) => ["--build-arg", each]),
    ...["--cache-to", `type=local,${field(`dest=${exports}`)},mode=max`],
    ...["--", context],
  ];
};

/** When the index of a cache was written: a build that finds every step exports the same one again. */
const written = async (folder: string): Promise<string | undefined> =>
  stat(join(folder, "index.json"), { bigint: true }).then(
    ({ ino, mtimeNs, size }) => [ino, mtimeNs, size].join(" "),
    () => undefined,
  );

/** @param program By its name alone: arguments of a build may be secrets. */
const noExport = async (
  host: Host,
  { what, program, exports }: { readonly what: string; readonly program: string; readonly exports: string },
  result: RunResult,
): Promise<BakeError> =>
  new BakeError(
    "BK258",
    `${what} ended with ${result.exitCode} and exported no build cache to ${exports}`,
    `A builder of the driver docker-container exports one: docker buildx create. It said last:\n${await saidBy(host, [program], result)}`,
  );

/** `bake cache build`: by docker on this machine, or by a command that exports one. @returns the exit code. */
export const build = async (options: BuildOptions): Promise<number> => {
  const { host, saveDurations } = await makeHost(process.stderr);
  try {
    await withWorkFolder(host, "cache", async (folder) => {
      const exports = options.exports === undefined ? join(folder, "cache") : resolve(options.exports);
      if (options.exports === undefined) await mkdir(exports);
      const before = await written(exports);
      const [what, file, args]: readonly [string, string, readonly string[]] =
        options.command === undefined
          ? ["the build", "docker", buildxArguments(options, exports)]
          : ["the command", "bash", ["-c", options.command]];
      const result = await host.progress.step("cache-build", `${what}, for its build cache`, (update) =>
        host.run(file, args, {
          allowFailure: true,
          env: { BAKE_CACHE: exports },
          onLine: (line) => update(line.trim().slice(0, 120)),
        }),
      );
      const after = await written(exports);
      const failed = result.exitCode !== 0;
      // A build that failed exports nothing; what a command does after its build is its own affair.
      if (after === undefined || after === before || (failed && options.command === undefined))
        throw await noExport(host, { what, program: file, exports }, result);
      if (failed)
        host.progress.note(
          `the command ended with ${result.exitCode} after it had exported its build cache: the cache counts`,
        );
      await take(host, cacheInFolder(exports), options);
    });
    await saveDurations();
    return 0;
  } catch (error) {
    return endOf(host, error);
  }
};
