/** `bake ls`: the profiles that can be named, one line each. */
import { readLock } from "../lock/read.ts";
import { stalenessOf } from "../lock/requirements.ts";
import type { Profile } from "../profile/schema.ts";
import { targetsOf } from "../targets/index.ts";
import { BakeError } from "../errors.ts";
import { relative } from "node:path";
import type { ProfileFile } from "./profile-file.ts";
import { type Listed, listProfiles } from "./profiles.ts";
import { reportFailure } from "./profile-file.ts";
import { formatTable } from "./table.ts";

type LockState = "none" | "current" | "stale" | "unreadable";

const lockStateOf = async (file: ProfileFile, profile: Profile): Promise<LockState> => {
  try {
    const lock = await readLock(file.lockFile);
    if (lock === undefined) return "none";
    return stalenessOf(lock, profile, file.lockFile).length > 0 ? "stale" : "current";
  } catch (error) {
    if (error instanceof BakeError) return "unreadable";
    throw error;
  }
};

const lockWords: Readonly<Record<LockState, string>> = {
  none: "no lock",
  current: "locked",
  stale: "lock is stale",
  unreadable: "lock cannot be read",
};

const problemsOf = ({ file, failure }: Listed): string => {
  if (failure !== undefined) return failure.message;
  const errors = file?.diagnostics.filter(({ severity }) => severity === "error").length ?? 0;
  return `${errors} error${errors === 1 ? "" : "s"}: bake validate`;
};

const describe = async (listed: Listed) => {
  const { name, place, file, extendedBy, isBase, failure } = listed;
  const profile = file?.profile;
  return {
    name,
    file: file?.file ?? name,
    own: place.kind === "own",
    ok: profile !== undefined || isBase,
    base: isBase,
    extendedBy,
    ...(profile !== undefined && {
      targets: targetsOf(profile),
      agents: { spawn: profile.agents.spawn, cards: profile.agents.cards, queue: profile.agents.queue },
    }),
    ...(file !== undefined &&
      profile !== undefined && { lock: { file: file.lockFile, state: await lockStateOf(file, profile) } }),
    ...(failure !== undefined && { failure: { code: failure.code, message: failure.message } }),
    errors: file?.diagnostics.filter(({ severity }) => severity === "error").length ?? 0,
    warnings: file?.diagnostics.filter(({ severity }) => severity === "warning").length ?? 0,
    problem: problemsOf(listed),
  };
};

const shownFile = (file: string, own: boolean): string => {
  if (own) return "bake's own";
  const nearer = relative(process.cwd(), file);
  return nearer.length < file.length ? nearer : file;
};

/** `bake ls`. @returns the exit code: 0, also when some are wrong: it lists. */
export const ls = async ({ json = false }: { readonly json?: boolean }): Promise<number> => {
  try {
    const all = await Promise.all((await listProfiles()).map(describe));
    if (json) {
      process.stdout.write(
        `${JSON.stringify({ profiles: all.map(({ problem: _problem, ...each }) => each) }, null, 2)}\n`,
      );
      return 0;
    }
    const rows = all.map(({ name, targets, agents, lock, base, extendedBy, file, own, problem }) =>
      base
        ? [name, "", `base of ${extendedBy.join(", ")}`, "", shownFile(file, own)]
        : agents === undefined || targets === undefined || lock === undefined
          ? [name, "", problem, "", shownFile(file, own)]
          : [
              name,
              targets.join(", "),
              `${agents.spawn} agent${agents.spawn === 1 ? "" : "s"}, ${agents.cards} NPU${agents.cards === 1 ? "" : "s"} each, queue ${agents.queue}`,
              lockWords[lock.state],
              shownFile(file, own),
            ],
    );
    process.stdout.write(`${formatTable([["profile", "target", "agents", "lock", "file"], ...rows])}\n`);
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
