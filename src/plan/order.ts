import type { Ordered } from "../node/concern.ts";

/** Of what says nothing about its order. */
const middle = 500;

/** Lower first; what has the same order stays as it came. Pure. */
export const inOrder = <T extends Ordered>(items: readonly T[]): T[] =>
  items.toSorted((a, b) => (a.order ?? middle) - (b.order ?? middle));
