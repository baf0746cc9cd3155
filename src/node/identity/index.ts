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
    checks:
      nodeKey === "none"
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
          text: `\`bake-identity\` puts the node's key pair in place; it is kept on the data disk, in \`${storage.stateFolder}\`.`,
          order: 40,
        },
      ],
    },
  }),
};
