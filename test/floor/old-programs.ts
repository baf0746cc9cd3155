/** Programs of Debian 11 in place of this machine's, for one command: in a mount namespace of its own, which ends with it. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { toolPath } from "../needs.ts";

const tree = toolPath("programs of Debian 11");

/** Those that scripts of a node call. Each lies over this machine's own, and nothing that is mounted can be written to. */
const programs = [
  ...[
    "bash",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "du",
    "head",
    "id",
    "install",
    "ln",
    "ls",
    "mkdir",
  ],
  ...[
    "mktemp",
    "mv",
    "readlink",
    "rm",
    "rmdir",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "tee",
    "timeout",
  ],
  ...["touch", "tr", "truncate", "uname", "uniq", "wc"],
  ...["blkid", "findmnt", "flock", "lsblk", "mount", "mountpoint", "umount", "wipefs", "sfdisk", "losetup"],
  ...["mke2fs", "e2fsck", "dumpe2fs", "resize2fs", "tune2fs"],
  ...["find", "xargs", "grep", "sed", "tar", "gawk", "systemctl", "systemd-analyze", "git", "curl"],
] as const;

/** The folder of libraries of this machine's processor, as Debian names it. */
const libraries = (): string => {
  const found = readdirSync(join(tree, "usr/lib")).find((name) => name.endsWith("-linux-gnu"));
  if (found === undefined) throw new Error(`${tree} has no libraries`);
  return `/usr/lib/${found}`;
};

/** Libraries that come from the same sources as these programs. */
const own = /^lib(curl|ext2fs|e2p|com_err|blkid|mount|smartcols|fdisk)\.so\./;

/** Those, and libraries that newer systems have no more: laid above this machine's. */
const laidLibraries = (): string => {
  const folder = `${tree}.libraries`;
  if (existsSync(folder)) return folder;
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh);
  for (const path of readdirSync(tree, { recursive: true, encoding: "utf8" })) {
    const name = basename(path);
    if (!/\.so(\.\d+){1,2}$|^libsystemd-shared-\d+\.so$/.test(name)) continue;
    if (existsSync(join(libraries(), name)) && !own.test(name)) continue;
    copyFileSync(join(tree, path), join(fresh, name));
  }
  renameSync(fresh, folder);
  return folder;
};

const script = `set -eu
tree=$1 names=$2 above=$3 libraries=$4
shift 4
# This machine's own \`mount\` does the laying: it needs its own libraries, which are no longer there for it.
kept=/srv
mount -t tmpfs -o mode=0700 tmpfs "$kept"
mkdir "$kept/lib"
cp "$(command -v mount)" "$kept/mount"
mount --bind "$libraries" "$kept/lib"
own_mount() { LD_LIBRARY_PATH="$kept/lib" "$kept/mount" "$@"; }
own_mount -t overlay overlay -o "lowerdir=$above:$libraries" "$libraries"
lay() { target=$(readlink -f "$2") && own_mount --bind "$1" "$target" && own_mount -o remount,bind,ro "$target"; }
for name in $names; do
  for place in bin sbin usr/bin usr/sbin; do
    if [ -f "$tree/$place/$name" ] && [ -e "/$place/$name" ]; then
      lay "$tree/$place/$name" "/$place/$name"
      break
    fi
  done
done
[ ! -d /usr/lib/git-core ] || lay "$tree/usr/lib/git-core" /usr/lib/git-core
exec "$@"
`;

/** Runs a command with them, as root. */
export const withOldPrograms = (
  command: readonly string[],
  {
    input,
    env = {},
    cwd,
  }: { readonly input?: string; readonly env?: Record<string, string>; readonly cwd?: string } = {},
): { readonly status: number | null; readonly output: string } => {
  const { status, stdout, stderr, error } = spawnSync(
    "unshare",
    [
      ...["--mount", "--propagation", "private", "dash", "-c", script, "sh"],
      ...[tree, programs.join(" "), laidLibraries(), libraries(), ...command],
    ],
    {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C.UTF-8", ...env },
      ...(input !== undefined && { input }),
      ...(cwd !== undefined && { cwd }),
    },
  );
  if (error !== undefined) throw error;
  return { status, output: `${stdout}${stderr}` };
};
