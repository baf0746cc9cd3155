/** Debian packages of the stand-in's release, downloaded and unpacked: nothing is installed on the host. */
import { access, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";

export const suite = "trixie";

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * The Debian mirror that this host uses itself, or `BAKE_DEBIAN_MIRROR`.
 * @throws BakeError BK305 when neither is there.
 */
export const debianMirror = async (host: Host): Promise<string> => {
  const named = host.env["BAKE_DEBIAN_MIRROR"];
  if (named !== undefined && named !== "") return named;
  const { stdout } = await host.run("apt-get", ["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"], {
    allowFailure: true,
  });
  const found = stdout
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

/**
 * Downloads packages with apt, which checks their signatures, and unpacks each into a folder of its own.
 * @returns the folder that all of them were unpacked into.
 * @throws BakeError BK302 when apt fails, BK305 without a mirror or its keys.
 */
export const unpackPackages = async (host: Host, names: readonly string[], folder: string): Promise<string> => {
  await access(keyring).catch(() => {
    throw new BakeError("BK305", `${keyring} is not there`, "Install the package debian-archive-keyring.");
  });
  const apt = join(folder, "apt");
  for (const part of ["state/lists/partial", "cache/archives/partial", "etc"])
    await mkdir(join(apt, part), { recursive: true });
  await writeFile(join(apt, "state/status"), "");
  await writeFile(
    join(apt, "etc/sources.list"),
    `deb [arch=amd64 signed-by=${keyring}] ${await debianMirror(host)} ${suite} main\n`,
  );
  const options = Object.entries({
    "Dir::State": join(apt, "state"),
    "Dir::State::status": join(apt, "state/status"),
    "Dir::Cache": join(apt, "cache"),
    "Dir::Etc::sourcelist": join(apt, "etc/sources.list"),
    "Dir::Etc::sourceparts": "-",
    "Dir::Etc::preferencesparts": "-",
    "APT::Architecture": "amd64",
    "APT::Architectures": "amd64",
    // Root downloads into a folder that apt's own user may not enter.
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const packages = join(folder, "packages");
  const tree = join(folder, "tree");
  await mkdir(packages, { recursive: true });
  await mkdir(tree, { recursive: true });
  await host.run("apt-get", [...options, "-q", "update"]);
  await host.run("apt-get", [...options, "-q", "download", ...names], { cwd: packages });
  for (const file of await readdir(packages)) await host.run("dpkg-deb", ["-x", join(packages, file), tree]);
  await rm(apt, { recursive: true, force: true });
  return tree;
};
