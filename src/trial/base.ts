/**
 * The stand-in base of a trial: Debian trixie, bootstrapped from packages and assembled into a bootable disk.
 * Same contract as an openEuler cloud image: systemd, cloud-init, ssh for root, root by UUID.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import * as z from "zod";
import type { Architecture } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import { installPackages, trialNeeds } from "../toolchain/packages.ts";
import { freeBytes } from "../host/disk-space.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";
import { bootstrap, packagesOf, treeRecipe, type WithoutCloudInit } from "./base-tree.ts";
import { assembleDisk, diskRecipe, requireBootLoader } from "./boot-disk.ts";
import { suite } from "./debian.ts";
import { gib } from "../formats/bytes.ts";

export interface StandInBase {
  readonly name: string;
  readonly resolved: string;
  readonly sha256: string;
  readonly size: number;
  /** What this call took. */
  readonly seconds: number;
}

/** Names a base by everything that decides what is in it, except the state of the package mirror. Pure. @returns a sha256. */
export const recipeDigest = (
  libraryPackages: readonly string[],
  architecture: Architecture,
  without?: WithoutCloudInit,
): string =>
  createHash("sha256")
    .update(JSON.stringify([treeRecipe(libraryPackages, architecture, without), diskRecipe(architecture)]))
    .digest("hex");

const BaseRecord = z.object({ resolved: z.string(), sha256: z.string(), size: z.number() });

/** What an earlier run made by this recipe, when the store still has it. A record that cannot be read counts as none. */
const recorded = async (store: Store, file: string): Promise<z.infer<typeof BaseRecord> | undefined> => {
  try {
    const record = BaseRecord.parse(JSON.parse(await readFile(file, "utf8")));
    return (await store.holds(record)) ? record : undefined;
  } catch {
    return undefined;
  }
};

/** The tree, the raw disk, the qcow2 file and the store's copy of it exist at the same time. */
const neededGiB = 4;

/**
 * The base, from the store when its recipe was followed before: then at once, and without a network.
 * @param mirror Where packages come from; asked only when the base has to be made.
 * @throws BakeError BK211 when it has to be made and no network may be touched, BK301 without one of its tools,
 * BK306 when the bootstrap fails, BK307 without room for it; what `installPackages` throws.
 */
export const standInBase = async (
  host: Host,
  store: Store,
  {
    architecture,
    libraryPackages,
    mirror,
    offline,
    without,
  }: {
    readonly architecture: Architecture;
    readonly libraryPackages: readonly string[];
    readonly mirror: () => Promise<string>;
    readonly offline: boolean;
    /** A base that lets nobody in but by this password. */
    readonly without?: WithoutCloudInit;
  },
): Promise<StandInBase> => {
  const started = host.now();
  const name = `debian-${suite}-stand-in`;
  const seconds = (): number => (host.now() - started) / 1000;
  const recipe = recipeDigest(libraryPackages, architecture, without);
  const record = join(host.cacheDir, "base", `${recipe}.json`);
  const known = await recorded(store, record);
  if (known !== undefined) return { name, ...known, seconds: seconds() };
  if (offline) {
    throw new BakeError(
      "BK211",
      "a trial's base was not made yet, and --offline makes none",
      "Run it once with a network: bake fetch --trial.",
    );
  }

  if (process.getuid?.() !== 0) {
    throw new BakeError(
      "BK306",
      "only root can bootstrap the stand-in base",
      `Run this line:\nsudo --preserve-env=HOME,PATH,XDG_CACHE_HOME ./bin/bake ${process.argv.slice(2).join(" ")}`,
    );
  }
  await makeFolder(dirname(record));
  const free = await freeBytes(host.cacheDir);
  if (free < neededGiB * gib) {
    throw new BakeError(
      "BK307",
      `${host.cacheDir} has ${(free / gib).toFixed(1)} GiB free, the stand-in base needs ${neededGiB} GiB`,
      "Free some space, or point XDG_CACHE_HOME to a larger disk.",
    );
  }
  await installPackages(host, trialNeeds(architecture, host));
  await requireBootLoader(architecture);
  const from = await mirror();
  return withWorkFolder(host, "base", async (folder) => {
    const title = `bootstrap the stand-in base (Debian ${suite}, ${architecture})`;
    const include = packagesOf(libraryPackages, architecture, without);
    // How long it took last time is another number by architecture.
    const step = architecture === "x86_64" ? "base-bootstrap" : `base-bootstrap-${architecture}`;
    const tree = await host.progress.step(step, title, (update) =>
      bootstrap(host, folder, { architecture, include, mirror: from, without, update }),
    );
    const stored = await host.progress.step("base-disk", "assemble the base's disk", async () =>
      store.add(await assembleDisk(host, architecture, tree, folder)),
    );
    const made = { resolved: `mmdebstrap of Debian ${suite}, recipe sha256:${recipe}`, ...stored };
    await writeFileAtomic(record, `${JSON.stringify(made, null, 2)}\n`);
    return { name, ...made, seconds: seconds() };
  });
};
