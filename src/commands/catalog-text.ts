/** What `bake catalog` prints, for people and for programs. Pure. */
import { formatBytes } from "../formats/bytes.ts";
import type { Usage } from "../huaweicloud/catalog/look.ts";
import type { Judged } from "../huaweicloud/catalog/prune.ts";
import { type Stated, stateWords } from "../huaweicloud/catalog/states.ts";

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

/** `3 days`: the largest unit that fits once. */
const formatAge = (milliseconds: number): string => {
  const [unit, size] = units.find(([, each]) => milliseconds >= each) ?? ["minute", 60_000];
  const count = Math.max(0, Math.floor(milliseconds / size));
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
};

const counted = (count: number, what: string): string[] =>
  count === 0 ? [] : [`${count} ${what}${count === 1 ? "" : "s"}`];

/** Who uses it, in a few words. */
const formatUsage = ({ servers, scaling, members }: Usage): string => {
  const words = [
    ...("value" in servers ? counted(servers.value.length, "server") : ["servers not known"]),
    ...("value" in scaling ? counted(scaling.value.length, "AS configuration") : ["AS not known"]),
    ...("value" in members
      ? counted(members.value.length, "project").map((text) => `shared with ${text}`)
      : ["shares not known"]),
  ];
  return words.length === 0 ? "nobody" : words.join(", ");
};

/** Why something could not be asked, each reason once. */
const unknowns = (usage: readonly Usage[]): string[] => [
  ...new Set(
    usage
      .flatMap(({ servers, scaling, members }) => [servers, scaling, members])
      .flatMap((seen) =>
        "error" in seen ? [`not known: ${seen.error.message}`, ...(seen.error.help?.split("\n") ?? [])] : [],
      ),
  ),
];

const table = (rows: readonly (readonly string[])[]): string[] => {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd());
};

export interface Shown extends Stated {
  readonly usage: Usage;
}

/** The table of `ls`. @param now Milliseconds since the epoch. */
export const formatCatalog = (images: readonly Shown[], now: number): string =>
  [
    ...table([
      ["state", "image ID", "bake id", "age", "size", "used by"],
      ...images.map(({ image, state, usage }) => [
        state,
        image.id,
        image.bakeId.slice(0, 10),
        image.created === 0 ? "?" : formatAge(now - image.created),
        image.size === undefined ? "?" : formatBytes(image.size),
        formatUsage(usage),
      ]),
    ]),
    ...unknowns(images.map(({ usage }) => usage)).map((line) => `  ${line}`),
  ].join("\n");

const lines = (title: string, values: readonly string[]): string[] =>
  values.map((value, at) => `  ${(at === 0 ? title : "").padEnd(10)}  ${value}`);

/** All about one image. */
export const formatImage = ({ image, state, usage }: Shown, now: number): string => {
  const { servers, scaling, members } = usage;
  return [
    ...lines("image ID", [image.id]),
    ...lines("state", [`${state}: ${stateWords[state]}`]),
    ...lines("name", [image.name]),
    ...lines("bake id", [image.bakeId]),
    ...lines("lock", image.lock === undefined ? [] : [image.lock]),
    ...lines(
      "made",
      image.created === 0 ? [] : [`${new Date(image.created).toISOString()}, ${formatAge(now - image.created)} ago`],
    ),
    ...lines("promoted", [image.promoted ?? "never"]),
    ...lines("verified", [image.verified ?? "never"]),
    ...lines("size", [
      `${image.size === undefined ? "not said" : formatBytes(image.size)}; system disks of ${image.minDisk} GiB and more`,
    ]),
    ...(image.encryptedBy === undefined ? [] : lines("encrypted", [image.encryptedBy || "by the cloud's own key"])),
    ...lines("servers", "value" in servers ? servers.value.map(({ id, name }) => `${id}  ${name}`) : []),
    ...lines("AS", "value" in scaling ? scaling.value.map(({ id, name }) => `${id}  ${name}`) : []),
    ...lines("shared", "value" in members ? members.value.map(({ project, status }) => `${project}  ${status}`) : []),
    ...lines(
      "tags",
      Object.entries(image.tags)
        .map(([name, value]) => `${name}=${value}`)
        .toSorted(),
    ),
    ...unknowns([usage]).map((line) => `  ${line}`),
  ].join("\n");
};

const known = <T>(
  seen: { readonly value: T } | { readonly error: { readonly message: string } },
): T | { notKnown: string } => ("value" in seen ? seen.value : { notKnown: seen.error.message });

/** The object of `--json` for one image. */
export const imageObject = ({ image, state }: Stated, usage?: Usage) => ({
  id: image.id,
  name: image.name,
  state,
  status: image.status,
  created: image.created === 0 ? null : new Date(image.created).toISOString(),
  size: image.size ?? null,
  minDisk: image.minDisk,
  bakeId: image.bakeId,
  lock: image.lock ?? null,
  promoted: image.promoted ?? null,
  verified: image.verified ?? null,
  encryptedBy: image.encryptedBy ?? null,
  tags: image.tags,
  ...(usage !== undefined && {
    servers: known(usage.servers),
    scaling: known(usage.scaling),
    members: known(usage.members),
  }),
});

/** What `prune` would do, and why. */
export const formatJudged = (judged: readonly Judged[]): string =>
  table(
    judged.map(({ image, state, stays }) => [
      stays.length === 0 ? "goes" : "stays",
      image.id,
      image.bakeId.slice(0, 10),
      state,
      stays.join(", "),
    ]),
  ).join("\n");
