/**
 * What was proven on which system. docs/hosts.md's first two tables are made from it; its test holds that what it names is there.
 * Run: the thing itself did it. Old program: a program of that version read or ran what bake writes. Read: its source or its
 * documents say so. Never: nobody has seen it.
 */

/** Programs of Debian 11, as they say themselves. */
export const debian11 = {
  bash: "5.1.4",
  coreutils: "8.32",
  "util-linux": "2.36.1",
  e2fsprogs: "1.46.2",
  git: "2.30.2",
  systemd: "247",
  curl: "7.74.0",
  gawk: "5.1.0",
} as const;

interface Proof {
  readonly system: string;
  readonly what: string;
  readonly how: "run" | "old program" | "read" | "never";
  /** Test files that do it again, each time; none where it was done once, by hand. */
  readonly by?: readonly string[];
  readonly note?: string;
}

const versions = Object.entries(debian11)
  .map(([name, version]) => `${name} ${version}`)
  .join(", ");

export const proofs: readonly Proof[] = [
  {
    system: "Debian 13, x86-64, in a VM without KVM",
    what: "the whole way: bake, two boots, four agents, jobs, the guide's rows; power cuts, disks, events of a node's life",
    how: "run",
    by: ["test/vm/bake.test.ts", "test/vm/events.test.ts", "test/vm/storage.test.ts", "test/vm/power-cuts.test.ts"],
  },
  {
    system: "Debian 13, aarch64, emulated",
    what: "the whole way: UEFI, GRUB, kernel and NVMe disk of a trial's base, bake, two boots, four agents, jobs, the guide's rows",
    how: "run",
    by: ["test/aarch64/bake.test.ts"],
    note: "`bin/test aarch64`, a part of its own",
  },
  {
    system: "OpenStack's metadata service at 169.254.169.254; a config drive",
    what: "user-data as it is attached to an ECS or a Lite Server makes the node; the agent token comes from an emulated CSMS, through the credentials of an agency",
    how: "run",
    by: ["test/vm/cloud.test.ts"],
  },
  {
    system: "a base without cloud-init, entered by a password of root",
    what: "the way in, the password's end, cloud-init's packages",
    how: "run",
    by: ["test/vm/password-base.test.ts"],
    note: "Debian 13 stands in for openEuler's image",
  },
  {
    system: "a stock image with stock user-data",
    what: "becomes the node without a bake",
    how: "run",
    by: ["test/vm/stock.test.ts"],
    note: "Debian 13",
  },
  {
    system: `Debian 11: ${versions}`,
    what: "scripts and check commands are read, the scripts' own tests pass, units are verified; `NO_PROXY` is taken as meant. openEuler 22.03 has programs of that age",
    how: "old program",
    by: ["test/floor/programs.test.ts"],
  },
  {
    system:
      "bash 4.4.0, coreutils 8.30, util-linux 2.32, e2fsprogs 1.44.5, iproute2 4.17, git 2.19.1, systemd 239: those of EulerOS 2.0 SP8",
    what: "built from source once: scripts and units are read; storage, metadata and git rules do the same as with new ones",
    how: "old program",
    note: "by hand; what came later is held by the tables of directives and options",
  },
  {
    system: "the same, by tables",
    what: "no unit has a directive that systemd 239 does not know, no script a form or an option that is newer than these versions",
    how: "read",
    by: ["test/floor/tables.test.ts"],
  },
  {
    system: "Python 3.6",
    what: "scripts in Python are read by its grammar",
    how: "read",
    by: ["test/floor/tables.test.ts"],
  },
  {
    system: "cloud-init 0.7.9 to 23.4",
    what: "user-data is read as it is meant; the end of a boot is known by `boot-finished`",
    how: "old program",
    by: ["test/consumers/cloud-init-wait.test.ts"],
    note: "the programs by hand, their answers in the test; 25.1 in the VM",
  },
  {
    system: "dnf and yum on an rpm database",
    what: "packages come, go and are held; a dead repository is passed over",
    how: "run",
    by: ["test/consumers/provision-packages.test.ts"],
    note: "made-up packages",
  },
  {
    system: "SELinux enforcing",
    what: "what systemd may start where",
    how: "read",
    note: "Fedora's policy, compiled and asked ([selinux.md](selinux.md))",
  },
  {
    system: "Huawei Cloud: its API, its Packer plugin 1.2.2",
    what: "calls as the documents have them; a bake against an emulator",
    how: "read",
    by: ["test/consumers/huaweicloud-arguments.test.ts", "test/cli/cloud-image.test.ts"],
  },
  { system: "openEuler, EulerOS, kernel 4.19, Kunpeng, NPUs, KVM, the cloud itself", what: "", how: "never" },
];

/** What nobody could look at here, and who tells on a first real host: ids of checks, or what is run there. */
export const unknowns: readonly (readonly [what: string, checks: readonly string[], otherwise?: string])[] = [
  ["which system and release it is, whether `/etc/os-release` is as expected", ["operating-system"]],
  ["whether the package manager holds the kernel (yum 3, dnf 4)", ["kernel-held"]],
  ["whether SELinux is on, and finds what systemd starts", ["bake-labels", "agent-running"]],
  ["whether `/etc/sysctl.conf` or a firewall takes containers' way out", ["docker-forwarding", "docker-nat"]],
  ["whether firewalld, started before or after Docker, lets its bridges out", ["docker-firewall-zone"]],
  [
    "whether openEuler's image lets root in by its documented password, and its repositories have cloud-init",
    [],
    "`bake image`, when it locks the password and installs packages",
  ],
  ["a password that the base came with", ["bake-no-password"]],
  [
    "whether Docker 27.5.1 runs on kernel 4.19 with overlay2 and this iptables",
    ["docker-version", "data-root", "docker-nat"],
  ],
  ["whether BuildKit runs there", ["builder-cachebuilder1"]],
  [
    "how the NVMe disk is named and whether something else (multipathd, a partition of the maker) claims it",
    ["data-disk-mounted"],
  ],
  ["whether the agents start after the name is final, with this cloud-init's units", ["agent-order", "agent-name"]],
  ["whether a job gets an `EPOCHSECONDS` with that system's bash", ["bake-job-hook"]],
  ["whether routes of NOZEROCONF lead the metadata's address elsewhere", ["bake-metadata-closed"]],
  ["NPUs, their driver and its files", ["npu-davinci0", "npu-npu-smi"]],
  ["the site's services: PyPI cache, git proxy, allowlists", ["pypi-cache", "git-proxy-reaches"]],
  [
    "whether an agency's credentials come as the documents have them, and CSMS takes the signature",
    ["agent-token"],
    "`journalctl -u bake-csms`",
  ],
  [
    "the cloud: credentials, flavor, quotas, subnet, security group, source image",
    [],
    "`bake doctor --target huaweicloud`",
  ],
];

const link = (path: string): string => `\`${path.replace(/^test\//, "")}\``;

/** The two tables of docs/hosts.md. */
export const hostsTables = (): { readonly proven: string; readonly unknown: string } => ({
  proven: [
    "| system | what | how |",
    "|---|---|---|",
    ...proofs.map(({ system, what, how, by = [], note }) => {
      const kind = by.length === 0 && how !== "never" ? `${how}, by hand` : how;
      const said = note?.replace(/^by hand; /, "");
      return `| ${system} | ${what} | ${[`${kind}${by.length > 0 ? `: ${by.map(link).join(", ")}` : ""}`, said].filter(Boolean).join("; ")} |`;
    }),
    "",
  ].join("\n"),
  unknown: [
    "| not known | told by |",
    "|---|---|",
    ...unknowns.map(
      ([what, checks, otherwise]) =>
        `| ${what} | ${[...checks.map((id) => `\`${id}\``), ...(otherwise === undefined ? [] : [otherwise])].join(", ")} |`,
    ),
    "",
  ].join("\n"),
});
