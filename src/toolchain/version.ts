/** Whether dotted version `a` is at least `b`: numbers alone, as many as `b` has. Pure. */
export const atLeast = (a: string, b: string): boolean => {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number)) as [number[], number[]];
  for (let index = 0; index < right.length; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
};
