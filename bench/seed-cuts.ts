/**
 * The power goes while a seed is written: at 100 points, without a VM. What is on the disk at each flush of a real `bake-seed write` is
 * kept; a cut is the state of one flush and some of what came after it, by blocks of 4 KiB, and by sectors in block 0. Each
 * is looked at as bake-storage looks, and gone on with. Disks full of old data, every second with a file system of our UUID.
 * Run it as root by `bin/bench seed-cuts`, after `bin/test fast` has fetched Debian's Docker; minutes, and 3 GiB of memory.
 * BAKE_CUTS=10 takes fewer; HOSTILE_SEED=2 takes others.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { openSeedMachine } from "../test/seed-machine.ts";

const wanted = Number(process.env["BAKE_CUTS"] ?? 100);
const uuid = "7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001";
const mib = 300;
const tools = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake/test/tools.json");
if (existsSync(tools)) Object.assign(process.env, JSON.parse(readFileSync(tools, "utf8")) as Record<string, string>);
if (process.getuid?.() !== 0 || (process.env["BAKE_TEST_DOCKER"] ?? "") === "")
  throw new Error("this benchmark needs root and Debian's Docker: run bin/test fast once, as root");

/** Numbers from 0 to 1, the same for each run. */
let state = Number(process.env["HOSTILE_SEED"] ?? 1) >>> 0 || 1;
const random = (): number => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
};

/** A disk full of old data, in `$disk`: noise, or a file system with our UUID and files in all of it. */
const olds = {
  "old data": `head -c ${mib + 20}M /dev/urandom >"$work/disk"`,
  "old data with our UUID": `truncate -s ${mib + 20}M "$work/disk"; mkfs.ext4 -qF -U ${uuid} "$work/disk"; mount -o loop "$work/disk" /mnt
{ tr '\\0' x </dev/zero || true; } 2>/dev/null | head -c ${mib + 20}M >/mnt/full 2>/dev/null || true; umount /mnt`,
} as const;

/** A `sync` that keeps what is on the disk then: nothing before it can be lost any more. */
const keepingSync = `#!/bin/bash
/bin/sync "$@"
case "$*" in "$disk") count=$(cat "$work/count"); cp "$work/disk" "$work/flushed.$count"; echo $((count + 1)) >"$work/count" ;; esac
`;

interface Piece {
  readonly at: number;
  readonly length: number;
}

/** Where two states of a disk differ: blocks, and sectors of the first one. */
const differences = (from: string, to: string): Piece[] => {
  const [a, b] = [openSync(from, "r"), openSync(to, "r")];
  const pieces: Piece[] = [];
  const [before, after] = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)];
  try {
    for (let start = 0; readSync(a, before, 0, before.length, start) > 0; start += before.length) {
      readSync(b, after, 0, after.length, start);
      if (before.equals(after)) continue;
      for (let at = 0; at < before.length; ) {
        const length = start + at < 4096 ? 512 : 4096;
        if (!before.subarray(at, at + length).equals(after.subarray(at, at + length)))
          pieces.push({ at: start + at, length });
        at += length;
      }
    }
    return pieces;
  } finally {
    closeSync(a);
    closeSync(b);
  }
};

const copyPieces = (from: string, to: string, pieces: readonly Piece[]): void => {
  const [a, b] = [openSync(from, "r"), openSync(to, "r+")];
  const bytes = Buffer.alloc(4096);
  for (const { at, length } of pieces) {
    readSync(a, bytes, 0, length, at);
    writeSync(b, bytes, 0, length, at);
  }
  closeSync(a);
  closeSync(b);
};

/** Which of the writes since a flush have come: a beginning, an end, few, half, nearly all. */
const some = (pieces: readonly Piece[], kind: number): Piece[] => {
  const at = Math.floor(random() * (pieces.length + 1));
  if (kind % 5 === 0) return pieces.slice(0, at);
  if (kind % 5 === 1) return pieces.slice(at);
  const part = [0.03, 0.5, 0.97][(kind % 5) - 2] ?? 0.5;
  return pieces.filter(() => random() < part);
};

const work = mkdtempSync("/dev/shm/bake-cuts-");
const counts = new Map<string, number>();
const faults: string[] = [];
try {
  const machine = openSeedMachine(work);
  try {
    machine.addImage("cuts:1", ["head -c 20M /dev/urandom >large; for i in $(seq 300); do echo $i >file-$i; done"]);
    const made = machine.makeSeed(mib);
    if (made.code !== 0) throw new Error(made.output);
    const at = (name: string): string => join(machine.folder, name);
    writeFileSync(at("sync"), keepingSync, { mode: 0o755 });
    const shell = (script: string): string => {
      const { code, output } = machine.run(script, 300_000);
      if (code !== 0) throw new Error(output);
      return output.trim();
    };
    for (const [old, fill] of Object.entries(olds)) {
      shell(`${fill}
cp "$work/disk" "$work/flushed.0"; echo 1 >"$work/count"; export disk; disk=$(losetup --find --show "$work/disk")
(PATH=$work:$PATH; "$seed" write "$disk" >/dev/null); losetup -d "$disk"`);
      const flushes = Number(readFileSync(at("count"), "utf8"));
      if (flushes < 5) throw new Error(`${flushes} states of the disk: it is not flushed where it has to be`);
      const whole = at(`flushed.${flushes - 1}`);
      const cuts = Math.ceil(wanted / 2);
      // Most writes lie between the marker and the superblock; the first and the last block are torn in each way.
      const between = Array.from({ length: flushes - 1 }, (_, index) =>
        differences(at(`flushed.${index}`), at(`flushed.${index + 1}`)),
      );
      const data = between.reduce(
        (most, { length }, index) => (length > (between[most]?.length ?? 0) ? index : most),
        0,
      );
      for (let cut = 0; cut < cuts; cut++) {
        const phase = cut % 2 === 0 ? data : Math.floor(cut / 2) % (flushes - 1);
        const pieces = some(between[phase] ?? [], cut >> 1);
        copyFileSync(at(`flushed.${phase}`), at("disk"));
        copyPieces(at(`flushed.${phase + 1}`), at("disk"), pieces);
        const what = `${old}: after flush ${phase}, ${pieces.length} of ${between[phase]?.length} pieces`;
        const said = shell(`disk=$(losetup --find --show "$work/disk")
case $(head -c 1024 "$disk" | tr -d '\\0' | head -c 48) in "bake-seed 1 ${uuid}") echo marked ;; *) echo unmarked ;; esac
blkid -p -o value -s UUID "$disk" | grep . || echo nothing
cmp -s "$disk" "${whole}" && echo whole || echo other
cmp -s -n 1024 -i 1024 "$disk" "$work/flushed.0" && echo before || echo after
"$seed" write "$disk" >"$work/said"; grep -q 'going on' "$work/said" && echo resumed || echo begun
e2fsck -fn "$disk" >/dev/null 2>&1 && echo clean || echo damaged
losetup -d "$disk"`);
        const [marked, found, complete, untouched, , clean] = said.split("\n");
        // Unmarked, with a file system that bake-storage would mount: the old one, which nothing was done to, or all of the seed.
        const asItWas = phase < data && untouched === "before";
        const kind =
          marked === "marked"
            ? phase <= data && found !== "nothing"
              ? "RECOGNISED TOO EARLY"
              : "ours to go on with"
            : found === uuid && complete !== "whole" && !asItWas
              ? "RECOGNISED AND NOT WHOLE"
              : phase >= data && complete !== "whole"
                ? "MARKER LOST"
                : complete === "whole"
                  ? "whole"
                  : "before the marker";
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
        if (/[A-Z]{4}/.test(kind)) faults.push(`${what}: ${kind}: ${said.replaceAll("\n", " ")}`);
        const left = differences(at("disk"), whole);
        // What the first boot left in free blocks may be anything, and a disk that was written again is the seed.
        if (clean !== "clean" || left.length > 0)
          faults.push(`${what}: gone on with, ${left.length} blocks are others, e2fsck says ${clean}`);
      }
    }
  } finally {
    machine.close();
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
for (const [kind, count] of counts) process.stdout.write(`${String(count).padStart(5)}  ${kind}\n`);
for (const fault of faults) process.stdout.write(`fault: ${fault}\n`);
process.stdout.write(
  `${total - faults.length} of ${total} cuts: nothing is taken for whole that is not, and the next boot makes it whole\n`,
);
process.exitCode = faults.length === 0 ? 0 : 1;
