/**
 * A blank disk filled from the seed, over a plain write of the same bytes and over what it replaces: mkfs and `docker load` of the
 * same images. One run, rounds interleaved, medians: on a disk in memory, on this machine's own, and from a system disk that reads
 * 150 MiB a second. Then what else a seed is held to: memory, the geometry at 7 TB, models. Run it as root by `bin/bench seed`, after
 * `bin/test fast` has fetched Debian's Docker; takes ten minutes and 10 GiB of memory. BAKE_BENCH_TINY=1 shows in a minute or two
 * that it runs, with sizes that mean nothing. BAKE_BENCH_DISK names a folder on the disk that is to count as this machine's own.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { openSeedMachine, type SeedMachine } from "../test/seed-machine.ts";
import { measureModels } from "./parts/models.ts";
import { median } from "./parts/median.ts";

const tiny = (process.env["BAKE_BENCH_TINY"] ?? "") !== "";
const rounds = tiny ? 1 : 3;
const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
const ownDisk = process.env["BAKE_BENCH_DISK"] ?? cache;
const tools = join(cache, "bake/test/tools.json");
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

const payloads = tiny
  ? ([
      { name: "few files", layers: [fill(4, 2000)], loadAim: 3.5 },
      { name: "many files", layers: [fill(500, 12)], loadAim: 7 },
    ] as const)
  : ([
      { name: "few files", layers: [fill(60, 24_000)], loadAim: 3.5 },
      { name: "many files", layers: [fill(40_000, 12)], loadAim: 7 },
    ] as const);

const work = mkdtempSync("/dev/shm/bake-bench-");
const own = mkdtempSync(join(ownDisk, "bake-bench-"));
const row = (what: string, value: string, aim: string): void => {
  process.stdout.write(`${what.padEnd(66)} ${value.padStart(9)}   ${aim}\n`);
};
const over = (what: string, rival: string): string => `  ${what} over ${rival}`;

/** The most that all processes of the seeding take at once, shared pages divided: MiB. Ends when told. */
const memory = `import os, time
work, most, own = os.environ["work"], 0, {str(os.getpid()), "1", str(os.getppid())}
while not os.path.exists(work + "/measured"):
    total = 0
    for process in os.listdir("/proc"):
        if not process.isdigit() or process in own:
            continue
        try:
            with open("/proc/%s/smaps_rollup" % process) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    most = max(most, total)
    open(work + "/measuring", "w").close()
    time.sleep(0.02)
print("memory %.1f" % (most / 1024))
`;

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
fresh() { [ -z "\${disk-}" ] || losetup -d "$disk"; rm -f "$file"; truncate -s 6G "$file"; disk=$(losetup --find --show \${direct-} "$file"); }
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
# The seed on a system disk of its own, which the kernel lets whoever is in this group read as slowly as a cloud's.
truncate -s "$(($(du -sm /opt/bake/seed | cut -f 1) + 100))M" "$work/system"; system=$(losetup --find --show "$work/system")
mkfs.ext4 -qF "$system"; mkdir -p "$work/slow"; mount "$system" "$work/slow"; cp -r /opt/bake/seed "$work/slow/"; umount "$work/slow"
group=/sys/fs/cgroup limit="$(cat "/sys/block/\${system#/dev/}/dev") $((150 << 20))"
if [ -d $group/blkio ]; then
  group+=/blkio/bake-bench; mkdir -p $group; echo "$limit" >$group/blkio.throttle.read_bps_device
else
  echo +io >$group/cgroup.subtree_control; group+=/bake-bench; mkdir -p $group; echo "\${limit/ / rbps=}" >$group/io.max
fi
slowly() { (echo $BASHPID >$group/cgroup.procs; SEED_FOLDER=$work/slow/seed "$@"); }
reading() { cat "$work"/slow/seed/*.zst >/dev/null; }
mount "$system" "$work/slow"; fresh; took throttled slowly seeded; umount "$work/slow"
mount "$system" "$work/slow"; took reading slowly reading; umount "$work/slow"
losetup -d "$system"; rm "$work/system"
until rmdir $group 2>/dev/null; do sleep 0.1; done
# As on a node of 64 processors.
fresh; rm -f "$work/measured" "$work/measuring"
python3 "$work/memory.py" >&3 & sampler=$!
until [ -e "$work/measuring" ]; do sleep 0.1; done
(PATH=$work/many:$PATH; seeded); : >"$work/measured"; wait $sampler
fresh; took load loaded
kill "$(cat /run/b.pid)"; while [ -e /run/b.pid ]; do sleep 0.1; done
umount /mnt; losetup -d "$disk"; rm -f "$file"
# On this machine's own disk, past its cache.
file=${own}/disk disk='' direct=--direct-io=on
fresh; took ownraw raw
fresh; took ownseed seeded
losetup -d "$disk"; rm -f "$file"
`;

/** Numbers of a line each, by name. */
const numbers = (output: string, times: Map<string, number[]>): void => {
  for (const [, what = "", number] of output.matchAll(/^(\w+) ([\d.]+)$/gm))
    times.set(what, [...(times.get(what) ?? []), Number(number)]);
};

const run = (machine: SeedMachine, script: string): string => {
  const { code, output } = machine.run(script, 900_000);
  if (code !== 0) throw new Error(output);
  return output;
};

/** The file system of a seed that fills 7 TB, and one that is made there. */
const atSevenTerabytes = (machine: SeedMachine): Map<string, number[]> => {
  const made = machine.makeSeed(4096, 1024);
  if (made.code !== 0) throw new Error(made.output);
  const say = (name: string): string =>
    `dumpe2fs -h "$disk" 2>/dev/null | sed -n 's/^Inode count: */${name}inodes /p; s/^\\(Total journal\\|Journal\\) size: *\\([0-9]*\\).*/${name}journal \\2/p'`;
  const times = new Map<string, number[]>();
  numbers(
    run(
      machine,
      `mount -t tmpfs none /run; mkdir -p /run/bake
truncate -s 7T "$work/seven"; disk=$(losetup --find --show "$work/seven")
"$seed" write "$disk" >/dev/null; resize2fs -f "$disk" >/dev/null 2>&1; ${say("seed")}
losetup -d "$disk"; rm "$work/seven"
truncate -s 7T "$work/seven"; disk=$(losetup --find --show "$work/seven")
mkfs.ext4 -qF -E nodiscard "$disk" 2>/dev/null; ${say("fresh")}
losetup -d "$disk"; rm "$work/seven"`,
    ),
    times,
  );
  return times;
};

try {
  for (const { name, layers, loadAim } of payloads) {
    const folder = join(work, name.split(" ")[0] ?? "");
    mkdirSync(folder);
    const machine = openSeedMachine(folder);
    try {
      const at = (...path: string[]): string => join(machine.folder, ...path);
      mkdirSync(at("many"));
      writeFileSync(at("many/nproc"), "#!/bin/sh\necho 64\n", { mode: 0o755 });
      writeFileSync(at("memory.py"), memory);
      machine.addImage("bench:1", layers, true);
      // What the largest window saves, before the one that is measured.
      const packedBy = (zstd: { level: number; windowMib: number }): number => {
        const made = machine.makeSeed(4096, 64, zstd);
        if (made.code !== 0) throw new Error(made.output);
        return Number(run(machine, "cat /opt/bake/seed/*.zst | wc -c"));
      };
      const smallest = packedBy({ level: 12, windowMib: 128 });
      const made = machine.makeSeed(4096, 64);
      if (made.code !== 0) throw new Error(made.output);
      const sizes = run(
        machine,
        "du -sb /opt/bake/seed | cut -f 1; cat /opt/bake/images/*/blobs.txt | while read -r blob; do stat -c %s \"$work/images/all/$blob\"; done | awk '{ n += $1 } END { print n }'",
      );
      const [packed = 0, blobs = 1] = sizes.trim().split("\n").map(Number);
      const times = new Map<string, number[]>();
      for (let round = 0; round < rounds; round++) numbers(run(machine, measure), times);
      const of = (what: string): number => median(times.get(what) ?? []);
      const ratio = (what: string, rival: number): string => (of(what) / rival).toFixed(2);
      const mib = Number(/seed of (\d+) MiB/.exec(made.output)?.[1]);
      const readRate = packed / 2 ** 20 / of("reading");
      if (!tiny && readRate > 170)
        throw new Error(`the system disk was to read 150 MiB a second, and read ${Math.round(readRate)}`);
      process.stdout.write(
        `${name}: ${mib} MiB written; seconds: ${[...times].map(([what, all]) => `${what} ${all.map((each) => each.toFixed(1)).join(" ")}`).join(", ")}\n`,
      );
      row(over("seed", "a plain write of the same bytes"), ratio("seed", of("raw")), "<= 1.15");
      row(over("mkfs and docker load", "the seed"), ratio("load", of("seed")), `>= ${loadAim}`);
      row(over(`on ${ownDisk}: seed`, "a plain write of the same bytes"), ratio("ownseed", of("ownraw")), "<= 1.0");
      row(
        over("source of 150 MiB/s: seed", "reading it, or a plain write"),
        ratio("throttled", Math.max(of("reading"), of("raw"))),
        "<= 1.1",
      );
      row(over("comparing it whole (after a power cut)", "writing it"), ratio("again", of("seed")), "");
      row(over("memory with 64 processors", "256 MiB"), ratio("memory", 256), "<= 1.0");
      row(over("seed in the image", "layers by gzip"), (packed / blobs).toFixed(2), "<= 1.0");
      row(over("the same by level 12, window 128 MiB", "layers by gzip"), (smallest / blobs).toFixed(2), "");
    } finally {
      machine.close();
    }
  }
  const machine = openSeedMachine(work);
  try {
    machine.addImage("bench:1", ["echo 1 >one"]);
    const seven = atSevenTerabytes(machine);
    process.stdout.write("at 7 TB\n");
    for (const what of ["inodes", "journal"])
      row(
        over(`${what} of a seed of 4 GiB that grew`, "a fresh mkfs"),
        ((seven.get(`seed${what}`)?.[0] ?? 0) / (seven.get(`fresh${what}`)?.[0] ?? 0)).toFixed(3),
        "1.0 +- 0.01",
      );
  } finally {
    machine.close();
  }
  const models = await measureModels(tiny ? 2 : 64, rounds);
  process.stdout.write(`models: ${models.mib} MiB in 8 files\n`);
  const ratio = (a: readonly number[], b: readonly number[]): string => (median(a) / median(b)).toFixed(2);
  row(over("from: mirror", "one curl of the same bytes"), ratio(models.fetch, models.curl), "<= 1.0");
  row(
    over("the same, 40 MiB/s a connection", "one curl of the same bytes"),
    ratio(models.slowFetch, models.slowCurl),
    "<= 1.0",
  );
  row(over("bytes for 16 agents", "bytes for one"), (models.used[1] / models.used[0]).toFixed(4), "<= 1.02");
  row(over("seconds of a view", "0.2 s"), (models.view / 0.2).toFixed(2), "<= 1.0");
} finally {
  rmSync(work, { recursive: true, force: true });
  rmSync(own, { recursive: true, force: true });
}
