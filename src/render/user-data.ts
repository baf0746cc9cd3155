/** cloud-init user-data: of a node made from the golden image, of a host with a stock image, of the VM that Packer builds in. */
import type { NodePlan } from "../plan/node-plan.ts";
import { environmentFile, gitConfigSection, gitConfigValue } from "../formats/lines.ts";
import type { ProfilePath } from "../profile/source.ts";
import type { Origins } from "./review.ts";
import { renderTemplate } from "./templates.ts";

/** What one node gets at deploy time. */
export interface Instance {
  /** Absent: a placeholder stands in its place. The same goes for the other secrets that the profile names. */
  readonly agentToken?: string;
  readonly gitToken?: string;
  /** `user:password` */
  readonly proxyCredentials?: string;
  /** A private key, as ssh-keygen writes it. */
  readonly nodeKey?: string;
  readonly authorizedKeys: readonly string[];
  /** Goes to /etc/bake/instance.env: agent settings of this node alone. */
  readonly environment: Readonly<Record<string, string>>;
  /** Instead of the name that the cloud gives; without a domain. */
  readonly hostname?: string;
}

/** Stands for a secret in out/: no secret is ever written there. */
const placeholder = (name: string): string => `<secrets.${name}>`;

/** Pulled in by /root/.gitconfig. */
export const gitTokenFile = "/root/.gitconfig.d/private";

/** HTTP_PROXY and its relatives. Lower case too: curl reads `http_proxy` in no other form. */
export const proxyEnvironment = (
  { url, except }: { readonly url: string; readonly except: readonly string[] },
  credentials?: string,
): string => {
  const [user = "", ...password] = (credentials ?? "").split(":");
  const address =
    credentials === undefined
      ? url
      : url.replace("://", `://${encodeURIComponent(user)}:${encodeURIComponent(password.join(":"))}@`);
  const variables = { HTTP_PROXY: address, HTTPS_PROXY: address, NO_PROXY: except.join(",") };
  return environmentFile({
    ...variables,
    ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [name.toLowerCase(), value])),
  });
};

/** The header stands alone: an empty one first takes away what other files set (guide row G14, S8). */
const gitTokenConfig = (url: string, token: string): string => {
  const basic = Buffer.from(`x-access-token:${token}`).toString("base64");
  return `[http ${gitConfigSection(url)}]\n\textraheader =\n\textraheader = ${gitConfigValue(`AUTHORIZATION: basic ${basic}`)}\n`;
};

/** What the Packer template replaces by the public key of the build. */
export const buildKeyMarker = "bake-build-key";

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

/** What one node gets, as data of the templates. */
const nodeData = (plan: NodePlan, instance: Instance, header: string) => {
  const { agents, network, ssh } = plan;
  const secret = (origin: ProfilePath, path: string, content: string) => ({
    origin,
    file: written(path, "0600", content),
  });
  const token = instance.agentToken ?? placeholder("agentToken");
  const files = [
    secret(
      ["secrets", "agentToken"],
      agents.token.path,
      agents.token.via === "file" ? `${token}\n` : environmentFile({ BUILDKITE_AGENT_TOKEN: token }),
    ),
    ...(network.gitToken
      ? [
          secret(
            ["secrets", "gitToken"],
            gitTokenFile,
            gitTokenConfig(network.gitTokenUrl, instance.gitToken ?? placeholder("gitToken")),
          ),
        ]
      : []),
    ...(network.proxyCredentials && network.httpProxy !== undefined
      ? [
          secret(
            ["secrets", "proxyCredentials"],
            "/etc/bake/secrets/proxy.env",
            proxyEnvironment(network.httpProxy, instance.proxyCredentials ?? placeholder("proxyCredentials")),
          ),
        ]
      : []),
    ...(ssh.nodeKey === "delivered"
      ? [
          secret(
            ["secrets", "nodeKey"],
            "/etc/bake/secrets/node-key",
            `${(instance.nodeKey ?? placeholder("nodeKey")).trimEnd()}\n`,
          ),
        ]
      : []),
    ...(Object.keys(instance.environment).length === 0
      ? []
      : [secret([], "/etc/bake/instance.env", environmentFile(instance.environment))]),
  ];
  return {
    header,
    users: rootOnly([...ssh.operatorKeys, ...instance.authorizedKeys]),
    // Both, and the short one preferred: distributions of the Red Hat family take the full name otherwise.
    secret: instance.agentToken !== undefined,
    named: instance.hostname !== undefined,
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
      ...ssh.operatorKeys.map((_, index): [string, ProfilePath] => [
        `/users/0/ssh_authorized_keys/${index}`,
        ["ssh", "operatorKeys", index],
      ]),
      ...files.map(({ origin }, index): [string, ProfilePath] => [`/write_files/${index}`, origin]),
    ]),
  };
};

/** Where the profile says what stands in a node's user-data. */
export const userDataOrigins = (plan: NodePlan, instance: Instance): Origins => nodeData(plan, instance, "").origins;

export const goldenUserData = (plan: NodePlan, instance: Instance, header: string, source: string): string => {
  const { writeFiles, origins: _origins, ...data } = nodeData(plan, instance, header);
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

export const stockUserData = (
  plan: NodePlan,
  instance: Instance,
  header: string,
  source: string,
  { mirror, nodeFiles, script, unit }: Stock,
): string => {
  const { writeFiles, origins: _origins, ...data } = nodeData(plan, instance, header);
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
            STOCK_RETRY_SECONDS: String(stockRetry),
          }),
        ),
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
