/** Programs of Debian 11 in place of this machine's, for one command: in a mount namespace of its own, which ends with it. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { toolPath } from "../needs.ts";

const tree = toolPath("programs of Debian 11");

/** Those that scripts of a node call. Each lies over this machine's own; nothing else is mounted, and nothing is writable by it. */
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
  ...["find", "xargs", "grep", "sed", "tar", "gawk", "systemctl", "systemd-analyze", "git", "curl", "ps"],
] as const;

/** Libraries that only these programs know, for `LD_LIBRARY_PATH`: all others are this machine's own. */
const onlyTheirs = (): string => {
  const folder = join(tree, "only");
  if (existsSync(folder)) return folder;
  mkdirSync(folder, { recursive: true });
  for (const path of readdirSync(tree, { recursive: true, encoding: "utf8" })) {
    const name = basename(path);
    if (!/\.so(\.\d+)*$/.test(name) || path.startsWith("only/")) continue;
    const here = readdirSync("/usr/lib").some((each) => existsSync(join("/usr/lib", each, name)));
    if (!here && /\.so\.\d+(\.\d+)?$|^libsystemd-shared-/.test(name)) {
      copyFileSync(join(tree, path), join(folder, name));
    }
  }
  return folder;
};

const script = `set -eu
tree=$1 names=$2
shift 2
lay() { target=$(readlink -f "$2") && mount --bind "$1" "$target" && mount -o remount,bind,ro "$target"; }
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
    // `mount` itself is laid over in the loop: the order of `names` does not matter, since a running program keeps its file.
    ["--mount", "--propagation", "private", "dash", "-c", script, "sh", tree, programs.join(" "), ...command],
    {
      encoding: "utf8",
      env: { ...process.env, LD_LIBRARY_PATH: onlyTheirs(), LC_ALL: "C.UTF-8", ...env },
      ...(input !== undefined && { input }),
      ...(cwd !== undefined && { cwd }),
    },
  );
  if (error !== undefined) throw error;
  return { status, output: `${stdout}${stderr}` };
};
