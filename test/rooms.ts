/** The rooms of src/, the top first: one imports from those below it alone. CONTRIBUTING.md's map is made from it. */

/** A file, or a folder with a slash, directly below src/; and what lies there. */
export const rooms: readonly (readonly [name: string, what: string])[] = [
  ["cli.ts", "the command table; a command is loaded when it runs"],
  ["commands/", "one file a verb: reads flags, calls the rooms below, prints"],
  ["report/", "report.html: what was baked, what came of its check, as one page"],
  ["bake/", "Packer's run, in a local VM or in the cloud; what makes an image of it"],
  ["rollout/", "nodes to an image in waves: plan, the state of each node, gates, journal; movers, one a kind of node"],
  ["trial/", "what --trial replaces, stand-in artifacts and the stand-in base"],
  ["check/", "boots an image or reaches a host, runs checks and CI's jobs, loopback agent API, search for secrets"],
  ["vm/", "one QEMU machine: accelerator, disks, metadata service, QMP, ssh, console"],
  ["huaweicloud/", "signed REST client with its table of calls, preflight, catalogue of images, what bakes left"],
  ["buildkite/", "Buildkite's REST and GraphQL APIs, within their limits; the pipeline that bake prints"],
  ["toolchain/", "Packer and other tools: found, fetched or built; host packages"],
  ["lock/", "requirements of a profile -> lock; sources/ asks release hosts, hubs and registries"],
  ["store/", "content-addressed store, downloads, mirrors"],
  ["render/", "generic: plan -> files, bake id, user-data, bill of materials; names no concern"],
  ["targets/", "what each target means, as a table: its plan, its template, what it adds to a node"],
  ["plan/", "profile + lock -> NodePlan: the merge of what concerns contribute"],
  [
    "node/",
    "concern.ts; index.ts has the order; a file or folder each with all that one concern adds, its facts and rules",
  ],
  [
    "profile/",
    "schema/ by section; source (text -> tree with positions), extends, shape, load; rules/ that look across; report/",
  ],
  ["artifact.ts", "artifacts and their kinds, as one table"],
  ["host/", "processes, progress, lock files, files written whole, where bake's own files are"],
  ["secrets/", "what gives a secret away, by name and by shape"],
  ["formats/", "one writer a format, which owns its escaping"],
  ["errors.ts", "an error with a code and a help"],
  ["error-codes.ts", "what each code means; docs/errors.md is made from it"],
];

/** The longest file of src/. */
export const mostLines = 350;

/** In its first ten lines a longer file says why, after these words. */
export const longBecause = "Long because";

/** The map of the rooms for CONTRIBUTING.md: a line a room. */
export const roomMap = (): string => rooms.map(([name, what]) => `    ${`src/${name}`.padEnd(20)} ${what}\n`).join("");
