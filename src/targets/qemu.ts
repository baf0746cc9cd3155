/** A local VM: the base is a file of the lock, the image is a qcow2. */
import type { Package } from "../node/concern.ts";
import type { QemuTarget } from "../node/target.ts";
import { documentedPassword } from "../profile/known-bases.ts";
import type { Profile } from "../profile/schema.ts";
import { buildKeyMarker } from "./build-key.ts";
import { datasourceFiles, datasourcesPath } from "./datasources.ts";
import { localMachines } from "./local-machine.ts";
import type { Target } from "./target.ts";

/** Whether Packer gets into the base by a password of root. Pure. */
const hasPasswordLogin = ({ targets: { qemu: settings }, secrets }: Profile): boolean =>
  settings !== undefined && (secrets.basePassword !== undefined || documentedPassword(settings.base) !== undefined);

/** What a node needs to take its user-data, where the base brings none of it. */
const cloudInit: readonly Package[] = [
  { action: "install", apt: "cloud-init", dnf: "cloud-init" },
  { action: "install", apt: "cloud-guest-utils", dnf: "cloud-utils-growpart" },
  { action: "install", apt: "gdisk", dnf: "gdisk" },
];

export const qemu: Target<QemuTarget> = {
  plan: (_profileName, profile) => {
    if (profile.targets.qemu === undefined) return undefined;
    const { architecture, memory, cpus, diskSize } = profile.targets.qemu;
    return { name: "qemu", architecture, memory, cpus, diskSize, passwordLogin: hasPasswordLogin(profile) };
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
    contribute: ({ header, profile, target }) => ({
      ...(target.name === "qemu" &&
        target.passwordLogin && {
          packages: cloudInit.map((each) => ({ ...each, because: ["targets.qemu.base"] })),
          explain: [
            {
              what: "base",
              value: `root logs in by ${profile.secrets.basePassword === undefined ? "the documented password" : "secrets.basePassword"}, which is locked at once; cloud-init is installed`,
              because: ["targets.qemu.base"],
              order: 90,
            },
          ],
        }),
      files:
        profile.targets.huaweicloud === undefined
          ? [
              {
                // Where cloud-init is told its datasource. Named, not searched for.
                path: datasourcesPath,
                content: `# ${header}\ndatasource_list: [NoCloud, None]\n`,
                bakeOnly: true,
                order: 165,
              },
            ]
          : // The image may be imported there: without a local seed the cloud's metadata are asked.
            datasourceFiles(header, ["NoCloud", "OpenStack", "ConfigDrive", "None"]),
      needsLock: [{ what: "the base's checksum in packer/qemu.pkr.hcl", order: 70 }],
    }),
  },
  source: (_plan, base) => base?.sha256 ?? "",
  disk: ({ diskSize, passwordLogin }) => `${diskSize} GB${passwordLogin ? ", entered by a password" : ""}`,
  needsBase: true,
  template: "qemu.pkr.hcl",
  templateValues: ({ architecture, diskSize, cpus, memory, passwordLogin }, { base }) => {
    const { qemu: program, machine, firmware } = localMachines[architecture];
    return {
      baseChecksum: base?.format === "qcow2" ? `sha256:${base.sha256}` : false,
      diskSize: `${diskSize}G`,
      cpus,
      memory,
      keyMarker: buildKeyMarker,
      passwordLogin,
      // Packer's own default lets everybody who reaches this machine try to log in.
      network: "user,id=user.0,hostfwd=tcp:127.0.0.1:{{ .SSHHostPort }}-:22",
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
