/**
 * Which process something in a shared folder belongs to. A process ID says nothing outside of its machine and PID namespace:
 * two containers with one cache both have a process 1. So an owner is named by namespace, ID and start time.
 */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { stat } from "node:fs/promises";
import { hostname } from "node:os";

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

const findNamespace = (): string =>
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

let knownNamespace: string | undefined;

/** @returns this PID namespace, on this machine since it was started: eight hex digits. Read once for a process. */
export const pidNamespace = (): string => (knownNamespace ??= findNamespace());

/**
 * A process of this namespace, as a part of a file's name.
 * @param pid Of a process that runs.
 * @returns `<namespace>-<ID>-<start>`; without a start where /proc does not show it.
 */
export const ownerOf = (pid: number): string => `${pidNamespace()}-${pid}-${startOf(pid)}`;

let knownSelf: string | undefined;

/** @returns this process, as `ownerOf` names it. Read once for a process. */
export const currentProcess = (): string => (knownSelf ??= ownerOf(process.pid));

const pattern = /^([0-9a-f]{8})-(\d+)-(\d*)$/;

/** What a name such as `3f…-1234-5678` says about its process. */
export type OwnerState =
  | "alive"
  /** It has ended: nobody will come back to what it left. */
  | "dead"
  /** It is, or was, a process of another machine or namespace, which cannot be seen from here. */
  | "foreign";

/**
 * Asks the system for a process.
 * @param owner A name by `ownerOf`; any other text is a dead owner.
 */
export const ownerState = (owner: string): OwnerState => {
  const [, namespace, id, start] = pattern.exec(owner) ?? [];
  if (namespace === undefined) return "dead";
  if (namespace !== pidNamespace()) return "foreign";
  const pid = Number(id);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return "dead";
  }
  const now = startOf(pid);
  // Empty: the system hides it.
  return now === start || now === "" ? "alive" : "dead";
};

/** The process ID in an owner's name, for people; 0 where there is none. Pure. */
export const pidOf = (owner: string): number => Number(pattern.exec(owner)?.[2] ?? 0);

/** Milliseconds without a heartbeat after which a foreign owner counts as dead. */
export const heartbeatTimeout = 60_000;

/**
 * The age of a file's last heartbeat.
 * @param now Milliseconds since the epoch.
 * @returns milliseconds since it was written or touched; 0 when it is not there.
 */
export const heartbeatAge = (path: string, now: () => number = Date.now): Promise<number> =>
  stat(path).then(
    ({ mtimeMs }) => now() - mtimeMs,
    () => 0,
  );

/**
 * Whether a file's owner is dead, or foreign and without a heartbeat.
 * @param owner A name by `ownerOf`.
 * @param path The file whose time of change is the owner's heartbeat.
 * @param timeout Milliseconds that a foreign owner may be silent.
 * @param now Milliseconds since the epoch.
 */
export const isStale = async (
  owner: string,
  path: string,
  timeout = heartbeatTimeout,
  now: () => number = Date.now,
): Promise<boolean> => {
  const state = ownerState(owner);
  return state === "dead" || (state === "foreign" && (await heartbeatAge(path, now)) > timeout);
};
