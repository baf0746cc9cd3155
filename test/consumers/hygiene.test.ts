/** hygiene.sh in a tree that looks like a used machine, of either family: what goes, what stays, and what it says when it cannot. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { needs } from "../needs.ts";
import { trialPlan } from "../plan-of.ts";

const { describe: asRoot } = needs("root");

const canary = "CANARY-of-a-used-machine";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-hygiene-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * The new root is a tmpfs in a mount namespace of its own, with this machine's programs read-only: the script can reach no
 * disk of this machine, nor its swap.
 */
const runner = `set -euo pipefail
tree=$1 after=$2 script=$3 prepare=$4
new=$after.root
mkdir "$new" "$after"
mount --make-rprivate /
mount -t tmpfs none "$new"
cp -a "$tree/." "$new/"
mkdir -p "$new"/{usr,proc,dev/shm,run,tmp,var/tmp/bake}
# Without what is mounted below it: that would not become read-only, and the script fills what it may write to.
mount --bind /usr "$new/usr"
mount -o remount,bind,ro "$new/usr"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$new/$link"; done
[ ! -e /etc/alternatives ] || { mkdir -p "$new/etc"; cp -a /etc/alternatives "$new/etc/"; }
mount -t proc proc "$new/proc"
: >"$new/no-swap"
mount --bind "$new/no-swap" "$new/proc/swaps"
for device in null zero urandom; do : >"$new/dev/$device"; mount --bind "/dev/$device" "$new/dev/$device"; done
# All file systems of this machine are nobody's to wait for.
printf '#!/bin/sh\n[ "$#" -eq 0 ]\n' >"$new/no-sync"
chmod 0755 "$new/no-sync"
mount --bind "$new/no-sync" "$new/usr/bin/sync"
cp "$script" "$new/var/tmp/bake/hygiene.sh"
cd "$new"
eval "$prepare"
status=0
chroot "$new" /bin/bash /var/tmp/bake/hygiene.sh || status=$?
for part in etc root home var tmp boot srv opt; do [ ! -e "$part" ] || cp -a "$part" "$after/"; done
exit "$status"
`;

type Tree = Readonly<Record<string, string>>;

const write = (base: string, tree: Tree): void => {
  for (const [path, content] of Object.entries(tree)) {
    mkdirSync(join(base, dirname(path)), { recursive: true });
    if (content.startsWith("-> ")) symlinkSync(content.slice(3), join(base, path));
    else writeFileSync(join(base, path), content);
  }
};

let runs = 0;
const clean = (tree: Tree, prepare = ":") => {
  const name = join(folder, `run-${++runs}`);
  write(`${name}.tree`, tree);
  chmodSync(`${name}.tree`, 0o755);
  const script = join(root, "templates/node/hygiene.sh");
  const result = spawnSync(
    "unshare",
    [
      ...["--mount", "--pid", "--fork", "bash", "--norc", "-c", runner, "runner"],
      ...[`${name}.tree`, `${name}.after`, script, prepare],
    ],
    { encoding: "utf8", env: { PATH: process.env["PATH"] ?? "" } },
  );
  const at = (path: string): string => join(`${name}.after`, path);
  return { code: result.status, output: `${result.stdout}${result.stderr}`, at, after: `${name}.after` };
};

const filesOf = (base: string): string[] =>
  readdirSync(base, { recursive: true, encoding: "utf8" }).filter((path) => lstatSync(join(base, path)).isFile());

/** What any used machine has. */
const used: Tree = {
  "etc/passwd": `root:x:0:0::/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
admin:x:1000:1000::/home/admin:/bin/bash
service:x:990:990::/srv/service:/bin/bash
`,
  "root/.ssh/authorized_keys": `ssh-ed25519 ${canary} packer`,
  "root/.ssh/known_hosts": canary,
  "root/.ssh/id_rsa": canary,
  "root/.ssh/id_rsa.pub": canary,
  "var/lib/bake/first-boot": canary,
  "var/lib/bake-packages.tar.gz": canary,
  "var/lib/bake/storage/record": canary,
  "root/.bash_history": canary,
  "root/.python_history": canary,
  "root/.viminfo": canary,
  "root/.netrc": canary,
  "root/.git-credentials": canary,
  "root/.docker/config.json": JSON.stringify({
    auths: { "quay.io": { auth: canary } },
    credsStore: canary,
    psFormat: "stays",
  }),
  "root/.docker/buildx/.buildNodeID": canary,
  "home/admin/.ssh/authorized_keys": canary,
  "home/admin/.bash_history": canary,
  "home/admin/.docker/config.json": JSON.stringify({ auths: { "quay.io": { auth: canary } } }),
  "home/left-over/.ssh/authorized_keys": canary,
  "srv/service/.ssh/authorized_keys2": canary,
  "srv/service/.bash_history": canary,
  "etc/ssh/ssh_host_ed25519_key": canary,
  "etc/ssh/ssh_host_ed25519_key.pub": canary,
  "etc/ssh/ssh_host_rsa_key": canary,
  "etc/machine-id": `${canary}\n`,
  "etc/hostname": `${canary}\n`,
  "etc/docker/key.json": canary,
  "etc/nvme/hostnqn": canary,
  "etc/iscsi/initiatorname.iscsi": `# names this host\nInitiatorName=iqn.2016-04.com.example:${canary}\n`,
  "etc/sudoers.d/90-cloud-init-users": canary,
  "etc/udev/rules.d/70-persistent-net.rules": canary,
  "etc/fstab": `UUID=1 / ext4 defaults 0 1\n/dev/vdb /${canary} auto defaults,nofail,comment=cloudconfig 0 2\nUUID=2 /mnt ext4 defaults,nofail,x-systemd.requires=bake-storage.service 0 2\n`,
  "etc/resolv.conf": `# Generated by NetworkManager\nnameserver 10.0.2.3 # ${canary}\n`,
  "var/lib/systemd/random-seed": canary,
  "var/lib/systemd/coredump/core.sh": canary,
  "var/lib/cloud/instance/user-data.txt": canary,
  "var/lib/cloud/instances/i-1/sem/x": canary,
  "var/lib/cloud/.hidden": canary,
  "var/lib/dhcp/dhclient.eth0.leases": canary,
  "var/lib/NetworkManager/dhclient-eth0.lease": canary,
  "var/lib/NetworkManager/secret_key": canary,
  "var/log/journal/0123/system.journal": canary,
  "var/log/messages": canary,
  "var/log/messages-20261101": canary,
  "var/log/syslog.1": canary,
  "var/log/syslog.2.gz": canary,
  "var/log/wtmp": canary,
  "var/log/audit/audit.log": canary,
  "var/spool/mail/root": canary,
  "var/crash/127.0.0.1-2026/vmcore": canary,
  "tmp/script_1234.sh": canary,
  "tmp/.hidden": canary,
  "var/tmp/bake-provision.x/file": canary,
  "var/tmp/cloud-init/x": canary,
};

/** What a bake put there, and settings of the base: byte for byte the same afterwards. */
const kept: Tree = {
  "etc/bake/image.json": "{}\n",
  "etc/bake/agent.env": "A=b\n",
  "etc/cloud/cloud.cfg.d/90_bake.cfg": "datasource_list: [NoCloud, None]\n",
  "etc/cloud/cloud.cfg": "# cloud-init settings of the base\n",
  "etc/ssh/sshd_config": "PermitRootLogin prohibit-password\n",
  "etc/docker/daemon.json": "{}\n",
  "etc/gitconfig": "[url]\n",
  "root/.gitconfig": "[include]\n",
  "root/.bashrc": "# bash\n",
  "root/.docker/cli-plugins/docker-buildx": "binary\n",
  "root/.buildkite-agent/buildkite-agent.cfg": "spawn=4\n",
  "opt/bake/images/abc.tar": "image\n",
  "opt/bake/checks/goss.yaml": "gossfile: {}\n",
  "home/admin/notes": "stays\n",
};

const debian: Tree = {
  "etc/netplan/50-cloud-init.yaml": `# This file is generated from information provided by the datasource (cloud-init).\n# ${canary}\n`,
  "etc/network/interfaces.d/50-cloud-init": `# from cloud-init\n# ${canary}\n`,
  "etc/systemd/network/10-cloud-init-eth0.network": `# written by cloud-init\nMACAddress=${canary}\n`,
  "var/lib/dhcpcd/eth0.lease": canary,
  "var/cache/apt/archives/x_1_all.deb": canary,
  "var/cache/apt/pkgcache.bin": canary,
  "var/lib/apt/lists/mirror_dists_x_Packages": canary,
  "var/lib/dbus/machine-id": canary,
  "var/lib/wtmpdb/wtmp.db": canary,
};
const debianKept: Tree = {
  "etc/netplan/10-base.yaml": "network: {version: 2}\n",
  "etc/systemd/network/20-dhcp.network": "[Match]\nName=en*\n",
  "var/lib/apt/lists/lock": "",
  "var/lib/dpkg/status": "Package: x\n",
};

const euler: Tree = {
  "etc/sysconfig/network-scripts/ifcfg-eth0": `# Created by cloud-init on instance boot automatically, do not edit.\nHWADDR=${canary}\n`,
  "etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection": `# Generated by cloud-init. Changes will be lost.\nid=${canary}\n`,
  "var/lib/dhclient/dhclient-eth0.leases": canary,
  "var/cache/yum/x86_64/primary.sqlite": canary,
  "var/cache/dnf/x.solv": canary,
  "var/lib/rpm/__db.001": canary,
  "root/anaconda-ks.cfg": `rootpw ${canary}\n`,
  "root/original-ks.cfg": canary,
  "var/spool/abrt/x/coredump": canary,
};
const eulerKept: Tree = {
  "var/lib/rpm/Packages": "packages\n",
  "etc/yum.conf": "[main]\nexclude=kernel*\n",
  "etc/yum.repos.d/EulerOS.repo": "[base]\n",
};

asRoot.each([
  ["Debian", debian, debianKept],
  ["EulerOS and openEuler", euler, eulerKept],
])("on %s", (_, own, ownKept) => {
  let result: ReturnType<typeof clean>;
  const all = { ...used, ...own, ...kept, ...ownKept };

  test("it cleans, and says so", () => {
    result = clean({
      ...all,
      // Of a base that set its network up by hand: it stays, but for the card of one machine.
      "etc/sysconfig/network-scripts/ifcfg-eth9": `DEVICE=eth9\nHWADDR=${canary}\nBOOTPROTO=dhcp\n`,
    });
    expect(result.output).not.toContain("failed");
    expect(result.code).toBe(0);
    expect(result.output).toContain("bake: step hygiene\n");
  });

  test("nothing of the machine is left in any file or name", () => {
    const files = filesOf(result.after);
    expect(files.length).toBeGreaterThan(Object.keys(kept).length);
    expect(files.filter((path) => readFileSync(join(result.after, path)).includes(canary))).toEqual([]);
    const gone = Object.keys({ ...used, ...own }).filter((path) => existsSync(result.at(path)));
    // These stay, without what was in them.
    expect(gone.toSorted()).toEqual(
      [
        "etc/fstab",
        "etc/iscsi/initiatorname.iscsi",
        "etc/machine-id",
        "etc/passwd",
        "etc/resolv.conf",
        "root/.docker/config.json",
        "var/log/audit/audit.log",
        "var/log/messages",
        "var/log/wtmp",
      ].toSorted(),
    );
    for (const path of ["tmp", "var/tmp", "var/lib/cloud", "var/log/journal"])
      expect(readdirSync(result.at(path)), path).toEqual([]);
  });

  test("what stays is as it was", () => {
    for (const [path, content] of Object.entries({ ...kept, ...ownKept }))
      expect(readFileSync(result.at(path), "utf8"), path).toBe(content);
    expect(statSync(result.at("etc/machine-id")).size).toBe(0);
    expect(readFileSync(result.at("etc/fstab"), "utf8")).toBe(
      "UUID=1 / ext4 defaults 0 1\nUUID=2 /mnt ext4 defaults,nofail,x-systemd.requires=bake-storage.service 0 2\n",
    );
    expect(JSON.parse(readFileSync(result.at("root/.docker/config.json"), "utf8"))).toEqual({ psFormat: "stays" });
    expect(readFileSync(result.at("etc/sysconfig/network-scripts/ifcfg-eth9"), "utf8")).toBe(
      "DEVICE=eth9\nBOOTPROTO=dhcp\n",
    );
  });
});

asRoot("passwords", () => {
  const hash = `$6$salt$${canary}`;
  const shadow = `root:${hash}:18000:0:90:7:::
openeuler:$sm3$salt$${canary}:0:0:99999:7:::
nobody::18000:0:99999:7:::
locked:!${hash}:18000:0:99999:7:::
old:aBcDeFgHiJkLm:18000:0:99999:7:::
daemon:*:18000:0:99999:7:::
sshd:!!:18000::::::
none:!:18000:0:99999:7:::
`;
  const machine = {
    "etc/passwd": `root:x:0:0::/root:/bin/bash\nhand:${hash}:7:7::/:/bin/sh\n`,
    "etc/shadow": shadow,
    "etc/shadow-": shadow,
    "etc/gshadow": `root:::\nwheel:${hash}::root\nadm:!::\n`,
    "etc/gshadow-": hash,
    "etc/security/opasswd": `root:0:1:${hash}`,
    "var/backups/shadow.bak": shadow,
    "etc/machine-id": "",
    "var/log/x": "",
  };

  test("of no account are left, nor copies; keys go on working, and no password is too old", () => {
    const { code, output, after, at } = clean(machine);
    expect(output).not.toContain("failed");
    expect(output).toContain("bake: passwords taken out of /etc/shadow: root openeuler nobody locked old \n");
    expect(code).toBe(0);
    expect(readFileSync(at("etc/shadow"), "utf8")).toBe(`root:*::0:90:7:::
openeuler:*::0:99999:7:::
nobody:*::0:99999:7:::
locked:!::0:99999:7:::
old:*::0:99999:7:::
daemon:*:18000:0:99999:7:::
sshd:!!:18000::::::
none:!:18000:0:99999:7:::
`);
    expect(readFileSync(at("etc/passwd"), "utf8")).toBe("root:x:0:0::/root:/bin/bash\nhand:*:7:7::/:/bin/sh\n");
    expect(readFileSync(at("etc/gshadow"), "utf8")).toBe("root:::\nwheel:*::root\nadm:!::\n");
    expect(filesOf(after).filter((path) => readFileSync(join(after, path)).includes(canary))).toEqual([]);
  });

  test("the node's check sees one, but not one that user-data gave", () => {
    const check = JSON.parse(
      JSON.stringify(trialPlan().checks.find(({ id }) => id === "bake-no-password")?.resource),
    ) as [string, string, { exec: string }];
    const asked = (text: string, userData = "users: [{lock_passwd: false}]\nssh_pwauth: false\n"): number | null => {
      const own = mkdtempSync(join(folder, "check-"));
      write(own, { shadow: text, "user-data.txt": userData });
      const exec = check[2].exec
        .replaceAll("/etc/shadow", join(own, "shadow"))
        .replaceAll("/var/lib/cloud/instance", own)
        .replaceAll("/var/lib/bake/stock", join(own, "stock"));
      return spawnSync("sh", ["-c", exec]).status;
    };
    expect(asked(shadow)).not.toBe(0);
    expect(asked("root:*:1::::::\nsshd:!!:1::::::\n")).toBe(0);
    expect(asked(shadow, "#cloud-config\nchpasswd: {list: [root:x]}\n")).toBe(0);
    expect(asked(shadow, "users: [{name: root, passwd: '$6$x'}]\n")).toBe(0);
    expect(asked(shadow, "#!/bin/bash\necho 'root:$6$x' | chpasswd -e;\n")).toBe(0);
  });
});

asRoot("what it cannot clean", () => {
  const machine = { "etc/passwd": "root:x:0:0::/root:/bin/bash\n", "etc/machine-id": "", "var/log/x": "" };

  test("a file that cannot be removed is named, and the rest is cleaned all the same", () => {
    const { code, output, at } = clean(
      { ...machine, "var/lib/cloud/busy/x": canary, "root/.bash_history": canary, "tmp/late": canary },
      "mount --bind var/lib/cloud/busy var/lib/cloud/busy",
    );
    expect(code).toBe(1);
    expect(output).toMatch(/^bake: failed \/var\/lib\/cloud\/busy stays: .*busy/im);
    expect(output).toMatch(/things could not be cleaned/);
    expect(existsSync(at("root/.bash_history"))).toBe(false);
    expect(existsSync(at("tmp/late"))).toBe(false);
  });

  test("a secret where a node's secrets belong", () => {
    const { code, output } = clean({ ...machine, "etc/bake/secrets/agent-token": canary });
    expect(code).toBe(1);
    expect(output).toContain("bake: failed /etc/bake/secrets/agent-token is in the image");
    expect(output).not.toContain(canary);
  });

  test("a registry's logins in a file that is no JSON", () => {
    const { code, output } = clean({ ...machine, "root/.docker/config.json": `{"auths": ${canary}` });
    expect(code).toBe(1);
    expect(output).toContain("bake: failed /root/.docker/config.json is no JSON object");
    expect(output).not.toContain(canary);
  });

  test("a link that leads out of the way is not followed", () => {
    const { code, at } = clean({
      ...machine,
      "opt/bake/keep": "stays\n",
      "var/log/link": "-> /opt/bake/keep",
      "tmp/link": "-> /opt/bake",
      "etc/resolv.conf": "-> ../opt/bake/keep",
    });
    expect(code).toBe(0);
    expect(readFileSync(at("opt/bake/keep"), "utf8")).toBe("stays\n");
  });
});

/**
 * A disk of 1 GiB in groups of 8 MiB, with a canary that was written into each of many files and removed again. Trim is off, as it would
 * hide what was overwritten.
 */
const usedDisk = (disk: string): string => `
truncate -s 1G "${disk}"
mkfs.ext4 -qF -b 1024 -N 4096 "${disk}"
mkdir disk
mount -o loop "${disk}" disk
for folder in a b c d e f; do
  mkdir "disk/$folder"
  for file in 1 2 3; do yes "${canary}-$folder-$file" | head -c 1500000 >"disk/$folder/$file" || true; done
done
echo stays >disk/kept
sync -f disk
rm -r disk/[a-f]
source=$(findmnt -nro SOURCE "$PWD/disk")
: >"dev/\${source##*/}"
mount --bind "$source" "dev/\${source##*/}"
printf '#!/bin/sh\nexit 1\n' >no-trim
chmod 0755 no-trim
mount --bind no-trim "$(readlink -f usr/sbin/fstrim)"
# Of this disk alone: what is written and removed before it would never reach it.
cp /usr/bin/sync disk-sync
printf '#!/bin/sh\nexec /disk-sync -f /disk\n' >sync-disk
chmod 0755 sync-disk
mount --bind sync-disk usr/bin/sync
`;

asRoot("free space", () => {
  const machine = { "etc/passwd": "root:x:0:0::/root:/bin/bash\n", "etc/machine-id": "", "var/log/x": "" };
  const count = (disk: string): number =>
    Number(spawnSync("grep", ["-ac", canary, disk], { encoding: "utf8" }).stdout.trim());

  test("of ext4 only what was ever used is overwritten, and nothing of it can be read", () => {
    const disk = join(folder, "used.img");
    const { code, output } = clean(machine, usedDisk(disk));
    expect(code, output).toBe(0);
    const [, written = "", free = ""] =
      /^bake: hygiene: overwriting (\d+) of (\d+) MiB of free space on \/disk: the rest was never used$/m.exec(
        output,
      ) ?? [];
    expect(Number(free), output).toBeGreaterThan(800);
    expect(Number(written)).toBeGreaterThan(20);
    expect(Number(written)).toBeLessThan(Number(free) / 2);
    expect(output).toContain("its free space holds zeros");
    expect(count(disk)).toBe(0);
    // What was never used was never touched.
    expect(statSync(disk).blocks * 512).toBeLessThan(600 * 1024 * 1024);
    expect(spawnSync("e2fsck", ["-fn", disk], { encoding: "utf8" }).status).toBe(0);
    expect(spawnSync("debugfs", ["-R", "cat /kept", disk], { encoding: "utf8" }).stdout).toBe("stays\n");
  }, 240_000);

  test.each(["dumpe2fs", "filefrag"])(
    "where %s does not tell it, all of it is",
    (program) => {
      const disk = join(folder, `whole-${program}.img`);
      const { code, output } = clean(
        machine,
        `${usedDisk(disk)}mount --bind no-trim "$(readlink -f usr/sbin/${program})"\n`,
      );
      expect(code, output).toBe(0);
      expect(output).toMatch(/^bake: hygiene: overwriting \d+ MiB of free space on \/disk$/m);
      expect(count(disk)).toBe(0);
      expect(statSync(disk).blocks * 512).toBeGreaterThan(900 * 1024 * 1024);
    },
    240_000,
  );
});
