/**
 * Searches the raw bytes of a disk image for secrets: what a guest sees as its disk, free blocks included.
 * A file that was deleted and not trimmed is still there for everybody who has the image.
 *
 * The finished image is compressed, so it is unpacked into a sparse file first.
 * Node cannot ask for the holes of a file, `qemu-img map` can: of 6 GiB, 870 MiB are read.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Secret } from "./exact-values.ts";
import { lookIntoSeed, type Partition } from "./scan-seed.ts";
import { accountPassword, type Finding, shapesVersion, startScan } from "./secret-scan.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";

export interface ImageFinding extends Finding {
  /** The file on the guest, or why there is none; undefined when it cannot be said. */
  readonly place?: string;
  /** Found in a range of the seed, unpacked: `place` is that range, the offset counts in it. */
  readonly inSeed?: true;
}

interface Extent {
  readonly start: number;
  readonly length: number;
  readonly data: boolean;
}

const Extents = z.array(z.object({ start: z.number(), length: z.number(), data: z.boolean() }));

/**
 * Reads the map of a disk. Pure.
 * @param map What `qemu-img map --output=json` printed. @param size Of the disk, in bytes.
 * @returns the extents that hold data.
 * @throws BakeError BK404 when the map leaves a part of the file out: what is not read would count as clean.
 */
export const dataExtents = (map: unknown, size: number): Extent[] => {
  const extents = Extents.parse(map);
  let end = 0;
  for (const { start, length } of extents) {
    if (start !== end) break;
    end += length;
  }
  if (end < size)
    throw new BakeError("BK404", `the map of the disk ends at byte ${end} of ${size}: it cannot be searched`);
  return extents.filter(({ data }) => data);
};

/** Unpacks a disk image. @returns the raw file. */
const unpackDisk = async (host: Host, image: string, raw: string): Promise<void> => {
  await host.run("qemu-img", ["convert", "-W", "-m", "4", "-O", "raw", image, raw]);
};

const readSize = 1 << 20;

/** Searches a file, but for its holes. */
const scanFile = async (host: Host, path: string, secrets: readonly Secret[]): Promise<readonly Finding[]> => {
  const { stdout } = await host.run("qemu-img", ["map", "-f", "raw", "--output=json", path]);
  const extents = dataExtents(JSON.parse(stdout), (await stat(path)).size);
  const scan = startScan(secrets);
  const file = await open(path);
  try {
    const buffer = Buffer.alloc(readSize);
    for (const { start, length } of extents) {
      for (let done = 0; done < length; ) {
        host.signal.throwIfAborted();
        const { bytesRead } = await file.read(buffer, 0, Math.min(readSize, length - done), start + done);
        // The map counts in sectors, a file need not.
        if (bytesRead === 0) break;
        scan.feed(buffer.subarray(0, bytesRead), start + done);
        done += bytesRead;
      }
    }
  } finally {
    await file.close();
  }
  return scan.end();
};

const PartitionTable = z.object({
  partitiontable: z.object({
    sectorsize: z.number().default(512),
    partitions: z.array(z.object({ start: z.number(), size: z.number() })),
  }),
});

/** Of a raw disk; none when it has no table. */
const partitionsOf = async (host: Host, raw: string): Promise<Partition[]> => {
  const table = await host.run("sfdisk", ["--json", raw], { allowFailure: true });
  if (table.exitCode !== 0) return [];
  const { sectorsize, partitions } = PartitionTable.parse(JSON.parse(table.stdout)).partitiontable;
  return partitions.map(({ start, size }) => ({ from: start * sectorsize, to: (start + size) * sectorsize }));
};

/** Places that are looked up; the others are found once these are mended. */
const mostPlaces = 20;

/** Says which files of an ext file system hold the findings; what cannot be said is left out. */
const findPlaces = async (
  host: Host,
  raw: string,
  partitions: readonly Partition[],
  findings: readonly Finding[],
): Promise<ImageFinding[]> => {
  const places = new Map<Finding, string>();
  for (const { from, to } of partitions) {
    const inside = findings.filter(({ offset }) => offset >= from && offset < to).slice(0, mostPlaces);
    if (inside.length === 0) continue;
    const debugfs = async (command: string): Promise<string> =>
      (await host.run("debugfs", ["-R", command, `${raw}?offset=${from}`], { allowFailure: true })).stdout;
    const blockSize = Number(/^Block size:\s+(\d+)/m.exec(await debugfs("stats"))?.[1]);
    if (!(blockSize > 0)) continue;
    const blockOf = ({ offset }: Finding): string => String(Math.floor((offset - from) / blockSize));
    const inodes = new Map(
      [...(await debugfs(`icheck ${inside.map(blockOf).join(" ")}`)).matchAll(/^(\d+)\t(.*)$/gm)].map(
        ([, block = "", inode = ""]) => [block, inode],
      ),
    );
    const numbers = [...new Set(inodes.values())].filter((inode) => /^\d+$/.test(inode));
    const names = new Map(
      numbers.length === 0
        ? []
        : [...(await debugfs(`ncheck ${numbers.join(" ")}`)).matchAll(/^(\d+)\t(.*)$/gm)].map(
            ([, inode = "", name = ""]) => [inode, name.replace(/^\/\//, "/")],
          ),
    );
    for (const finding of inside) {
      const inode = inodes.get(blockOf(finding));
      if (inode === undefined) continue;
      const name = names.get(inode);
      if (name !== undefined) places.set(finding, name);
      else if (inode === "8") places.set(finding, "the journal of the file system");
      else if (!/^\d+$/.test(inode)) places.set(finding, "no file: deleted, but its blocks still hold it");
    }
  }
  return findings.map((finding) => {
    const place = places.get(finding);
    return place === undefined ? finding : { ...finding, place };
  });
};

/** An input of the bake: the base, an artifact, or files of packages. */
export interface ScanInput {
  readonly path: string;
  readonly sha256: string;
  readonly isDisk: boolean;
  /** Before it is read: whether it is what its digest says. Absent where somebody has looked. @throws BakeError */
  readonly verify?: () => Promise<void>;
}

const InputRecord = z.object({ shapes: z.string(), digests: z.array(z.string()) });

/** Unpacks a file that gzip or zstd packed. @returns whether it was such a file. */
const unpackInput = async (host: Host, path: string, raw: string): Promise<boolean> => {
  const file = await open(path);
  const start = Buffer.alloc(4);
  try {
    await file.read(start, 0, 4, 0);
  } finally {
    await file.close();
  }
  if (start.readUInt16BE(0) === 0x1f8b) {
    await pipeline(createReadStream(path), createGunzip(), createWriteStream(raw), { signal: host.signal });
    return true;
  }
  if (start.readUInt32LE(0) !== 0xfd2fb528) return false;
  await host.run("zstd", ["-d", "-q", "-f", "-o", raw, path]);
  return true;
};

/** Digests of what has a credential's shape in an input; kept, since an input never changes. */
const shapesOfInput = async (
  host: Host,
  { path, sha256, isDisk, verify }: ScanInput,
  workFolder: string,
): Promise<string[]> => {
  const kept = join(host.cacheDir, "scan", `${sha256}.json`);
  // Before there were seeds, layers were not unpacked for this.
  const version = `${shapesVersion()}, unpacked`;
  try {
    const record = InputRecord.parse(JSON.parse(await readFile(kept, "utf8")));
    if (record.shapes === version) return record.digests;
  } catch {
    // Not scanned yet, or not by this version.
  }
  await verify?.();
  const raw = join(workFolder, "input.raw");
  try {
    if (isDisk) await unpackDisk(host, path, raw);
    const found = [...(await scanFile(host, isDisk ? raw : path, []))];
    // A layer is unpacked in the seed.
    if (!isDisk && (await unpackInput(host, path, raw))) found.push(...(await scanFile(host, raw, [])));
    const digests = [...new Set(found.flatMap(({ digest }) => (digest === undefined ? [] : [digest])))];
    await writeFileAtomic(kept, JSON.stringify({ shapes: version, digests }));
    return digests;
  } finally {
    await rm(raw, { force: true });
  }
};

export interface ScanResult {
  /** What must not be in the image. */
  readonly findings: readonly ImageFinding[];
  /**
   * What has a credential's shape, and is byte for byte in the base, an artifact or a package too. Never an exact value, nor an account's
   * password.
   * Such are examples in manuals, and keys for self-tests of libraries.
   * The bake did not put it there, and whoever has the inputs has it.
   */
  readonly fromInputs: readonly Finding[];
  /** Ranges of a seed that were unpacked and searched. */
  readonly seedRanges: number;
}

/**
 * Searches an image for these secrets, and for what has a credential's shape. Inputs are read only when a shape was
 * found.
 * @param workFolder Where the disk is unpacked; nothing stays there.
 * @throws BakeError BK404 when a part of the disk could not be read.
 */
export const scanImage = async (
  host: Host,
  {
    image,
    secrets,
    inputs,
    workFolder,
  }: {
    readonly image: string;
    readonly secrets: readonly Secret[];
    readonly inputs: readonly ScanInput[];
    readonly workFolder: string;
  },
): Promise<ScanResult> => {
  const raw = join(workFolder, "scan.raw");
  try {
    await unpackDisk(host, image, raw);
    const partitions = await partitionsOf(host, raw);
    const onDisk = await scanFile(host, raw, secrets);
    const inSeed: ImageFinding[] = [];
    const seedRanges = await lookIntoSeed(host, raw, partitions, workFolder, async ({ place, path }) => {
      for (const finding of await scanFile(host, path, secrets)) inSeed.push({ ...finding, place, inSeed: true });
    });
    const found = [...onDisk, ...inSeed];
    const known = new Set<string>();
    // Of a clean image no input is read.
    if (found.some(({ digest }) => digest !== undefined)) {
      for (const input of inputs) for (const digest of await shapesOfInput(host, input, workFolder)) known.add(digest);
    }
    // An account of a container's is none of the node's.
    const isFromInput = ({ what, digest, inSeed: packed }: ImageFinding): boolean =>
      (what !== accountPassword || packed === true) && digest !== undefined && known.has(digest);
    const findings = onDisk.filter((finding) => !isFromInput(finding));
    return {
      findings: [
        ...(findings.length === 0 ? [] : await findPlaces(host, raw, partitions, findings)),
        ...inSeed.filter((finding) => !isFromInput(finding)),
      ],
      fromInputs: found.filter(isFromInput),
      seedRanges,
    };
  } finally {
    await rm(raw, { force: true });
  }
};

/** One line of a message: what, how and where, never a value. Pure. */
export const describeFinding = ({ what, form, offset, place, inSeed }: ImageFinding): string =>
  [
    what,
    ...(form === undefined || form === "plain" ? [] : [`(${form})`]),
    inSeed === true ? `at byte ${offset} of a range of the seed, unpacked` : `at byte ${offset} of the disk`,
  ].join(" ") + (place === undefined ? "" : `: ${place}`);
