/** `bake rollout status`: where a rollout stands, by its journal alone. */
import { acquireLock } from "../host/lock-file.ts";
import { findRollout, listRollouts, lockOf } from "../rollout/journal.ts";
import { makeHost } from "./host.ts";
import { annotate } from "./rollout-annotation.ts";
import { formatEnd, formatRows, rolloutObject } from "./rollout-text.ts";
import { reportFailure } from "./profile-file.ts";

/** @returns the exit code. */
export const status = async (named: string | undefined, options: { readonly json?: boolean }): Promise<number> => {
  try {
    if (named === undefined && (await listRollouts()).length === 0) {
      process.stdout.write(options.json === true ? "null\n" : "no rollout was begun in this folder\n");
      return 0;
    }
    const { id, state } = await findRollout(named);
    const lock = await acquireLock(lockOf(id));
    const running = typeof lock === "number";
    if (typeof lock !== "number") await lock();
    if (process.env["BUILDKITE"] === "true") {
      const { host } = await makeHost(process.stderr);
      await annotate(host, id, state, host.now());
    }
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify(rolloutObject(id, state, running), null, 2)}\n`);
      return 0;
    }
    const lines = [
      ...(state.status === "running"
        ? [running ? `process ${String(lock)} runs it` : "no process runs it: it was interrupted"]
        : []),
      formatEnd(id, state),
      ...formatRows(state, Date.now()).map((row) => `  ${row.trimEnd()}`),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
