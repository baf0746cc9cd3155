/**
 * What EulerOS 2.0 SP8 does not know yet: forms of bash after 4.4, options of programs after the versions of `floor`, directives of
 * systemd after 239, Python after 3.6. From the release notes and manuals of each; an example beside each pattern proves it.
 */

export const floor = {
  bash: "4.4",
  coreutils: "8.30",
  "util-linux": "2.32",
  e2fsprogs: "1.44",
  git: "2.19",
  systemd: "239",
  curl: "7.61",
  iproute2: "4.17",
} as const;

interface NewerForm {
  readonly of: keyof typeof floor;
  /** The release that brought it. */
  readonly since: string;
  readonly pattern: RegExp;
  /** Is matched. */
  readonly example: string;
}

/** An option of a program, before the command's end. */
const option = (program: string, name: string): RegExp =>
  new RegExp(`(?<![\\w./-])(?:${program})(?!\\w)[^\\n|;&#]*\\s${name}(?![\\w-])`);

export const newerForms: readonly NewerForm[] = [
  { of: "bash", since: "5.0", pattern: /\$\{?EPOCH(SECONDS|REALTIME)\b/, example: "echo $EPOCHSECONDS" },
  { of: "bash", since: "5.0", pattern: /\$\{?BASH_ARGV0\b/, example: 'echo "$BASH_ARGV0"' },
  { of: "bash", since: "5.0", pattern: /\bwait (-\w+ )*-\w*f\b/, example: "wait -f" },
  {
    of: "bash",
    since: "5.0",
    pattern: /\bshopt -s (localvar_inherit|assoc_expand_once)/,
    example: "shopt -s localvar_inherit",
  },
  { of: "bash", since: "5.1", pattern: /\$\{?SRANDOM\b/, example: "echo $SRANDOM" },
  { of: "bash", since: "5.1", pattern: /\bwait (-\w+ )*-\w*p\b/, example: "wait -n -p pid" },
  { of: "bash", since: "5.1", pattern: /\$\{[\w@*[\]]+@[ULuK]\}/, example: '"${name@U}"' },
  { of: "bash", since: "5.2", pattern: /\$\{[\w@*[\]]+@k\}/, example: '"${map[@]@k}"' },
  { of: "bash", since: "5.3", pattern: /\$\{[ |][^}]*;\s*\}/, example: "${ echo one; }" },
  { of: "coreutils", since: "8.31", pattern: /(?<![\w./-])basenc\b/, example: "basenc --z85" },
  { of: "coreutils", since: "8.31", pattern: option("test|\\[", "-N"), example: "test -N file" },
  { of: "coreutils", since: "9.0", pattern: option("cksum", "(-a|--algorithm)"), example: "cksum -a sha256 file" },
  { of: "coreutils", since: "9.0", pattern: option("ls", "--zero"), example: "ls --zero" },
  { of: "coreutils", since: "9.0", pattern: option("wc", "--total"), example: "wc -l --total=never a" },
  { of: "coreutils", since: "9.3", pattern: option("(cp|mv)", "--update=\\w+"), example: "cp --update=none a b" },
  { of: "coreutils", since: "9.5", pattern: option("mv", "--exchange"), example: "mv --exchange a b" },
  {
    of: "coreutils",
    since: "9.5",
    pattern: option("chgrp|chown", "--from=\\S+ -[A-Za-z]*h"),
    example: "chown --from=a -h b c",
  },
  {
    of: "util-linux",
    since: "2.33",
    pattern: /\blsblk\b[^\n|;&]*\s(-\w*o|--output)[ =]\s*\S*\bPATH\b/,
    example: "lsblk -no PATH /dev/sda",
  },
  { of: "util-linux", since: "2.34", pattern: option("lsblk", "(-M|--merge|--dedup|-E)"), example: "lsblk --merge" },
  { of: "util-linux", since: "2.34", pattern: /(?<![\w./-])hardlink\b/, example: "hardlink /mnt" },
  {
    of: "util-linux",
    since: "2.35",
    pattern: option("findmnt", "(--shadowed|--deleted|-Q)"),
    example: "findmnt --shadowed",
  },
  {
    of: "util-linux",
    since: "2.36",
    pattern: option("unshare", "(--setuid|--setgid|--root|--wd|-S|-G|-R|-w)"),
    example: "unshare --root /x true",
  },
  { of: "util-linux", since: "2.36", pattern: /(?<![\w./-])(lsirq|irqtop)\b/, example: "lsirq" },
  { of: "util-linux", since: "2.37", pattern: option("flock", "--fcntl"), example: "flock --fcntl 9" },
  {
    of: "util-linux",
    since: "2.38",
    pattern: option("mount", "(--mkdir|-m|--map-users)"),
    example: "mount --mkdir a b",
  },
  { of: "util-linux", since: "2.38", pattern: /(?<![\w./-])lsfd\b/, example: "lsfd -p 1" },
  { of: "util-linux", since: "2.39", pattern: /(?<![\w./-])(blkpr|pipesz|waitpid)\b(?!\()/, example: "waitpid 1" },
  {
    of: "e2fsprogs",
    since: "1.46.6",
    pattern: /\bassume_storage_prezeroed\b/,
    example: "mke2fs -E assume_storage_prezeroed=1",
  },
  {
    of: "e2fsprogs",
    since: "1.47",
    pattern: /\b(mke2fs|mkfs\.ext4|tune2fs)\b[^\n]*[\s,]orphan_file\b/,
    example: "mke2fs -O orphan_file",
  },
  {
    of: "e2fsprogs",
    since: "1.46",
    pattern: /\b(mke2fs|mkfs\.ext4|tune2fs)\b[^\n]*[\s,]stable_inodes\b/,
    example: "mke2fs -O stable_inodes",
  },
  { of: "git", since: "2.22", pattern: option("git", "--show-current"), example: "git branch --show-current" },
  {
    of: "git",
    since: "2.23",
    pattern: /(?<![\w./-])git (-\S+ \S+ )*(switch|restore)\b/,
    example: "git -C a switch main",
  },
  { of: "git", since: "2.26", pattern: option("git", "--show-scope"), example: "git config --show-scope --list" },
  { of: "git", since: "2.28", pattern: option("git init", "(-b|--initial-branch)"), example: "git init -q -b main" },
  {
    of: "git",
    since: "2.30",
    pattern: option("git config", "--fixed-value"),
    example: "git config --fixed-value --unset a b",
  },
  {
    of: "git",
    since: "2.31",
    pattern: /\bGIT_CONFIG_(COUNT|KEY_\d|VALUE_\d)\b/,
    example: "GIT_CONFIG_COUNT=1 git status",
  },
  {
    of: "git",
    since: "2.32",
    pattern: /\bGIT_CONFIG_(SYSTEM|GLOBAL)\b/,
    example: "GIT_CONFIG_GLOBAL=/dev/null git status",
  },
  {
    of: "systemd",
    since: "242",
    pattern: option("systemctl", "--show-transaction"),
    example: "systemctl start --show-transaction a",
  },
  { of: "systemd", since: "243", pattern: /\bsystemctl (-\S+ )*clean\b/, example: "systemctl clean a" },
  {
    of: "systemd",
    since: "245",
    pattern: option("journalctl", "(--namespace|--facility)(=\\S+)?"),
    example: "journalctl --facility=kern",
  },
  {
    of: "systemd",
    since: "246",
    pattern: option("systemctl", "--timestamp(=\\S+)?"),
    example: "systemctl show --timestamp=unix a",
  },
  {
    of: "systemd",
    since: "246",
    pattern: /\bsystemctl (-\S+ )*(service-log-level|log-level|freeze|thaw)\b/,
    example: "systemctl freeze a",
  },
  {
    of: "systemd",
    since: "248",
    pattern: option("systemctl", "--marked"),
    example: "systemctl reload-or-restart --marked",
  },
  { of: "systemd", since: "251", pattern: /\budevadm (wait|lock)\b/, example: "udevadm wait /dev/a" },
  { of: "systemd", since: "253", pattern: option("systemctl", "--no-warn"), example: "systemctl disable --no-warn a" },
  { of: "curl", since: "7.66", pattern: option("curl", "(--parallel|-Z)"), example: "curl -Z a b" },
  { of: "curl", since: "7.67", pattern: option("curl", "--no-progress-meter"), example: "curl --no-progress-meter a" },
  {
    of: "curl",
    since: "7.71",
    pattern: option("curl", "--retry-all-errors"),
    example: "curl --retry 3 --retry-all-errors a",
  },
  { of: "curl", since: "7.73", pattern: option("curl", "--output-dir"), example: "curl --output-dir b a" },
  { of: "curl", since: "7.76", pattern: option("curl", "--fail-with-body"), example: "curl --fail-with-body a" },
  { of: "curl", since: "7.82", pattern: option("curl", "--json"), example: "curl --json '{}' a" },
  {
    of: "curl",
    since: "7.83",
    pattern: option("curl", "(--no-clobber|--remove-on-error)"),
    example: "curl --remove-on-error -o b a",
  },
  { of: "iproute2", since: "4.18", pattern: /\bip (-\w+ )*nexthop\b/, example: "ip nexthop list" },
];

/** Directives of units: the release that brought each; 0 for those that were there before 200. */
export const directives: Readonly<Record<string, number>> = {
  After: 0,
  Before: 0,
  ConditionPathExists: 0,
  Conflicts: 0,
  DefaultDependencies: 0,
  Description: 0,
  Documentation: 0,
  RequiresMountsFor: 201,
  Requires: 0,
  Wants: 0,
  StartLimitBurst: 229,
  StartLimitIntervalSec: 230,
  AccuracySec: 209,
  OnActiveSec: 0,
  OnUnitInactiveSec: 0,
  ListenStream: 0,
  SocketGroup: 214,
  SocketMode: 0,
  SocketUser: 214,
  Delegate: 218,
  Environment: 0,
  EnvironmentFile: 0,
  ExecReload: 0,
  ExecStart: 0,
  ExecStartPost: 0,
  ExecStartPre: 0,
  ExecStop: 0,
  IOSchedulingClass: 0,
  IOSchedulingPriority: 0,
  KillMode: 0,
  LimitCORE: 0,
  LimitNOFILE: 0,
  LimitNPROC: 0,
  Nice: 0,
  OOMScoreAdjust: 0,
  RemainAfterExit: 0,
  Restart: 0,
  RestartPreventExitStatus: 0,
  RestartSec: 0,
  StandardError: 0,
  StandardOutput: 0,
  TasksMax: 227,
  TimeoutStartSec: 0,
  TimeoutStopSec: 0,
  Type: 0,
  UMask: 0,
  User: 0,
  WorkingDirectory: 0,
  WantedBy: 0,
};

/** Values of directives that came later than the directive. */
export const newerValues: readonly NewerForm[] = [
  { of: "systemd", since: "240", pattern: /^Type=exec$/m, example: "Type=exec" },
  { of: "systemd", since: "250", pattern: /^ExitType=/m, example: "ExitType=cgroup" },
  { of: "systemd", since: "253", pattern: /^Type=notify-reload$/m, example: "Type=notify-reload" },
  { of: "systemd", since: "240", pattern: /^Standard(Output|Error)=append:/m, example: "StandardOutput=append:/x" },
  { of: "systemd", since: "248", pattern: /^Standard(Output|Error)=truncate:/m, example: "StandardOutput=truncate:/x" },
  { of: "systemd", since: "254", pattern: /^Restart(Mode|Steps|MaxDelaySec)=/m, example: "RestartSteps=4" },
  { of: "systemd", since: "249", pattern: /^Condition\w+=.*\|\|/m, example: "ConditionPathExists=a||b" },
];
