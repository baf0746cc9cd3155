/** Debian packages of the stand-in's release, downloaded and unpacked: nothing is installed on the host. */
import { access, readdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Architecture, goArchitecture } from "../artifact.ts";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";

/** The release of Debian that stands in. */
export const suite = "trixie";

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * The Debian mirror that this host uses itself, or `BAKE_DEBIAN_MIRROR`.
 * @throws BakeError BK305 when neither is there.
 */
export const debianMirror = async (host: Host): Promise<string> => {
  const named = host.env["BAKE_DEBIAN_MIRROR"];
  if (named !== undefined && named !== "") return named;
  // No apt at all is the same answer as an apt that knows no Debian.
  const targets = await host
    .run("apt-get", ["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"], { allowFailure: true })
    .catch(() => {
      host.signal.throwIfAborted();
      return undefined;
    });
  const found = targets?.stdout
    .split("\n")
    .map((line) => line.split("|"))
    .find(([origin, label]) => origin === "Debian" && label === "Debian")?.[2];
  if (found !== undefined) return found;
  throw new BakeError(
    "BK305",
    "this host's package sources name no Debian mirror",
    "Set BAKE_DEBIAN_MIRROR to the URL of one (on Debian itself: run apt-get update first).",
  );
};

/** How the host reaches its mirrors (proxies, time-outs), without its hooks: those would act on the host itself. */
const acquireSettings = async (host: Host): Promise<string> => {
  const { stdout } = await host.run("apt-config", ["dump", "--no-empty", "--format", '%F "%v";%n']);
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("Acquire::") && !/^Acquire::(?:IndexTargets|Languages)\b/.test(line))
    .join("\n");
};

/** A package as it was downloaded. */
export interface DebianPackage {
  readonly name: string;
  /** Debian's version, without the epoch. */
  readonly version: string;
  readonly file: string;
}

/**
 * What apt's name of a download says. Pure.
 * @param fileName `name_version_architecture.deb`; a colon of the version is written `%3a`.
 * @returns undefined when it is no such name.
 */
export const parseDebName = (fileName: string): { name: string; version: string } | undefined => {
  const [name, version, rest] = fileName.split("_");
  if (name === undefined || version === undefined || rest?.endsWith(".deb") !== true) return undefined;
  return { name, version: decodeURIComponent(version).replace(/^\d+:/, "") };
};

/**
 * Downloads packages with an apt of its own, which checks their signatures.
 * @param architecture Debian calls the two as Go does.
 * @param release Of Debian, by its name.
 * @returns them by name, in the order of the alphabet.
 * @throws BakeError BK302 when apt fails, BK305 without a mirror or its keys.
 */
export const downloadPackages = async (
  host: Host,
  names: readonly string[],
  folder: string,
  architecture: Architecture = "x86_64",
  release = suite,
): Promise<DebianPackage[]> => {
  const debian = goArchitecture[architecture];
  await access(keyring).catch(() => {
    throw new BakeError("BK305", `${keyring} is not there`, "Install the package debian-archive-keyring.");
  });
  // Absolute: apt takes any other path as one below its root.
  const apt = resolve(folder, "apt");
  for (const part of ["state/lists/partial", "cache/archives/partial", "etc/none"]) await makeFolder(join(apt, part));
  await writeFile(join(apt, "state/status"), "");
  await writeFile(
    join(apt, "etc/sources.list"),
    `deb [arch=${debian} signed-by=${keyring}] ${await debianMirror(host)} ${release} main\n`,
  );
  const settings = Object.entries({
    "Dir::State": join(apt, "state"),
    "Dir::State::status": join(apt, "state/status"),
    "Dir::Cache": join(apt, "cache"),
    "Dir::Etc::main": join(apt, "etc/none/apt.conf"),
    "Dir::Etc::parts": join(apt, "etc/none"),
    "Dir::Etc::sourcelist": join(apt, "etc/sources.list"),
    "Dir::Etc::sourceparts": join(apt, "etc/none"),
    "Dir::Etc::preferencesparts": join(apt, "etc/none"),
    "APT::Architecture": debian,
    // Root downloads into a folder that apt's own user may not enter.
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
    // Else an update that reached nothing succeeds, and the download then blames the names of the packages.
    "APT::Update::Error-Mode": "any",
    // Even where the host trusts unsigned mirrors: a trial does not.
    "Acquire::AllowInsecureRepositories": "0",
    "Acquire::AllowWeakRepositories": "0",
    "Acquire::AllowDowngradeToInsecureRepositories": "0",
    "APT::Get::AllowUnauthenticated": "0",
  }).map(([name, value]) => `${name} "${value}";`);
  // A file, not -o: apt reads it before the host's own settings, so it can leave those out.
  const config = join(apt, "etc/apt.conf");
  await writeFile(
    config,
    `${await acquireSettings(host)}\n${settings.join("\n")}\nAPT::Architectures { "${debian}"; };\n`,
  );
  const packages = join(folder, "packages");
  await makeFolder(packages);
  const env = { APT_CONFIG: config };
  await host.run("apt-get", ["-q", "update"], { env });
  await host.run("apt-get", ["-q", "download", ...names], { cwd: packages, env });
  await rm(apt, { recursive: true, force: true });
  return (await readdir(packages)).toSorted().flatMap((fileName) => {
    const parsed = parseDebName(fileName);
    return parsed === undefined ? [] : [{ ...parsed, file: join(packages, fileName) }];
  });
};

/**
 * Downloads packages and unpacks all of them into one tree below `folder`; nothing is installed.
 * @returns the tree.
 * @throws as `downloadPackages`.
 */
export const unpackPackages = async (
  host: Host,
  names: readonly string[],
  folder: string,
  release = suite,
): Promise<string> => unpack(host, await downloadPackages(host, names, folder, "x86_64", release), folder);

/**
 * Unpacks packages into one tree below `folder`. No script of theirs runs.
 * @returns the tree.
 */
export const unpack = async (host: Host, packages: readonly DebianPackage[], folder: string): Promise<string> => {
  const tree = join(folder, "tree");
  await makeFolder(tree);
  for (const { file } of packages) await host.run("dpkg-deb", ["-x", file, tree]);
  return tree;
};
