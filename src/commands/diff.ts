/** `bake diff A B`: what changes on the node between two locks, two profiles or two images. */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { formatBytes } from "../formats/bytes.ts";
import { BakeError } from "../errors.ts";
import { type Change, type Difference, difference, type Item, itemsOf } from "../lock/diff.ts";
import { readLock } from "../lock/read.ts";
import { stalenessOf } from "../lock/requirements.ts";
import { profilesIn } from "./find-profile.ts";
import { planFor } from "./plan.ts";
import { targetsOf } from "../targets/index.ts";
import type { Profile } from "../profile/schema.ts";
import { formatSettingChange, settingChanges } from "../profile/settings-diff.ts";
import { renderTree, templateNames } from "../render/tree.ts";
import { readTemplates } from "../host/root.ts";
import { shownHunks } from "./hunks.ts";
import { readProfileFile, reportFailure, requireProfile } from "./profile-file.ts";

/** One side: whatever of it is known. */
interface Side {
  /** As shown to the user. */
  readonly what: string;
  readonly items?: readonly Item[];
  /** Of a profile that has gone on without its lock: where. What it takes is not known then. */
  readonly stale?: readonly string[];
  readonly settings?: Profile;
  /** Files of the node by path. */
  readonly files?: ReadonlyMap<string, string>;
  /** Of an image. */
  readonly base?: string;
}

const ImageRecord = z.object({
  bakeId: z.string(),
  base: z.object({ name: z.string(), sha256: z.string() }).optional(),
  sourceImage: z.string().optional(),
  artifacts: z.array(z.object({ name: z.string(), version: z.string(), sha256: z.string() })),
});

/** @throws BakeError BK520 when it is no image's record. */
const imageSide = async (file: string): Promise<Side> => {
  let record: z.infer<typeof ImageRecord>;
  try {
    record = ImageRecord.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    throw new BakeError("BK520", `${file} is no image.json of a bake`);
  }
  return {
    what: `image ${file}`,
    base: record.base === undefined ? (record.sourceImage ?? "") : `${record.base.name} sha256:${record.base.sha256}`,
    items: record.artifacts.map(({ name, version, sha256 }) => ({ kind: "artifact", name, version, digest: sha256 })),
  };
};

const profileSide = async (asked: string): Promise<Side | undefined> => {
  const file = await readProfileFile(asked);
  const profile = requireProfile(file);
  if (profile === undefined) return undefined;
  const lock = await readLock(file.lockFile);
  const stale = lock === undefined ? [] : stalenessOf(lock, profile, file.lockFile).map(({ message }) => message);
  const target = targetsOf(profile)[0];
  const plan = planFor({ name: file.name, profile, ...(target !== undefined && { target }) });
  const { files } = renderTree(plan, readTemplates(templateNames(plan)));
  const header = /^# Made by bake from profile .*\n/gm;
  return {
    what: `profile ${file.file}`,
    ...(stale.length > 0 ? { stale } : lock !== undefined && { items: itemsOf(lock) }),
    settings: profile,
    files: new Map(
      files
        .filter(({ path }) => path.startsWith("node/"))
        .map(({ path, content, encoding }) => [
          path.slice("node".length),
          encoding === undefined
            ? content.replace(header, "")
            : `no text, sha256 ${createHash("sha256").update(content, encoding).digest("hex")}\n`,
        ]),
    ),
  };
};

/** A lock, an image (its folder or its image.json), or a profile by name or path. */
const sideOf = async (asked: string): Promise<Side | undefined> => {
  if (asked.endsWith(".lock.json")) {
    const lock = await readLock(asked);
    if (lock === undefined) throw new BakeError("BK520", `there is no lock ${asked}`);
    return { what: `lock ${asked}`, items: itemsOf(lock) };
  }
  if (asked.endsWith("image.json")) return imageSide(asked);
  const inFolder = join(asked, "image.json");
  const found = await stat(inFolder).catch(() => undefined);
  if (found?.isFile() === true) return imageSide(inFolder);
  // A name alone is a profile's, whatever folder has it, too.
  const isFolder = asked.includes("/") && (await stat(asked).catch(() => undefined))?.isDirectory() === true;
  if (isFolder && profilesIn(asked).length === 0) {
    throw new BakeError(
      "BK520",
      `there is no image in ${asked}: it has no image.json`,
      "bake image leaves one there; what was only rendered is compared by the profile's name.",
    );
  }
  return profileSide(asked);
};

const changesOf = (
  from: ReadonlyMap<string, string>,
  to: ReadonlyMap<string, string>,
): { readonly path: string; readonly from?: string; readonly to?: string }[] =>
  [...new Set([...from.keys(), ...to.keys()])]
    .filter((path) => from.get(path) !== to.get(path))
    .toSorted()
    .map((path) => {
      const [before, after] = [from.get(path), to.get(path)];
      return { path, ...(before !== undefined && { from: before }), ...(after !== undefined && { to: after }) };
    });

/** Locks and profiles know the kind of an artifact, an image its name alone. */
const alike = (items: readonly Item[], other: readonly Item[]): readonly Item[] =>
  other.some(({ kind }) => kind === "artifact")
    ? items.map(({ name, version, digest }) => ({ kind: "artifact", name, version, digest }))
    : items;

const signed = (bytes: number): string => `${bytes < 0 ? "" : "+"}${formatBytes(bytes)}`;

const short = (digest: string): string => `sha256:${digest.slice(0, 12)}`;

/** One change as a line for people: what, from which version to which, sizes. Pure. */
export const formatChange = ({ change, name, architecture, from, to, fresh }: Change): string => {
  const title = `${change === "added" ? "+" : change === "removed" ? "-" : "~"} ${name}${architecture === undefined ? "" : ` (${architecture})`}`;
  const version =
    from === undefined || to === undefined
      ? (to ?? from)?.version
      : from.version === to.version
        ? `${to.version}, other bytes: ${short(from.digest)} -> ${short(to.digest)}`
        : `${from.version} -> ${to.version}`;
  const sizes = [from?.size, to?.size].filter((size) => size !== undefined);
  const [before, after] = sizes;
  const size =
    before !== undefined && after !== undefined
      ? `${formatBytes(before)} -> ${formatBytes(after)} (${signed(after - before)})`
      : before === undefined
        ? undefined
        : formatBytes(before);
  const download =
    fresh === undefined || to?.size === undefined || fresh === to.size ? undefined : `${formatBytes(fresh)} of it new`;
  return `  ${[title, version, size, download].filter((part) => part !== undefined).join("  ")}`;
};

const formatDifference = ({ changes, size }: Difference): string =>
  [
    "artifacts",
    ...(changes.length === 0 ? ["  the same"] : changes.map(formatChange)),
    ...(size === undefined
      ? []
      : [
          `  all of them: ${formatBytes(size.from)} -> ${formatBytes(size.to)} (${signed(size.to - size.from)}), ${formatBytes(size.fresh)} to download`,
        ]),
  ].join("\n");

/** Files of an Item are for counting alone. */
const withoutFiles = (item: Item | undefined): Omit<Item, "files"> | undefined => {
  if (item === undefined) return undefined;
  const { files: _files, ...rest } = item;
  return rest;
};

/**
 * Prints what differs between two sides, as text or as JSON; of files what is in them, unless `names` alone are asked for.
 * @returns the exit code: 0 when nothing differs, 1 when something does, 2 for a failure
 */
export const diff = async (a: string, b: string, options: { json?: boolean; names?: boolean }): Promise<number> => {
  try {
    const [from, to] = [await sideOf(a), await sideOf(b)];
    // 1 says that something differs.
    if (from === undefined || to === undefined) return 2;
    const artifacts =
      from.items === undefined || to.items === undefined
        ? undefined
        : difference(alike(from.items, to.items), alike(to.items, from.items));
    const settings = from.settings && to.settings && settingChanges(from.settings, to.settings);
    const files =
      from.files &&
      to.files &&
      changesOf(from.files, to.files).map(({ path, from: before, to: after }) => ({
        path,
        change: before === undefined ? "added" : after === undefined ? "removed" : "changed",
        ...(options.names !== true && { diff: shownHunks(before ?? "", after ?? "") }),
      }));
    const base =
      from.base === undefined || to.base === undefined || from.base === to.base
        ? undefined
        : { from: from.base, to: to.base };
    const stale = [from, to].flatMap((side) => side.stale ?? []);
    const differs =
      base !== undefined ||
      stale.length > 0 ||
      [artifacts?.changes, settings, files].some((found) => found !== undefined && found.length > 0);
    if (options.json === true) {
      const shown = artifacts && {
        ...artifacts,
        changes: artifacts.changes.map((each) => ({
          ...each,
          from: withoutFiles(each.from),
          to: withoutFiles(each.to),
        })),
      };
      process.stdout.write(
        `${JSON.stringify({ from: from.what, to: to.what, differs, base, stale: stale.length > 0 ? stale : undefined, artifacts: shown, settings, files }, null, 2)}\n`,
      );
      return differs ? 1 : 0;
    }
    const parts = [
      `from ${from.what}\nto   ${to.what}`,
      ...(base === undefined ? [] : [`base\n  ${base.from}\n  -> ${base.to}`]),
      ...(settings === undefined || settings.length === 0
        ? []
        : [`settings\n${settings.map((each) => `  ${formatSettingChange(each)}`).join("\n")}`]),
      ...(files === undefined || files.length === 0
        ? []
        : [
            `files of the node\n${files
              .map(({ path, change, diff: hunks }) =>
                [
                  `  ${change === "added" ? "+" : change === "removed" ? "-" : "~"} ${path}`,
                  ...(hunks === undefined ? [] : [hunks.replace(/^(?=.)/gm, "      ")]),
                ].join("\n"),
              )
              .join("\n")}`,
          ]),
      ...(artifacts === undefined
        ? [
            stale.length === 0
              ? "artifacts\n  not compared: a profile without a lock says nothing about bytes"
              : `artifacts\n  not compared: bake lock first, a profile has gone on without its lock\n${stale.map((each) => `  ${each}`).join("\n")}`,
          ]
        : [formatDifference(artifacts)]),
    ];
    process.stdout.write(`${parts.join("\n\n")}\n`);
    return differs ? 1 : 0;
  } catch (error) {
    return reportFailure(error);
  }
};
