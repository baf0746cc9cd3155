/** The rooms of src/, the top first: one imports from those below it alone. CONTRIBUTING.md's map is made from it. */

/** A file, or a folder with a slash, directly below src/; and what lies there. */
export const rooms: readonly (readonly [name: string, what: string])[] = [
  ["cli.ts", "the command table; a command is loaded when it runs"],
  ["commands/", "one file a verb: reads flags, calls the rooms below, prints"],
  ["bake/", "Packer's run, in a local VM or in the cloud; what makes an image of it"],
  ["trial/", "what --trial replaces, stand-in artifacts and the stand-in base"],
  ["check/", "boots an image or reaches a host, runs checks and CI's jobs, loopback agent API, search for secrets"],
  ["vm/", "one QEMU machine: accelerator, disks, QMP, ssh, panics"],
  ["toolchain/", "Packer and other tools: found, fetched or built; host packages"],
  ["lock/", "requirements of a profile -> lock; sources/ asks release hosts, hubs and registries"],
  ["store/", "content-addressed store, downloads, mirrors"],
  ["render/", "plan -> files, bake id, user-data, bill of materials"],
  ["targets/", "what each target means"],
  ["plan/", "profile + lock -> NodePlan"],
  ["node/", "one file or folder a concern of a node, and their order"],
  ["profile/", "schema; source (text -> tree with positions), extends, shape, rules/, load; report/ tells problems"],
  ["artifact.ts", "kinds of artifacts"],
  ["host/", "processes, progress, lock files, files written whole, where bake's own files are"],
  ["secrets/", "what gives a secret away, by name and by shape"],
  ["formats/", "one writer a format, which owns its escaping"],
  ["errors.ts", "an error with a code and a help"],
  ["error-codes.ts", "what each code means; docs/errors.md is made from it"],
];

/** Rooms that are planned. Each goes from here when it is built. */
export const notBuilt: readonly string[] = ["targets/", "node/"];

/** Imports that go up the list, from one file of src/ to another. This list only gets shorter. */
export const knownUpward: readonly (readonly [from: string, to: string])[] = [
  ["check/check-image.ts", "bake/image.ts"],
  ["host/root.ts", "render/tree.ts"],
  ["lock/ask.ts", "toolchain/tools.ts"],
  ["plan/plan.ts", "lock/lock.ts"],
  ["plan/plan.ts", "lock/requirements.ts"],
  ["profile/rules/pins.ts", "lock/requirements.ts"],
  ["trial/base.ts", "bake/image.ts"],
];

/** The longest file of src/. */
export const mostLines = 350;

/** In its first ten lines a longer file says why, after these words. */
export const longBecause = "Long because";

/** Files that are too long and do not say why. This list only gets shorter. */
export const knownLong: readonly string[] = [
  "bake/image.ts",
  "check/agent-api/server.ts",
  "check/check-image.ts",
  "check/secret-scan.ts",
  "error-codes.ts",
  "plan/checks.ts",
  "profile/schema.ts",
  "profile/shape.ts",
  "render/tree.ts",
  "store/download.ts",
  "toolchain/tools.ts",
  "trial/base.ts",
  "vm/machine.ts",
];

/** The map of the rooms for CONTRIBUTING.md: a line a room that is built. */
export const roomMap = (): string =>
  rooms
    .filter(([name]) => !notBuilt.includes(name))
    .map(([name, what]) => `    ${`src/${name}`.padEnd(20)} ${what}\n`)
    .join("");
