/** Journals on the disk: `out/rollouts/<id>/journal.jsonl`. A line is on the disk before what it announces is called. */
import { createHash } from "node:crypto";
import { chmod, open, readdir, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import { makeFolder } from "../host/make-folder.ts";
import { lineOf, readLine, type RolloutEvent } from "./journal-events.ts";
import { fold, type RolloutState } from "./state.ts";

/** Of the current folder; `bake catalog prune` reads it too. */
export const rolloutsFolder = join("out", "rollouts");

const fileName = "journal.jsonl";

/** It becomes the value of a tag, and a folder's name. */
const idForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,42}$/;

/** @throws BakeError BK709 for a text that cannot be the ID of a rollout. */
export const requireId = (id: string): string => {
  if (idForm.test(id)) return id;
  throw new BakeError(
    "BK709",
    `${JSON.stringify(id)} cannot be the ID of a rollout`,
    "43 letters, digits, `.`, `_` and `-` at most, as bake rollout status shows them.",
  );
};

/** @param now Milliseconds since the epoch. @param random Hex digits. @returns `20261127T025000Z-3f9c1a`. Pure. */
export const newId = (now: number, random: string): string =>
  `${new Date(now).toISOString().replace(/[-:]|\.\d+/g, "")}-${random}`;

/**
 * The folder of one node's step of a rollout: a name that says it, or a digest where the node's name is no part of a path. Pure.
 * @throws BakeError BK709
 */
export const stepIdOf = (rollout: string, node: string): string => {
  const plain = `${requireId(rollout)}.${node}`;
  if (idForm.test(plain)) return plain;
  return `${rollout.slice(0, 26)}.${createHash("sha256").update(plain).digest("hex").slice(0, 16)}`;
};

const folderOf = (id: string): string => join(rolloutsFolder, requireId(id));

/** Held by the process that runs a rollout. @throws BakeError BK709 */
export const lockOf = (id: string): string => join(folderOf(id), "lock");
/** Its being there asks a rollout to end. @throws BakeError BK709 */
export const stopFileOf = (id: string): string => join(folderOf(id), "stop");

/**
 * The events of a journal's text. A last line without its end was torn by a crash: what it announced was not called. Pure.
 * @throws BakeError BK708 for any other line that is no event.
 */
export const readEvents = (text: string, file: string): RolloutEvent[] => {
  const lines = text.split("\n");
  // Empty behind the last end of a line.
  lines.pop();
  return lines.map((line, at) => {
    const event = readLine(line);
    const isFirst = at === 0;
    const problem =
      typeof event === "string"
        ? event
        : isFirst !== (event.event === "begun")
          ? "`begun` is the first line, and no other"
          : "";
    if (typeof event !== "string" && problem === "") return event;
    throw new BakeError(
      "BK708",
      `${file}:${at + 1}: ${problem}`,
      "Nothing was changed. Only bake writes this file: take the line from a copy, or leave the rollout and begin another.",
    );
  });
};

export interface Journal {
  /** Comes back when the events are on the disk; those that are given meanwhile go together. */
  readonly append: (events: readonly RolloutEvent[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/**
 * Opens a journal to go on with, or a new one. What a crash tore off is cut away.
 * @param id Whose lock this process holds.
 * @throws NodeJS.ErrnoException
 */
export const openJournal = async (id: string): Promise<Journal> => {
  const folder = folderOf(id);
  const file = join(folder, fileName);
  await makeFolder(folder);
  await chmod(folder, 0o700);
  const there = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (there !== undefined) await truncate(file, there.lastIndexOf(0x0a) + 1);
  const handle = await open(file, "a", 0o600);
  if (there === undefined) await syncFolder(folder);
  interface Waiting {
    readonly text: string;
    readonly done: () => void;
    readonly failed: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;
  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await handle.appendFile(batch.map(({ text }) => text).join(""));
        await handle.sync();
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    writing = undefined;
  };
  return {
    append: (events) =>
      new Promise((done, failed) => {
        waiting.push({ text: events.map(lineOf).join(""), done, failed });
        writing ??= write();
      }),
    close: async () => {
      await writing;
      await handle.close();
    },
  };
};

export interface FoundRollout {
  /** Its folder's name. */
  readonly id: string;
  readonly state: RolloutState;
}

/** @throws BakeError BK708, BK709 where it has none. */
export const readRollout = async (id: string): Promise<FoundRollout> => {
  const file = join(folderOf(id), fileName);
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
    throw new BakeError(
      "BK709",
      `there is no rollout ${id}: ${file} is not there`,
      "bake rollout status shows those that there are.",
    );
  });
  const state = fold(readEvents(text, file));
  // Killed before its first line was whole: nothing was called.
  if (state === undefined)
    throw new BakeError("BK709", `the rollout ${id} never began: ${file} is empty`, "Begin another.");
  return { id, state };
};

/** IDs of journals, the one that began first before the others. */
export const listRollouts = async (): Promise<string[]> => {
  const names = await readdir(rolloutsFolder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const found = await Promise.all(
    names
      .filter((name) => idForm.test(name))
      .map(async (name): Promise<{ name: string; at: string }[]> => {
        const text = await readFile(join(rolloutsFolder, name, fileName), "utf8").catch(() => "");
        const at = /^{"event":"begun","at":"([^"\n]+)"/.exec(text)?.[1];
        return at === undefined ? [] : [{ name, at }];
      }),
  );
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return found
    .flat()
    .toSorted((a, b) => order(a.at, b.at) || order(a.name, b.name))
    .map(({ name }) => name);
};

/** The rollout that is named, or the newest. @throws BakeError BK708, BK709 */
export const findRollout = async (id: string | undefined): Promise<FoundRollout> => {
  const newest = id ?? (await listRollouts()).at(-1);
  if (newest === undefined) {
    throw new BakeError(
      "BK709",
      `there is no rollout in ${rolloutsFolder}`,
      "A rollout is resumed on the machine and in the folder where it ran.",
    );
  }
  return readRollout(newest);
};

/** When a rollout began, in milliseconds; undefined where its journal is not here. */
export const beganAt = async (ids: readonly string[]): Promise<ReadonlyMap<string, number>> => {
  const found = await Promise.all(
    [...new Set(ids)].map(async (id): Promise<[string, number][]> => {
      if (!idForm.test(id)) return [];
      try {
        return [[id, (await readRollout(id)).state.begun.at]];
      } catch (error) {
        if (error instanceof BakeError) return [];
        throw error;
      }
    }),
  );
  return new Map(found.flat());
};
