/** A profile's shape: checked against the schema, and mended so that rules can look at the rest. Pure. */
import { Profile } from "./schema.ts";
import { isOptional, sampleOf, typesAt } from "./schema-questions.ts";
import { problemsOf, saysNothing, type ShapeProblem } from "./shape-problems.ts";
import { otherDocument } from "./slips/other-documents.ts";
import type { ProfilePath } from "./source.ts";

export interface Shape {
  /** Right, or made right. */
  readonly profile?: Profile;
  readonly problems: readonly ShapeProblem[];
  /** Where `profile` holds samples, or nothing, in the place of what is written. */
  readonly mended: readonly ProfilePath[];
}

/** Puts samples in the places of wrong values, so that rules can look at everything else. */
const mend = (value: unknown, problems: readonly ShapeProblem[]): unknown => {
  const mended: unknown = structuredClone(value);
  const without: [unknown[], number][] = [];
  for (const { path, at } of problems) {
    const last = path.at(-1);
    if (last === undefined) return undefined;
    let holder: unknown = mended;
    for (const step of path.slice(0, -1))
      holder = (holder as Record<string | number, unknown> | undefined | null)?.[step];
    if (typeof holder !== "object" || holder === null) continue;
    const [type] = typesAt(path);
    const slot = holder as Record<string | number, unknown>;
    if (at === "key" || type === undefined || (isOptional(type) && !Array.isArray(holder))) delete slot[last];
    else {
      const sample = sampleOf(type);
      slot[last] = sample;
      // Of some texts there is no sample, such as certificates: a list does without.
      if (Array.isArray(holder) && !type.safeParse(sample).success) without.push([holder, Number(last)]);
    }
  }
  for (const [list, index] of without.toSorted(([, a], [, b]) => b - a)) list.splice(index, 1);
  return mended;
};

/** What is wrong below a misspelt key only shows when that is gone. */
const mostRounds = 4;

/**
 * Checks the shape of a profile as plain data. With problems, goes on with samples in their places; `profile` is absent when
 * that cannot be done. Pure.
 */
export const checkShape = (value: unknown): Shape => {
  const other = otherDocument(value);
  if (other !== undefined) return { problems: [other], mended: [] };
  let current = value;
  let problems: readonly ShapeProblem[] | undefined;
  const mended: ProfilePath[] = [];
  for (let round = 0; round < mostRounds; round++) {
    // Else zod compiles each map into a function first, which pays when the same schema is asked often.
    const parsed = Profile.safeParse(current, { reportInput: true, jitless: true, error: saysNothing });
    if (parsed.success) return { profile: parsed.data, problems: problems ?? [], mended };
    const found = problemsOf(parsed.error.issues);
    problems ??= found;
    mended.push(...found.map(({ path }) => path));
    current = mend(current, found);
  }
  return { problems: problems ?? [], mended };
};
