/** A local VM: the base is a file of the lock, the image is a qcow2. */
import type { QemuTarget } from "../node/target.ts";
import { buildKeyMarker } from "./build-key.ts";
import { localMachines } from "./local-machine.ts";
import type { Target } from "./target.ts";

export const qemu: Target<QemuTarget> = {
  plan: (_profileName, { targets }) => {
    if (targets.qemu === undefined) return undefined;
    const { architecture, memory, cpus, diskSize } = targets.qemu;
    return { name: "qemu", architecture, memory, cpus, diskSize };
  },
  concern: {
    name: "qemu",
    requirements: ({ targets: { qemu: settings } }, architecture) =>
      settings === undefined
        ? []
        : [
            {
              kind: "base",
              name: typeof settings.base === "string" ? settings.base : "base",
              asked: typeof settings.base === "string" ? settings.base : settings.base.file,
              base: settings.base,
              architecture,
              path: ["targets", "qemu", "base"],
            },
          ],
    contribute: ({ header, profile: { targets: settings } }) => ({
      explain:
        typeof settings.qemu?.base === "string" && settings.qemu.base.startsWith("openeuler-")
          ? [
              {
                what: "base",
                value: `${settings.qemu.base}, which brings no cloud-init: bake image needs one that does (docs/bases.md)`,
                because: ["targets.qemu.base"],
                order: 90,
              },
            ]
          : [],
      files: [
        {
          // Where cloud-init is told its datasource. Named, not searched for.
          path: "/etc/cloud/cloud.cfg.d/90_bake.cfg",
          content: `# ${header}\ndatasource_list: [NoCloud, None]\n`,
          bakeOnly: true,
          order: 165,
        },
      ],
      needsLock: [{ what: "the base's checksum in packer/qemu.pkr.hcl", order: 70 }],
    }),
  },
  source: (_plan, base) => base?.sha256 ?? "",
  needsBase: true,
  template: "qemu.pkr.hcl",
  templateValues: ({ architecture, diskSize, cpus, memory }, { base }) => {
    const { qemu: program, machine, firmware } = localMachines[architecture];
    return {
      baseChecksum: base?.format === "qcow2" ? `sha256:${base.sha256}` : false,
      diskSize: `${diskSize}G`,
      cpus,
      memory,
      keyMarker: buildKeyMarker,
      program,
      machine,
      // Where it lies on the machine that bakes is a variable: this is its default.
      firmware: firmware[0] ?? false,
    };
  },
  buildKeys: [buildKeyMarker],
  vmSize: ({ memory, cpus }) => ({ memoryMiB: memory, cpus }),
  dependency: () => undefined,
};
