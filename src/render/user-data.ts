/** cloud-init user-data. Two kinds so far: for a node made from the golden image, and for the VM that Packer builds in. */
import type { NodePlan } from "../plan/node-plan.ts";
import { environmentFile } from "./formats/lines.ts";
import { renderTemplate } from "./templates.ts";

/** What one node gets at deploy time. */
export interface Instance {
  /** Absent: a placeholder stands in its place. */
  readonly agentToken?: string;
  readonly authorizedKeys: readonly string[];
  /** Goes to /etc/bake/instance.env: agent settings of this node alone. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Stands for a secret in out/: no secret is ever written there. */
const tokenPlaceholder = "<secrets.agentToken>";

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

export const goldenUserData = (plan: NodePlan, instance: Instance, header: string, source: string): string => {
  const { token } = plan.agents;
  const value = instance.agentToken ?? tokenPlaceholder;
  const writeFiles = [
    {
      path: token.path,
      permissions: "0600",
      owner: "root:root",
      content: token.via === "file" ? `${value}\n` : environmentFile({ BUILDKITE_AGENT_TOKEN: value }),
    },
    ...(Object.keys(instance.environment).length === 0
      ? []
      : [
          {
            path: "/etc/bake/instance.env",
            permissions: "0600",
            owner: "root:root",
            content: environmentFile(instance.environment),
          },
        ]),
  ];
  return renderTemplate("golden.yaml", source, {
    header,
    users: rootOnly(instance.authorizedKeys),
    files: { write_files: writeFiles },
  });
};

export const buildUserData = (header: string, source: string): string =>
  renderTemplate("build.yaml", source, { header, users: rootOnly([buildKeyMarker]) });
