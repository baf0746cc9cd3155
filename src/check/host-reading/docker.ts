/** Docker, its builders, images and data disk on a host. Pure. */
import { type Finding, placeOf, type Said } from "./finding.ts";

const daemonFile = "/etc/docker/daemon.json";

export const dockerCommands = {
  docker: "docker info --format '{{.ServerVersion}} {{.DockerRootDir}}'",
  daemon: `cat ${daemonFile} 2>/dev/null`,
  buildx: "HOME=/root docker buildx version",
  builder: "docker inspect --format '{{.Config.Image}}' buildx_buildkit_cachebuilder10",
  builders: "docker ps --all --filter name=buildx_buildkit_ --format '{{.Names}} {{.Image}}'",
  // An image that was built or loaded here has no digest of a registry.
  images: "docker image ls --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'",
  // Loaded by bake from blobs of their registries: they have no digest in Docker's store.
  bakeImages: "cut -f 1 /opt/bake/images.tsv 2>/dev/null",
  disk: `root=$(docker info --format '{{.DockerRootDir}}') && findmnt -nr -o TARGET,FSTYPE,UUID --target "\${root:-/mnt}"`,
} as const;

/** Images of bake's and of CI's own: the former come by themselves, the latter are made by jobs. */
const notOurs = /^(localhost(:\d+)?\/|bake\.local\/|npu\/vllm-ci:|moby\/buildkit:)/;

const builderImage = (said: string): string | undefined =>
  said === ""
    ? undefined
    : said
        .replace(/@.*$/, "")
        .replace(/^localhost:\d+\//, "")
        .replace(/^docker\.io\//, "");

/** Names of a list, the first few of them. */
const few = (names: readonly string[]): string =>
  `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`;

const imagesOf = (said: Said, builder: string | undefined): Finding => {
  const digests = new Map<string, string>();
  const ofBake = said("bakeImages").split("\n");
  for (const line of said("images").split("\n")) {
    const [image = "", digest = ""] = line.split(/\s+/);
    if (image === "" || notOurs.test(image) || image === builder) continue;
    if (image.endsWith(":<none>") && (digest === "" || digest === "<none>")) continue;
    digests.set(image, ofBake.includes(image) ? "" : digest);
  }
  const all = [...digests];
  const untagged = all.flatMap(([image, digest]) =>
    image.includes("<none>") ? [`${image.replace(":<none>", "")}@${digest}`] : [],
  );
  const local = all.flatMap(([image, digest]) => (digest === "<none>" && !image.includes("<none>") ? [image] : []));
  return {
    answers: {
      images: all.flatMap(([image, digest]) => (digest === "<none>" || image.includes("<none>") ? [] : [image])),
    },
    notes: [
      ...(local.length === 0
        ? []
        : [
            `images: ${local.length} built or loaded on the host are in no registry, and not carried over: ${few(local)}`,
          ]),
      ...(untagged.length === 0
        ? []
        : [`images: ${untagged.length} without a tag are not carried over: ${few(untagged)}`]),
    ],
  };
};

const text = (value: unknown): string => JSON.stringify(value) ?? "";

/** Settings that bake writes itself, whatever they were. */
const ownKeys = ["data-root", "storage-driver", "live-restore"];

/** As the schema has them; undefined for what it cannot hold. */
const poolsOf = (value: unknown): { base: string; size: number }[] | undefined => {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const pools = value.flatMap((each: unknown) => {
    const { base, size } = (each ?? {}) as { readonly base?: unknown; readonly size?: unknown };
    return typeof base === "string" && typeof size === "number" ? [{ base, size }] : [];
  });
  return pools.length === value.length ? pools : undefined;
};

const daemonOf = (said: Said): Finding => {
  const content = said("daemon").replace(/^\uFEFF/, "");
  if (content === "") return { answers: {}, notes: [] };
  let daemon: Record<string, unknown>;
  try {
    const parsed = JSON.parse(content) as unknown;
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new SyntaxError("no object");
    daemon = parsed as Record<string, unknown>;
  } catch {
    return { answers: {}, notes: [`Docker: ${daemonFile} is no JSON object, nothing of it is carried over`] };
  }
  const notes: string[] = [];
  const left = (key: string, value: unknown): void => {
    notes.push(`Docker: ${key}: ${text(value)}${placeOf(daemonFile)} is not carried over`);
  };
  const texts = (value: unknown): string[] | undefined =>
    Array.isArray(value) && value.every((each) => typeof each === "string") ? value : undefined;
  const mirrors: string[] = [];
  const insecure: string[] = [];
  let mtu: number | undefined;
  let addressPools: ReturnType<typeof poolsOf>;
  const logs: { logMaxSize?: string; logMaxFiles?: number } = {};
  const driver = daemon["log-driver"] ?? "json-file";
  for (const [key, value] of Object.entries(daemon)) {
    if (ownKeys.includes(key)) continue;
    if (key === "registry-mirrors" && texts(value) !== undefined) {
      for (const mirror of texts(value) ?? []) {
        const [, scheme, host] = /^(https?):\/\/([A-Za-z0-9.:-]+)\/?$/.exec(mirror) ?? [];
        if (host === undefined) left(key, mirror);
        else {
          mirrors.push(host);
          if (scheme === "http") insecure.push(host);
        }
      }
    } else if (key === "insecure-registries" && texts(value) !== undefined) {
      for (const registry of texts(value) ?? []) {
        if (/^[A-Za-z0-9.-]+(:\d+)?$/.test(registry)) insecure.push(registry);
        else left(key, registry);
      }
    } else if (key === "default-address-pools" && poolsOf(value) !== undefined) addressPools = poolsOf(value);
    else if (key === "log-opts" && driver === "json-file" && typeof value === "object" && value !== null) {
      for (const [option, set] of Object.entries(value as Record<string, unknown>)) {
        const chosen = String(set);
        if (option === "max-size" && /^\d+[kmg]$/.test(chosen)) logs.logMaxSize = chosen;
        else if (option === "max-file" && /^[1-9]\d{0,5}$/.test(chosen)) logs.logMaxFiles = Number(chosen);
        else left(`log-opts: ${option}`, set);
      }
    } else if (key === "log-driver" && value === "json-file") continue;
    // A concern of its own: http-proxy.ts.
    else if (key === "proxies") continue;
    else if (key === "mtu" && typeof value === "number") mtu = value;
    else left(key, value);
  }
  return {
    answers: {
      ...(mirrors.length > 0 && { dockerMirrors: mirrors }),
      ...(insecure.length > 0 && { insecureRegistries: [...new Set(insecure)] }),
      ...(mtu !== undefined && { mtu }),
      ...(addressPools !== undefined && { addressPools }),
      ...logs,
    },
    notes,
  };
};

/** Folders of the system, where bake mounts no data disk. */
const ofSystem = /^\/(bin|boot|dev|etc|lib|lib64|opt|proc|root|run|sbin|sys|tmp|usr|var|home)(\/|$)/;

const diskOf = (said: Said, dataRoot: string | undefined): Finding => {
  const [target = "", filesystem = "unknown", uuid = ""] = said("disk").split(/\s+/);
  if (!target.startsWith("/") || target === "/")
    return {
      answers: {},
      notes: ["data disk: Docker's data-root lies on the system disk; a blank NVMe disk is taken"],
    };
  if (filesystem !== "ext4" && filesystem !== "xfs")
    return {
      answers: {},
      notes: [`data disk: ${target} is ${filesystem}, neither ext4 nor xfs; a blank NVMe disk is taken`],
    };
  if (ofSystem.test(target) || uuid === "") {
    const why = uuid === "" ? "has no UUID" : "is a folder of the system, where bake mounts no data disk";
    return {
      answers: {},
      notes: [
        `data disk: Docker's data-root lies on a file system of its own at ${target} (${filesystem}${uuid === "" ? "" : `, UUID=${uuid}`}), which ${why}; a blank NVMe disk is taken${uuid === "" ? "" : `. To keep that one, mount it at /mnt: storage.disk: { adopt: UUID=${uuid} }`}`,
      ],
    };
  }
  return {
    answers: {
      // Mounted at the data-root itself: a folder in it leaves room for the caches.
      ...(dataRoot?.startsWith("/") === true && { dataRoot: dataRoot === target ? `${target}/docker` : dataRoot }),
      adopt: `UUID=${uuid}`,
      mount: target,
      ...(filesystem === "xfs" && { filesystem }),
    },
    notes: [],
  };
};

const otherBuilders = (said: Said, builder: string | undefined): string[] =>
  said("builders")
    .split("\n")
    .flatMap((line) => {
      const [, name, image] = /^buildx_buildkit_(\S+)0 (\S+)$/.exec(line) ?? [];
      if (name === undefined || image === undefined) return [];
      if (!/^cachebuilder\d+$/.test(name)) return [`builders: ${name} (${image}) is not carried over`];
      return builderImage(image) === builder
        ? []
        : [`builders: ${name} runs ${image}, another image than cachebuilder1's`];
    });

/** What Docker is on a host, and what of it no profile can have. Pure. */
export const dockerFinding = (said: Said): Finding => {
  const notes: string[] = [];
  const found = <T>(what: string, value: T | undefined): T | undefined => {
    if (value === undefined) notes.push(`${what}: not found there`);
    return value;
  };
  const [dockerVersion, dataRoot] = said("docker").split(" ");
  const version = found("Docker", /^\d+\.\d+\.\d+/.exec(dockerVersion ?? "")?.[0]);
  const buildxVersion = found("buildx", /v(\d+\.\d+\.\d+)/.exec(said("buildx"))?.[1]);
  const builder = found("image of cachebuilder1", builderImage(said("builder")));
  const parts = [daemonOf(said), imagesOf(said, builder), diskOf(said, dataRoot)];
  return {
    answers: {
      ...(version !== undefined && { dockerVersion: version }),
      ...(buildxVersion !== undefined && { buildxVersion }),
      ...(builder !== undefined && { buildkitImage: builder }),
      ...Object.assign({}, ...parts.map(({ answers }) => answers)),
    },
    notes: [...notes, ...otherBuilders(said, builder), ...parts.flatMap((part) => part.notes)],
  };
};
