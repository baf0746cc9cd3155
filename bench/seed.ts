/**
 * A blank disk filled from the seed, over a plain write of the same bytes and over what it replaces: mkfs and `docker load` of the
 * same images. One run on a disk in memory, rounds interleaved, medians. Run it as root by `bin/bench seed`, after `bin/test fast` has
 * fetched Debian's Docker; takes some minutes and 4 GiB of memory.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { openSeedMachine } from "../test/seed-machine.ts";

const rounds = 3;
const tools = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake/test/tools.json");
if (existsSync(tools)) Object.assign(process.env, JSON.parse(readFileSync(tools, "utf8")) as Record<string, string>);
if (process.getuid?.() !== 0 || (process.env["BAKE_TEST_DOCKER"] ?? "") === "")
  throw new Error("this benchmark needs root and Debian's Docker: run bin/test fast once, as root");

/** Bytes as programs and libraries have them: about half of it compresses away. */
const fill = (files: number, kib: number): string => `python3 - <<'PY'
import os, random
random.seed(${files})
words = [os.urandom(24).hex().encode() for _ in range(4096)]
for index in range(${files}):
    folder = "d%d" % (index % 300)
    os.makedirs(folder, exist_ok=True)
    with open("%s/f%d" % (folder, index), "wb") as file:
        for _ in range(max(1, ${kib} // 8)):
            file.write(os.urandom(4096))
            file.write(b"".join(random.choice(words) for _ in range(86))[:4096])
PY`;

const payloads = [
  { name: "few files", layers: [fill(20, 24_000)], loadAim: 3.5 },
  { name: "many files", layers: [fill(40_000, 12)], loadAim: 7 },
] as const;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const work = mkdtempSync("/dev/shm/bake-bench-");
const row = (what: string, value: string, aim: string): void => {
  process.stdout.write(`${what.padEnd(58)} ${value.padStart(9)}   ${aim}\n`);
};

/** Seconds of each way, per round. A disk in memory: what the file system and the programs cost, not a device. */
const measure = `
exec 3>&1 1>&2
file=$work/disk
took() { # took NAME COMMAND...
  local name=$1 began; shift
  sync; began=$(date +%s.%N)
  "$@"
  echo "$name $(date +%s.%N) $began" | awk '{ printf "%s %.3f\\n", $1, $2 - $3 }' >&3
}
fresh() { [ -z "\${disk-}" ] || losetup -d "$disk"; rm -f "$file"; truncate -s 6G "$file"; disk=$(losetup --find --show "$file"); }
raw() { dd if="$work/bytes" of="$disk" bs=4M oflag=direct status=none; sync "$disk"; }
seeded() { "$seed" write "$disk" >/dev/null; }
# As a node without a seed: mkfs, mount, dockerd, its images, and all of it on the disk.
loaded() {
  mkfs.ext4 -qF -E nodiscard "$disk"
  mount "$disk" /mnt
  dockerd --host unix:///run/b.sock --exec-root /run/b --pidfile /run/b.pid --iptables=false --ip6tables=false >/run/b.log 2>&1 &
  export DOCKER_HOST=unix:///run/b.sock
  until docker version >/dev/null 2>&1; do sleep 0.1; done
  for folder in /opt/bake/images/*/; do
    tar -c -C "$folder" manifest.json -C "$work/images/all" --files-from "$folder/blobs.txt" | docker load --quiet >/dev/null
  done
  sync -f /mnt
}
mount -t tmpfs none /run
mkdir -p /run/bake
[ -e "$work/bytes" ] || zstd -dcq /opt/bake/seed/*.zst >"$work/bytes"
fresh; took raw raw
fresh; took seed seeded
dd if=/dev/zero of="$disk" bs=1024 count=1 conv=notrunc status=none
printf 'bake-seed 1 7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001 %s writing\\n' "$(sha256sum </opt/bake/seed/map.tsv | cut -d ' ' -f 1)" | dd of="$disk" conv=notrunc status=none; sync
took again seeded
fresh; took load loaded
kill "$(cat /run/b.pid)"; while [ -e /run/b.pid ]; do sleep 0.1; done
umount /mnt; losetup -d "$disk"; rm -f "$file"
`;

try {
  for (const { name, layers, loadAim } of payloads) {
    const folder = join(work, name.split(" ")[0] ?? "");
    mkdirSync(folder);
    const machine = openSeedMachine(folder);
    try {
      machine.addImage("bench:1", layers, true);
      const made = machine.makeSeed(4096, 64);
      if (made.code !== 0) throw new Error(made.output);
      const sizes = machine.run(
        "du -sb /opt/bake/seed | cut -f 1; cat /opt/bake/images/*/blobs.txt | while read -r blob; do stat -c %s \"$work/images/all/$blob\"; done | awk '{ n += $1 } END { print n }'",
      );
      const [packed = 0, blobs = 1] = sizes.output.trim().split("\n").map(Number);
      const times = new Map<string, number[]>();
      for (let round = 0; round < rounds; round++) {
        const { code, output } = machine.run(measure, 600_000);
        if (code !== 0) throw new Error(output);
        for (const [, what = "", seconds] of output.matchAll(/^(raw|seed|again|load) ([\d.]+)$/gm))
          times.set(what, [...(times.get(what) ?? []), Number(seconds)]);
      }
      const seconds = (what: string): number => median(times.get(what) ?? []);
      const mib = Number(/seed of (\d+) MiB/.exec(made.output)?.[1]);
      process.stdout.write(
        `${name}: ${mib} MiB written; seconds: ${[...times].map(([what, all]) => `${what} ${all.map((each) => each.toFixed(1)).join(" ")}`).join(", ")}\n`,
      );
      row("  seed over a plain write of the same bytes", (seconds("seed") / seconds("raw")).toFixed(2), "<= 1.15");
      row("  mkfs and docker load over the seed", (seconds("load") / seconds("seed")).toFixed(2), `>= ${loadAim}`);
      row(
        "  comparing it whole (after a power cut) over writing it",
        (seconds("again") / seconds("seed")).toFixed(2),
        "",
      );
      row("  seed in the image over layers by gzip", (packed / blobs).toFixed(2), "<= 1.0");
    } finally {
      machine.close();
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
