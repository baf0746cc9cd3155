/** How a rollout stands, on the page of the Buildkite build that runs it: one annotation a rollout, written over by the next. */
import type { Host } from "../host/host.ts";
import type { RolloutState } from "../rollout/state.ts";
import { formatEnd, formatRows } from "./rollout-text.ts";

/** Milliseconds that the agent may take. */
const limit = 30_000;

/** Lines of one annotation: Buildkite takes 1 MiB. */
const mostLines = 200;

const styles = { running: "info", done: "success", paused: "error", stopped: "warning" } as const satisfies Record<
  RolloutState["status"],
  string
>;

/** Names and reasons come from elsewhere: in an indented block Markdown and HTML mean nothing. Pure. */
const textOf = (id: string, state: RolloutState, now: number): string => {
  const lines = [...formatEnd(id, state).split("\n"), ...formatRows(state, now).map((row) => `  ${row.trimEnd()}`)];
  const left = lines.length - mostLines;
  const shown = left > 0 ? [...lines.slice(0, mostLines), `and ${left} more lines`] : lines;
  return `${shown.map((line) => `    ${line}`).join("\n")}\n`;
};

/**
 * Writes the annotation, where this is a job of Buildkite's. Nothing that goes wrong with it reaches the rollout.
 * @param id The rollout's folder.
 */
export const annotate = async (
  { env, run, progress }: Pick<Host, "env" | "run" | "progress">,
  id: string,
  state: RolloutState,
  now: number,
): Promise<void> => {
  if (env["BUILDKITE"] !== "true") return;
  const args = ["annotate", "--style", styles[state.status], "--context", `bake-rollout-${id}`];
  // Commands get no variable with a secret's name by themselves.
  const token = env["BUILDKITE_AGENT_ACCESS_TOKEN"];
  try {
    await run("buildkite-agent", args, {
      input: textOf(id, state, now),
      timeout: limit,
      ...(token !== undefined && { env: { BUILDKITE_AGENT_ACCESS_TOKEN: token } }),
    });
  } catch (error) {
    progress.note(`      the build has no annotation: ${error instanceof Error ? error.message : String(error)}`);
  }
};

export interface Annotations {
  /** Writes it when a wave or its phase is another than the last time; does not wait for it. */
  readonly follow: (state: RolloutState, now: number) => void;
  /** Writes how it ended, after what is being written. */
  readonly end: (state: RolloutState, now: number) => Promise<void>;
}

/** The annotation of a rollout that runs. */
export const annotations = (host: Pick<Host, "env" | "run" | "progress">, id: string): Annotations => {
  let last = "";
  let writing: Promise<void> | undefined;
  return {
    follow: (state, now) => {
      const moment = `${state.status} ${state.wave} ${state.phase} ${state.closing?.reason ?? ""}`;
      // One at a time: the next look brings what is left out.
      if (writing !== undefined || moment === last) return;
      last = moment;
      writing = annotate(host, id, state, now).finally(() => {
        writing = undefined;
      });
    },
    end: async (state, now) => {
      await writing;
      await annotate(host, id, state, now);
    },
  };
};
