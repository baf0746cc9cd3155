/** Archives that are unpacked on a node as root: looked through before anything is built from them. */
import { BakeError, listed } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { type Artifact, kindOf } from "../artifact.ts";
import type { Store } from "../store/store.ts";

/** What is wrong with one line of `tar --list --verbose`; undefined when nothing is. */
const wrongWith = (mode: string, name: string): string | undefined => {
  const type = mode[0];
  if (type !== "-" && type !== "d") {
    const kinds: Readonly<Record<string, string>> = {
      l: "a symbolic link",
      h: "a hard link",
      c: "a device",
      b: "a device",
      p: "a pipe",
    };
    return kinds[type ?? ""] ?? "neither a file nor a folder";
  }
  if (name.startsWith("/")) return "an absolute path";
  if (name.split("/").includes("..")) return "a path that leads out of it";
  return /[sS]/.test(mode) ? "a file that runs as its owner" : undefined;
};

const mostListed = 8;

/**
 * Releases hold files and folders, and nothing else.
 * @param path A tar archive compressed with gzip.
 * @throws BakeError BK217 naming entries that no release has, or when it is no such archive.
 */
export const requirePlainArchive = async (host: Host, name: string, path: string): Promise<void> => {
  const help = "Nothing is baked from it. Where does it come from? sources in the profile, docs/lock.md.";
  const { exitCode, stdout } = await host.run(
    "tar",
    ["--list", "--verbose", "--gzip", "--numeric-owner", "--quoting-style=escape", "--absolute-names", "--file", path],
    { allowFailure: true, env: { LC_ALL: "C", TZ: "UTC" } },
  );
  if (exitCode !== 0) throw new BakeError("BK217", `${name} is no tar archive compressed with gzip: ${path}`, help);
  const problems = stdout
    .trimEnd()
    .split("\n")
    .flatMap((line) => {
      const [, mode = "", shown = ""] = /^(\S{10}) +\d+\/\d+ +\S+ +\S+ +\S+ (.*)$/.exec(line) ?? [];
      // What a link leads to stands behind its name; in any other name these are letters as all others.
      const entry = /^[lh]/.test(mode) ? shown.replace(/(?: -> | link to ).*$/, "") : shown;
      const wrong = entry === "" ? "an entry that cannot be read" : wrongWith(mode, entry);
      return wrong === undefined ? [] : [`${entry === "" ? line : entry}: ${wrong}`];
    });
  if (problems.length === 0) return;
  throw new BakeError("BK217", `${name} holds what no release does: ${path}\n${listed(problems, mostListed)}`, help);
};

/**
 * Looks through every archive among these artifacts, in the store.
 * @throws BakeError BK217 as `requirePlainArchive`.
 */
export const requirePlainArchives = async (host: Host, store: Store, artifacts: readonly Artifact[]): Promise<void> => {
  for (const artifact of artifacts) {
    if (kindOf(artifact).isArchive && "sha256" in artifact) {
      await requirePlainArchive(host, artifact.name, store.path(artifact.sha256));
    }
  }
};
