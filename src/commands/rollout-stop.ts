/** `bake rollout stop`: asks the process that runs a rollout to end it, or ends one that no process runs. */
import { writeFile } from "node:fs/promises";
import { acquireLock } from "../host/lock-file.ts";
import { findRollout, lockOf, readRollout, stopFileOf } from "../rollout/journal.ts";
import { endOf, makeHost } from "./host.ts";
import { go, print, requireOpen, requireProfileOf, type RolloutOptions } from "./rollout-go.ts";
import { readProfileFile } from "./profile-file.ts";
import { contextOf, openRollout } from "./rollout-world.ts";

/** @returns the exit code. */
export const stop = async (named: string | undefined, options: RolloutOptions): Promise<number> => {
  const { host } = await makeHost(process.stderr);
  try {
    await readProfileFile(options.profile);
    const found = await findRollout(named);
    requireOpen(found);
    const lock = await acquireLock(lockOf(found.id));
    if (typeof lock === "number") {
      await writeFile(stopFileOf(found.id), "");
      print(options, `process ${lock} ends ${found.id}: nodes under way are brought to an end, none is begun`, {
        id: found.id,
        process: lock,
      });
      return 0;
    }
    try {
      const context = await openRollout(host, options);
      if (context === undefined) return 2;
      requireProfileOf(found, context);
      const { state } = await readRollout(found.id);
      const code = await go(contextOf(context, state), options, { id: found.id, events: [], state, stop: true });
      return state.status === "stopped" ? 0 : code;
    } finally {
      await lock();
    }
  } catch (error) {
    return endOf(host, error);
  }
};
