/** `bake validate --explain`: every effective value, where it was set, and what bake makes of it. */
import { BakeError } from "../errors.ts";
import type { Consequence } from "../node/concern.ts";
import type { Lock } from "../lock/lock.ts";
import { readLock } from "../lock/read.ts";
import { stalenessOf } from "../lock/requirements.ts";
import { planFor } from "./plan.ts";
import { type Effective, effectiveValues } from "../profile/effective.ts";
import type { Profile } from "../profile/schema.ts";
import { descriptionAt } from "../profile/schema-questions.ts";
import type { Tree } from "../profile/source.ts";
import { closest } from "../profile/suggest.ts";
import { formatTable } from "./table.ts";

const isUnder = (path: string, asked: string): boolean =>
  path === asked || path.startsWith(`${asked}.`) || path.startsWith(`${asked}[`);

const shown = (value: unknown): string =>
  value === null ? "-" : typeof value === "string" ? value : JSON.stringify(value);

const origin = ({ from, value }: Effective): string =>
  from === undefined ? (value === null ? "not set" : "default") : `${from.file}:${from.line}:${from.column}`;

/** `images[0]` → images, 0 */
const descriptionOf = (asked: string): string | undefined =>
  descriptionAt(
    asked
      .split(/\.|\[(\d+)\]/)
      .flatMap((part) => (part === undefined || part === "" ? [] : [/^\d+$/.test(part) ? Number(part) : part])),
  );

/** The lock beside a profile; none while it is not there, cannot be read, or was made for another state of the profile. */
export const lockFor = async (file: string, profile: Profile): Promise<Lock | undefined> => {
  const lock = await readLock(file).catch(() => undefined);
  return lock === undefined || stalenessOf(lock, profile, file).length > 0 ? undefined : lock;
};

/**
 * Settings and consequences at or below a path, or all.
 * @param lock Of this profile: sizes are told with it.
 * @throws BakeError BK110 when there is no such setting.
 */
export const explanation = (
  name: string,
  profile: Profile,
  tree: Tree,
  asked?: string,
  lock?: Lock,
): { settings: Effective[]; consequences: readonly Consequence[] } => {
  const all = effectiveValues(profile, tree);
  const settings = asked === undefined ? all : all.filter(({ path }) => isUnder(path, asked));
  const consequences = planFor({ name, profile, lock }).explain;
  const description = asked === undefined ? undefined : descriptionOf(asked);
  if (asked !== undefined && settings.length === 0 && description !== undefined) {
    return { settings: [{ path: asked, value: null, description }], consequences: [] };
  }
  if (asked !== undefined && settings.length === 0) {
    const parts = [...new Set(all.flatMap(({ path }) => [path, path.replace(/[.[][^.[]*$/, "")]))];
    const meant = closest(asked, parts);
    throw new BakeError(
      "BK110",
      `the profile has no setting ${asked}`,
      meant === undefined ? "docs/profile.md has every setting" : `did you mean ${meant}?`,
    );
  }
  return {
    settings,
    consequences:
      asked === undefined
        ? consequences
        : consequences.filter(({ because }) => because.some((path) => isUnder(asked, path) || isUnder(path, asked))),
  };
};

/** As text for a terminal: settings as a table, or each with its description, then what follows. Pure. */
export const formatExplanation = (
  { settings, consequences }: ReturnType<typeof explanation>,
  withDescriptions: boolean,
): string =>
  [
    withDescriptions
      ? settings
          .map(
            (each) =>
              `  ${each.path}: ${shown(each.value)}  (${origin(each)})${each.description === undefined ? "" : `\n      ${each.description}`}`,
          )
          .join("\n")
      : formatTable([
          ["setting", "value", "set at"],
          ...settings.map((each) => [each.path, shown(each.value), origin(each)]),
        ]),
    ...(consequences.length === 0
      ? []
      : [`what follows\n${formatTable(consequences.map(({ what, value }) => [what, value]))}`]),
  ].join("\n\n");
