/** The candidate nearest to a misspelt word, when it is near enough to be meant: one wrong letter, two in a longer word. Pure. */
export const closest = (word: string, candidates: readonly string[]): string | undefined => {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    // Of two that are as near, the one that begins alike: people mistype ends.
    .toSorted((a, b) => a.distance - b.distance || alike(word, b.candidate) - alike(word, a.candidate));
  const best = ranked[0];
  return best !== undefined && best.distance <= (word.length < 4 ? 1 : 2) ? best.candidate : undefined;
};

/** Characters that two words have in common from their beginning on. */
const alike = (a: string, b: string): number => {
  const different = a.split("").findIndex((character, index) => character !== b[index]);
  return different < 0 ? a.length : different;
};

/** Levenshtein distance. */
const editDistance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
};
