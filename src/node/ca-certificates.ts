/** Certificates of the site's own authorities (CA): the system trusts them, and whoever has a list of its own. */
import { caBundle, caFile, caFolder } from "./ca-places.ts";
import { gating, ofCommand } from "./check-commands.ts";
import type { Concern } from "./concern.ts";

export const caCertificates: Concern = {
  name: "ca-certificates",
  contribute: ({ facts }) => {
    const certificates = facts.caCertificates;
    if (certificates.length === 0) return {};
    return {
      files: [
        ...certificates.map((content, index) => ({
          path: `${caFolder}/${index + 1}.crt`,
          content,
          stage: "base" as const,
        })),
        { path: caFile, content: certificates.join("") },
      ],
      checks: [
        ofCommand(
          gating,
          {
            id: "ca-certificates",
            rows: ["G1"],
            title: "the system trusts the authorities of the site",
            help: `copy ${caFolder}/*.crt to /etc/pki/ca-trust/source/anchors and run update-ca-trust, or to /usr/local/share/ca-certificates and run update-ca-certificates; then restart Docker`,
          },
          // By a whole line of each signature.
          `for each in ${caFolder}/*.crt; do grep -qxF -e "$(tail -n 3 "$each" | head -n 1)" ${caBundle} || { echo "$each"; exit 1; }; done`,
        ),
      ],
      explain: [
        {
          what: "trusted authorities",
          value: `${certificates.length} of the site, beside the system's`,
          because: ["network.caCertificates"],
          order: 95,
        },
      ],
      page: {
        paths: [
          {
            paths: [caFile, caBundle],
            what: "the site's certificate authorities; and all that this node trusts",
            order: 900,
          },
        ],
      },
    };
  },
};
