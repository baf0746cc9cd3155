import type { Rule } from "./rule.ts";

/** Docker's data-root lies on the data disk (guide row G21): elsewhere it would fill the system disk. */
export const dataRootUnderMount: Rule = {
  code: "BK111",
  reads: ["docker.dataRoot", "storage.mount"],
  find: ({ docker, storage }) =>
    docker.dataRoot.startsWith(`${storage.mount}/`)
      ? []
      : [
          {
            path: ["docker", "dataRoot"],
            message: `docker.dataRoot ${docker.dataRoot} is not on the data disk`,
            label: `not below ${storage.mount}`,
            help: `set docker.dataRoot to a folder below storage.mount, such as ${storage.mount}/docker-data/docker`,
          },
        ],
};
