/** Whom the machine that bakes asks: the profile's sources, what its lock names, tools, and the target's own services (guide row G11). */
import type { Artifact } from "../artifact.ts";
import { imageReferenceOf } from "../formats/image-reference.ts";
import { hubOf, type Profile } from "../profile/schema.ts";
import type { Concern, ConcernInput, Destination } from "./concern.ts";
import { registryAddress } from "./registry-address.ts";
import { portOf } from "./url-port.ts";

/** Where a host sends others for its files or logins, as its operators say: no test reaches them. */
const keptAt: Readonly<Record<string, readonly string[]>> = {
  "github.com": ["release-assets.githubusercontent.com", "objects.githubusercontent.com"],
  "registry-1.docker.io": ["index.docker.io", "auth.docker.io", "production.cloudflare.docker.com"],
  "quay.io": ["cdn01.quay.io", "cdn02.quay.io", "cdn03.quay.io"],
  "huggingface.co": ["cdn-lfs.huggingface.co", "cas-bridge.xethub.hf.co"],
};

/** Releases of the tools that bake runs itself (src/toolchain/catalog.ts); a test compares. */
const toolHosts = [
  ["https://releases.hashicorp.com", "Packer"],
  ["https://github.com", "Packer's plugins, and crane"],
] as const;

/** Services of Huawei Cloud that Packer's plugin calls: `ecs.cn-north-4.myhuaweicloud.com`. */
const cloudServices = ["iam", "ecs", "ims", "vpc", "evs"] as const;

interface Asked {
  readonly host: string;
  readonly port: number;
  readonly why: string;
}

const ofUrl = (url: string, why: string): Asked[] => {
  if (!/^https?:/.test(url)) return [];
  const parsed = new URL(url);
  return [{ host: parsed.hostname, port: portOf(parsed), why }];
};

const ofImages = ({ builders, images, sources }: Profile): Asked[] =>
  [builders.image, ...images.map(({ image }) => image)].flatMap((image) => {
    const { registry, pullHost } = imageReferenceOf(image);
    return [...(sources.registries[registry] ?? []), pullHost].map((place) => ({
      ...registryAddress(place, sources.insecureRegistries),
      why: "container images that are pre-loaded",
    }));
  });

const ofProfile = (profile: Profile, isLocal: boolean): Asked[] => {
  const { sources, buildx, models, files, pins, targets } = profile;
  const base = isLocal ? targets.qemu?.base : undefined;
  return [
    ...ofUrl(sources.docker, "Docker's static archive"),
    ...ofUrl(sources.buildx, `releases of buildx ${buildx.version}`),
    ...ofUrl(sources.agent, "releases of the Buildkite agent"),
    ...ofUrl(sources.goss, "releases of goss"),
    ...ofUrl(sources.releases, "lists of releases: versions such as 27.5.x, and `lock --outdated`"),
    ...(typeof base === "string" ? ofUrl(sources.openeuler, "the base image, and packages that it lacks") : []),
    ...ofImages(profile),
    ...models.flatMap((model) => ofUrl(sources[hubOf(model).hub], "models")),
    ...files.flatMap((file) =>
      "url" in file
        ? [
            ...ofUrl(file.url, "files of the node"),
            ...(file.checksums === undefined ? [] : ofUrl(file.checksums, "checksums of files")),
          ]
        : [],
    ),
    ...Object.values(pins).flatMap(({ follows }) =>
      follows === undefined ? [] : ofUrl(follows.repository, "what CI uses: `lock --outdated`"),
    ),
  ];
};

const urlsOf = (artifact: Artifact): string[] => {
  // A build cache is a folder of the machine that bakes.
  if (artifact.kind === "container-image" || artifact.kind === "build-cache") return [];
  if (artifact.kind === "model") return artifact.files.map(({ url }) => url);
  return [artifact.url, ...("checksums" in artifact && artifact.checksums !== undefined ? [artifact.checksums] : [])];
};

/** A trial's own are made here, and come from nowhere. */
const ofLock = ({ locked, trial }: ConcernInput): Asked[] =>
  locked === undefined || trial
    ? []
    : [...(locked.base === undefined ? [] : [locked.base]), ...locked.artifacts]
        .flatMap(urlsOf)
        .flatMap((url) => ofUrl(url, "what the lock names"));

const ofTarget = ({ target }: ConcernInput): Asked[] =>
  target.name !== "huaweicloud"
    ? []
    : [
        ...cloudServices.map((service) => ({
          host: `${service}.${target.region}.myhuaweicloud.com`,
          port: 443,
          why: "Huawei Cloud's API",
        })),
        ...(target.mirror === undefined ? [] : ofUrl(target.mirror, "artifacts by digest, for the build VM")),
      ];

/** Each host and port once, with all that it is asked for, in the order of their first use. */
const merged = (asked: readonly Asked[]): Destination[] => {
  const whys = new Map<string, { readonly at: Asked; readonly why: Set<string> }>();
  for (const at of asked) {
    const key = `${at.host} ${at.port}`;
    const known = whys.get(key) ?? { at, why: new Set<string>() };
    // What the lock names is said only where nothing else says why.
    if (at.why !== "what the lock names" || known.why.size === 0) known.why.add(at.why);
    whys.set(key, known);
  }
  return [...whys.values()].map(({ at: { host, port }, why }) => ({
    host,
    port,
    when: "bake",
    why: [...why].join("; "),
    order: 90,
  }));
};

export const sources: Concern = {
  name: "sources",
  contribute: (input) => {
    const asked = [
      ...ofProfile(input.profile, input.target.name === "qemu"),
      ...ofLock(input),
      ...toolHosts.flatMap(([url, why]) => ofUrl(url, why)),
      ...ofTarget(input),
    ];
    const kept = asked.flatMap(({ host }) =>
      (keptAt[host] ?? []).map((other) => ({
        host: other,
        port: 443,
        why: `where ${host} keeps its files, or asks for logins`,
      })),
    );
    return { destinations: merged([...asked, ...kept]) };
  },
};
