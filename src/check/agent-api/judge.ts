/** What a registration must look like. Pure. */
import type { RegistrationRequest } from "./protocol.ts";

/** The agents that a node must have. */
export interface ExpectedAgents {
  readonly token: string;
  /** The name in the request of agent `spawnIndex` (from 1), such as `%hostname-1-2cards`. */
  readonly nameTemplate: (spawnIndex: number) => string;
  readonly spawn: number;
  readonly hostname: string;
  /** All of them must be there; others may be. */
  readonly tags: readonly string[];
}

export interface Judgement {
  /** False: the agent is refused. Everything else is only reported, so that all of it is seen. */
  readonly admitted: boolean;
  readonly index?: number;
  readonly problems: readonly string[];
}

/** How far beyond `spawn` a name is still recognised as one agent too many. */
const extraIndexes = 64;

/** The numbers from 1 to `count`. Pure. */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, position) => position + 1);

/**
 * Judges a registration as it came, before any expansion. Pure; never repeats a token.
 * @param authorization The request's Authorization header.
 * @param present Indexes of the expected agents that are registered already and did not disconnect.
 */
export const judgeRegistration = (
  request: RegistrationRequest,
  authorization: string | undefined,
  expected: ExpectedAgents,
  present: ReadonlySet<number> = new Set(),
): Judgement => {
  const who = `Agent "${request.name}"`;
  if (authorization !== `Token ${expected.token}`) {
    const sent = authorization?.startsWith("Token ") === true && authorization.length > "Token ".length;
    return {
      admitted: false,
      problems: [`${who} registered with ${sent ? "a token that is not the expected one" : "no token"}.`],
    };
  }
  const problems: string[] = [];
  const index = upTo(expected.spawn + extraIndexes).find((one) => expected.nameTemplate(one) === request.name);
  if (index === undefined) {
    const names = upTo(expected.spawn).map((one) => `"${expected.nameTemplate(one)}"`);
    problems.push(`${who} has a wrong name: expected ${names.join(", ")} (before Buildkite expands it).`);
  } else if (index > expected.spawn) {
    problems.push(`${who} is one too many: expected ${expected.spawn}.`);
  } else if (present.has(index)) {
    problems.push(`${who} registered again without having disconnected: it crashed, or it runs twice.`);
  }
  if (request.hostname !== expected.hostname) {
    problems.push(`${who} has hostname "${request.hostname}", expected "${expected.hostname}".`);
  }
  for (const tag of expected.tags) {
    if (!request.tags.includes(tag)) {
      problems.push(`${who} lacks tag "${tag}": it has ${request.tags.join(", ") || "none"}.`);
    }
  }
  return { admitted: true, problems, ...(index !== undefined && index <= expected.spawn && { index }) };
};

/** What Buildkite's server does to a name: `%hostname`, `%pid` and `%random`. Unknown ones stay. Pure. */
export const expandName = (
  name: string,
  values: { readonly hostname?: string; readonly pid?: number | string; readonly random?: string },
): string =>
  // One pass: a hostname with a per cent sign is not expanded again.
  name.replace(/%(hostname|pid|random)/g, (all, key: "hostname" | "pid" | "random") => String(values[key] ?? all));
