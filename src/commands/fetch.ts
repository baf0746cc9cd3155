/** `bake fetch`: fills the store with what the lock names, and with --to a mirror. */
import { join, resolve } from "node:path";
import { BakeError } from "../errors.ts";
import { filesOf } from "../lock/lock.ts";
import { lockPath } from "../lock/read.ts";
import { targetsOf } from "../plan/target.ts";
import { nodeArchive } from "../render/tree.ts";
import { fillMirror, type MirrorFile } from "../store/mirror.ts";
import { Store } from "../store/store.ts";
import { Interrupted, makeHost } from "./host.ts";
import { type Asked, planAsked, readAsked } from "./planned.ts";
import { reportFailure } from "./profile-file.ts";

export interface FetchOptions {
  readonly profile: string;
  readonly trial?: boolean;
  /** A folder that becomes a mirror. */
  readonly to?: string;
}

/** @returns the exit code. */
export const fetch = async (options: FetchOptions): Promise<number> => {
  const { host } = await makeHost();
  try {
    const asked = await readAsked(options);
    if (asked === undefined) return 1;
    if (!asked.trial && asked.lock === undefined) {
      throw new BakeError("BK204", `${asked.file.file} has no lock: ${lockPath(asked.file.file)} is not there`);
    }
    const store = new Store(join(host.cacheDir, "store"));
    const files = await mirrored(asked, host, store);
    if (options.to !== undefined) {
      const folder = resolve(options.to);
      const count = await host.progress.step("mirror", `fill the mirror ${options.to}`, (update) =>
        fillMirror(folder, store, files, { update }),
      );
      process.stdout.write(`${options.to}: ${files.length} files, ${count} written\n`);
    }
    return 0;
  } catch (error) {
    const reason: unknown = host.signal.reason;
    return reason instanceof Interrupted ? reason.exitCode : reportFailure(error);
  }
};

/** What a node of any target gets from a mirror: the lock's files, and for stock images the archive of the node's own. */
const mirrored = async (asked: Asked, host: Parameters<typeof planAsked>[0], store: Store): Promise<MirrorFile[]> => {
  const targets = asked.trial ? (["qemu"] as const) : targetsOf(asked.profile);
  const files = new Map<string, MirrorFile>();
  for (const target of targets) {
    const { lock, files: rendered } = await planAsked(host, store, asked, target);
    for (const file of (lock?.artifacts ?? []).filter(({ kind }) => kind !== "base").flatMap(filesOf)) {
      files.set(file.sha256, file);
    }
    files.set(`node ${target}`, { name: `the node's files for ${target}`, content: nodeArchive(rendered) });
  }
  return [...files.values()];
};
