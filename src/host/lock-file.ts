/** A lock file in a folder that processes, containers and machines share. Its holder touches it: that is its heartbeat. */
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "./make-folder.ts";
import { currentProcess, heartbeatAge, heartbeatTimeout, isStale, pidOf } from "./process-identity.ts";
import { randomName } from "./random-name.ts";
import { touch } from "./touch.ts";

/** Each is another one that was faster. */
const mostAttempts = 1000;

/** Milliseconds between two heartbeats. */
const heartbeatEvery = 5000;

/** Undefined for a file that is not there: whoever was faster has it. */
const ignoreMissing = <T>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });

/** Removes the lock of a dead owner; of several processes that see it, one does. @param content What was read in it. */
const removeStale = async (lock: string, content: string): Promise<void> => {
  const aside = `${lock}.${randomName()}`;
  await ignoreMissing(rename(lock, aside));
  // In between another one may have taken over: then that is its lock.
  const moved = await readFile(aside, "utf8").catch(() => content);
  if (moved !== content) await link(aside, lock).catch(() => undefined);
  await rm(aside, { force: true });
};

/** Made whole and then linked: nobody reads half a lock. @returns false when it is there already. */
const create = async (lock: string, content: string): Promise<boolean> => {
  const temporary = `${lock}.${content.replace(" ", "-")}`;
  try {
    await writeFile(temporary, content);
    await link(temporary, lock);
    return true;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(code)) throw error;
    // A file system without hard links.
    return writeFile(lock, content, { flag: "wx" }).then(
      () => true,
      (why: NodeJS.ErrnoException) => {
        if (why.code === "EEXIST") return false;
        throw why;
      },
    );
  } finally {
    await rm(temporary, { force: true });
  }
};

/** What this process has written into locks that it holds, or is about to. */
const held = new Set<string>();

/** The process that holds a lock of this content; undefined when none does. */
const holderOf = async (lock: string, content: string, now: () => number): Promise<number | undefined> => {
  const owner = content.split(" ")[0] ?? "";
  // On a file system without links it is empty for an instant.
  if (content === "") return (await heartbeatAge(lock, now)) > heartbeatTimeout ? undefined : 0;
  if (owner === currentProcess() && !held.has(content)) return undefined;
  return (await isStale(owner, lock, heartbeatTimeout, now)) ? undefined : pidOf(owner);
};

/** Until the lock has this content, or a living process holds it. @returns that process's ID. */
const acquire = async (lock: string, content: string, now: () => number): Promise<number | undefined> => {
  for (let attempt = 0; !(await create(lock, content)); attempt++) {
    // A link that leads nowhere is there, and cannot be read.
    if (attempt === mostAttempts) throw new Error(`${lock} is neither free nor a lock of bake: remove it`);
    const text = await ignoreMissing(readFile(lock, "utf8"));
    // A server of files may say that a link is there which it has just made.
    if (text === content) return undefined;
    if (text === undefined) continue;
    const holder = await holderOf(lock, text, now);
    if (holder !== undefined) return holder;
    await removeStale(lock, text);
  }
  return undefined;
};

/** Gives a lock back; it stays where another one has taken it over. */
export type Release = () => Promise<void>;

/**
 * Takes a lock file, unless a living process holds it. The lock saves work, and keeps two from treading on each other.
 * A foreign process that was stopped for a minute loses it without knowing. So what is written has to be safe without it.
 * @param lock Path of the lock file; its folder is made.
 * @param now Milliseconds since the epoch, as the heartbeats of others are judged by.
 * @returns what gives it back, or the ID of the process that holds it.
 * @throws NodeJS.ErrnoException when the folder cannot be written.
 */
export const acquireLock = async (lock: string, now: () => number = Date.now): Promise<Release | number> => {
  const content = `${currentProcess()} ${randomName()}`;
  await makeFolder(dirname(lock));
  held.add(content);
  let holder: number | undefined;
  try {
    holder = await acquire(lock, content, now);
  } catch (error) {
    held.delete(content);
    throw error;
  }
  if (holder !== undefined) {
    held.delete(content);
    return holder;
  }
  const timer = setInterval(() => {
    void touch(lock).catch(() => undefined);
  }, heartbeatEvery).unref();
  return async () => {
    clearInterval(timer);
    held.delete(content);
    // Its own alone.
    if ((await readFile(lock, "utf8").catch(() => "")) === content) await rm(lock, { force: true });
  };
};
