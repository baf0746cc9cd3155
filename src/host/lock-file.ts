/**
 * Which process something in a shared folder belongs to. A process ID says nothing outside of its machine and PID namespace:
 * two containers with one cache both have a process 1. So an owner is named by place, ID and start time.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";

const readOrEmpty = (read: () => string): string => {
  try {
    return read();
  } catch {
    return "";
  }
};

/** Ticks between the machine's start and the process's: tells it from a later one of the same ID. Empty without /proc. */
const startOf = (pid: number): string => {
  const text = readOrEmpty(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The name in parentheses may hold spaces; the start is the 20th field behind it.
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
};

const findHere = (): string =>
  createHash("sha256")
    .update(
      [
        hostname(),
        readOrEmpty(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")),
        readOrEmpty(() => readlinkSync("/proc/self/ns/pid")),
      ].join("\n"),
    )
    .digest("hex")
    .slice(0, 8);

let knownHere: string | undefined;

/** This machine since it was started, and this PID namespace. */
export const here = (): string => (knownHere ??= findHere());

/** A process of this place, as a part of a file's name: `<place>-<ID>-<start>`. */
export const ownerOf = (pid: number): string => `${here()}-${pid}-${startOf(pid)}`;

let knownSelf: string | undefined;

export const currentProcess = (): string => (knownSelf ??= ownerOf(process.pid));

const pattern = /^([0-9a-f]{8})-(\d+)-(\d*)$/;

/** What a name such as `3f…-1234-5678` says about its process. */
export type OwnerState =
  | "alive"
  /** Nobody will come back to it. */
  | "gone"
  /** It is, or was, a process of another machine or namespace, which cannot be seen from here. */
  | "elsewhere";

export const ownerState = (owner: string): OwnerState => {
  const [, place, id, start] = pattern.exec(owner) ?? [];
  if (place === undefined) return "gone";
  if (place !== here()) return "elsewhere";
  const pid = Number(id);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return "gone";
  }
  const now = startOf(pid);
  // Empty: the system hides it.
  return now === start || now === "" ? "alive" : "gone";
};

/** For people. */
const pidOf = (owner: string): number => Number(pattern.exec(owner)?.[2] ?? 0);

/** Milliseconds between two heartbeats, and without one after which an owner elsewhere counts as gone. */
const heartbeat = { every: 5000, missed: 60_000 };

/** Milliseconds since a file was last written or touched; 0 when it is not there. */
const silence = (path: string): Promise<number> =>
  stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );

/**
 * Whether a file's owner is gone, or elsewhere and without a heartbeat.
 * @param missed Milliseconds that one elsewhere may be silent.
 */
export const isStale = async (owner: string, path: string, missed = heartbeat.missed): Promise<boolean> => {
  const state = ownerState(owner);
  return state === "gone" || (state === "elsewhere" && (await silence(path)) > missed);
};

/** Whoever was faster has it. */
const ignoreMissing = <T>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });

/** Takes away what a killed owner left; of several that see it, one does. */
const removeStale = async (lock: string, left: string): Promise<void> => {
  const aside = `${lock}.${randomBytes(6).toString("hex")}`;
  await ignoreMissing(rename(lock, aside));
  // In between another one may have taken over: then that is its lock.
  const moved = await readFile(aside, "utf8").catch(() => left);
  if (moved !== left) await link(aside, lock).catch(() => undefined);
  await rm(aside, { force: true });
};

/** Made whole and then linked: nobody reads half a lock. @returns false when it is there already. */
const make = async (lock: string, content: string): Promise<boolean> => {
  const own = `${lock}.${content.replace(" ", "-")}`;
  try {
    await writeFile(own, content);
    await link(own, lock);
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
    await rm(own, { force: true });
  }
};

/** What this process has written into locks that it holds, or is about to. */
const held = new Set<string>();

/** The process that holds a lock of this content; undefined when none does. */
const holderOf = async (lock: string, content: string): Promise<number | undefined> => {
  const owner = content.split(" ")[0] ?? "";
  // On a file system without links it is empty for an instant.
  if (content === "") return (await silence(lock)) > heartbeat.missed ? undefined : 0;
  if (owner === currentProcess() && !held.has(content)) return undefined;
  return (await isStale(owner, lock)) ? undefined : pidOf(owner);
};

/** Until the lock has this content, or a living process holds it. @returns that process's ID. */
const acquire = async (lock: string, content: string): Promise<number | undefined> => {
  while (!(await make(lock, content))) {
    const text = await ignoreMissing(readFile(lock, "utf8"));
    // A server of files may say that a link is there which it has just made.
    if (text === content) return undefined;
    if (text === undefined) continue;
    const holder = await holderOf(lock, text);
    if (holder !== undefined) return holder;
    await removeStale(lock, text);
  }
  return undefined;
};

/** Gives a lock back. */
export type Release = () => Promise<void>;

/**
 * Takes a lock file, unless a living process holds it. It saves work and keeps two from treading on each other; a process
 * elsewhere that was stopped for a minute loses it without knowing, so what is written has to be safe without it.
 * @returns what gives it back, or the ID of the process that holds it.
 * @throws NodeJS.ErrnoException when the folder cannot be written.
 */
export const acquireLock = async (lock: string): Promise<Release | number> => {
  const content = `${currentProcess()} ${randomBytes(6).toString("hex")}`;
  await mkdir(dirname(lock), { recursive: true });
  held.add(content);
  let holder: number | undefined;
  try {
    holder = await acquire(lock, content);
  } catch (error) {
    held.delete(content);
    throw error;
  }
  if (holder !== undefined) {
    held.delete(content);
    return holder;
  }
  const timer = setInterval(() => {
    const now = new Date();
    void utimes(lock, now, now).catch(() => undefined);
  }, heartbeat.every).unref();
  return async () => {
    clearInterval(timer);
    held.delete(content);
    // Its own alone.
    if ((await readFile(lock, "utf8").catch(() => "")) === content) await rm(lock, { force: true });
  };
};
