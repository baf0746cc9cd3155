/** What differs between two profiles, setting by setting. Lists are compared by what is in them, not by position. Pure. */
import { Profile } from "./schema.ts";
import { type ProfilePath, spell } from "./source.ts";

/** Values as JSON; `from` is absent for what was added, `to` for what was removed. */
export interface SettingChange {
  readonly path: string;
  readonly from?: string;
  readonly to?: string;
  /** An entry of a list, as a whole: its position is that on its own side. */
  readonly entry?: true;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Entries of one list that the other does not have, each as often as it stands there more. */
const extra = (own: readonly unknown[], other: readonly unknown[]): { index: number; text: string }[] => {
  const left = other.map((each) => JSON.stringify(each));
  return own.flatMap((each, index) => {
    const text = JSON.stringify(each);
    const at = left.indexOf(text);
    if (at < 0) return [{ index, text }];
    left.splice(at, 1);
    return [];
  });
};

const compare = (path: ProfilePath, from: unknown, to: unknown): SettingChange[] => {
  const [before, after] = [JSON.stringify(from), JSON.stringify(to)];
  if (before === after) return [];
  if ((Array.isArray(from) || from === undefined) && (Array.isArray(to) || to === undefined)) {
    const [old, now] = [from ?? [], to ?? []];
    const [removed, added] = [extra(old, now), extra(now, old)];
    if (removed.length + added.length > 0) {
      return [
        ...removed.map(({ index, text }) => ({ path: spell([...path, index]), from: text, entry: true as const })),
        ...added.map(({ index, text }) => ({ path: spell([...path, index]), to: text, entry: true as const })),
      ];
    }
  }
  if ((isMap(from) || from === undefined) && (isMap(to) || to === undefined)) {
    const [old, now] = [from ?? {}, to ?? {}];
    const found = [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((key) =>
      compare([...path, key], old[key], now[key]),
    );
    // A map that is empty is there, or not.
    if (found.length > 0) return found;
  }
  return [
    { path: spell(path), ...(before !== undefined && { from: before }), ...(after !== undefined && { to: after }) },
  ];
};

/** An image of which nothing else is said is its name alone, as people write it. */
const short = (profile: Profile): Readonly<Record<string, unknown>> => ({
  ...profile,
  images: profile.images.map((each) => (each.from === "image" ? each.image : each)),
});

/** Sorted by path. */
export const settingChanges = (from: Profile, to: Profile): SettingChange[] =>
  Object.keys(Profile.shape)
    .flatMap((key) => compare([key], short(from)[key], short(to)[key]))
    .toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));

/** One change as a line for people. */
export const formatSettingChange = ({ path, from, to, entry }: SettingChange): string =>
  entry === true
    ? `${to === undefined ? "-" : "+"} ${path}: ${to ?? from ?? ""}`
    : `${path}: ${from ?? "not set"} -> ${to ?? "not set"}`;
