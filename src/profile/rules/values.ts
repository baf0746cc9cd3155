/** Every text of a profile, for rules that look at all of them. */

export interface ProfileText {
  readonly path: readonly (string | number)[];
  readonly text: string;
}

/** Texts at any depth, in the order in which they stand; keys are none. Pure. @param path Where `value` lies. */
export const textsOf = (value: unknown, path: readonly (string | number)[] = []): ProfileText[] => {
  if (typeof value === "string") return [{ path, text: value }];
  if (Array.isArray(value)) return value.flatMap((item, index) => textsOf(item, [...path, index]));
  return typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, item]) => textsOf(item, [...path, key]))
    : [];
};
