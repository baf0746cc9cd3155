/** The client of bake at the emulator, with a clock that waiting moves. */
import { makeAgents, type BuildkiteAgents } from "../../src/buildkite/client.ts";
import { buildkiteSettings } from "../../src/buildkite/endpoints.ts";
import { makeHttp } from "../../src/store/http.ts";
import type { BuildkiteEmulator } from "./emulator.ts";

interface TestAgents {
  readonly agents: BuildkiteAgents;
  /** Milliseconds of each wait. */
  readonly waits: number[];
  /** What was said while it waited. */
  readonly notes: string[];
}

export const agentsOf = (
  emulator: BuildkiteEmulator,
  { env = {} }: { readonly env?: Readonly<Record<string, string>> } = {},
): TestAgents => {
  const waits: number[] = [];
  const notes: string[] = [];
  const agents = makeAgents(
    makeHttp({ stall: 3000 }),
    {
      now: emulator.now,
      random: () => 0.5,
      signal: new AbortController().signal,
      sleep: async (milliseconds) => {
        waits.push(milliseconds);
        emulator.advance(milliseconds);
      },
      progress: { note: (line) => void notes.push(line), step: (_, __, work) => work(() => undefined) },
    },
    buildkiteSettings({ ...emulator.env, ...env }),
  );
  return { agents, waits, notes };
};
