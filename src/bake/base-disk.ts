/** The base as a disk that a VM can start from. */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import type { Host } from "../host/host.ts";
import { currentProcess } from "../host/process-identity.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { sha256File, type Store } from "../store/store.ts";

interface BaseDisk {
  readonly name: string;
  readonly path: string;
  /** Of the disk itself. */
  readonly sha256: string;
}

/** Folder of the cache with bases that were unpacked: `<sha256 of the base>.qcow2`. Pure. */
export const baseDisks = (cacheDir: string): string => join(cacheDir, "base-disks");

/**
 * The base as a disk. One that is stored compressed is unpacked once, and known by its own digest from then on.
 * @param base Of a plan with a lock.
 * @throws BakeError BK201/BK202 when it is not what the lock names, BK302 when it cannot be unpacked.
 */
export const baseDisk = async (host: Host, store: Store, base: NodePlan["base"]): Promise<BaseDisk> => {
  if (base === undefined) throw new Error("a local bake has a base");
  const { name, sha256 } = base;
  if (base.format === "qcow2") return { name, sha256, path: store.path(sha256) };
  const folder = baseDisks(host.cacheDir);
  const path = join(folder, `${sha256}.qcow2`);
  const record = `${path}.sha256`;
  const known = await readFile(record, "utf8").catch(() => undefined);
  if (known !== undefined && (await sha256File(path).catch(() => undefined))?.sha256 === known) {
    return { name, path, sha256: known };
  }
  return host.progress.step("unpack-base", `unpack ${name}`, async () => {
    // What is unpacked is known by its own digest from then on: it has to be the right one first.
    await store.verify({ ...base, name: `base ${name}` });
    await makeFolder(folder);
    const fresh = `${path}.new-${currentProcess()}`;
    try {
      await host.run("sh", [
        "-c",
        'exec xz --decompress --stdout --threads=0 "$1" >"$2"',
        "sh",
        store.path(sha256),
        fresh,
      ]);
      const found = await sha256File(fresh);
      await rm(record, { force: true });
      await rename(fresh, path);
      await writeFile(record, found.sha256);
      return { name, path, sha256: found.sha256 };
    } finally {
      await rm(fresh, { force: true });
    }
  });
};
