/**
 * bake-storage on a real kernel: one VM with the trial's base and that script alone, disks plugged and unplugged, and hashes of
 * what must not change.
 */
import { execFileSync } from "node:child_process";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Vm } from "../../src/vm/machine.ts";
import { environmentFile } from "../../src/formats/lines.ts";
import { root } from "../../src/host/root.ts";
import { sha256File } from "../../src/store/store.ts";
import { luksHeader, lvmLabel, raidSuperblock } from "./disk-contents.ts";
import { startVm, testHost } from "./golden-image.ts";
import { planTrial } from "./trial.ts";
import { needs } from "../needs.ts";
import { openSeedMachine } from "../seed-machine.ts";

const uuid = "7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001";
const otherUuid = "11111111-2222-4333-8444-555555555555";
const ports = 8;

const host = testHost();
let vm: Vm;
let folder = "";
let end: (() => Promise<void>) | undefined;

/** In the VM, by serial: the file and its size. */
const plugged = new Map<string, { readonly file: string; readonly mib: number }>();

const ssh = async (command: string, input = "", timeout = 120_000): Promise<string> =>
  (await vm.ssh(command, { input, timeout, ...(timeout > 120_000 && { allowFailure: true }) })).stdout;

interface Disk {
  /** Such as /dev/nvme0n1. The kernel numbers disks as they come, so the same disk may have another one when plugged again. */
  readonly device: string;
  /** As bake-storage names it. */
  readonly name: string;
}

/** As numfmt writes it. */
const sizeOf = (mib: number): string => {
  if (mib < 1024) return `${mib}MiB`;
  const [size, unit] = mib < 2 ** 20 ? [mib / 1024, "GiB"] : [mib / 2 ** 20, "TiB"];
  return `${size < 10 ? size.toFixed(1) : size}${unit}`;
};

/** Waits until the kernel has all disks, and udev is done with them. */
const devices = async (): Promise<Record<string, Disk>> => {
  const listing = await ssh(
    `for i in $(seq 150); do [ "$(lsblk -dnro NAME | grep -c '^nvme')" = ${plugged.size} ] && break; sleep 0.1; done
     udevadm settle; lsblk -dnro NAME,SERIAL | grep '^nvme'`,
  );
  return Object.fromEntries(
    listing
      .trim()
      .split("\n")
      .map((line) => {
        const [name = "", serial = ""] = line.split(" ");
        const device = `/dev/${name}`;
        return [serial, { device, name: `${device} (${sizeOf(plugged.get(serial)?.mib ?? 0)}, serial ${serial})` }];
      }),
  );
};

interface Wanted {
  readonly mib: number;
  /** What the disk starts with. */
  readonly bytes?: Buffer;
  /** Run in the VM, with the device as `$1`: puts something on the disk. */
  readonly make?: string;
  readonly port?: number;
  readonly readOnly?: boolean;
}

/** Plugs new disks, named by their serials; by default in order of their ports. */
const plug = async (wanted: Readonly<Record<string, Wanted>>): Promise<Record<string, Disk>> => {
  for (const [serial, { mib, bytes, port, readOnly = false }] of Object.entries(wanted)) {
    const file = join(folder, `${serial}.raw`);
    await writeFile(file, bytes ?? "");
    await truncate(file, mib * 2 ** 20);
    await vm.plug({ id: serial, serial, from: { raw: file }, readOnly, ...(port !== undefined && { port }) });
    plugged.set(serial, { file, mib });
  }
  const found = await devices();
  const makers = Object.entries(wanted).flatMap(([serial, { make }]) =>
    make === undefined ? [] : [`set -- ${found[serial]?.device}; ${make}`],
  );
  if (makers.length > 0) await ssh(`set -eu\n${makers.join("\n")}\nudevadm settle`);
  return found;
};

interface Unplugged {
  /** By serial. */
  readonly hashes: Record<string, string>;
  /** Plugs the same files again. */
  readonly replug: () => Promise<Record<string, Disk>>;
}

/** Unplugs disks, so that all that was written is in their files, and hashes these. */
const unplug = async (...serials: readonly string[]): Promise<Unplugged> => {
  await Promise.all(serials.map((serial) => vm.unplug(serial)));
  const hashes: Record<string, string> = {};
  const files = serials.map((serial) => [serial, plugged.get(serial) ?? { file: "", mib: 0 }] as const);
  for (const [serial, { file }] of files) {
    hashes[serial] = (await sha256File(file)).sha256;
    plugged.delete(serial);
  }
  const replug = async (): Promise<Record<string, Disk>> => {
    for (const [serial, disk] of files) {
      await vm.plug({ id: serial, serial, from: { raw: disk.file } });
      plugged.set(serial, disk);
    }
    return devices();
  };
  return { hashes, replug };
};

interface Outcome {
  readonly code: number;
  /** What it said, line by line. */
  readonly said: readonly string[];
  /** /run/bake/storage-refused. */
  readonly refused: string;
}

const settings = (changed: Readonly<Record<string, string>>): string =>
  environmentFile({
    STORAGE_KIND: "blank",
    STORAGE_SELECT: "nvme",
    STORAGE_PICK: "only",
    STORAGE_ADOPT: "",
    STORAGE_FILESYSTEM: "ext4",
    STORAGE_UUID: uuid,
    STORAGE_LABEL: "bake-data",
    STORAGE_MIN_BYTES: "0",
    STORAGE_MOUNT: "/mnt",
    STORAGE_WAIT: "0",
    ...changed,
  });

/** Runs bake-storage. `path` goes before PATH. */
const bakeStorage = async (
  changed: Readonly<Record<string, string>> = {},
  path = "",
  timeout = 120_000,
): Promise<Outcome> => {
  const text = await ssh(
    `cat >/etc/bake/storage.env
     PATH=${path}:$PATH sh -c 'echo $$ >/run/storage.pid; exec /opt/bake/bin/bake-storage' >/run/storage.out 2>/dev/null
     echo $?; cat /run/bake/storage-refused 2>/dev/null || echo; cat /run/storage.out`,
    settings(changed),
    timeout,
  );
  const [code = "", refused = "", ...said] = text.trimEnd().split("\n");
  return {
    code: Number(code),
    refused,
    said: said.map((line) => line.replace(/^bake-storage: /, "").replace(/^waiting, \d+ of/, "waiting, some of")),
  };
};

/** What bake-seed said is left out: bytes and seconds. */
const ofStorage = ({ said }: Outcome): string[] => said.filter((line) => !line.startsWith("bake-seed: "));

/** Starts bake-storage without any disk. Resolves when it waits for one. */
const startWaiting = async (): Promise<{ readonly outcome: Promise<Outcome> }> => {
  await ssh("rm -f /run/storage.out");
  const outcome = bakeStorage({ STORAGE_WAIT: "60" });
  // Looked at later: not an unhandled rejection until then.
  outcome.catch(() => undefined);
  await ssh("until grep -qs waiting /run/storage.out; do sleep 0.1; done");
  return { outcome };
};

/** Holds a refusal against its reason, which is said, and left for bake-status. */
const expectRefusal = (outcome: Outcome, reason: string): void => {
  expect(outcome.refused).toBe(reason);
  expect(outcome.said.at(-1)).toBe(`refused: ${reason}`);
  expect(outcome.code).toBe(1);
};

const expectTaken = (outcome: Outcome, said: readonly string[]): void => {
  expect(outcome.said).toEqual(said);
  expect(outcome).toMatchObject({ code: 0, refused: "" });
};

const typeOf = async (disk: Disk | undefined): Promise<string> =>
  (await ssh(`blkid -p -o value -s TYPE ${disk?.device} || true`)).trim();

const attachOrWipe =
  "attach a blank disk, or erase one whose content nobody needs (wipefs -a, then blkdiscard -z), then reboot";

beforeAll(async () => {
  // Nobody else looks at the disks, and nobody takes processor time: no Docker, no agents, no mount.
  const { base, plan, templates } = await planTrial();
  const userDataFor = (publicKey: string): string =>
    `#cloud-config\n${JSON.stringify({ users: [{ name: "root", ssh_authorized_keys: [publicKey] }], disable_root: false })}\n`;
  const started = await startVm(host, { plan, templates, image: base }, { freePorts: ports, userDataFor });
  ({ vm, folder, end } = started);
  await vm.waitForSsh(10 * 60_000);
  await ssh(
    "mkdir -p /run/data /etc/bake /opt/bake/bin; cat >/opt/bake/bin/bake-storage; chmod 755 /opt/bake/bin/bake-storage",
    await readFile(join(root, "templates/node/bake-storage"), "utf8"),
  );
});
afterEach(async () => {
  // Without their hashes: one of them has 7 TB.
  await Promise.all([...plugged.keys()].map((serial) => vm.unplug(serial)));
  plugged.clear();
  await ssh("rm -rf /var/lib/bake/storage /run/bake/storage-refused");
});
afterAll(() => end?.());

test("no disk at all", async () => {
  expectRefusal(
    await bakeStorage(),
    `no disk has UUID=${uuid} and there is no nvme disk (waited 0 s); attach a blank disk, then reboot`,
  );
});

test("foreign disks of every kind are named and not touched, a blank one beside them is taken", async () => {
  const contents: Record<string, Wanted & { readonly says: string }> = {
    ext4: {
      mib: 16,
      make: `mkfs.ext4 -q -U ${otherUuid} -L 'old data' $1`,
      says: `holds ext4 "old data" UUID=${otherUuid}`,
    },
    xfs: { mib: 320, make: `mkfs.xfs -q -m uuid=${otherUuid} $1`, says: `holds xfs UUID=${otherUuid}` },
    gpt: { mib: 16, make: "echo ';' | sfdisk -q --label gpt $1", says: "holds a gpt partition table" },
    lvm: { mib: 16, bytes: lvmLabel(), says: "holds LVM2_member UUID=012345-6789-abcd-efgh-ijkl-mnop-qrstuv" },
    luks: { mib: 16, bytes: luksHeader(otherUuid), says: `holds crypto_LUKS UUID=${otherUuid}` },
    raid: {
      mib: 16,
      bytes: raidSuperblock(),
      says: 'holds linux_raid_member "old:0" UUID=00112233-4455-6677-8899-aabbccddeeff',
    },
    swap: { mib: 16, make: `mkswap -q -U ${otherUuid} $1`, says: `holds swap UUID=${otherUuid}` },
  };
  const serials = Object.keys(contents);
  await plug(contents);
  const before = await unplug(...serials);
  const again = await before.replug();

  const outcome = await bakeStorage();
  const listed = serials.map((serial) => `${again[serial]?.name} ${contents[serial]?.says}`);
  // In the order of the bus, which is that of the names here.
  expectRefusal(
    outcome,
    `no disk has UUID=${uuid} and no disk can be taken: ${listed.join("; ")} (waited 0 s); ${attachOrWipe}`,
  );

  const { blank } = await plug({ blank: { mib: 16 } });
  expectTaken(await bakeStorage(), [`making ext4 on ${blank?.name}`, `data disk is ${blank?.name}`]);
  expect((await unplug(...serials)).hashes).toEqual(before.hashes);
});

test("data that no signature explains is data, also at the end of the disk", async () => {
  await plug({
    first: { mib: 16, bytes: Buffer.concat([Buffer.alloc(700_000), Buffer.from("somebody's")]) },
    last: { mib: 16, bytes: Buffer.concat([Buffer.alloc(16 * 2 ** 20 - 10), Buffer.from("somebody's")]) },
  });
  const before = await unplug("first", "last");
  const { first, last } = await before.replug();
  expectRefusal(
    await bakeStorage(),
    `no disk has UUID=${uuid} and no disk can be taken: ${first?.name} holds data of an unknown kind; ` +
      `${last?.name} holds data of an unknown kind (waited 0 s); ${attachOrWipe}`,
  );
  expect((await unplug("first", "last")).hashes).toEqual(before.hashes);
});

test("a disk in use, one that is too small, and one that cannot be written to", async () => {
  const disks = await plug({
    mounted: {
      mib: 16,
      make: `mkfs.ext4 -q -U ${otherUuid} $1; mkdir -p /run/somebody; mount -o ro,noload $1 /run/somebody`,
    },
    small: { mib: 16 },
    locked: { mib: 64, make: "blockdev --setro $1" },
  });
  expectRefusal(
    await bakeStorage({ STORAGE_MIN_BYTES: String(32 * 2 ** 20) }),
    `no disk has UUID=${uuid} and no disk can be taken: ${disks["mounted"]?.name} is mounted at /run/somebody; ` +
      `${disks["small"]?.name} is blank, but smaller than 32MiB; ${disks["locked"]?.name} is blank, but read-only ` +
      `(waited 0 s); ${attachOrWipe}`,
  );
  await ssh("umount /run/somebody");
});

test("two at a time: the second one leaves disks and refusal alone", async () => {
  const { blank } = await plug({ blank: { mib: 16 } });
  await ssh(
    "mkdir -p /run/bake; (flock 9; exec sleep 300) 9>>/run/bake/storage-lock >/dev/null 2>&1 & echo $! >/run/holder; sleep 1",
  );
  expect(await bakeStorage()).toEqual({
    code: 1,
    refused: "",
    said: ["another run is at work on the disks: journalctl -fu bake-storage shows how far it is"],
  });
  expect(await typeOf(blank)).toBe("");
  await ssh("kill $(cat /run/holder)");
  expectTaken(await bakeStorage(), [`making ext4 on ${blank?.name}`, `data disk is ${blank?.name}`]);
});

test("a disk that fails when it is written to", async () => {
  const { broken } = await plug({ broken: { mib: 16, readOnly: true } });
  expectRefusal(
    await bakeStorage(),
    `mkfs.ext4 failed on ${broken?.name}: mkfs.ext4: Input/output error while writing out and closing file system; ` +
      "look for errors of the disk in dmesg, attach another one, then reboot",
  );
});

test("two blank disks: none by default, or the first on the bus, or the largest", async () => {
  // The kernel names them in order of their coming; the ports are the other way round.
  const disks = await plug({ second: { mib: 32, port: 5 }, first: { mib: 16, port: 2 }, third: { mib: 32, port: 6 } });
  const { first, second, third } = disks;
  expectRefusal(
    await bakeStorage(),
    `no disk has UUID=${uuid} and 3 disks are blank: ${first?.name} and ${second?.name} and ${third?.name} ` +
      "(waited 0 s); detach all but one, or bake with pick first or largest, then reboot",
  );
  expectTaken(await bakeStorage({ STORAGE_PICK: "first" }), [
    `making ext4 on ${first?.name}`,
    `data disk is ${first?.name}`,
  ]);
  await unplug("first");
  await ssh("rm -rf /var/lib/bake/storage");
  expectTaken(await bakeStorage({ STORAGE_PICK: "largest" }), [
    `making ext4 on ${second?.name}`,
    `data disk is ${second?.name}`,
  ]);
});

test("two disks of ours", async () => {
  const { one, two } = await plug({
    one: { mib: 16, make: `mkfs.ext4 -q -U ${uuid} $1` },
    two: { mib: 32, make: `mkfs.ext4 -q -U ${uuid} $1` },
  });
  expectRefusal(
    await bakeStorage(),
    `2 disks have UUID=${uuid}: ${one?.name} and ${two?.name}; detach all but this node's own, then reboot`,
  );
});

test("ours with another file system, and ours read-only", async () => {
  const { ours } = await plug({ ours: { mib: 320, make: `mkfs.xfs -q -m uuid=${uuid} $1` } });
  expectRefusal(
    await bakeStorage(),
    `${ours?.name} has UUID=${uuid} but holds xfs, not ext4; bake with filesystem xfs, or detach the disk, then reboot`,
  );
  await ssh(`blockdev --setro ${ours?.device}`);
  expectRefusal(
    await bakeStorage({ STORAGE_FILESYSTEM: "xfs" }),
    `${ours?.name} has UUID=${uuid} but is read-only; make it writable, or attach another disk, then reboot`,
  );
});

test("a disk comes late: it says what it waits for, and takes it", async () => {
  const running = await startWaiting();
  const { late } = await plug({ late: { mib: 16 } });
  expectTaken(await running.outcome, [
    `waiting, some of at most 60 s: no disk has UUID=${uuid} and there is no nvme disk`,
    `making ext4 on ${late?.name}`,
    `data disk is ${late?.name}`,
  ]);
});

test("a blank disk comes, and ours right after it: takes ours", async () => {
  await plug({ ours: { mib: 16, make: `mkfs.ext4 -q -U ${uuid} $1` } });
  const { replug } = await unplug("ours");
  const running = await startWaiting();
  const file = join(folder, "blank.raw");
  await writeFile(file, "");
  await truncate(file, 16 * 2 ** 20);
  await vm.plug({ id: "blank", serial: "blank", from: { raw: file } });
  plugged.set("blank", { file, mib: 16 });
  const { ours, blank } = await replug();
  expect((await running.outcome).said.at(-1)).toBe(`data disk is ${ours?.name}`);
  expect(await typeOf(blank)).toBe("");
});

test("ours from an earlier boot, full: taken as it is, without a write", async () => {
  const { ours } = await plug({ ours: { mib: 16 } });
  expect((await bakeStorage()).code).toBe(0);
  await ssh(`mount ${ours?.device} /run/data; cat /dev/zero >/run/data/full 2>/dev/null || true; umount /run/data`);
  const before = await unplug("ours");
  const again = await before.replug();
  expectTaken(await bakeStorage(), [`data disk is ${again["ours"]?.name}`]);
  // A new system disk has no record.
  await ssh("rm -rf /var/lib/bake/storage");
  expectTaken(await bakeStorage(), [`data disk is ${again["ours"]?.name}`]);
  expect((await unplug("ours")).hashes).toEqual(before.hashes);
});

test("the earlier data disk is gone and a blank one there: waits for it, then takes the blank one", async () => {
  await plug({ earlier: { mib: 16 } });
  expect((await bakeStorage()).code).toBe(0);
  const identity = (await ssh("sed -n s/^disk=//p /var/lib/bake/storage/record")).trim();
  await unplug("earlier");
  const { blank } = await plug({ blank: { mib: 16 } });
  expectTaken(await bakeStorage({ STORAGE_WAIT: "15" }), [
    `waiting, some of at most 15 s: the earlier data disk is not there (${identity})`,
    `making ext4 on ${blank?.name}`,
    `data disk is ${blank?.name}`,
  ]);
});

test("adopt: takes what it was told to, formats nothing", async () => {
  const adopt = { STORAGE_KIND: "adopt", STORAGE_ADOPT: "LABEL=my data" };
  await plug({
    blank: { mib: 16 },
    mine: { mib: 16, make: `mkfs.ext4 -q -U ${otherUuid} -L 'my data' $1` },
  });
  const before = await unplug("blank", "mine");
  expectRefusal(await bakeStorage(adopt), "no disk has LABEL=my data (waited 0 s); attach it, then reboot");
  const { mine } = await before.replug();
  expectTaken(await bakeStorage(adopt), [`data disk is ${mine?.name}`]);
  expectTaken(await bakeStorage({ ...adopt, STORAGE_ADOPT: `UUID=${otherUuid}` }), [`data disk is ${mine?.name}`]);
  expectRefusal(
    await bakeStorage({ ...adopt, STORAGE_FILESYSTEM: "xfs" }),
    `${mine?.name} has LABEL=my data but holds ext4, not xfs; bake with filesystem ext4, or detach the disk, then reboot`,
  );
  const { twin } = await plug({ twin: { mib: 32, make: "mkfs.ext4 -q -L 'my data' $1" } });
  expectRefusal(
    await bakeStorage(adopt),
    `2 disks have LABEL=my data: ${mine?.name} and ${twin?.name}; detach all but this node's own, then reboot`,
  );
  expect((await unplug("blank", "mine")).hashes).toEqual(before.hashes);
});

/** A mkfs that is cut short: leaves `leaves` of what the real one writes, and takes bake-storage with it. */
const cutShort = (filesystem: string, leaves: string): string =>
  `rm -rf /root/cut; mkdir -p /root/cut; cat >/root/cut/mkfs.${filesystem} <<'SHIM'
#!/bin/bash
for disk; do :; done
/usr/sbin/mkfs.${filesystem} "$@"
${leaves}
sync "$disk"
kill -9 "$(cat /run/storage.pid)"
SHIM
chmod 755 /root/cut/mkfs.${filesystem}`;

const cuts: readonly { readonly name: string; readonly filesystem: "ext4" | "xfs"; readonly leaves: string }[] = [
  {
    name: "before the superblock",
    filesystem: "ext4",
    leaves: 'dd if=/dev/zero of="$disk" bs=4k count=1 conv=notrunc',
  },
  {
    name: "in the middle of the superblock",
    filesystem: "ext4",
    leaves: 'dd if=/dev/zero of="$disk" bs=512 seek=3 count=1 conv=notrunc',
  },
  {
    name: "with a superblock and nothing behind it",
    filesystem: "ext4",
    leaves: 'dd if=/dev/zero of="$disk" bs=4k seek=1 count=2000 conv=notrunc',
  },
  {
    name: "with a superblock and nothing behind it",
    filesystem: "xfs",
    leaves: 'dd if=/dev/zero of="$disk" bs=4k seek=1 count=20000 conv=notrunc',
  },
];

for (const { name, filesystem, leaves } of cuts) {
  test(`${filesystem} half made, ${name}: made again, also beside another blank disk`, async () => {
    const { half } = await plug({ half: { mib: 320 } });
    await ssh(cutShort(filesystem, leaves));
    expect(await bakeStorage({ STORAGE_FILESYSTEM: filesystem }, "/root/cut")).toMatchObject({
      code: 137,
      refused: "",
    });
    expect(await ssh("head -n 1 /var/lib/bake/storage/record")).toBe("phase=formatting\n");
    await plug({ other: { mib: 320 } });
    expectTaken(await bakeStorage({ STORAGE_FILESYSTEM: filesystem }), [
      `the power went while mkfs ran on ${half?.name}: making it again`,
      `making ${filesystem} on ${half?.name}`,
      `data disk is ${half?.name}`,
    ]);
    const check = { ext4: "e2fsck -fn", xfs: "xfs_repair -n" }[filesystem];
    await ssh(`${check} ${half?.device} 2>&1; mount ${half?.device} /run/data && umount /run/data`);
  });
}

test("half made, but somebody put a file system on it since: not touched", async () => {
  const { half } = await plug({ half: { mib: 16 } });
  await ssh(cutShort("ext4", 'dd if=/dev/zero of="$disk" bs=4k count=1 conv=notrunc'));
  expect((await bakeStorage({}, "/root/cut")).code).toBe(137);
  await ssh(`mkfs.ext4 -q -U ${otherUuid} ${half?.device}`);
  const before = await unplug("half");
  const again = await before.replug();
  expectRefusal(
    await bakeStorage(),
    `no disk has UUID=${uuid} and no disk can be taken: ${again["half"]?.name} holds ext4 UUID=${otherUuid} (waited 0 s); ${attachOrWipe}`,
  );
  expect((await unplug("half")).hashes).toEqual(before.hashes);
});

test("half made, but there is another node's disk in its place: not made again", async () => {
  const { half } = await plug({ half: { mib: 16 } });
  await ssh(cutShort("ext4", 'dd if=/dev/zero of="$disk" bs=4k count=1 conv=notrunc'));
  expect((await bakeStorage({}, "/root/cut")).code).toBe(137);
  // The same UUID, since the fleet has one, and somebody's data.
  await ssh(
    `mkfs.ext4 -q -U ${uuid} ${half?.device}; mount ${half?.device} /run/data; echo mine >/run/data/mine; umount /run/data`,
  );
  expectTaken(await bakeStorage(), [`data disk is ${half?.name}`]);
  expect(await ssh(`mount ${half?.device} /run/data; cat /run/data/mine; umount /run/data`)).toBe("mine\n");
});

test("xfs: made whole", async () => {
  const { blank } = await plug({ blank: { mib: 320 } });
  expectTaken(await bakeStorage({ STORAGE_FILESYSTEM: "xfs" }), [
    `making xfs on ${blank?.name}`,
    `data disk is ${blank?.name}`,
  ]);
  expect(await typeOf(blank)).toBe("xfs");
  expect(await ssh(`mount ${blank?.device} /run/data; xfs_info /run/data | grep -o reflink=1; umount /run/data`)).toBe(
    "reflink=1\n",
  );
});

test("a disk that cannot be read is not blank", async () => {
  const { broken } = await plug({ broken: { mib: 16 } });
  await ssh("rm -rf /root/cut; mkdir /root/cut; printf '#!/bin/sh\\nexit 1\\n' >/root/cut/dd; chmod 755 /root/cut/dd");
  expectRefusal(
    await bakeStorage({}, "/root/cut"),
    `no disk has UUID=${uuid} and no disk can be taken: ${broken?.name} cannot be read (waited 0 s); ${attachOrWipe}`,
  );
});

test("without a record there is no mkfs", async () => {
  const { blank } = await plug({ blank: { mib: 16 } });
  await ssh("mkdir -p /var/lib/bake; mount -t tmpfs -o ro none /var/lib/bake");
  expectRefusal(
    await bakeStorage(),
    "cannot write /var/lib/bake/storage/record; the system disk is full or read-only: see df /var/lib and dmesg, then reboot",
  );
  await ssh("umount /var/lib/bake");
  expect(await typeOf(blank)).toBe("");
});

needs("root", "docker").describe("with a seed in the image", () => {
  const gib4 = 4096;
  /** Under emulation 7 TB take six minutes (seen: 234881024 inodes). */
  const largeGib = Number(process.env["BAKE_TEST_DISK_GIB"] ?? 256);
  beforeAll(async () => {
    const machine = openSeedMachine(folder);
    try {
      machine.addImage("one:1", ["echo 1 >one; head -c 6M /dev/urandom >large"]);
      const { code, output } = machine.makeSeed(gib4, 1024);
      if (code !== 0) throw new Error(output);
      const path = join(folder, "seed.tar");
      execFileSync("tar", ["-cf", path, "-C", machine.folder, "opt/bake/seed", "opt/bake/bin/bake-seed"]);
      await ssh("base64 -d | tar --no-same-owner -xf - -C /", (await readFile(path)).toString("base64"), 300_000);
    } finally {
      machine.close();
    }
  }, 600_000);
  afterAll(() => ssh("rm -rf /opt/bake/seed"));

  /** With a journal of a GiB there is more to write than mkfs would. */
  const writeSeed = (): Promise<Outcome> => bakeStorage({}, "", 900_000);

  const holds = async (disk: Disk | undefined): Promise<string> =>
    ssh(
      `e2fsck -fn ${disk?.device} >/dev/null 2>&1 && mount ${disk?.device} /run/data && ls -A /run/data | tr '\\n' ' '; umount /run/data`,
      "",
      300_000,
    );

  test("a blank disk gets it, and it grows while it is mounted: inodes and journal are those of mkfs at 7 TB", async () => {
    const { blank } = await plug({ blank: { mib: largeGib * 1024 } });
    const outcome = await writeSeed();
    expect(ofStorage(outcome)).toEqual([`writing the seed to ${blank?.name}`, `data disk is ${blank?.name}`]);
    expect(outcome.said.at(-2)).toMatch(/^bake-seed: .* written in \d+ s, \d+ MiB\/s$/);
    expect(await holds(blank)).toBe(".bake docker-cache1 docker-data lost+found ");
    const answer = await ssh(
      `mount ${blank?.device} /mnt && /opt/bake/bin/bake-seed grow && df -BG --output=size /mnt | tail -n 1
       dumpe2fs -h ${blank?.device} 2>/dev/null | grep -E '^(Inode count|Journal size|Total journal size):' | tr -s ' '; umount /mnt`,
      "",
      900_000,
    );
    expect(answer).toContain(`bake-seed: the file system of 4.0GiB grows to ${sizeOf(largeGib * 1024)}\n`);
    // One for each 32 KiB, as a fresh one of 7 TB has.
    expect(answer).toContain(`Inode count: ${largeGib * 2 ** 15}\n`);
    expect(answer).toMatch(/^(Journal size|Total journal size): 1024M$/m);
    // The system disk is another one now: the disk is known by its UUID.
    await ssh("rm -rf /var/lib/bake/storage");
    expectTaken(await writeSeed(), [`data disk is ${blank?.name}`]);
  }, 1_800_000);

  test("cut off while it is written: gone on with, also with another system disk, and by an image without a seed", async () => {
    const { half } = await plug({ half: { mib: 5 * 1024 } });
    // Once the marker is there, and no later than the ranges are.
    const cut = async (disk: Disk | undefined): Promise<void> => {
      await ssh(
        `/opt/bake/bin/bake-storage >/dev/null 2>&1 & until dd if=${disk?.device} bs=1024 count=1 iflag=direct status=none 2>/dev/null | grep -qa '^bake-seed'; do sleep 0.2; done
         pkill -9 'bake-storage|bake-seed|timeout|xargs|zstd'; wait; true`,
        "",
        300_000,
      );
    };
    await cut(half);
    expect(await ssh(`dd if=${half?.device} bs=1024 count=1 status=none | tr -d '\\0'`)).toMatch(
      new RegExp(`^bake-seed 1 ${uuid} [0-9a-f]{64} writing\n$`),
    );
    expect(await typeOf(half)).toBe("");
    await ssh("rm -rf /var/lib/bake/storage");
    const outcome = await writeSeed();
    expect(ofStorage(outcome)).toEqual([`writing the seed to ${half?.name}`, `data disk is ${half?.name}`]);
    expect(outcome.said.join("\n")).toContain("bake-seed: going on with the seed of ");
    expect(await holds(half)).toBe(".bake docker-cache1 docker-data lost+found ");

    const { other } = await plug({ other: { mib: 5 * 1024 } });
    await unplug("half");
    await ssh("rm -rf /var/lib/bake/storage");
    await cut(other);
    await ssh("mv /opt/bake/seed /opt/bake/no-seed; rm -rf /var/lib/bake/storage");
    const without = await writeSeed();
    await ssh("mv /opt/bake/no-seed /opt/bake/seed");
    expectTaken(without, [
      `the power went while a seed was written to ${other?.name}: this image has none`,
      `making ext4 on ${other?.name}`,
      `data disk is ${other?.name}`,
    ]);
  }, 900_000);

  test("a disk that is smaller than it, and one that fails", async () => {
    const { small } = await plug({ small: { mib: 2048 } });
    expectRefusal(
      await writeSeed(),
      `the seed could not be written to ${small?.name}: ${small?.device} has 2.0GiB, the seed of this image needs 4.0GiB; ` +
        "look for errors of the disk in dmesg, or attach another one, then reboot",
    );
    await unplug("small");
    await ssh("rm -rf /var/lib/bake/storage");
    const { broken } = await plug({ broken: { mib: 5 * 1024, readOnly: true } });
    const outcome = await writeSeed();
    expect(outcome.refused).toContain(
      `the seed could not be written to ${broken?.name}: ${broken?.device} takes no writes`,
    );
    expect(outcome.code).toBe(1);
  }, 300_000);
});
