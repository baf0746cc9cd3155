/** NodePlan → every file under out/<profile>/, as a value. Same plan, same bytes. */
import { createHash } from "node:crypto";
import { filesOf } from "../artifact.ts";
import { checkLevels } from "../plan/check.ts";
import { imagesFolder } from "../plan/images.ts";
import { metadataAddress } from "../plan/network.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { allowlist } from "./allowlist.ts";
import { blobPath, dockerLoadManifest, dockerLoadMembers } from "./docker-load.ts";
import { nodePage } from "./node-page.ts";
import { gossFile } from "./goss.ts";
import {
  agentConfigValue,
  environmentFile,
  fstabField,
  gitConfigSection,
  gitConfigValue,
  tsv,
} from "../formats/lines.ts";
import { sbom } from "./sbom.ts";
import { toTar } from "../formats/tar.ts";
import { toToml } from "../formats/toml.ts";
import { toYaml } from "../formats/yaml.ts";
import { renderTemplate } from "./templates.ts";
import {
  buildKeyMarker,
  buildUserData,
  gitTokenFile,
  goldenUserData,
  type Instance,
  proxyEnvironment,
  stockRetry,
  stockUserData,
} from "./user-data.ts";

export interface RenderedFile {
  /** Below out/<profile>/, with `/`. */
  readonly path: string;
  readonly content: string;
}

export interface Rendered {
  /** Sorted by path. */
  readonly files: readonly RenderedFile[];
  /** What needs the lock and is not there without one. */
  readonly leftOut: readonly string[];
  /** Absent without a lock. */
  readonly bakeId?: string;
}

/** The sources under templates/ and packer/, by path relative to bake's root. */
export type Templates = Readonly<Record<string, string>>;

/** Names that `renderTree` looks up in Templates. */
export const templateNames = (plan: NodePlan): string[] => [
  `packer/${plan.target.name}.pkr.hcl.hbs`,
  "templates/cloud-init/golden.yaml.hbs",
  "templates/cloud-init/build.yaml.hbs",
  ...plan.units.map((unit) => `templates/systemd/${unit}.hbs`),
  ...nodeScripts.map((script) => `templates/node/${script}`),
  "templates/node/provision.sh",
  "templates/node/hygiene.sh",
];

const nodeScripts = [
  "bake-first-boot",
  "bake-storage",
  "bake-identity",
  "bake-images",
  "bake-builders",
  "bake-ready",
  "bake-gate",
  "bake-health",
  "bake-metadata",
  "bake-override",
  "bake-status",
  "bake-token",
] as const;

/** Stands where the bake id goes while the bake id is computed: as long as one, and no possible digest. */
const bakeIdPlaceholder = "bake-id-of-this-image-follows-from-its-bytes";

interface NodeFile {
  /** On the node. */
  readonly path: string;
  readonly mode: string;
  readonly content: string;
}

const template = (templates: Templates, name: string): string => {
  const source = templates[name];
  if (source === undefined) throw new Error(`template ${name} was not loaded`);
  return source;
};

/** First line of every file that is rendered, so that nobody edits one or takes a trial for the real thing. */
const headerOf = ({ profile, trial }: NodePlan): string =>
  `Made by bake from profile ${profile}; edit that.${trial ? " TRIAL: stand-in sources, not for production." : ""}`;

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** `--config` was renamed in 0.13.0 (docker/buildx: commands/create.go). */
const buildkitdConfigFlag = (version: string): string => {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 0 || minor >= 13 ? "--buildkitd-config" : "--config";
};

const agentConfig = ({ agents }: NodePlan, header: string, bakeId: string | undefined): string => {
  const settings: [string, string][] = [
    ["name", agents.nameTemplate],
    ["spawn", String(agents.spawn)],
    [
      "tags",
      [
        `queue=${agents.queue}`,
        ...(bakeId === undefined ? [] : [`bake-id=${bakeId}`]),
        ...Object.entries(agents.tags).map(([key, value]) => `${key}=${value}`),
      ].join(","),
    ],
    ["build-path", agents.buildPath],
    ["hooks-path", agents.hooksPath],
    ["plugins-path", agents.pluginsPath],
    ["git-clone-flags", agents.gitCloneFlags],
    ["git-fetch-flags", agents.gitFetchFlags],
    ["health-check-addr", agents.healthAddress],
    ...(agents.endpoint === undefined ? [] : ([["endpoint", agents.endpoint]] as [string, string][])),
    ...Object.entries(agents.settings).map(([key, value]): [string, string] => [key, String(value)]),
    ...(agents.token.via === "file" ? ([["token", `file://${agents.token.path}`]] as [string, string][]) : []),
  ];
  return `# ${header}\n${settings.map(([key, value]) => `${key}=${agentConfigValue(value)}\n`).join("")}`;
};

/** Where a node looks for its user-data. Named, not searched for: a search may find nothing in this cloud (facts: ds-identify). */
const datasources: Readonly<Record<NodePlan["target"]["name"], string>> = {
  qemu: "datasource_list: [NoCloud, None]\n",
  huaweicloud: toYaml({
    datasource_list: ["OpenStack"],
    datasource: {
      OpenStack: {
        metadata_urls: [`http://${metadataAddress}`],
        max_wait: 120,
        timeout: 5,
        // The network is the image's own, by DHCP.
        apply_network_config: false,
      },
    },
  }),
};

const nodeFiles = (plan: NodePlan, templates: Templates, bakeId: string | undefined): NodeFile[] => {
  const header = headerOf(plan);
  const { network, agents, storage, docker } = plan;
  const unitData = {
    header,
    dataRoot: docker.dataRoot,
    binary: agents.binary,
    configFile: agents.configFile,
    stopTimeout: `${agents.stopTimeout}s`,
    tokenEnvironmentFile: agents.token.via === "environment" ? agents.token.path : false,
    proxyCredentials: network.proxyCredentials,
    mount: storage.mount,
    healthInterval: `${plan.healthInterval}s`,
  };
  const file = (path: string, content: string, mode = "0644"): NodeFile => ({ path, content, mode });
  return [
    ...plan.units.map((unit) =>
      file(
        `/etc/systemd/system/${unit}`,
        renderTemplate(unit, template(templates, `templates/systemd/${unit}.hbs`), unitData),
      ),
    ),
    ...nodeScripts.map((script) =>
      file(`/opt/bake/bin/${script}`, template(templates, `templates/node/${script}`), "0755"),
    ),
    file("/etc/docker/daemon.json", json(docker.daemon)),
    // A kernel that panicked stands still for ever otherwise, and with it the node.
    file("/etc/sysctl.d/90-bake.conf", `# ${header}\nkernel.panic = ${plan.panicReboot}\n`),
    file("/etc/modules-load.d/bake-docker.conf", `# ${header}\noverlay\nbr_netfilter\n`),
    file(agents.configFile, agentConfig(plan, header, bakeId), "0600"),
    file(
      "/etc/bake/agent.env",
      `# ${header}\n${environmentFile({
        ...(network.pypiCache !== undefined && {
          PYPI_CACHE_HOST: network.pypiCache.host,
          PYPI_CACHE_PORT: String(network.pypiCache.port),
        }),
        ...agents.environment,
      })}`,
    ),
    ...(network.httpProxy === undefined
      ? []
      : [file("/etc/bake/proxy.env", `# ${header}\n${proxyEnvironment(network.httpProxy)}`)]),
    file(
      "/etc/bake/token.env",
      `# ${header}\n${environmentFile({ TOKEN_VIA: agents.token.via, TOKEN_PATH: agents.token.path })}`,
    ),
    file(
      "/etc/bake/identity.env",
      `# ${header}\n${environmentFile({ IDENTITY_KEY: plan.ssh.nodeKey, IDENTITY_FOLDER: storage.stateFolder })}`,
    ),
    file(
      "/etc/bake/metadata.env",
      `# ${header}\n${environmentFile({
        METADATA_CLOSED: String(network.metadata.closed),
        METADATA_ADDRESS: metadataAddress,
        METADATA_EXCEPT_USERS: network.metadata.exceptUsers.join(" "),
      })}`,
    ),
    // Else networkd takes the rule that closes the metadata service away when it restarts.
    file("/etc/systemd/networkd.conf.d/90-bake.conf", `# ${header}\n[Network]\nManageForeignRoutingPolicyRules=no\n`),
    file(
      "/etc/bake/storage.env",
      `# ${header}\n${environmentFile({
        STORAGE_KIND: storage.kind,
        STORAGE_SELECT: storage.select,
        STORAGE_PICK: storage.pick,
        STORAGE_ADOPT: storage.kind === "adopt" ? storage.source : "",
        STORAGE_FILESYSTEM: storage.filesystem,
        STORAGE_UUID: storage.uuid,
        STORAGE_LABEL: storage.label,
        STORAGE_MIN_BYTES: String(storage.minBytes),
        STORAGE_MOUNT: storage.mount,
        STORAGE_WAIT: "60",
      })}`,
    ),
    file("/etc/bake/images.env", `# ${header}\n${environmentFile({ IMAGES_FOLDER: `${storage.stateFolder}/images` })}`),
    file(
      "/etc/bake/builders.env",
      `# ${header}\n${environmentFile({
        BUILDER_NAMES: plan.builders.names.join(" "),
        BUILDER_IMAGE: plan.builders.image,
        BUILDER_LOCAL_IMAGE: plan.builders.localImage,
        BUILDER_IMAGE_ID: plan.images.find(({ reference }) => reference === plan.builders.image)?.locked?.imageId ?? "",
        BUILDER_CONFIG_FLAG: buildkitdConfigFlag(plan.buildx.version),
      })}`,
    ),
    file("/etc/bake/buildkitd.toml", `# ${header}\n${toToml(plan.builders.config)}`),
    ...(network.gitProxy === undefined
      ? []
      : [
          // The one file with this rule: of two equal rules git takes the first that it reads (guide row G13).
          file(
            "/etc/gitconfig",
            `# ${header}\n[url ${gitConfigSection(network.gitProxy.via)}]\n\tinsteadOf = ${gitConfigValue(network.gitProxy.for)}\n`,
          ),
        ]),
    // A missing include is ignored: the token comes with user-data, or not at all (guide row G14).
    file("/root/.gitconfig", `# ${header}\n[include]\n\tpath = ${gitConfigValue(gitTokenFile)}\n`),
    file("/opt/bake/units.txt", `${plan.units.join("\n")}\n`),
    file(datasourceFile, `# ${header}\n${datasources[plan.target.name]}`),
    ...checkLevels.map((level) =>
      file(`/opt/bake/checks/${level}.yaml`, gossFile(plan.checks.filter((check) => check.level === level))),
    ),
    file("/opt/bake/checks/live.yaml", gossFile(plan.checks.filter(({ level, live }) => level === "gating" && live))),
    file(
      "/opt/bake/checks/checks.tsv",
      tsv(plan.checks.map(({ id, level, rows, title, help }) => [id, level, rows.join(" "), title, help ?? "-"])),
    ),
    file(
      "/opt/bake/checks/goss.yaml",
      toYaml({ gossfile: Object.fromEntries(checkLevels.map((level) => [`${level}.yaml`, {}])) }),
    ),
    ...(bakeId === undefined
      ? []
      : [
          file(
            "/opt/bake/images.tsv",
            tsv(
              plan.images.flatMap(({ reference, locked }) =>
                locked === undefined ? [] : [[reference, locked.imageId, locked.folder]],
              ),
            ),
          ),
          ...imageFiles(plan).map(({ path, content }) => file(path, content)),
          file(
            "/etc/bake/image.json",
            json({
              profile: plan.profile,
              trial: plan.trial,
              bakeId,
              docker: docker.version,
              buildx: plan.buildx.version,
              agent: agents.version,
            }),
          ),
        ]),
  ];
};

/** Beside the blobs of each image: what `docker load` reads first, and which blobs it gets. Two names may mean one image. */
const imageFiles = ({ images, artifacts = [] }: NodePlan): { path: string; content: string }[] => {
  const folders = new Map<string, string[]>();
  for (const { reference, locked } of images) {
    if (locked !== undefined) folders.set(locked.folder, [...(folders.get(locked.folder) ?? []), reference]);
  }
  return [...folders].flatMap(([folder, references]) => {
    const image = artifacts.find(({ kind, name }) => kind === "container-image" && name === references[0]);
    return image?.kind !== "container-image"
      ? []
      : [
          { path: `${folder}/manifest.json`, content: dockerLoadManifest(image, references) },
          { path: `${folder}/blobs.txt`, content: `${dockerLoadMembers(image).join("\n")}\n` },
        ];
  });
};

/** Everything that the node is provisioned with, each file once. Models do not reach the node yet. */
const artifactRows = (plan: NodePlan): string[][] => {
  const rows = (plan.artifacts ?? []).flatMap((artifact) => {
    switch (artifact.kind) {
      case "model":
        return [];
      case "container-image":
        return filesOf(artifact)
          .filter(({ sha256 }) => !artifact.manifest.digest.endsWith(sha256))
          .map(({ name, sha256 }) => [
            "image-blob",
            name,
            sha256,
            `${imagesFolder}/${blobPath(`sha256:${sha256}`)}`,
            "0644",
          ]);
      case "file": {
        const { path = "", mode = "" } = plan.files.find(({ name }) => name === artifact.name) ?? {};
        return [["file", artifact.name, artifact.sha256, path, mode]];
      }
      default:
        return [[artifact.kind, artifact.name, artifact.sha256, "-", "-"]];
    }
  });
  const places = new Set<string>();
  return rows.filter(([kind = "", name = "", sha256 = "", path = ""]) => {
    const place = kind === "image-blob" ? sha256 : `${kind} ${name} ${path}`;
    return places.has(place) ? false : (places.add(place), true);
  });
};

const directories = (plan: NodePlan): [string, string][] => [
  ["0755", plan.storage.mount],
  ["0755", "/var/lib/bake"],
  ["0700", "/etc/bake/secrets"],
  ["0700", "/root/.ssh"],
  ["0700", "/root/.gitconfig.d"],
  ["0755", plan.agents.buildPath],
  ["0755", plan.agents.hooksPath],
  ["0755", plan.agents.pluginsPath],
];

/** A tag's value, a name: what the cloud does not take in one becomes a hyphen. */
const tagValue = (text: string): string => text.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 43);

const packerTemplate = (
  plan: NodePlan,
  templates: Templates,
  header: string,
  bakeId: string | undefined,
): RenderedFile => {
  const { target } = plan;
  const name = `packer/${target.name}.pkr.hcl`;
  const rendered = (data: object): RenderedFile => ({
    path: name,
    content: renderTemplate(`${name}.hbs`, template(templates, `${name}.hbs`), { header, ...data }),
  });
  if (target.name === "qemu") {
    return rendered({
      baseChecksum: plan.base?.format === "qcow2" ? `sha256:${plan.base.sha256}` : false,
      diskSize: `${target.diskSize}G`,
      cpus: target.cpus,
      memory: target.memory,
      keyMarker: buildKeyMarker,
    });
  }
  const tags = {
    ...target.tags,
    "bake-profile": tagValue(plan.profile),
    ...(bakeId !== undefined && { "bake-id": bakeId }),
    ...(plan.lockDigest !== undefined && { "bake-lock": plan.lockDigest }),
  };
  return rendered({
    ...target,
    zoned: target.availabilityZone !== undefined,
    inProject: target.enterpriseProject !== undefined,
    public: target.publicIp !== undefined,
    ...(target.publicIp !== undefined && { addressType: target.publicIp.type, bandwidth: target.publicIp.bandwidth }),
    upload: target.mirror === undefined,
    artifactsVariable: `BAKE_ARTIFACTS=${target.mirror?.replace(/\/+$/, "") ?? "file:///var/tmp/bake/artifacts"}`,
    // No line breaks and no angle brackets there.
    imageDescription: header.replace(/[^\x20-\x7e]|[<>]/g, "").slice(0, 1024),
    imageTimeout: `${target.imageTimeout}m`,
    tags: Object.entries(tags)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([tag, value]) => ({ name: tag, value })),
  });
};

const withBakeId = (plan: NodePlan, templates: Templates, bakeId: string | undefined): RenderedFile[] => {
  const header = headerOf(plan);
  const node = nodeFiles(plan, templates, bakeId);
  const instance: Instance = { authorizedKeys: [], environment: {} };
  const files: RenderedFile[] = [
    ...node.map(({ path, content }) => ({ path: `node${path}`, content })),
    // Checks stand in the goss files, checks.tsv and node.md.
    { path: "plan.json", content: json({ ...plan, checks: undefined }) },
    { path: "provision/files.tsv", content: tsv(node.map(({ path, mode }) => [mode, path])) },
    { path: "provision/directories.tsv", content: tsv(directories(plan)) },
    { path: "provision/units.txt", content: `${plan.enabledUnits.join("\n")}\n` },
    {
      path: "provision/packages.tsv",
      content: tsv(
        (["remove", "install", "hold"] as const).flatMap((action) =>
          (["apt", "dnf"] as const).flatMap((family) =>
            plan.packages[action][family].map((name) => [action, family, name]),
          ),
        ),
      ),
    },
    { path: "allowlist.md", content: allowlist(plan) },
    { path: "node.md", content: nodePage(plan) },
    { path: "provision/docker-binaries.txt", content: `${plan.docker.binaries.join("\n")}\n` },
    { path: "provision/fstab", content: `${plan.storage.fstab.map(fstabField).join(" ")}\n` },
    { path: "provision/provision.sh", content: template(templates, "templates/node/provision.sh") },
    { path: "provision/hygiene.sh", content: template(templates, "templates/node/hygiene.sh") },
    {
      path: "user-data/golden.yaml",
      content: goldenUserData(plan, instance, header, template(templates, "templates/cloud-init/golden.yaml.hbs")),
    },
    {
      path: "user-data/build.yaml",
      content: buildUserData(
        header,
        template(templates, "templates/cloud-init/build.yaml.hbs"),
        plan.target.name === "qemu" ? [buildKeyMarker] : [],
      ),
    },
    packerTemplate(plan, templates, header, bakeId),
    ...(bakeId === undefined ? [] : [{ path: "sbom.cdx.json", content: sbom(plan, bakeId) }]),
    ...(plan.artifacts === undefined
      ? []
      : [
          {
            path: "provision/artifacts.tsv",
            content: tsv(artifactRows(plan)),
          },
        ]),
  ];
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
};

/**
 * The bake id: sha256 over what ends up in the image, as base64url without padding (43 characters, the longest tag value
 * that Huawei Cloud takes). Golden user-data is attached later, and plan.json repeats the rest: neither is in it.
 */
const notInImage: ReadonlySet<string> = new Set([
  "plan.json",
  "sbom.cdx.json",
  "user-data/golden.yaml",
  "allowlist.md",
  "node.md",
]);

const bakeIdOf = (plan: NodePlan, files: readonly RenderedFile[]): string => {
  const hash = createHash("sha256");
  const add = (name: string, content: string): void => {
    hash.update(`${name}\0${Buffer.byteLength(content)}\0`).update(content);
  };
  for (const { path, content } of files) {
    if (!notInImage.has(path)) add(path, content);
  }
  add("base", plan.target.name === "huaweicloud" ? plan.target.sourceImage : (plan.base?.sha256 ?? ""));
  add("target", `${plan.target.name} ${plan.target.architecture}`);
  return hash.digest("base64url");
};

export const renderTree = (plan: NodePlan, templates: Templates): Rendered => {
  if (plan.artifacts === undefined || (plan.base === undefined && plan.target.name === "qemu")) {
    return {
      files: withBakeId(plan, templates, undefined),
      leftOut: [
        "provision/artifacts.tsv",
        "node/opt/bake/images.tsv",
        "node/opt/bake/images/",
        "node/etc/bake/image.json",
        "sbom.cdx.json",
        "the bake id, and the agents' bake-id tag",
        plan.target.name === "qemu"
          ? "the base's checksum in packer/qemu.pkr.hcl"
          : "the tags bake-id and bake-lock in packer/huaweicloud.pkr.hcl",
        "image IDs in node/opt/bake/checks/gating.yaml",
      ],
    };
  }
  const bakeId = bakeIdOf(plan, withBakeId(plan, templates, bakeIdPlaceholder));
  return { files: withBakeId(plan, templates, bakeId), leftOut: [], bakeId };
};

/** Where cloud-init is told its datasource. */
const datasourceFile = "/etc/cloud/cloud.cfg.d/90_bake.cfg";

/**
 * What a bake uploads to the VM it builds in, as one archive: a stock image fetches it from a mirror. All but the datasource: a
 * stock image has just found its own.
 */
export const nodeArchive = (files: readonly RenderedFile[]): Buffer =>
  toTar(
    files
      .filter(({ path }) => path.startsWith("node/") || path.startsWith("provision/"))
      .filter(({ path }) => path !== `node${datasourceFile}`)
      .map(({ path, content }) => ({
        path: path.replace(/^provision\//, ""),
        content:
          path === "provision/files.tsv"
            ? content
                .split("\n")
                .filter((row) => !row.endsWith(`\t${datasourceFile}`))
                .join("\n")
            : content,
      })),
  );

/** Names that `stockInstanceUserData` looks up in Templates. */
export const stockTemplateNames = [
  "templates/cloud-init/stock.yaml.hbs",
  "templates/systemd/bake-stock.service.hbs",
  "templates/node/bake-stock",
] as const;

/** User-data that makes a host with a stock image the node of `rendered`, from a mirror that holds its archive and its artifacts. */
export const stockInstanceUserData = (
  plan: NodePlan,
  templates: Templates,
  instance: Instance,
  { mirror, files }: { readonly mirror: string; readonly files: readonly RenderedFile[] },
): string => {
  const [cloudInit, unit, script] = stockTemplateNames;
  const header = headerOf(plan);
  return stockUserData(plan, instance, header, template(templates, cloudInit), {
    mirror: mirror.replace(/\/+$/, ""),
    nodeFiles: createHash("sha256").update(nodeArchive(files)).digest("hex"),
    script: template(templates, script),
    unit: renderTemplate("bake-stock.service", template(templates, unit), { header, retrySeconds: `${stockRetry}s` }),
  });
};

/** Golden user-data for one node: secrets are in it, so it never goes to out/. */
export const instanceUserData = (plan: NodePlan, templates: Templates, instance: Instance): string =>
  goldenUserData(plan, instance, headerOf(plan), template(templates, "templates/cloud-init/golden.yaml.hbs"));
