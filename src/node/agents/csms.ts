/** The agent token from Huawei Cloud's secret service: the node fetches it, through the agency of its server. Pure. */
import { environmentFile } from "../../formats/lines.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Contribution, Page } from "../concern.ts";
import { metadataAddress } from "../target.ts";

/** What of it a node gets; nothing where the token comes with user-data. */
export interface Csms extends Required<Pick<Contribution, "files" | "units" | "scripts" | "destinations">> {
  readonly fetches: boolean;
  readonly boot?: Page["boot"];
}

const none: Csms = { fetches: false, files: [], units: [], scripts: [], destinations: [] };

/** @param header First line of the file, without a comment sign. */
export const csms = ({ secrets: { agentToken }, targets }: Profile, header: string): Csms => {
  if (!("csms" in agentToken)) return none;
  const region = agentToken.region ?? targets.huaweicloud?.region;
  const endpoint =
    agentToken.endpoint ?? (region === undefined ? undefined : `https://kms.${region}.myhuaweicloud.com`);
  return {
    fetches: true,
    files: [
      {
        path: "/etc/bake/csms.env",
        content: `# ${header}\n${environmentFile({
          CSMS_NAME: agentToken.csms,
          CSMS_FIELD: agentToken.field ?? "",
          // Empty: what the server's metadata say.
          CSMS_ENDPOINT: endpoint ?? "",
          CSMS_METADATA: `http://${metadataAddress}`,
        })}`,
      },
    ],
    units: [{ name: "bake-csms.service", order: 35 }],
    scripts: [{ name: "bake-csms" }],
    destinations:
      endpoint === undefined
        ? []
        : [
            {
              host: new URL(endpoint).hostname,
              port: Number(new URL(endpoint).port || 443),
              when: "node",
              why: "agent token from CSMS",
              order: 15,
            },
          ],
    boot: [
      {
        text: "`bake-csms` fetches the agent token from Huawei Cloud's CSMS through the agency of this server, and tries again until it has it.\n  Until then the gate says why there is none, and the metadata service, which hands out the agency's credentials, stays open. A token\n  that was fetched in an earlier boot is taken when CSMS does not answer within a minute.",
        order: 45,
      },
    ],
  };
};
