/** cloud-init user-data: of a node made from the golden image, of a host with a stock image, of the VM that Packer builds in. */
import { environmentFile } from "../formats/lines.ts";
import type { Instance } from "../node/concern.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { ProfilePath } from "../profile/source.ts";
import type { Origins } from "./review.ts";
import { renderTemplate } from "./templates.ts";

/** Root alone, by key: no default user of the distribution is made. */
const rootOnly = (authorizedKeys: readonly string[]) => ({
  users: [
    { name: "root", lock_passwd: false, ...(authorizedKeys.length > 0 && { ssh_authorized_keys: authorizedKeys }) },
  ],
  disable_root: false,
  ssh_pwauth: false,
});

interface WrittenFile {
  readonly path: string;
  readonly permissions: string;
  readonly owner: string;
  readonly content: string;
}

const written = (path: string, permissions: string, content: string): WrittenFile => ({
  path,
  permissions,
  owner: "root:root",
  content,
});

/** What one node gets, as values of the templates. */
const nodeValues = (plan: NodePlan, instance: Instance) => {
  const { agentToken, gitToken, proxyCredentials, nodeKey } = instance;
  const secrets = plan.userData.flatMap(({ origin, path, content }) => {
    const text = content(instance);
    return text === undefined ? [] : [{ origin, file: written(path, "0600", text) }];
  });
  const files = [
    ...secrets,
    ...(Object.keys(instance.environment).length === 0
      ? []
      : [{ origin: [], file: written("/etc/bake/instance.env", "0600", environmentFile(instance.environment)) }]),
  ];
  return {
    header: plan.header,
    users: rootOnly([...plan.loginKeys.map(({ key }) => key), ...instance.authorizedKeys]),
    secret: [agentToken, gitToken, proxyCredentials, nodeKey].some((value) => value !== undefined),
    // Where the node fetches its token itself, there may be none.
    bare: secrets.length === 0,
    filed: files.length > 0,
    named: instance.hostname !== undefined,
    // Both, and the short one preferred: distributions of the Red Hat family take the full name otherwise.
    hostname:
      instance.hostname === undefined
        ? {}
        : {
            hostname: instance.hostname,
            fqdn: instance.hostname,
            prefer_fqdn_over_hostname: false,
            preserve_hostname: false,
          },
    writeFiles: files.map(({ file }) => file),
    origins: new Map<string, ProfilePath>([
      ["/users", ["ssh"]],
      ...plan.loginKeys.map(({ origin }, index): [string, ProfilePath] => [
        `/users/0/ssh_authorized_keys/${index}`,
        origin,
      ]),
      ...files.map(({ origin }, index): [string, ProfilePath] => [`/write_files/${index}`, origin]),
    ]),
  };
};

/** Where the profile says what stands in a node's user-data. */
export const userDataOrigins = (plan: NodePlan, instance: Instance): Origins => nodeValues(plan, instance).origins;

/**
 * User-data of a node made from the golden image: who logs in, its name, and the files that bring secrets. Pure.
 * @param instance What this node gets; a secret that it lacks is a placeholder.
 * @param source The template.
 */
export const goldenUserData = (plan: NodePlan, instance: Instance, source: string): string => {
  const { writeFiles, origins: _origins, ...data } = nodeValues(plan, instance);
  return renderTemplate("golden.yaml", source, { ...data, files: { write_files: writeFiles } });
};

/** What a stock image needs to become a node. */
export interface Stock {
  /** Base URL of the mirror, without a trailing slash. */
  readonly mirror: string;
  /** sha256 of the archive with the node's files, which lies there too. */
  readonly nodeFiles: string;
  /** templates/node/bake-stock, and its unit as rendered. */
  readonly script: string;
  readonly unit: string;
}

/** Seconds between two attempts. */
export const stockRetry = 30;

const stockFolder = "/var/lib/bake/stock";

/**
 * User-data that makes a host with a stock image the node: golden user-data, and a unit that fetches everything by digest. Pure.
 * @param source The template.
 */
export const stockUserData = (
  plan: NodePlan,
  instance: Instance,
  source: string,
  { mirror, nodeFiles, script, unit }: Stock,
): string => {
  const { writeFiles, origins: _origins, ...data } = nodeValues(plan, instance);
  return renderTemplate("stock.yaml", source, {
    ...data,
    files: {
      write_files: [
        ...writeFiles,
        written(
          `${stockFolder}/stock.env`,
          "0644",
          environmentFile({
            STOCK_MIRROR: mirror,
            STOCK_NODE_FILES: nodeFiles,
            STOCK_ARCHITECTURE: plan.target.architecture,
            STOCK_RETRY_SECONDS: String(stockRetry),
          }),
        ),
        ...(plan.facts.caCertificates.length === 0
          ? []
          : [written(`${stockFolder}/ca.pem`, "0644", plan.facts.caCertificates.join(""))]),
        written(`${stockFolder}/bake-stock`, "0755", script),
        written("/etc/systemd/system/bake-stock.service", "0644", unit),
      ],
    },
    commands: {
      // Before files are written, at every boot. cloud-init counts its modules as done before their files are on the disk: until
      // they are, it does all of them again.
      bootcmd: [
        [
          "sh",
          "-c",
          `[ -e ${stockFolder}/written ] || rm -f /var/lib/cloud/instance/sem/config_*; install -d -m 0700 /etc/bake/secrets`,
        ],
      ],
      // Not waited for: it ends with another start of the host.
      runcmd: [
        ["sync"],
        ["touch", `${stockFolder}/written`],
        ["sync"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "bake-stock.service"],
        ["systemctl", "start", "--no-block", "bake-stock.service"],
      ],
    },
  });
};

/** @param keys Who logs in to build; in a cloud its metadata say that. */
export const buildUserData = (header: string, source: string, keys: readonly string[]): string =>
  renderTemplate("build.yaml", source, { header, keyed: keys.length > 0, users: rootOnly(keys) });
