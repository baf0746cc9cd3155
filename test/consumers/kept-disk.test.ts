/**
 * Disks that were kept: Docker's store on them is of another driver, of another kind, or on XFS. Real dockerds, a real seed, loop
 * devices. Nothing of Docker's is ever copied into a store; images come by `docker save | docker load`, by their digest, or not at
 * all, with a reason.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { needs, toolPath } from "../needs.ts";
import { startRegistry, type TestRegistry } from "../registry.ts";
import { openSeedMachine, type SeedMachine } from "../seed-machine.ts";

const seedMib = 600;
/** Room for the store, and for the seed unpacked beside it. */
const large = 2600;

/** A file of that name as the data disk, mounted; what a run that was killed left of it goes first. */
const dataDisk = (name: string, mib: number, make = "mkfs.ext4 -qF"): string => `
mount -t tmpfs none /run
file=$work/${name}
left=$(losetup --noheadings --output NAME --associated "$file" 2>/dev/null || true)
[ -z "$left" ] || losetup --detach $left
rm -f "$file"; truncate -s ${mib}M "$file"
disk=$(losetup --find --show "$file")
trap 'losetup -d "$disk"' EXIT
${make} "$disk" 2>/dev/null; mount "$disk" /mnt
start() {
  dockerd "$@" --host unix:///run/own.sock --exec-root /run/own --pidfile /run/own.pid --iptables=false --ip6tables=false >/run/own.log 2>&1 &
  own=$!
  export DOCKER_HOST=unix:///run/own.sock
  until docker version >/dev/null 2>&1; do kill -0 $own || { tail /run/own.log; exit 9; }; sleep 0.1; done
}
stop() { kill $own; wait $own || true; }
images() { docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep -v '^<none>' | sort | tr '\\n' ' '; }
export PATH=$work:$PATH
`;

/** How another Docker was set up. `kept`: folders of its store that hold files of images. */
const others = [
  ["the driver vfs", { "storage-driver": "vfs" }, ["vfs", "image/vfs"]],
  // As a new Docker 29 keeps them.
  [
    "containerd's store",
    { features: { "containerd-snapshotter": true } },
    ["containerd/daemon/io.containerd.content.v1.content/blobs"],
  ],
] as const;

needs("root", "docker", "docker-registry", "mkfs.xfs").describe("a kept disk", () => {
  let machine: SeedMachine;
  let registry: TestRegistry;
  let ids: readonly string[] = [];
  beforeAll(async () => {
    machine = openSeedMachine(tmpdir());
    ids = [
      machine.addImage("one:1", ["echo 1 >kept; head -c 20M /dev/urandom >large", "touch .wh.gone; echo 2 >other"]),
      machine.addImage("two:2", ["for i in $(seq 100); do echo $i >file-$i; done"]),
    ];
    const { code, output } = machine.makeSeed(seedMib);
    expect(code, output).toBe(0);
    writeFileSync(join(machine.folder, "systemctl"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    const folder = join(machine.folder, "registry");
    mkdirSync(folder);
    registry = await startRegistry(folder, "open");
  }, 180_000);
  afterAll(async () => {
    await registry?.stop();
    machine?.close();
  }, 60_000);

  const other = (settings: object): void =>
    writeFileSync(
      join(machine.folder, "other.json"),
      JSON.stringify({ "data-root": "/mnt/docker-data/docker", bridge: "none", ...settings }),
    );
  const all = (): string => `one:1 ${ids[0]} two:2 ${ids[1]} `;

  it.each(others)(
    "of %s: images come from the seed, what is there stays as it is",
    (what, settings, kept) => {
      other(settings);
      const { code, output } = machine.run(
        `${dataDisk("other", large)}
start --config-file "$work/other.json"
tar -c -C /opt/bake/bin . | docker import - theirs:1 >/dev/null
stop
# An earlier bake has noted that they are whole, for that store.
mkdir -p /mnt/.bake/images; touch /mnt/.bake/images/{${ids.map((id) => id.slice("sha256:".length)).join(",")}}
sums() { (cd /mnt/docker-data/docker; find ${kept.join(" ")} -type f | sort | xargs -r sha256sum); }
sums >"$work/before"; [ -s "$work/before" ]
start
echo "before: $(images)"
/opt/bake/bin/bake-images
echo "after: $(images)"
docker save one:1 two:2 >/dev/null && echo readable
ls -A /mnt/.bake /mnt/docker-data/docker/image
stop
sums | cmp - "$work/before" && echo untouched
start --config-file "$work/other.json"
docker image ls --format '{{.Repository}}:{{.Tag}}' | grep theirs
stop; umount /mnt`,
        180_000,
      );
      expect(output).toContain(`before: \n`);
      expect(output).toContain(`bake-images: loading one:1\n`);
      expect(output).toContain(`after: ${all()}\n`);
      expect(output).toMatch(/^readable$/m);
      expect(output).toMatch(/^overlay2$/m);
      // What was unpacked is gone.
      expect(output).not.toMatch(/^seed$/m);
      expect(output).toContain(
        `bake-images: /mnt/docker-data/docker also has images of ${what.replace(/^the driver /, "")}: this Docker does not read them, and they take room\n`,
      );
      expect(output).toMatch(/^untouched\ntheirs:1$/m);
      expect(code, output).toBe(0);
    },
    240_000,
  );

  it("without room for the seed beside it: pulled by digest, and what the registry has not is said", () => {
    other({ "storage-driver": "vfs" });
    const { code, output } = machine.run(
      `${dataDisk("full", 700)}
cp /opt/bake/images.tsv "$work/lock.tsv"
trap 'cp "$work/lock.tsv" /opt/bake/images.tsv; rm -rf /opt/bake/images/blobs; losetup -d "$disk"' EXIT
# A registry has the first of them.
cp -r "$work/images/all/blobs" /opt/bake/images
start --config-file "$work/other.json"
/opt/bake/bin/bake-images >/dev/null
docker tag one:1 ${registry.host}/one:1
digest=$(docker push --quiet=false ${registry.host}/one:1 | sed -n 's/.*digest: \\(sha256:[0-9a-f]*\\).*/\\1/p')
stop
rm -rf /opt/bake/images/blobs
awk -F '\\t' -v OFS='\\t' -v one="${registry.host}/one@$digest" '{ $4 = $1 == "one:1" ? one : "${registry.host}/two@" $2; print }' "$work/lock.tsv" >/opt/bake/images.tsv
start
/opt/bake/bin/bake-images && echo wrong || echo "ended with $?"
echo "after: $(docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep ^one)"
stop; umount /mnt`,
      120_000,
    );
    expect(code, output).toBe(0);
    expect(output).toMatch(
      /^bake-images: \/mnt has \d+MiB free: unpacking the seed beside it needs \d+MiB and 1 GiB\nbake-images: pulling 127\.0\.0\.1:\d+\/one@sha256:[0-9a-f]{64}\n/m,
    );
    expect(output).toMatch(/^bake-images: pulling 127\.0\.0\.1:\d+\/two@.*\n.*manifest unknown$/m);
    expect(output).toContain(
      `bake-images: two:2 is not there, the lock says ${ids[1]}\nbake-images: /mnt/docker-data/docker also has images of vfs: this Docker does not read them, and they take room\nended with 1\n`,
    );
    expect(output).toContain(`after: one:1 ${ids[0]}\n`);
  }, 150_000);

  it("XFS is never written over: images come from archives, or from the seed unpacked beside them", () => {
    const { code, output } = machine.run(
      `mkfs_xfs() { LD_LIBRARY_PATH=${toolPath("mkfs.xfs")}/usr/lib/x86_64-linux-gnu ${toolPath("mkfs.xfs")}/sbin/mkfs.xfs -q -K "$@"; }
${dataDisk("xfs", large, "mkfs_xfs")}
stat -f -c %T /mnt
start
/opt/bake/bin/bake-images | sed 's/^/seed: /'
echo "seed: $(images)"
docker image rm one:1 two:2 >/dev/null; rm -r /mnt/.bake
cp -r "$work/images/all/blobs" /opt/bake/images
/opt/bake/bin/bake-images | sed 's/^/archives: /'
rm -r /opt/bake/images/blobs
echo "archives: $(images)"
"$seed" grow
stop; umount /mnt; blkid -p -o value -s TYPE "$disk"`,
      180_000,
    );
    expect(code, output).toBe(0);
    expect(output).toMatch(/^xfs\n/);
    expect(output).toMatch(/\nxfs\n$/);
    expect(output).not.toContain("also has images");
    for (const from of ["seed", "archives"]) {
      expect(output).toContain(`${from}: bake-images: loading one:1\n`);
      expect(output).toContain(`${from}: ${all()}\n`);
    }
  }, 240_000);
});
