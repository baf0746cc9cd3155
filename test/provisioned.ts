/**
 * provision.sh as rendered, on a machine that a test makes up: a root of its own with this machine's programs under it, a real
 * database of packages (rpm's or dpkg's) with made-up ones in it, a repository, and Debian's dockerd as the static archive.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { gzipSync } from "node:zlib";
import { dirname, join } from "node:path";
import { render, trialPlan } from "./plan-of.ts";
import { toolPath } from "./needs.ts";

/** A made-up package; all of them have version 1-1. */
interface MadeUp {
  readonly name: string;
  readonly requires?: readonly string[];
  /** Besides its name. Of rpm packages alone. */
  readonly provides?: string;
  /** Empty ones, at these places. */
  readonly files?: readonly string[];
  /** Others, by place. Of rpm packages alone. */
  readonly content?: Readonly<Record<string, string>>;
  /** Shell that runs when it is installed. Of rpm packages alone. */
  readonly post?: string;
}

interface Machine {
  readonly manager: "apt-get" | "dnf" | "yum";
  /** Beside those that provision.sh installs where they are missing. */
  readonly installed?: readonly MadeUp[];
  /** Of those, what is missing: the repository has it. */
  readonly missing?: readonly string[];
  /** Also in the repository. */
  readonly offered?: readonly MadeUp[];
  /** Files of the base, by path without the first slash; `-> x` is a link. */
  readonly tree?: Readonly<Record<string, string>>;
  /** Instead of Docker's archive: a row of artifacts.tsv. The server answers with that archive to every question. */
  readonly artifact?: string;
  /** In provision.sh's environment. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Shell, in that root: before provision.sh, and after it. */
  readonly before?: string;
  readonly after?: string;
}

interface Provisioned {
  readonly code: number | null;
  /** Of provision.sh, both streams. */
  readonly output: string;
  /** Of `after`. */
  readonly answer: string;
}

const runner = `set -euo pipefail
tree=$1 new=$2
mount --make-rprivate /
mkdir -p "$new"
mount -t tmpfs none "$new"
mkdir -p "$new"/{.usr/upper,.usr/work,usr,proc,sys,dev/shm,run/lock,tmp,var/tmp,var/lib,var/cache,var/log,root,etc,opt}
chmod 0755 "$new"
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$new/.usr/upper,workdir=$new/.usr/work" "$new/usr"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$new/$link"; done
mount -t proc proc "$new/proc"
mount --rbind /sys "$new/sys"
ln -s /proc/self/fd "$new/dev/fd"
for device in null zero urandom random; do : >"$new/dev/$device"; mount --bind "/dev/$device" "$new/dev/$device"; done
for name in alternatives ssl ld.so.cache ld.so.conf ld.so.conf.d nsswitch.conf passwd group os-release dnf rpm; do
  [ ! -e "/etc/$name" ] || cp -a "/etc/$name" "$new/etc/"
done
rm -rf "$new/etc/dnf/dnf.conf"
cp -a "$tree/." "$new/"
unset HOME
export HOME=/root
chroot "$new" bash -euo pipefail /test/before.sh >"$tree.before" 2>&1 || { cat "$tree.before"; exit 99; }
umask 077
status=0
chroot "$new" bash /var/tmp/bake/provision.sh /var/tmp/bake || status=$?
umask 022
chroot "$new" bash /test/after.sh >"$tree.after" 2>&1 || true
exit "$status"
`;

const write = (base: string, tree: Readonly<Record<string, string>>): void => {
  for (const [path, content] of Object.entries(tree)) {
    mkdirSync(join(base, dirname(path)), { recursive: true });
    if (content.startsWith("-> ")) execFileSync("ln", ["-s", content.slice(3), join(base, path)]);
    else writeFileSync(join(base, path), content);
  }
};

const { files } = render(trialPlan());
const packagesTsv = files.find(({ path }) => path === "provision/packages.tsv")?.content ?? "";

/** Packages that provision.sh installs where they are missing, by a family's names. */
const wanted = (family: "apt" | "dnf"): MadeUp[] =>
  packagesTsv.split("\n").flatMap((line) => {
    const [action, of, name = ""] = line.split("\t");
    return action === "install" && of === family ? [{ name }] : [];
  });

const spec = (packages: readonly MadeUp[]): string =>
  [
    "Name: made-up\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n",
    ...packages.map(
      ({ name, requires = [], provides = name }) =>
        `%package -n ${name}\nSummary: x\nProvides: ${provides}\n${requires.map((other) => `Requires: ${other}\n`).join("")}%description -n ${name}\nx\n`,
    ),
    `%install\n${packages
      .flatMap(({ files: own = [], content = {} }) =>
        [...own.map((file) => [file, ""] as const), ...Object.entries(content)].map(
          ([file, text]) => `mkdir -p "%{buildroot}${dirname(file)}"; printf %%s '${text}' >"%{buildroot}${file}"`,
        ),
      )
      .join("\n")}\n`,
    ...packages.map(
      ({ name, files: own = [], content = {} }) =>
        `%files -n ${name}\n${[...own, ...Object.keys(content)].map((file) => `"${file}"`).join("\n")}\n`,
    ),
    ...packages.flatMap(({ name, post }) => (post === undefined ? [] : [`%post -n ${name}\n${post}\n`])),
  ].join("\n");

/** Rpm packages in a repository with its metadata. */
const repository = (folder: string, packages: readonly MadeUp[]): void => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}.spec`, spec(packages));
  execFileSync(
    "rpmbuild",
    [
      ...["-bb", "--quiet", "--define", `_topdir ${folder}.build`, "--define", `_rpmdir ${folder}`],
      ...["--define", "_build_name_fmt %%{NAME}.rpm", "--define", "__os_install_post %{nil}", `${folder}.spec`],
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  execFileSync("createrepo_c", ["--quiet", folder], { stdio: ["ignore", "ignore", "pipe"] });
};

const dpkgStatus = (packages: readonly MadeUp[]): string =>
  packages
    .map(
      ({ name, requires = [] }) =>
        `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nMaintainer: x\nVersion: 1\n${
          requires.length === 0 ? "" : `Depends: ${requires.join(", ")}\n`
        }Description: x\n`,
    )
    .join("\n");

/** Where what tests provision with is made, once a file. */
export interface Workshop {
  readonly provision: (machine: Machine) => Promise<Provisioned>;
  readonly close: () => void;
}

/** Answers as a dockerd that starts does, and takes no time for it. */
const standIn: Readonly<Record<string, string>> = {
  dockerd: "#!/bin/sh\nexit 0\n",
  docker: '#!/bin/sh\nsocket=${2#unix://}\necho "${socket%/sock}/data"\n',
};
const binaries = [
  "containerd",
  "containerd-shim-runc-v2",
  "ctr",
  "docker",
  "docker-init",
  "docker-proxy",
  "dockerd",
  "runc",
];

/** Makes Docker's archive and serves it. @param real Debian's Docker in it, or what answers in its place. */
export const openWorkshop = async (real: "real" | "stand-in" = "stand-in"): Promise<Workshop> => {
  const folder = mkdtempSync(join(tmpdir(), "bake-provisioned-"));
  const archive = join(folder, "docker.tgz");
  mkdirSync(join(folder, "docker"), { recursive: true });
  for (const name of binaries)
    writeFileSync(join(folder, "docker", name), standIn[name] ?? "#!/bin/sh\n", { mode: 0o755 });
  if (real === "real") {
    for (const place of [
      "usr/bin/containerd",
      "usr/bin/docker",
      "usr/sbin/docker-proxy",
      "usr/sbin/dockerd",
      "usr/sbin/runc",
    ])
      execFileSync("cp", [join(toolPath("docker"), place), join(folder, "docker")]);
  }
  const tar = execFileSync("tar", ["-C", folder, "-c", "docker"], { maxBuffer: 2 ** 30 });
  // Stored, not compressed: that would take longer than all the rest.
  writeFileSync(archive, gzipSync(tar, { level: 0 }));
  const sha256 = createHash("sha256").update(readFileSync(archive)).digest("hex");
  const server: Server = createServer((_request, response) => createReadStream(archive).pipe(response));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  let runs = 0;

  const lay = (
    base: string,
    { manager, installed = [], missing = [], offered = [], tree: own = {}, artifact }: Machine,
  ): string => {
    const family = manager === "apt-get" ? "apt" : "dnf";
    write(
      base,
      Object.fromEntries(
        files.map(({ path, content }) => [`var/tmp/bake/${path.replace(/^provision\//, "")}`, content]),
      ),
    );
    writeFileSync(
      join(base, "var/tmp/bake/artifacts.tsv"),
      artifact ?? `runtime\tdocker-static\tdocker\t${sha256}\t-\t-\n`,
    );
    const there = [...wanted(family).filter(({ name }) => !missing.includes(name)), ...installed];
    if (family === "apt") {
      write(base, {
        "var/lib/dpkg/status": dpkgStatus(there),
        "var/lib/apt/lists/partial/x": "",
        "var/cache/apt/archives/partial/x": "",
        "var/log/apt/x": "",
        "etc/apt/sources.list": "",
        "etc/apt/apt.conf.d/x": "",
        "etc/apt/preferences.d/x": "",
        ...Object.fromEntries(
          there.map(({ name, files: its = [] }) => [
            `var/lib/dpkg/info/${name}.list`,
            its.map((file) => `${file}\n`).join(""),
          ]),
        ),
      });
      write(base, own);
      const paths = there.flatMap(({ files: its = [] }) => its);
      return `mkdir -p /var/lib/dpkg/{updates,triggers,parts}\n${paths.map((path) => `mkdir -p ${dirname(path)}; : >${path}`).join("\n")}\n`;
    }
    const names = there.map(({ name }) => name);
    const others = wanted(family).filter(
      ({ name }) => missing.includes(name) && !offered.some((each) => each.name === name),
    );
    repository(join(base, "test/installed"), there);
    repository(join(base, "test/repository"), [...others, ...offered]);
    write(base, {
      "etc/rpm/macros": "%_dbpath /var/lib/rpm\n",
      "etc/dnf/dnf.conf": "[main]\ngpgcheck=0\nplugins=0\n",
      "etc/yum.repos.d/site.repo": "[site]\nname=site\nbaseurl=file:///test/repository\nenabled=1\n",
      ...own,
    });
    return [
      "rm -f /usr/bin/apt-get /usr/bin/dpkg-query",
      ...(manager === "yum"
        ? ["rm -f /usr/bin/dnf; ln -s dnf-3 /usr/bin/yum", "ln -sf dnf/dnf.conf /etc/yum.conf"]
        : []),
      "rpmdb --initdb",
      // Debian's rpm is not for this; it says so, and does it.
      `cd /test/installed && rpm --force-debian -i --nodeps --replacefiles ${names.map((name) => `${name}.rpm`).join(" ")}`,
      "",
    ].join("\n");
  };

  return {
    provision: async (machine) => {
      const name = join(folder, `run-${++runs}`);
      mkdirSync(name);
      const prepare = lay(name, machine);
      write(name, {
        "test/before.sh": `${prepare}${machine.before ?? ""}\n`,
        "test/after.sh": `${machine.after ?? ""}\n`,
      });
      const child = spawn(
        "unshare",
        ["--mount", "--pid", "--fork", "bash", "--norc", "-c", runner, "runner", name, `${name}.root`],
        {
          env: {
            PATH: process.env["PATH"] ?? "",
            BAKE_ARTIFACTS: `http://127.0.0.1:${port}`,
            no_proxy: "*",
            LC_ALL: "C",
            ...machine.variables,
          },
        },
      );
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (data: Buffer) => (output += data.toString()));
      const code = await new Promise<number | null>((done) => child.on("close", done));
      let answer = "";
      try {
        answer = readFileSync(`${name}.after`, "utf8");
      } catch {
        // It did not come that far: the output says why.
      }
      rmSync(name, { recursive: true, force: true });
      return { code, output, answer };
    },
    close: () => {
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
