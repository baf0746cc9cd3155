/** The metadata service, which hands out user-data: closed once the node is ready. */
import { environmentFile } from "../../formats/lines.ts";
import { advisory, literal, ofCommand } from "../check-commands.ts";
import type { Concern } from "../concern.ts";
import { metadataAddress } from "../target.ts";
import { metadataUsers } from "./users-rule.ts";

export const metadata: Concern = {
  name: "metadata",
  rules: [metadataUsers],
  contribute: ({ profile: { network }, facts: { metadataClosed }, header }) => ({
    files: [
      {
        path: "/etc/bake/metadata.env",
        content: `# ${header}\n${environmentFile({
          METADATA_CLOSED: String(metadataClosed),
          METADATA_ADDRESS: metadataAddress,
          METADATA_EXCEPT_USERS: network.metadata.exceptUsers.join(" "),
        })}`,
        order: 80,
      },
      // Else networkd takes the rule that closes the metadata service away when it restarts.
      {
        path: "/etc/systemd/networkd.conf.d/90-bake.conf",
        content: `# ${header}\n[Network]\nManageForeignRoutingPolicyRules=no\n`,
        order: 90,
      },
    ],
    units: [{ name: "bake-metadata.service", order: 110 }],
    scripts: [{ name: "bake-metadata", order: 90 }],
    checks: metadataClosed
      ? [
          ofCommand(
            advisory,
            {
              id: "bake-metadata-closed",
              rows: ["G3"],
              title: "the metadata service, which hands out user-data, is closed",
              help: "systemctl restart bake-metadata",
            },
            `ip rule show | grep -Eq 'to ${literal(metadataAddress)} .*prohibit' && ! curl -s --max-time 5 -o /dev/null http://${metadataAddress}/`,
          ),
        ]
      : [],
    page: {
      boot: [
        {
          text: `\`bake-metadata\` closes ${metadataAddress} to everything on the node until the next boot, when the checks were made.`,
          order: 810,
        },
      ],
    },
  }),
};
