/** The image of a report: what was baked, what changed since the image before, and what takes room. Pure. */
import { type Child, element, type Html } from "../formats/html.ts";
import { formatBytes } from "../formats/bytes.ts";
import type { Change, Item } from "../lock/diff.ts";
import type { DiskRoom } from "../lock/room.ts";
import { bar, type Stretch } from "./charts.ts";
import type { ReportedImage } from "./input.ts";
import { count, factList, section, table } from "./parts.ts";

const digest = (value: string): Html => element("code", {}, value);

const short = (value: string): string => (/^[0-9a-f]{40,}$/.test(value) ? value.slice(0, 12) : value);

/** What became of an artifact, in words. */
const changeOf = ({ change, name, from }: Change): string => {
  if (change === "added" || from === undefined) return "new";
  // The tag of an image is in its name.
  return `was ${from.name === name ? short(from.version) : from.name}`;
};

const sameVersion = ({ from, to }: Change): boolean => from?.version === to?.version && from?.name === to?.name;

const itemRow = (item: Item, changes: readonly Change[] | undefined): Child[] => {
  const change = changes?.find(({ to }) => to !== undefined && to.name === item.name && to.digest === item.digest);
  return [
    item.name,
    short(item.version),
    ...(changes === undefined
      ? []
      : [
          change === undefined
            ? element("span", { class: "quiet" }, "the same")
            : element(
                "strong",
                { class: "changed" },
                sameVersion(change) ? "same version, other bytes" : changeOf(change),
              ),
        ]),
    item.size === undefined ? "" : formatBytes(item.size),
    digest(item.digest),
  ];
};

/** What the changes since the last image come to. */
const changesOf = ({ changes, base }: ReportedImage): string => {
  if (changes === undefined) return "There is no earlier image of this profile here to compare with.";
  const { difference, bakeId, madeAt } = changes;
  const of = (change: Change["change"]): number => difference.changes.filter((each) => each.change === change).length;
  const told = [
    ...(base.before === undefined ? [] : [`another base (was ${base.before})`]),
    ...(["changed", "added", "removed"] as const).flatMap((change) =>
      of(change) === 0 ? [] : [`${count(of(change), "artifact")} ${change}`],
    ),
  ];
  return `Since the image before${madeAt === undefined ? "" : ` of ${madeAt}`} (bake id ${bakeId}): ${
    told.length === 0 ? "the same artifacts; settings or bake's own files differ" : told.join(", ")
  }.`;
};

/** Which stages came out of a layer; nothing where no layers are kept. */
const stagesOf = ({ stages = [] }: ReportedImage): Child =>
  stages.length === 0
    ? []
    : table(
        "Stages of the bake",
        [{ head: "stage" }, { head: "came from" }, { head: "seconds", kind: "number" }, { head: "id", kind: "digest" }],
        stages.map(({ name, id, reusedFrom, seconds }) => [
          name,
          reusedFrom === undefined ? "made anew" : `the layer of ${reusedFrom}`,
          seconds === undefined ? "" : String(seconds),
          digest(id),
        ]),
      );

/** What was baked. */
export const imageOf = (image: ReportedImage): Html => {
  const { base, items, changes } = image;
  const list = changes?.difference.changes;
  const removed = list?.filter(({ change }) => change === "removed") ?? [];
  return section(
    "image",
    "What was baked",
    factList(image.facts),
    element("p", {}, changesOf(image)),
    stagesOf(image),
    table(
      "What the image holds",
      [
        { head: "artifact" },
        { head: "version" },
        ...(list === undefined ? [] : [{ head: "since the image before" }]),
        { head: "size", kind: "number" },
        { head: "digest (sha256; of an image its ID)", kind: "digest" },
      ],
      [
        [
          "base",
          base.name,
          ...(list === undefined
            ? []
            : [
                base.before === undefined
                  ? element("span", { class: "quiet" }, "the same")
                  : element("strong", { class: "changed" }, `was ${base.before}`),
              ]),
          "",
          base.digest === undefined ? "" : digest(base.digest),
        ],
        ...items.map((item) => itemRow(item, list)),
        ...removed.map(({ name, from }) => [
          name,
          short(from?.version ?? ""),
          element("strong", { class: "changed" }, "no longer there"),
          "",
          digest(from?.digest ?? ""),
        ]),
      ],
      "artifacts",
    ),
  );
};

/** Artifacts as they are downloaded, the largest first. Images share layers: shares do not add up to the whole. */
const artifactSizes = (items: readonly Item[]): Html | undefined => {
  const known = items
    .flatMap(({ name, size }) => (size === undefined ? [] : [{ name, size }]))
    .toSorted((a, b) => b.size - a.size);
  const most = known[0]?.size;
  if (most === undefined || most === 0) return undefined;
  return table(
    "Artifacts by size",
    [
      { head: "artifact, as it is downloaded" },
      { head: "size", kind: "number" },
      { head: element("span", { class: "hidden" }, "share"), kind: "bar" },
    ],
    known.map(({ name, size }) => [name, formatBytes(size), bar([{ from: 0, to: size / most, kind: "main" }])]),
    "chart short",
  );
};

const totalOf = (items: readonly Item[]): number | undefined => {
  if (items.length === 0 || items.some(({ files }) => files === undefined)) return undefined;
  const files = new Map(items.flatMap((item) => [...(item.files ?? [])]));
  return [...files.values()].reduce((sum, size) => sum + size, 0);
};

const diskMap = (disk: DiskRoom): Html => {
  const parts: readonly (readonly [name: string, size: number, kind: string])[] = [
    ["images, unpacked (estimate)", disk.images, "one"],
    ["models", disk.models, "two"],
    ["build caches of the lock", disk.buildCaches, "two"],
    ["caches of builders, at most", disk.caches, "three"],
    ["kept free before jobs are taken", disk.minFree, "four"],
    ["the file system itself", disk.fileSystem, "four"],
  ];
  const used = parts.reduce((sum, [, size]) => sum + size, 0);
  const whole = Math.max(disk.size, used);
  let at = 0;
  const stretches = parts.map(([, size, kind]): Stretch => {
    const from = at / whole;
    at += size;
    return { from, to: at / whole, kind };
  });
  const swatch = (kind: string, name: string): Child => [
    element(
      "svg",
      { class: "swatch", width: 12, height: 12, "aria-hidden": "true", focusable: "false" },
      element("rect", { class: kind, x: 0, y: 0, width: 12, height: 12, rx: 2 }),
    ),
    " ",
    name,
  ];
  const left = disk.size - used;
  return element(
    "figure",
    {},
    element("figcaption", {}, `Data disk: the smallest that the profile takes, ${disk.size} GiB`),
    bar(stretches.filter(({ from, to }) => to > from)),
    table(
      "Room on the data disk",
      [{ head: "what" }, { head: "GiB", kind: "number" }],
      [
        ...parts.map(([name, size, kind]) => [swatch(kind, name), size]),
        left < 0
          ? [swatch("failed", "missing: the smallest disk would run full"), -left]
          : [swatch("rest", "left"), left],
      ],
      "legend",
    ),
  );
};

/** What takes room, where that is known. */
export const sizesOf = (image: ReportedImage | undefined, disk: DiskRoom | undefined): Html | undefined => {
  const artifacts = image === undefined ? undefined : artifactSizes(image.items);
  if (artifacts === undefined && disk === undefined && image?.size === undefined) return undefined;
  const total = image === undefined ? undefined : totalOf(image.items);
  const told = [
    ...(image?.size === undefined ? [] : [`the image's file has ${formatBytes(image.size)}, compressed`]),
    ...(total === undefined ? [] : [`what goes into it has ${formatBytes(total)}, files that are shared once`]),
  ].join("; ");
  return section(
    "sizes",
    "Sizes",
    told === "" ? undefined : element("p", {}, `${told[0]?.toUpperCase()}${told.slice(1)}.`),
    artifacts,
    disk === undefined ? undefined : diskMap(disk),
  );
};
