/**
 * The seed, with the programs that a node has: made by a real dockerd on a real ext4, written to disks full of old data, cut off,
 * damaged, and handed over to a Docker that is in use.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tmpdir } from "node:os";
import { blobPath } from "../../src/node/images/docker-load.ts";
import { needs } from "../needs.ts";
import { openSeedMachine, type SeedMachine } from "../seed-machine.ts";

const mib = 600;
const uuid = "7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001";

/** A file that is full at `$work/NAME` as a loop device in `$disk`: what is free on it afterwards must not count. */
const oldDisk = (name: string, size = mib + 200): string => `
file=$work/${name}
# Whole or not at all: the next one finds what a run that was killed left.
if [ ! -e "$file" ]; then { tr '\\0' x </dev/zero 2>/dev/null || true; } | head -c ${size << 20} >"$file.part"; mv "$file.part" "$file"; fi
left=$(losetup --noheadings --output NAME --associated "$file" 2>/dev/null || true)
[ -z "$left" ] || losetup --detach $left
disk=$(losetup --find --show "$file")
trap 'losetup -d "$disk"' EXIT
`;

/** Its Docker, by what a node sees: names and IDs, and a file list of a container of each image. */
const look = `
mount "$disk" /mnt
run=$(mktemp -d)
dockerd --data-root /mnt/docker-data/docker --storage-driver overlay2 --bridge none --iptables=false --ip6tables=false \\
  --config-file /dev/null --exec-root "$run" --pidfile "$run/pid" --host "unix://$run/sock" >"$run/log" 2>&1 &
docker=$!
export DOCKER_HOST=unix://$run/sock
until docker version >/dev/null 2>&1; do kill -0 $docker; sleep 0.1; done
docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort
docker export "$(docker create one:1 x)" | tar -tv --xattrs --full-time | awk '{ print $1, $6, $7, $8, $9, $10 }' | grep -E 'kept|gone|hidden|linked|able' || true
kill $docker; wait $docker || true
umount /mnt
`;

needs("root", "docker").describe("seed", () => {
  let machine: SeedMachine;
  let ids: readonly string[] = [];
  beforeAll(() => {
    machine = openSeedMachine(tmpdir());
    ids = [
      machine.addImage("one:1", [
        "mkdir hidden open; echo 1 >hidden/a; echo 2 >gone; echo 3 >kept; ln kept linked; head -c 30M /dev/urandom >large",
        // Whiteouts, as layers have them.
        `touch .wh.gone; mkdir hidden; touch hidden/.wh..wh..opq; echo 4 >hidden/b; touch able
         python3 -c 'import os; os.setxattr("able", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))'`,
      ]),
      machine.addImage("two:2", ["for i in $(seq 400); do echo $i >file-$i; done"]),
    ];
    // A third one comes from a mirror, by the list beside it: its bytes are not all here.
    const list = join(machine.folder, "opt/bake/images.tsv");
    const carried = readFileSync(list);
    const large = machine.addImage("large:3", ["echo 5 >large"]);
    writeFileSync(join(machine.folder, "opt/bake/images", large.slice("sha256:".length), "fetch.tsv"), "");
    rmSync(join(machine.folder, "images/all", blobPath(large)));
    const { code, output } = machine.makeSeed(mib);
    writeFileSync(list, carried);
    expect(output).not.toContain("large:3");
    expect(output).toMatch(/bake: step seed[^]*bake: step pack-seed[^]*bake: seed of \d+ MiB, packed \d+ MiB/);
    expect(code).toBe(0);
  }, 120_000);
  afterAll(() => machine?.close(), 60_000);

  it("carries layers once, and no identity of a daemon", () => {
    const { output } = machine.run(`ls /opt/bake/images /opt/bake/seed; ${oldDisk("looked")}
"$seed" write "$disk" >/dev/null; mount -o ro "$disk" /mnt; ls -A /mnt /mnt/docker-data/docker /mnt/.bake/images; umount /mnt`);
    expect(output).not.toMatch(/^blobs$/m);
    expect(output).toMatch(/^map\.tsv$/m);
    expect(output).toMatch(/^docker-cache1$/m);
    for (const id of ids) expect(output).toContain(id.slice("sha256:".length));
    expect(output).not.toMatch(
      /^(engine-id|containers|network|tmp|runtimes|swarm|plugins|containerd|buildkit|volumes)$/m,
    );
  });

  it("written to a disk full of old data it is a clean file system whose images are those of the lock", () => {
    const { code, output } = machine.run(`${oldDisk("old")}
"$seed" write "$disk" | grep -v ' of ' ; e2fsck -fn "$disk" >/dev/null 2>&1 && echo clean
blkid -p -o value -s UUID "$disk"; head -c 1024 "$disk" | tr -d '\\0' | wc -c${look}`);
    expect(output).toContain("clean\n");
    expect(output).toContain(`${uuid}\n0\n`);
    expect(output).toContain(`one:1 ${ids[0]}\ntwo:2 ${ids[1]}\n`);
    expect(output).not.toContain("large:3");
    // Of the upper layer: what it hides is hidden, its capability is there, and two names are one file.
    expect(output).toContain("hidden/b");
    expect(output).not.toMatch(/hidden\/a|gone/);
    expect(output).toMatch(/able/);
    expect(output).toMatch(/(kept link to linked|linked link to kept)/);
    expect(code).toBe(0);
  }, 60_000);

  it("cut off at any point it goes on, and until its end the disk holds no file system", async () => {
    for (const [index, after] of [30, 120, 250, 400, 600, 900].entries()) {
      await machine.cut(`${oldDisk("cut")} "$seed" write "$disk"`, after);
      const { output } = machine.run(`${oldDisk("cut")}
state=$(head -c 1024 "$disk" | tr -d '\\0' | cut -c 1-40)
found=$(blkid -p -o value -s TYPE "$disk" || true)
case $state:$found in
  "bake-seed 1 ${uuid.slice(0, 28)}:"*) echo marked ;;
  *:ext4) e2fsck -fn "$disk" >/dev/null 2>&1 && echo whole ;;
  *) echo "untouched $found" ;;
esac
losetup -d "$disk"; trap - EXIT`);
      expect(output, `cut ${index} after ${after} ms`).toMatch(/^(marked|whole|untouched )/m);
    }
    const { output } = machine.run(`${oldDisk("cut")}
printf 'bake-seed 1 ${uuid} %s writing\\n' "$(sha256sum </opt/bake/seed/map.tsv | cut -d ' ' -f 1)" | dd of="$disk" conv=notrunc status=none
dd if=/dev/urandom of="$disk" bs=1M seek=30 count=1 conv=notrunc status=none; sync "$disk"
"$seed" write "$disk" >"$work/said"; head -n 1 "$work/said"; e2fsck -fn "$disk" >/dev/null 2>&1 && echo clean${look}`);
    expect(output).toContain("bake-seed: going on with the seed of ");
    expect(output).toContain("clean\n");
    expect(output).toContain(`two:2 ${ids[1]}\n`);
  }, 120_000);

  it("a damaged range is named, also one that zstd takes, and what is written is nothing that anybody mounts", () => {
    const map = readFileSync(join(machine.folder, "opt/bake/seed/map.tsv"), "utf8");
    const [, range = ""] = /^range\t(\d+)/m.exec(map) ?? [];
    const { code, output } = machine.run(`${oldDisk("damaged")}
packed=$work/damaged-seed/${range}.zst
refused() {
  SEED_FOLDER=$work/damaged-seed "$seed" write "$disk" || echo "ended with $?"
  head -c 1024 "$disk" | tr -d '\\0'; echo; blkid -p "$disk" || echo no file system
}
cp -r /opt/bake/seed "$work/damaged-seed"; printf x | dd of="$packed" bs=1 seek=100 conv=notrunc status=none; refused
# Other bytes of the same number, well packed.
zstd -dcq /opt/bake/seed/${range}.zst | tr '\\0' x | zstd -qf -o "$packed"; refused`);
    // The cause is the last line: bake-storage's refusal shows that one.
    const said = `bake-seed: range ${range} of the seed does not match its digest: bake a new image\nended with 1\nbake-seed 1 `;
    expect(output.split(said).length).toBe(3);
    expect(output.split("no file system").length).toBe(3);
    expect(code).toBe(0);
  });

  it("a disk that is smaller than the seed is refused with both numbers, untouched", () => {
    const { output } = machine.run(`${oldDisk("small", 300)}
sha256sum <"$disk"; "$seed" write "$disk" || echo refused; sha256sum <"$disk"`);
    const [before, said, refused, after] = output.trim().split("\n");
    expect(said).toMatch(/has 300MiB, the seed of this image needs 600MiB$/);
    expect([refused, after]).toEqual(["refused", before]);
  });

  it("an image that is gone comes back from the seed into a Docker in use; what was there stays", () => {
    writeFileSync(join(machine.folder, "systemctl"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    const { code, output } = machine.run(`truncate -s 2500M "$work/kept"
${oldDisk("kept")}
PATH=$work:$PATH
mkfs.ext4 -qF "$disk" 2>/dev/null; mount "$disk" /mnt
dockerd --host unix:///run/own.sock --exec-root /run/own --pidfile /run/own.pid --iptables=false --ip6tables=false >/run/own.log 2>&1 &
own=$!
export DOCKER_HOST=unix:///run/own.sock
until docker version >/dev/null 2>&1; do kill -0 $own; sleep 0.1; done
tar -c -C /opt/bake/bin . | docker import - theirs:1 >/dev/null
/opt/bake/bin/bake-images
docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort
ls /mnt/.bake; kill $own; wait $own || true; umount /mnt`);
    expect(output).toContain(`one:1 ${ids[0]}\n`);
    expect(output).toMatch(/^theirs:1 /m);
    expect(output).toContain(`two:2 ${ids[1]}\n`);
    // What was unpacked is gone.
    expect(output).not.toMatch(/^seed$/m);
    expect(code).toBe(0);
  }, 120_000);

  it("the Docker on an unpacked seed leaves the bridge of the node's own Docker alone", () => {
    const { code, output } = machine.run(
      `truncate -s 2500M "$work/bridged"
${oldDisk("bridged")}
mkfs.ext4 -qF "$disk" 2>/dev/null; mount "$disk" /mnt
unshare --net bash --norc -euc '
  ip link add docker0 type bridge
  opened=$("$1" open 2>/dev/null)
  docker --host "$opened" image inspect --format "opened: {{.Id}}" one:1
  ip -o link show docker0 >/dev/null && echo the bridge is there
  "$1" close' of-the-node "$seed"
umount /mnt`,
      120_000,
    );
    expect(output).toContain(`opened: ${ids[0]}\n`);
    expect(output).toContain("the bridge is there\n");
    expect(code).toBe(0);
  }, 120_000);

  it("profile A, B and A again on one kept disk: what A lacks comes back from its seed each time, and a user's image stays", () => {
    writeFileSync(join(machine.folder, "systemctl"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    const { code, output } = machine.run(
      `truncate -s 2500M "$work/turns"
${oldDisk("turns")}
PATH=$work:$PATH
mkfs.ext4 -qF "$disk" 2>/dev/null; mount "$disk" /mnt
dockerd --host unix:///run/own.sock --exec-root /run/own --pidfile /run/own.pid --iptables=false --ip6tables=false >/run/own.log 2>&1 &
own=$!
export DOCKER_HOST=unix:///run/own.sock
until docker version >/dev/null 2>&1; do kill -0 $own; sleep 0.1; done
tar -c -C /opt/bake/bin . | docker import - theirs:1 >/dev/null
cp /opt/bake/images.tsv "$work/a.tsv"; grep ^two "$work/a.tsv" >"$work/b.tsv"; cp /etc/bake/images.env "$work/images.env"
for profile in a b a; do
  cp "$work/$profile.tsv" /opt/bake/images.tsv
  { cat "$work/images.env"; echo IMAGES_REMOVE_OTHERS=true; } >/etc/bake/images.env
  /opt/bake/bin/bake-images >"$work/said-$profile"
  echo "$profile: $(docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort | tr '\\n' ' ')"
done
cp "$work/images.env" /etc/bake/images.env
# Of both images each byte can be read.
docker save one:1 two:2 >/dev/null && echo readable
kill $own; wait $own || true; umount /mnt`,
      180_000,
    );
    const [one, two] = [`one:1 ${ids[0]}`, `two:2 ${ids[1]}`];
    const turns = output.split("\n").filter((line) => /^[ab]: /.test(line));
    expect(turns.map((line) => line.replace(/theirs:1 sha256:[0-9a-f]{64}/, "theirs").trimEnd())).toEqual([
      `a: ${one} theirs ${two}`,
      `b: theirs ${two}`,
      `a: ${one} theirs ${two}`,
    ]);
    expect(output).toMatch(/^readable$/m);
    expect(code).toBe(0);
  }, 240_000);

  it("unpacked beside the data it can be read, and is gone when it is closed", () => {
    const { output } = machine.run(`truncate -s 2500M "$work/beside"
${oldDisk("beside")}
mkfs.ext4 -qF "$disk" 2>/dev/null; mount "$disk" /mnt
root=$("$seed" unpack 2>/dev/null); ls -A "$root"; "$seed" close; ls -A /mnt /mnt/.bake; mountpoint "$root" || true; umount /mnt`);
    expect(output.split("\n").slice(0, 4)).toEqual([".bake", "docker-cache1", "docker-data", "lost+found"]);
    expect(output).toMatch(/\/mnt\/\.bake:\n[^]*(not a mountpoint|No such file)/);
    expect(output).not.toMatch(/^seed$/m);
  });

  /** A kept disk with room for the seed beside what it holds; programs of that folder stand before the real ones. */
  const kept = (name: string, programs: Readonly<Record<string, string>> = {}): string => {
    mkdirSync(join(machine.folder, `of-${name}`), { recursive: true });
    for (const [program, script] of Object.entries(programs))
      writeFileSync(join(machine.folder, `of-${name}`, program), `#!/bin/bash\n${script}\n`, { mode: 0o755 });
    return `truncate -s 2500M "$work/${name}"
${oldDisk(name)}
mount -t tmpfs none /run
mkfs.ext4 -qF "$disk" 2>/dev/null; mount "$disk" /mnt
there() { ! mountpoint -q /run/bake/seed/root || echo mounted; ls -A /mnt/.bake /run/bake 2>/dev/null | grep -x seed || true; }
PATH=$work/of-${name}:$PATH
`;
  };

  it("closing it ends its Docker alone: not who got the number of one that was killed, and also one that does not listen", () => {
    const { code, output } = machine.run(`${kept("numbers")}
opened=$("$seed" open 2>/dev/null); docker --host "$opened" version --format '{{.Server.Os}}'
docker=$(cat /run/bake/seed/pid); kill -KILL "$docker"; while kill -0 "$docker" 2>/dev/null; do sleep 0.1; done
sleep 100 & echo $! >/run/bake/seed/pid
"$seed" close; kill -0 $! && echo alive; there
printf '#!/bin/bash\ntrap "" TERM\nwhile :; do sleep 1; done\n' >"$work/of-numbers/dockerd"; printf '#!/bin/bash\n' >"$work/of-numbers/docker"
chmod 755 "$work"/of-numbers/*
export SEED_DOCKER_WAIT=5
"$seed" open 2>/dev/null; pgrep -x dockerd >/dev/null && echo runs
"$seed" close; pgrep -x dockerd >/dev/null || echo ended; there; umount /mnt`);
    expect(output).toBe("linux\nalive\nunix:///run/bake/seed/sock\nruns\nended\n");
    expect(code).toBe(0);
  }, 60_000);

  it.each([
    [
      "a Docker that does not answer",
      { docker: "exit 1", dockerd: 'echo "waiting for the disk"; exec sleep 50' },
      "a Docker on the unpacked seed does not answer for 5 s: waiting for the disk",
    ],
    [
      "a network of its own that nobody may make",
      { unshare: 'echo "unshare: unshare failed: Operation not permitted" >&2; exit 1' },
      "a Docker on the unpacked seed does not start: unshare: unshare failed: Operation not permitted",
    ],
    [
      "no loop device",
      {
        mount:
          'case $* in *loop*) echo "mount: failed to setup loop device" >&2; exit 32 ;; esac; exec /bin/mount "$@"',
      },
      "the unpacked seed cannot be mounted: mount: failed to setup loop device",
    ],
    [
      "a damaged range",
      { zstd: "exit 1" },
      /^range 0\d+ of the seed could not be written to \/mnt\/.bake\/seed\/disk: dmesg has the error$/,
    ],
  ] as const)("of %s the last line says that, and closed nothing is left", (name, programs, said) => {
    const { code, output } = machine.run(`${kept(name.replaceAll(" ", "-"), programs)}
export SEED_DOCKER_WAIT=5
opened=$("$seed" open 2>/dev/null) && echo "it opened" || tail -n 1 <<<"$opened"
"$seed" close; there; umount /mnt`);
    const [line = "", ...rest] = output.split("\n");
    expect(line.replace(/^bake-seed: /, "")).toEqual(typeof said === "string" ? said : expect.stringMatching(said));
    expect([rest, code]).toEqual([[""], 0]);
  });

  it("ended as systemd ends a unit, in the middle of whatever it does, bake-images leaves nothing behind", () => {
    const { code, output } = machine.run(
      `${kept("ended", { systemctl: "exit 0" })}
dockerd --host unix:///run/own.sock --exec-root /run/own --pidfile /run/own.pid --iptables=false --ip6tables=false >/run/own.log 2>&1 &
own=$!
export DOCKER_HOST=unix:///run/own.sock
until docker version >/dev/null 2>&1; do kill -0 $own; sleep 0.1; done
for when in written started loaded; do
  /opt/bake/bin/bake-images >"$work/said-$when" 2>&1 & main=$!
  case $when in
    written) until [ -s /mnt/.bake/seed/disk ]; do sleep 0.02; done ;;
    started) until pgrep -f '^dockerd --config-file' >/dev/null; do sleep 0.02; done ;;
    loaded) until pgrep -f '^docker load' >/dev/null; do sleep 0.02; done ;;
  esac
  # All of the unit's processes; the node's own Docker has another.
  kill -TERM $(ps -eo pid= | grep -vxE " *(1|$own|$(pgrep -P $own))") 2>/dev/null || true
  wait $main || echo "$when: ended $?"
  ! pgrep -f '^(dockerd|containerd) .*/run/bake/seed/' || echo "a process is left"
  there; ! losetup -a | grep /mnt/.bake
done
/opt/bake/bin/bake-images >/dev/null 2>&1 && docker image ls --format '{{.Repository}}:{{.Tag}}' | sort
kill $own; wait $own || true; umount /mnt`,
      120_000,
    );
    expect(output).toBe("written: ended 143\nstarted: ended 143\nloaded: ended 143\none:1\ntwo:2\n");
    expect(code).toBe(0);
  }, 150_000);

  it("what was unpacked when the power went is removed at the next boot, and never under whoever has it open", () => {
    const { code, output } = machine.run(`${kept("left")}
"$seed" unpack >/dev/null 2>&1
(flock 8; "$seed" grow; there) 8>>/run/bake/seed-lock
echo "= the power goes"; umount /run/bake/seed/root; umount /run; mount -t tmpfs none /run
"$seed" grow; there; umount /mnt`);
    expect(output).toBe(
      "mounted\nseed\nseed\n= the power goes\nbake-seed: removing a seed that was unpacked when the power went\n",
    );
    expect(code).toBe(0);
  });

  it("unpacked on a running node it says how far it is on the console too, and beside its answer", () => {
    const { code, output } = machine.run(
      `${kept("console", { zstd: 'case $* in *.zst) sleep 6 ;; esac; exec "$zstd" "$@"' })}
zstd=$(PATH=\${PATH#*:} command -v zstd); export zstd
export SEED_CONSOLE=$work/console.txt
root=$("$seed" unpack 2>"$work/journal.txt"); echo "$root"
"$seed" close; umount /mnt
grep -c '^bake-seed: seeding ' "$work/journal.txt"; sort -u "$work/console.txt"`,
      60_000,
    );
    const [root, inJournal, ...onConsole] = output.trimEnd().split("\n");
    expect(root).toBe("/run/bake/seed/root");
    expect(Number(inJournal)).toBeGreaterThan(0);
    expect(onConsole[0]).toMatch(/^bake-seed: seeding \d\.\d of \d\.\d GiB, /);
    expect(code).toBe(0);
  }, 60_000);

  it("says bytes, rate and time left while it writes: to programs, in whole files, at most once a second", () => {
    // A disk that is slow from its first range on.
    writeFileSync(
      join(machine.folder, "zstd"),
      '#!/bin/sh\ncase $* in *00000.zst) sleep 2 ;; *) sleep 6 ;; esac\nexec "$zstd" "$@"\n',
      { mode: 0o755 },
    );
    const { output, code } = machine.run(
      `${oldDisk("told")}
mount -t tmpfs none /run; install -d /run/bake; export zstd=$(command -v zstd)
(PATH=$work:$PATH; "$seed" write "$disk" >"$work/said") & writer=$!
while kill -0 $writer 2>/dev/null; do
  if [ -e /run/bake/status.json ]; then { stat -c %Y.%i /run/bake/status.json; cat /run/bake/status.json; echo; } >>"$work/statuses" 2>/dev/null || true; fi
  if [ -e /run/bake/seed-progress ]; then cat /run/bake/seed-progress >>"$work/lines" 2>/dev/null || true; fi
  sleep 0.1
done
wait $writer
ls /run/bake; cat /run/bake/seeded; echo ---; cat "$work/said"; echo ---; sort -u "$work/lines"
# A node that was looked at has a status of its own, whatever is unpacked on it.
echo '"checkedAt"' >/run/bake/status.json
(PATH=$work:$PATH; "$seed" write "$disk" >/dev/null); cat /run/bake/status.json`,
      120_000,
    );
    expect(code, output).toBe(0);
    const statuses = readFileSync(join(machine.folder, "statuses"), "utf8")
      .split(/^(?=\d+\.\d+$)/m)
      .map((text) => JSON.parse(text.replace(/^.*\n/, "")) as { seeding: Record<string, number | null> });
    expect(statuses[0]).toEqual({
      ready: false,
      run: "seeding",
      seeding: { bytes: 0, totalBytes: expect.any(Number), bytesPerSecond: 0, secondsLeft: null },
    });
    const last = statuses.at(-1)?.seeding;
    expect(last?.["bytes"]).toBeGreaterThan(0);
    expect(last?.["secondsLeft"]).toBe(
      Math.floor((Number(last?.["totalBytes"]) - Number(last?.["bytes"])) / Number(last?.["bytesPerSecond"])),
    );
    const [left = "", said = "", lines = ""] = output.split("---\n");
    // Nothing of it stays, but for what the timeline tells.
    expect(left).toMatch(/^seeded\n\d+ \d+\n$/);
    expect(said).toMatch(/^bake-seed: seeding \d\.\d of \d\.\d GiB, (\d+ MiB\/s, \d+ s left|time left unknown)$/m);
    expect(said).toMatch(/written in \d+ s, \d+ MiB\/s\n$/);
    const seconds = Number(/written in (\d+) s/.exec(said)?.[1]);
    expect(lines.split("\n").length).toBeLessThanOrEqual(seconds + 5);
    const files = readFileSync(join(machine.folder, "statuses"), "utf8").match(/^\d+\.\d+$/gm) ?? [];
    expect(new Set(files).size).toBeLessThanOrEqual(seconds + 2);
    expect(output.trimEnd().split("\n").at(-1)).toBe('"checkedAt"');
  }, 180_000);

  it("what it says ends whole: a file that is renamed when the last range is written neither stays nor is missed", () => {
    mkdirSync(join(machine.folder, "slow"));
    for (const [name, script] of [
      ["zstd", 'sleep 3\nexec "$zstd" "$@"'],
      // So slow that it is nearly always under way.
      ["mv", 'case $* in *seed-progress*) sleep 0.8 ;; esac\nexec /bin/mv "$@"'],
    ] as const)
      writeFileSync(join(machine.folder, "slow", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const { output, code } = machine.run(
      `${oldDisk("renamed")}
mount -t tmpfs none /run; install -d /run/bake; export zstd=$(command -v zstd)
(PATH=$work/slow:$PATH; "$seed" write "$disk" 2>&1 >/dev/null)
sleep 1; ls /run/bake`,
      120_000,
    );
    expect([code, output]).toEqual([0, "seeded\n"]);
  }, 180_000);

  it("unpacks as many ranges at a time as the memory of their windows lets it, and never more than there are processors", () => {
    mkdirSync(join(machine.folder, "counted"));
    for (const [name, script] of [
      ["xargs", 'echo "$*" >>"$work/asked"; exec "$xargs" "$@"'],
      ["nproc", 'echo "${processors:-64}"'],
    ] as const)
      writeFileSync(join(machine.folder, "counted", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const { output, code } = machine.run(
      `${oldDisk("windows")}
export xargs=$(command -v xargs)
grep -P '^window\\t' /opt/bake/seed/map.tsv
for window in 8 16 32 64 128 none; do
  rm -rf "$work/window-seed"; cp -r /opt/bake/seed "$work/window-seed"
  if [ $window = none ]; then sed -i '/^window/d' "$work/window-seed/map.tsv"; else sed -i "s/^window.*/window\\t$window/" "$work/window-seed/map.tsv"; fi
  (PATH=$work/counted:$PATH; SEED_FOLDER=$work/window-seed "$seed" write "$disk" >/dev/null)
done
(PATH=$work/counted:$PATH; export processors=2; "$seed" write "$disk" >/dev/null)
sed 's/ -L.*//' "$work/asked" | tr '\\n' ' '`,
      120_000,
    );
    expect({ output: output.trim(), code }).toEqual({
      output: "window\t8\n-P 10 -P 7 -P 4 -P 2 -P 1 -P 10 -P 2",
      code: 0,
    });
  }, 150_000);

  it("grows no file system that fills its disk", () => {
    const { output, code } = machine.run(`${oldDisk("fills", 300)}
mkfs.ext4 -qF "$disk" 2>/dev/null; mount "$disk" /mnt; "$seed" grow; umount /mnt`);
    expect({ output, code }).toEqual({ output: "", code: 0 });
  });

  // It makes another seed: nothing comes after it.
  it("packed with another level and window it is the same file system; an image of which no container can be made ends the bake", () => {
    const packed = () => Number(machine.run("du -sb /opt/bake/seed | cut -f 1").output);
    const before = packed();
    const { code, output } = machine.makeSeed(mib, 16, { level: 6, windowMib: 64 });
    expect(code, output).toBe(0);
    // 30 MiB of it are noise.
    expect(packed()).toBeLessThanOrEqual(before * 1.02);
    const whole = machine.run(`${oldDisk("other")}
grep -P '^window\\t' /opt/bake/seed/map.tsv
zstd -lv /opt/bake/seed/*.zst 2>/dev/null | grep -m 1 -o 'Window Size: [0-9.]* MiB'
"$seed" write "$disk" >/dev/null; e2fsck -fn "$disk" >/dev/null 2>&1 && echo clean${look}`);
    expect(whole.output).toMatch(/^window\t64\n/);
    expect(whole.output).toContain("clean\n");
    expect(whole.output).toContain(`one:1 ${ids[0]}\ntwo:2 ${ids[1]}\n`);
    mkdirSync(join(machine.folder, "failing"));
    writeFileSync(
      join(machine.folder, "failing/docker"),
      '#!/bin/sh\ncase "$*" in *"cp "*) [ "$FAILS" != cp ] || exit 1 ;; "create "*two:2*) [ "$FAILS" != create ] || { echo "no such layer" >&2; exit 1; } ;; esac\nexec "$docker" "$@"\n',
      { mode: 0o755 },
    );
    for (const [fails, image] of [
      ["create", "two:2"],
      ["cp", "one:1"],
    ]) {
      const refused = machine.run(
        `umount /mnt; cp -r "$work/images/all/." /opt/bake/images; export docker=$(command -v docker) FAILS=${fails}; PATH=$work/failing:$PATH
bash "$work/upload/seed.sh" "$work/upload"`,
        120_000,
      );
      expect(refused.output).toContain(`bake: no container can be made of ${image} in the seed\n`);
      expect(refused.output).toContain("bake: failed images could not be put into the seed\n");
      expect(refused.code).toBe(1);
    }
  }, 240_000);
});
