/** What `bake doctor` looks at on this machine: what a local bake needs, before it takes its time. It only looks. */
import { access, constants, readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Architecture } from "../artifact.ts";
import { formatBytes } from "../formats/bytes.ts";
import { parseImageReference } from "../formats/image-reference.ts";
import type { Host } from "../host/host.ts";
import { freeBytes } from "../host/disk-space.ts";
import { exists } from "../host/exists.ts";
import type { Line as CloudLine } from "../huaweicloud/preflight/index.ts";
import type { Profile } from "../profile/schema.ts";
import { HttpError, reasonOf } from "../store/http-error.ts";
import { makeHttp } from "../store/http.ts";
import { localMachines } from "../targets/local-machine.ts";
import { versionOnPath } from "../toolchain/find.ts";
import { bakeNeeds, missingPackages } from "../toolchain/packages.ts";
import { registryPlaces } from "./network.ts";

/** `note`: a bake goes on all the same, slower or another way. */
export type Line = Omit<CloudLine, "outcome"> & { readonly outcome: CloudLine["outcome"] | "note" };

/** What a trial takes, with its image and what it is made from. */
const room = 8e9;
const memory = 4e9;

/** Milliseconds for an answer of a host. */
const patience = 8_000;

const nodeLine = async (): Promise<Line> => ({ id: "node", title: "Node.js", outcome: "ok", detail: process.version });

const systemLine = async (host: Host): Promise<Line> => {
  const head = { id: "system", title: "this machine" };
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(await readFile("/etc/os-release", "utf8").catch(() => ""))?.[1];
  const detail = `${name ?? process.platform}, ${host.architecture}`;
  if (process.platform !== "linux")
    return {
      ...head,
      outcome: "wrong",
      detail,
      help: "Local bakes need Linux. init, validate, render and user-data work here; a bake in the cloud too.",
    };
  return (await exists("/usr/bin/apt-get"))
    ? { ...head, outcome: "ok", detail }
    : {
        ...head,
        outcome: "note",
        detail,
        help: "bake installs packages with apt-get alone: here they are installed by hand.",
      };
};

const packagesLine = async (host: Host, architecture: Architecture): Promise<Line> => {
  const needs = bakeNeeds(architecture, host);
  const missing = await missingPackages(host, needs);
  const head = { id: "packages", title: "programs" };
  if (missing.length === 0) return { ...head, outcome: "ok", detail: `all ${needs.length} are there` };
  const names = [...new Set(missing.map((each) => each.package))];
  const isRoot = process.getuid?.() === 0;
  return {
    ...head,
    outcome: isRoot ? "note" : "wrong",
    detail: `missing: ${missing.map(({ provides }) => provides).join(", ")}`,
    help: isRoot
      ? "bake image installs them with apt-get."
      : `sudo sh -c 'apt-get update && apt-get install --yes --no-install-recommends ${names.join(" ")}'`,
  };
};

const packerLine = async (host: Host): Promise<Line> => {
  const version = await versionOnPath(host, "packer");
  const head = { id: "packer", title: "Packer" };
  if (version !== undefined) return { ...head, outcome: "ok", detail: `${version} on PATH` };
  return {
    ...head,
    outcome: "note",
    detail: "none on PATH that is new enough",
    help: "bake image takes its release, or builds it with Go, once; or put Packer 1.11 on PATH.",
  };
};

const kvmLine = async (host: Host, architecture: Architecture): Promise<Line> => {
  const head = { id: "kvm", title: "KVM" };
  if (localMachines[architecture].kvmHost !== host.architecture)
    return {
      ...head,
      outcome: "note",
      detail: `none for ${architecture} on ${host.architecture}: emulated, minutes a boot`,
    };
  const why = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  if (why === undefined)
    return { ...head, outcome: "ok", detail: "/dev/kvm is there; the first bake finds out whether it runs a guest" };
  return {
    ...head,
    outcome: "note",
    detail:
      why === "ENOENT"
        ? "no /dev/kvm: emulated, minutes a boot"
        : "/dev/kvm is there, and not for this user: emulated, minutes a boot",
    help:
      why === "ENOENT"
        ? "Turn on virtualization in the firmware, or nested virtualization where this is a VM."
        : "sudo usermod -aG kvm $USER, then log in again.",
  };
};

/** The nearest folder that is there: what is made lies on its file system. */
const nearest = async (folder: string): Promise<string> =>
  (await exists(folder)) || dirname(folder) === folder ? folder : nearest(dirname(folder));

const diskLine = async (id: string, title: string, folder: string): Promise<Line> => {
  const place = await nearest(resolve(folder));
  const free = await freeBytes(place);
  const writable = await access(place, constants.W_OK).then(
    () => true,
    () => false,
  );
  const detail = `${place}: ${formatBytes(free)} free`;
  if (!writable)
    return {
      id,
      title,
      outcome: "wrong",
      detail: `${place} cannot be written`,
      help: "Run bake in a folder of your own, or set XDG_CACHE_HOME.",
    };
  return free >= room
    ? { id, title, outcome: "ok", detail }
    : {
        id,
        title,
        outcome: "wrong",
        detail,
        help: `A trial takes ${formatBytes(room)}; a link to another disk is followed.`,
      };
};

const memoryLine = async (): Promise<Line> => {
  const head = { id: "memory", title: "memory" };
  const text = await readFile("/proc/meminfo", "utf8").catch(() => "");
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kibibytes === undefined) return { ...head, outcome: "not checked", detail: "/proc/meminfo does not say" };
  const available = Number(kibibytes) * 1024;
  const detail = `${formatBytes(available)} available`;
  return available >= memory
    ? { ...head, outcome: "ok", detail }
    : {
        ...head,
        outcome: "wrong",
        detail,
        help: `The VM of a bake and this machine take ${formatBytes(memory)}: end something else.`,
      };
};

/** Whom a bake asks: for all of them what for. Pure. */
const hostsOf = (profile: Profile | undefined, env: Host["env"]): ReadonlyMap<string, string> => {
  const found = new Map<string, string>();
  const add = (url: string, what: string): void => {
    if (!URL.canParse(url) || !url.startsWith("http")) return;
    const { origin } = new URL(url);
    const there = found.get(origin);
    if (there === undefined) found.set(origin, what);
    else if (!there.split(", ").includes(what)) found.set(origin, `${there}, ${what}`);
  };
  if (profile === undefined) {
    add("https://releases.hashicorp.com", "Packer");
    add("https://github.com", "releases");
    const [proxy = ""] = (env["GOPROXY"] ?? "").split(/[,|]/);
    // Without it Go knows one of its own.
    add(proxy, "Go modules");
    return found;
  }
  const { docker, buildx, agent, goss, releases, openeuler, modelscope, huggingface } = profile.sources;
  for (const [what, url] of Object.entries({ docker, buildx, agent, goss, releases })) add(url, what);
  if (profile.targets.qemu !== undefined && typeof profile.targets.qemu.base === "string") add(openeuler, "base");
  for (const model of profile.models) add("modelscope" in model ? modelscope : huggingface, "models");
  for (const image of [...profile.images.map((each) => each.image), profile.builders.image]) {
    const registry = parseImageReference(image)?.registry;
    if (registry === undefined) continue;
    const [first] = registryPlaces(profile, registry, image);
    if (first !== undefined) add(first.url, "images");
  }
  return found;
};

/** Any answer is one: whoever answers 401 is there. */
const hostLine = async (host: Host, origin: string, what: string, named: boolean): Promise<Line> => {
  const head = { id: `host ${new URL(origin).host}`, title: new URL(origin).host };
  const timeout = AbortSignal.timeout(patience);
  try {
    const http = makeHttp({ env: host.env, stall: patience });
    const { status, body } = await http(origin, { follow: false, signal: AbortSignal.any([host.signal, timeout]) });
    body.destroy();
    return { ...head, outcome: "ok", detail: `answers ${status} (${what})` };
  } catch (error) {
    host.signal.throwIfAborted();
    const why = timeout.aborted
      ? `no answer in ${patience / 1000} s`
      : error instanceof HttpError
        ? error.message
        : reasonOf(error);
    return {
      ...head,
      // The profile's own sources are asked for certain; the others where nothing nearer is there.
      outcome: named ? "wrong" : "note",
      detail: `${why} (${what})`,
      help: "Set HTTPS_PROXY (and SSL_CERT_FILE for an authority of the site), name a mirror in sources, or bake from one: --mirror.",
    };
  }
};

/**
 * Looks at this machine.
 * @param asked The profile, where one was named: then its own sources are asked.
 */
export const lookAtMachine = async (
  host: Host,
  asked: {
    readonly profile?: Profile;
    readonly architecture: Architecture;
    readonly out: string;
    readonly offline: boolean;
  },
): Promise<readonly Line[]> => {
  const { profile, architecture, out, offline } = asked;
  const hosts = offline ? [] : [...hostsOf(profile, host.env)];
  const groups = await Promise.all([
    nodeLine(),
    systemLine(host),
    packagesLine(host, architecture),
    packerLine(host),
    kvmLine(host, architecture),
    diskLine("disk", "room for results", out),
    diskLine("cache", "room for the store", host.cacheDir),
    memoryLine(),
    ...hosts.map(([origin, what]) => hostLine(host, origin, what, profile !== undefined)),
  ]);
  return groups;
};
