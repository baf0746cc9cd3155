/** The node's own ssh key pair, and the keys of those who may log in (guide row G8). */
import { environmentFile } from "../../formats/lines.ts";
import { gating, line, ofCommand } from "../check-commands.ts";
import type { Concern } from "../concern.ts";
import { secretPlaceholder } from "../secret-placeholder.ts";
import { nodeKeyRule } from "./node-key-rule.ts";
import { userDataSize } from "./login-keys-rule.ts";

export const identity: Concern = {
  name: "identity",
  rules: [nodeKeyRule, userDataSize],
  contribute: ({ profile: { ssh }, facts: { nodeKey, storage }, header }) => ({
    files: [
      {
        path: "/etc/bake/identity.env",
        content: `# ${header}\n${environmentFile({ IDENTITY_KEY: nodeKey, IDENTITY_FOLDER: storage.stateFolder })}`,
        order: 70,
      },
    ],
    directories: [{ path: "/root/.ssh", mode: "0700", order: 40 }],
    units: [{ name: "bake-identity.service", values: { mount: storage.mount }, order: 30 }],
    scripts: [{ name: "bake-identity", order: 30 }],
    checks: [
      ofCommand(
        gating,
        {
          id: "bake-no-password",
          rows: ["G8"],
          title: "no account has a password, unless user-data gave it one",
          help: "usermod -p '*' NAME: a password of the base would open every node; keys go on working",
        },
        // Of a stock host the accounts are its own.
        `found=$(awk -F : '$2 !~ /^[!*]/ { print $1 }' /etc/shadow) && echo $found && { test -z "$found" || test -e /var/lib/bake/stock || grep -Eqs '(^|[^_a-z])((hashed_|plain_text_)?passwd|password|chpasswd)([^_a-z]|$)' /var/lib/cloud/instance/cloud-config.txt /var/lib/cloud/instance/vendor-cloud-config.txt /var/lib/cloud/instance/user-data.txt; }`,
      ),
      ...(nodeKey === "none"
        ? []
        : [
            ofCommand(
              gating,
              {
                id: "node-key",
                rows: ["G8"],
                title: "the node's key pair is whole and for root alone",
                help: "journalctl -u bake-health -u bake-identity",
                repair: "identity",
              },
              // A key with a passphrase would wait for somebody to type it.
              `set -e; for key in /root/.ssh/id_ed25519 /root/.ssh/id_rsa /root/.ssh/id_ecdsa; do if [ -e "$key" ]; then test "$(ssh-keygen -y -P '' -f "$key" | cut -d ' ' -f 1,2)" = "$(cut -d ' ' -f 1,2 "$key.pub")"; stat -c '%a %U' "$key"; exit 0; fi; done; exit 1`,
              { stdout: [line("600 root")] },
            ),
          ]),
    ],
    userData:
      nodeKey === "delivered"
        ? [
            {
              path: "/etc/bake/secrets/node-key",
              origin: ["secrets", "nodeKey"],
              content: (instance) => `${(instance.nodeKey ?? secretPlaceholder("nodeKey")).trimEnd()}\n`,
              order: 40,
            },
          ]
        : [],
    loginKeys: ssh.operatorKeys.map((key, index) => ({ key, origin: ["ssh", "operatorKeys", index] })),
    page: {
      boot: [
        {
          text: `\`bake-identity\` puts the node's key pair in place; it is kept on the data disk, in \`${storage.stateFolder}\`. A name\n  that ends in \`.novalocal\`, as clouds give it, loses that end before the agents take it.`,
          order: 40,
        },
      ],
    },
  }),
};
