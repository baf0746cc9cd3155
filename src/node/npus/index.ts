/** The NPUs of the host: every device that an agent owns, the shared ones, and the files of the driver (guide row G5; run-npu-test.sh). */
import type { Check } from "../check.ts";
import type { Concern } from "../concern.ts";
import { command } from "../check-commands.ts";
import { sharedNpuDevices } from "./facts.ts";
import { npuCount } from "./count-rule.ts";

/** What the CI script mounts into every job, and what it must be: dockerd makes a folder of a missing mount source. */
const driverFiles: readonly [path: string, filetype: string][] = [
  ["/usr/local/bin/npu-smi", "file"],
  ["/usr/local/Ascend/driver/version.info", "file"],
  ["/etc/ascend_install.info", "file"],
  ["/usr/local/dcmi", "directory"],
  ["/usr/local/Ascend/driver/lib64", "directory"],
];

export const npus: Concern = {
  name: "npus",
  rules: [npuCount],
  contribute: ({ facts: { agents } }) => ({
    checks: [
      ...[...agents.each.flatMap(({ devices }) => devices), ...sharedNpuDevices].map((device): Check => {
        const id = `npu-${device.slice("/dev/".length)}`;
        return {
          id,
          rows: ["G5"],
          title: `${device} is a device`,
          level: "npu",
          live: true,
          help: "npu-smi info; dmesg: is the driver loaded for this kernel?",
          resource: command(id, `test -c ${device}`, { timeout: 30_000 }),
        };
      }),
      ...driverFiles.map(([path, filetype]): Check => {
        const id = `npu-${path.split("/").at(-1)}`;
        return {
          id,
          rows: ["G5"],
          title: `${path} is a ${filetype}`,
          level: "npu",
          help:
            filetype === "file"
              ? `if it is a folder, Docker made it for a missing mount source: rmdir it and install the driver again`
              : "install the NPU driver",
          resource: ["file", id, { path, exists: true, filetype }],
        };
      }),
    ],
  }),
};
