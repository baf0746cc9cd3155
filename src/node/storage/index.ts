/** The data disk: found, made once, mounted (guide rows G16–G18). */
import { environmentFile, fstabField } from "../../formats/lines.ts";
import { shellWord } from "../../formats/shell.ts";
import { ofCommand, advisory, byHand, gating, hasInodes, line, literal } from "../check-commands.ts";
import type { Check } from "../check.ts";
import type { Concern, Page } from "../concern.ts";
import type { Facts } from "../facts.ts";
import type { StorageFacts } from "./facts.ts";
import { freeSpace } from "./free-space-rule.ts";
import { mountRule } from "./mount-rule.ts";
import { seedCost } from "./seed-cost.ts";
import { gib } from "../../formats/bytes.ts";

const checksOf = (storage: StorageFacts): Check[] => {
  const mount = shellWord(storage.mount);
  const [key = "", value = ""] = storage.source.split("=");
  return [
    ofCommand(
      gating,
      {
        id: "data-disk-mounted",
        rows: ["G16", "G17", "G18"],
        title: `${storage.mount} is the data disk (${storage.source}, ${storage.filesystem})`,
        live: true,
        help: "journalctl -u bake-storage says which disks were looked at and why none was taken",
        ...(storage.kind === "blank" &&
          byHand(
            "data-disk-mounted",
            {
              title: `a disk of its own is mounted at ${storage.mount}`,
              help: `mount the data disk at ${storage.mount} by a line in fstab: Docker would fill the system disk`,
            },
            `findmnt -nro FSTYPE --mountpoint ${mount}`,
            { stdout: ["/^(ext4|xfs)$/"], timeout: 30_000 },
          )),
      },
      `findmnt -nro ${key},FSTYPE --mountpoint ${mount}`,
      { stdout: [line(`${value} ${storage.filesystem}`)], timeout: 30_000 },
    ),
    ofCommand(
      gating,
      {
        id: "data-disk-writable",
        rows: ["G18"],
        title: `${storage.mount} is writable`,
        live: true,
        help: "a file system that met an error goes read-only: dmesg has the error, fsck after a backup",
      },
      // Newer kernels leave "rw" in the options of an ext4 that takes no writes any more; its count of errors tells. A shut
      // down xfs answers no stat. Nothing is written: hosts are asked the same.
      `options=,$(findmnt -nro OPTIONS --mountpoint ${mount}), && case $options in *,emergency_ro,* | *,shutdown,*) exit 1 ;; *,rw,*) ;; *) exit 1 ;; esac && stat ${mount} >/dev/null && device=$(basename "$(readlink "/sys/dev/block/$(findmnt -nro MAJ:MIN --mountpoint ${mount})")") && test "$(cat "/sys/fs/ext4/$device/errors_count" 2>/dev/null || echo 0)" = 0`,
      { timeout: 30_000 },
    ),
    ofCommand(
      gating,
      {
        id: "data-disk-room",
        rows: ["G16"],
        title: `${storage.mount} has ${storage.minFreeBytes / gib} GiB free`,
        live: true,
        help: `du -xhd1 ${storage.mount}; journalctl -u bake-garbage says what was collected, and what stays`,
        repair: "room",
      },
      `test "$(df -B1 --output=avail ${mount} | tail -n 1)" -ge ${storage.minFreeBytes}`,
      { timeout: 30_000 },
    ),
    ofCommand(
      gating,
      {
        id: "data-disk-inodes",
        rows: ["G16"],
        title: `${storage.mount} has inodes left`,
        live: true,
        help: `du -x --inodes -d1 ${storage.mount} says where they are; df -i`,
        repair: "room",
      },
      hasInodes(mount),
      { timeout: 30_000 },
    ),
    ofCommand(
      advisory,
      {
        id: "data-disk-fstab",
        rows: ["G18"],
        title: `fstab mounts ${storage.source} at ${storage.mount} and lets the boot go on without it`,
        ...(storage.kind === "blank" &&
          byHand(
            "data-disk-fstab",
            {
              title: `fstab mounts a disk by UUID at ${storage.mount} and lets the boot go on without it`,
              help: "UUID=... of blkid, and nofail: a missing disk would end the boot in emergency mode",
            },
            `findmnt -snro SOURCE,OPTIONS ${mount}`,
            { stdout: ["/^UUID=\\S+ (.*,)?nofail(,|$)/"] },
          )),
      },
      `findmnt -snro SOURCE,OPTIONS ${mount}`,
      { stdout: [`/^${literal(storage.source)} (.*,)?nofail(,|$)/`] },
    ),
  ];
};

/** As systemd escapes a path: `/mnt/data-1` is mounted by `mnt-data\\x2d1.mount`. */
const mountUnit = (mount: string): string => `'${mount.slice(1).replaceAll("-", "\\x2d").replaceAll("/", "-")}.mount'`;

const pageOf = ({ storage, images }: Facts): Page => {
  const adopted = storage.kind === "adopt";
  const picked = { only: "the single blank disk", first: "the first blank disk", largest: "the largest blank disk" };
  return {
    summary: [
      { label: "data disk", text: `\`${storage.source}\` (${storage.filesystem}) at \`${storage.mount}\``, order: 40 },
    ],
    chain: [{ text: `bake-storage -> ${storage.mount} -> bake-seed`, order: 20 }],
    boot: [
      {
        text: `\`bake-storage\` ${
          adopted
            ? `waits for ${storage.source}, which exists already, and never formats anything.`
            : `looks for the file system with the fleet's UUID. If there is none it ${
                storage.seed === undefined ? "makes one on" : "writes the image's seed (docs/seeds.md) to"
              } ${picked[storage.pick]}: no partition, no signature, not in use. It writes down what it is about to do before it does it, so that a file system cut off half-way is recognised and ${storage.seed === undefined ? "made again" : "gone on with"}.`
        } With any doubt it says why, formats nothing, and Docker does not start.`,
        order: 10,
      },
      {
        text: `\`bake-seed\` lets the mounted file system fill its disk, also one that was enlarged since.`,
        order: 30,
      },
      {
        text: `\`${storage.mount}\` is mounted \`nofail\`, so that a host with a broken disk can be reached; Docker requires the mount, so that\n  it never fills the system disk.`,
        order: 20,
      },
    ],
    sections: [
      {
        text: `### Replace the data disk

1. \`systemctl stop buildkite-agent\`, then \`poweroff\`.
2. Take the old disk out and attach ${adopted ? `one with ${storage.source}` : `one blank disk of at least ${storage.minBytes / gib} GiB. One that was used before: \`wipefs -a\` it first, elsewhere`}.
3. Boot, and look at \`bake-status\`.${
          adopted ? "" : ` bake-storage waits for the earlier disk for a minute, says so, and then makes the new one.`
        }

Images come ${storage.seed === undefined ? "from `/opt/bake/images` again" : "with the seed"}${images.some(({ from }) => from === "mirror") ? " or from the mirror" : ""}, builders are made again, and the node's key pair is copied back from \`/root/.ssh\`.
Build caches and whatever jobs kept below \`${storage.mount}\` are gone. A disk of another node is taken as it is, with that node's key
pair: \`bake-identity\` then refuses, and says which of the two to remove.

When bake-storage refused a disk and that was put right (so that \`${storage.mount}\` is not mounted), this goes without a reboot:
\`systemctl restart bake-storage && systemctl start ${mountUnit(storage.mount)} docker bake-images bake-builders bake-ready\`.`,
        order: 30,
      },
    ],
    paths: [
      {
        paths: [storage.stateFolder],
        what: "what bake keeps on the data disk: the node's key pair, and which images are whole",
        order: 70,
      },
    ],
  };
};

export const storage: Concern = {
  name: "storage",
  rules: [freeSpace, mountRule],
  contribute: ({ profile, facts, locked, header }) => {
    const { storage: disk } = facts;
    const { dataRoot } = facts.docker;
    const fileSystemTools = disk.filesystem === "xfs" ? "xfsprogs" : "e2fsprogs";
    return {
      files: [
        {
          path: "/etc/bake/storage.env",
          content: `# ${header}\n${environmentFile({
            STORAGE_KIND: disk.kind,
            STORAGE_SELECT: disk.select,
            STORAGE_PICK: disk.pick,
            STORAGE_ADOPT: disk.kind === "adopt" ? disk.source : "",
            STORAGE_FILESYSTEM: disk.filesystem,
            STORAGE_UUID: disk.uuid,
            STORAGE_LABEL: disk.label,
            STORAGE_MIN_BYTES: String(disk.minBytes),
            STORAGE_MOUNT: disk.mount,
            STORAGE_WAIT: "60",
          })}`,
          stage: "payload",
          order: 100,
        },
        ...(disk.seed === undefined
          ? []
          : [
              {
                // The unpacked seed has the data disk's own UUID: links to that go on leading to the disk.
                path: "/etc/udev/rules.d/70-bake-seed.rules",
                content: `# ${header}\nSUBSYSTEM=="block", KERNEL=="loop*", OPTIONS+="link_priority=-100"\n`,
                order: 104,
              },
            ]),
        // A disk that multipathd has taken is in use, and never blank.
        ...(disk.kind === "blank" && disk.select === "nvme"
          ? [
              {
                path: "/etc/multipath/conf.d/bake.conf",
                content: `# ${header}\nblacklist {\n\tdevnode "^nvme"\n}\n`,
                order: 105,
              },
            ]
          : []),
      ],
      provision: [
        ...(disk.seed === undefined
          ? []
          : [
              {
                name: "seed.env",
                stage: "payload" as const,
                content: environmentFile({
                  SEED_BYTES: String(disk.seed.bytes),
                  SEED_UUID: disk.uuid,
                  SEED_LABEL: disk.label,
                  SEED_JOURNAL_MIB: String(disk.seed.journalMib),
                  SEED_MOUNT: disk.mount,
                  SEED_DATA_ROOT: dataRoot,
                  SEED_LEVEL: String(disk.seed.level),
                  SEED_WINDOW_MIB: String(disk.seed.windowMib),
                }),
              },
            ]),
        { name: "fstab", content: `${disk.fstab.map(fstabField).join(" ")}\n` },
      ],
      directories: [{ path: disk.mount, order: 10 }],
      units: [
        { name: "bake-storage.service", order: 20 },
        { name: "bake-seed.service", values: { mount: disk.mount }, order: 25 },
      ],
      scripts: [
        { name: "bake-storage", order: 20 },
        { name: "bake-seed", stage: "payload", order: 25 },
      ],
      packages: [
        {
          action: "install",
          apt: fileSystemTools,
          dnf: fileSystemTools,
          because: ["storage.filesystem"],
          order: 120,
        },
        // Of the seed's ranges.
        ...(disk.seed === undefined
          ? []
          : [{ action: "install" as const, apt: "zstd", dnf: "zstd", because: ["storage.seed"], order: 121 }]),
      ],
      checks: checksOf(disk),
      explain: [
        {
          what: "data disk",
          value:
            disk.kind === "adopt"
              ? `${disk.source}, never formatted`
              : `the ${disk.pick === "only" ? "one" : disk.pick} blank ${disk.select === "nvme" ? "NVMe disk" : "disk"} becomes ${disk.source}`,
          because: ["storage.disk", "storage.uuid"],
          order: 60,
        },
        {
          what: "fstab",
          value: disk.fstab.join(" "),
          because: ["storage.disk", "storage.mount", "storage.filesystem", "storage.uuid"],
          order: 70,
        },
        ...seedCost(profile, facts, locked?.artifacts),
      ],
      page: pageOf(facts),
    };
  },
};
