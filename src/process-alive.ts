/**
 * Whether a process of this ID runs on this machine, also one of another user. What a killed bake left is told from what a
 * living one holds by it.
 */
export const isAlive = (pid: number): boolean => {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
};
