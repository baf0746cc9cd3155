import { access } from "node:fs/promises";

/** Whether there is something at a path, and this user may know of it. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
