/** Values of a host that no profile may have: left out of a new one, and told. Pure. */
import { isProtecting } from "../check/host-reading/agent.ts";
import type { Diagnostic } from "../profile/diagnostics.ts";
import { loadProfile } from "../profile/load.ts";
import { type Answers, newProfile } from "../profile/new-profile.ts";
import { rules } from "./rules.ts";

export interface Kept {
  readonly answers: Answers;
  /** What was left out, one line each. */
  readonly notes: readonly string[];
  /** Of that, what protects the host. */
  readonly warnings: readonly string[];
}

type Key = keyof Answers;

/** Settings whose value comes from one answer, and those that go with it. */
const byPath: readonly (readonly [prefix: string, ...keys: Key[]])[] = [
  ["storage", "adopt", "mount", "filesystem", "dataRoot"],
  ["docker.dataRoot", "adopt", "mount", "filesystem", "dataRoot"],
  ["docker.mtu", "mtu"],
  ["docker.addressPools", "addressPools"],
  ["docker.logMaxSize", "logMaxSize"],
  ["docker.logMaxFiles", "logMaxFiles"],
  ["network.pypiCache", "pypiCache"],
  ["network.gitProxy", "gitProxy"],
  ["network.httpProxy", "httpProxy"],
  ["network.registryMirrors", "dockerMirrors"],
  ["sources.insecureRegistries", "insecureRegistries"],
  ["agents.endpoint", "endpoint"],
  ["agents.healthAddress", "healthAddress"],
  ["agents.gitCloneFlags", "gitCloneFlags"],
  ["agents.gitFetchFlags", "gitFetchFlags"],
];

const maps = { tags: "tags", environment: "environment", settings: "agentSettings" } as const;

const without = (answers: Answers, keys: readonly Key[]): Answers =>
  Object.fromEntries(Object.entries(answers).filter(([key]) => !keys.includes(key as Key))) as unknown as Answers;

/** The answers without what a problem is about; undefined when that is not the host's. */
const dropped = (answers: Answers, known: Partial<Answers>, path: string): Answers | undefined => {
  const [, map, entry = ""] = /^agents\.(tags|environment|settings)\.(.+)$/.exec(path) ?? [];
  if (map !== undefined) {
    const key = maps[map as keyof typeof maps];
    const values = answers[key];
    if (values === undefined || !Object.hasOwn(values, entry)) return undefined;
    return { ...answers, [key]: Object.fromEntries(Object.entries(values).filter(([each]) => each !== entry)) };
  }
  const index = /^images\[(\d+)\]$/.exec(path)?.[1];
  if (index !== undefined) {
    const image = answers.images?.[Number(index)];
    if (image === undefined || known.images?.includes(image) !== true) return undefined;
    return { ...answers, images: answers.images?.filter((_, at) => at !== Number(index)) ?? [] };
  }
  const [, rewrite] = /^network\.gitRewrites\[(\d+)\]/.exec(path) ?? [];
  if (rewrite !== undefined && answers.gitRewrites !== undefined)
    return { ...answers, gitRewrites: answers.gitRewrites.filter((_, at) => at !== Number(rewrite)) };
  const [, exception] = /^network\.httpProxy\.except\[(\d+)\]$/.exec(path) ?? [];
  if (exception !== undefined && answers.httpProxy !== undefined) {
    const except = answers.httpProxy.except.filter((_, at) => at !== Number(exception));
    return { ...answers, httpProxy: { ...answers.httpProxy, except } };
  }
  const [, ...keys] = byPath.find(
    ([prefix]) => path === prefix || (/^[.[]/.test(path.slice(prefix.length)) && path.startsWith(prefix)),
  ) ?? [""];
  const ofHost = keys.filter((key) => answers[key] !== undefined && answers[key] === known[key]);
  return ofHost.length === 0 ? undefined : without(answers, ofHost);
};

/**
 * Leaves out what a host has and a profile cannot, until nothing of it is wrong any more.
 * @param known What the host said: only that is left out.
 */
export const withoutWrong = (answers: Answers, known: Partial<Answers>, file: string): Kept => {
  const notes: string[] = [];
  const warnings: string[] = [];
  let rest = answers;
  const next = (): { problem: Diagnostic; answers: Answers } | undefined => {
    for (const problem of loadProfile(newProfile(rest, "./profile.schema.json"), file, { rules }).diagnostics) {
      if (problem.severity !== "error" || problem.path === undefined) continue;
      const fewer = dropped(rest, known, problem.path);
      if (fewer !== undefined) return { problem, answers: fewer };
    }
    return undefined;
  };
  for (let found = next(); found !== undefined; found = next()) {
    const { path = "", message, label } = found.problem;
    const text = `${path}: what the host has is not carried over: ${message}${label === undefined ? "" : ` (${label})`}`;
    const [, setting] = /^agents\.settings\.([a-z-]+)$/.exec(path) ?? [];
    (setting !== undefined && isProtecting(setting) ? warnings : notes).push(text);
    rest = found.answers;
  }
  return { answers: rest, notes, warnings };
};
