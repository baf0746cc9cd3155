/** Where cloud-init of an image looks for user-data. Named, not searched for. Pure. */
import { toYaml } from "../formats/yaml.ts";
import type { NodeFile } from "../node/concern.ts";
import { metadataAddress } from "../node/target.ts";

type Datasource = "NoCloud" | "OpenStack" | "ConfigDrive" | "None";

/** Whether the first file says that the cloud's metadata service is asked. */
export const asksCloud = (content: string): boolean => content.replaceAll(/^#.*$/gm, "").includes("OpenStack");

/** Path of the file that names them. */
export const datasourcesPath = "/etc/cloud/cloud.cfg.d/90_bake.cfg";

/**
 * Files that name the datasources, in the order in which they are tried. A search may find nothing in Huawei Cloud (facts:
 * ds-identify). Lite Servers and bare metal may have a config drive instead of a metadata service. It comes second: a volume of that
 * label on a disk that jobs write to says nothing to a server of the cloud.
 */
export const datasourceFiles = (header: string, datasources: readonly Datasource[]): NodeFile[] => [
  {
    path: datasourcesPath,
    content: `# ${header}\n${toYaml({
      datasource_list: datasources,
      datasource: {
        OpenStack: {
          metadata_urls: [`http://${metadataAddress}`],
          max_wait: 120,
          timeout: 5,
          // The network is the image's own, by DHCP.
          apply_network_config: false,
        },
      },
    })}`,
    bakeOnly: true,
    order: 165,
  },
  {
    // With more than one datasource cloud-init's detection would search after all, and may turn cloud-init off.
    path: "/etc/cloud/ds-identify.cfg",
    content: `# ${header}\npolicy: enabled\n`,
    bakeOnly: true,
  },
];
