/** What differs between two texts, by lines, as `diff -u` writes it. */

interface Step {
  readonly kind: " " | "-" | "+";
  readonly line: string;
}

/** More edits than that are told as one block that went and one that came. */
const mostEdits = 400;

/** Myers' shortest edit script: the furthest reach on each diagonal, for one edit more each time. Undefined when it is too long. */
const shortest = (a: readonly string[], b: readonly string[]): Step[] | undefined => {
  const reaches: Map<number, number>[] = [];
  let reach = new Map<number, number>([[1, 0]]);
  const at = (map: ReadonlyMap<number, number>, diagonal: number): number => map.get(diagonal) ?? -1;
  for (let edits = 0; edits <= Math.min(mostEdits, a.length + b.length); edits++) {
    reaches.push(new Map(reach));
    const next = new Map(reach);
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const down = diagonal === -edits || (diagonal !== edits && at(reach, diagonal - 1) < at(reach, diagonal + 1));
      let x = down ? at(reach, diagonal + 1) : at(reach, diagonal - 1) + 1;
      while (x < a.length && x - diagonal < b.length && a[x] === b[x - diagonal]) x++;
      next.set(diagonal, x);
      if (x >= a.length && x - diagonal >= b.length) return back(a, b, reaches, edits);
    }
    reach = next;
  }
  return undefined;
};

/** From the end to the beginning, along what was reached. */
const back = (
  a: readonly string[],
  b: readonly string[],
  reaches: readonly ReadonlyMap<number, number>[],
  edits: number,
): Step[] => {
  const steps: Step[] = [];
  let [x, y] = [a.length, b.length];
  for (let left = edits; left > 0; left--) {
    const before = reaches[left] ?? new Map<number, number>();
    const at = (diagonal: number): number => before.get(diagonal) ?? -1;
    const diagonal = x - y;
    const down = diagonal === -left || (diagonal !== left && at(diagonal - 1) < at(diagonal + 1));
    const from = down ? diagonal + 1 : diagonal - 1;
    const [startX, startY] = [at(from), at(from) - from];
    while (x > startX + (down ? 0 : 1) && y > startY + (down ? 1 : 0)) {
      steps.push({ kind: " ", line: a[x - 1] ?? "" });
      x -= 1;
      y -= 1;
    }
    steps.push(down ? { kind: "+", line: b[y - 1] ?? "" } : { kind: "-", line: a[x - 1] ?? "" });
    [x, y] = [startX, startY];
  }
  for (; x > 0; x--) steps.push({ kind: " ", line: a[x - 1] ?? "" });
  return steps.toReversed();
};

const noNewline = "\\ No newline at end of file";

/** Lines; the last one says when the text does not end in a newline, as `diff` does. */
const linesOf = (text: string): string[] => {
  if (text === "") return [];
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : [...lines.slice(0, -1), `${lines.at(-1) ?? ""}\n${noNewline}`];
};

const stepsOf = (a: readonly string[], b: readonly string[]): Step[] => {
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [from, to] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const same = (lines: readonly string[]): Step[] => lines.map((line) => ({ kind: " ", line }));
  const middle = shortest(from, to) ?? [
    ...from.map((line): Step => ({ kind: "-", line })),
    ...to.map((line): Step => ({ kind: "+", line })),
  ];
  return [...same(a.slice(0, start)), ...middle, ...same(a.slice(a.length - end))];
};

/** Where a hunk begins and how long it is: `3,7`, `3` for one line, as `diff` writes it. */
const range = (start: number, count: number): string =>
  count === 1 ? String(start) : `${count === 0 ? start - 1 : start},${count}`;

/**
 * The hunks from one text to the other, as `diff -u` writes them and `patch` takes them, without the two lines at the head. Empty when they are
 * the same. Pure.
 * @param context Lines around each change.
 */
export const unifiedHunks = (from: string, to: string, context = 3): string[] => {
  const steps = stepsOf(linesOf(from), linesOf(to));
  const changed = steps.flatMap(({ kind }, index) => (kind === " " ? [] : [index]));
  const groups: [number, number][] = [];
  for (const index of changed) {
    const last = groups.at(-1);
    if (last !== undefined && index - last[1] <= 2 * context) last[1] = index;
    else groups.push([index, index]);
  }
  return groups.map(([first, last]) => {
    const begin = Math.max(0, first - context);
    const hunk = steps.slice(begin, last + 1 + context);
    const before = steps.slice(0, begin);
    const count = (list: readonly Step[], without: Step["kind"]): number =>
      list.filter(({ kind }) => kind !== without).length;
    const [a, b] = [range(count(before, "+") + 1, count(hunk, "+")), range(count(before, "-") + 1, count(hunk, "-"))];
    return [`@@ -${a} +${b} @@`, ...hunk.map(({ kind, line }) => `${kind}${line}`)].join("\n");
  });
};
