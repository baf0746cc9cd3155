/** One dead host, or one dead network, told once: not once for every artifact that is asked there. */
import { BakeError } from "../errors.ts";
import { type Http, makeHttp } from "../store/http.ts";
import { HttpError, reasonOf } from "../store/http-error.ts";
import { originOf } from "../store/url.ts";
import type { Environment } from "../store/proxies.ts";

/** Something that is asked somewhere. */
export interface Place {
  readonly url: string;
  /** What is asked there. */
  readonly name: string;
}

/** A host that nothing came from, why, and what was asked there. */
export interface Silent {
  readonly host: string;
  readonly reason: string;
  readonly names: readonly string[];
}

const help =
  "Is the network there? Behind a proxy, set HTTPS_PROXY; mirrors are named by `sources` of the profile, and a closed network takes all from one: docs/lock.md.";

/** Names that a line shows. */
const mostNames = 4;

/** What is said of hosts that do not answer: a line each. */
export class UnreachableError extends BakeError {
  readonly hosts: readonly Silent[];

  constructor(hosts: readonly Silent[]) {
    const lines = hosts.map(({ host, reason, names }) => {
      const shown = names.slice(0, mostNames).join(", ");
      const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : "";
      return `  ${host}: ${reason} (${shown}${more})`;
    });
    const what = hosts.length === 1 ? "a host does not answer" : `${hosts.length} hosts do not answer`;
    super("BK230", `${what}:\n${lines.join("\n")}`, help);
    this.hosts = hosts;
  }
}

/** Milliseconds. */
const patience = 10_000;

/**
 * Asks each of these hosts once, all at one time; any answer is one.
 * @param http In place of connections of its own.
 * @throws UnreachableError when there are some and none of them is reached; the signal's reason.
 */
export const requireAnyHost = async (
  places: readonly Place[],
  settings: { readonly env: Environment; readonly signal: AbortSignal; readonly http?: Http },
): Promise<void> => {
  const names = new Map<string, string[]>();
  for (const { url, name } of places) {
    if (!/^https?:/.test(url)) return;
    const known = names.get(originOf(url)) ?? [];
    if (!known.includes(name)) names.set(originOf(url), [...known, name]);
  }
  if (names.size === 0) return;
  const http = settings.http ?? makeHttp({ env: settings.env, mostRedirects: 0 });
  const silent = await Promise.all(
    [...names].map(async ([origin, asked]): Promise<Silent | undefined> => {
      try {
        const signal = AbortSignal.any([settings.signal, AbortSignal.timeout(patience)]);
        const { body } = await http(`${origin}/`, { method: "HEAD", follow: false, signal });
        body.destroy();
        return undefined;
      } catch (error) {
        settings.signal.throwIfAborted();
        const late = error instanceof Error && error.name === "TimeoutError";
        if (!late && !(error instanceof HttpError && error.unreachable)) return undefined;
        return { host: hostOf(origin), reason: late ? "no answer in time" : reasonOf(error), names: asked };
      }
    }),
  );
  const dead = silent.filter((each) => each !== undefined);
  if (dead.length === names.size) throw new UnreachableError(dead);
};

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : url);

/** What is said where nothing answered: by bake's own client, and by crane. */
const silence =
  /(https?:\/\/[^\s/?#]+)\S* cannot be had: (the host is not known|nothing listens there|no way leads there|no answer in time)|(https?:\/\/[^\s/?#]+)\S*: (the host is not known|nothing listens there|no way leads there|no answer in time)(?:, (?:as for others|\d+ times))?$/m;
const craneSilence =
  /^(\S+) does not answer for [\s\S]*(no such host|server misbehaving|connection refused|network is unreachable|no route to host|i\/o timeout|no answer in \d+ s)/;
const craneWords: Readonly<Record<string, string>> = {
  "no such host": "the host is not known",
  "server misbehaving": "the host is not known",
  "connection refused": "nothing listens there",
  "network is unreachable": "no way leads there",
  "no route to host": "no way leads there",
};

/** The host that an error is about, when it is that nothing came from there. Pure. */
const silentHost = ({ code, message, help: more = "" }: BakeError): Omit<Silent, "names"> | undefined => {
  if (code !== "BK230" && code !== "BK214" && code !== "BK253") return undefined;
  const own = silence.exec(message);
  if (own !== null) return { host: hostOf(own[1] ?? own[3] ?? ""), reason: own[2] ?? own[4] ?? "" };
  const [, host, reason] = craneSilence.exec(`${message}\n${more}`) ?? [];
  return host === undefined || reason === undefined
    ? undefined
    : { host, reason: craneWords[reason] ?? "no answer in time" };
};

/**
 * Failures by what is behind them: those of silent hosts as one, all else as it is. Pure.
 * @returns all as `others` when fewer than two things failed for silence: one alone is told in its own words
 */
export const bySilentHost = <T extends { readonly name: string; readonly error: BakeError }>(
  failures: readonly T[],
): { readonly unreachable?: UnreachableError; readonly others: readonly T[] } => {
  const hosts = new Map<string, Silent>();
  const add = ({ host, reason, names }: Silent): void => {
    const known = hosts.get(host);
    hosts.set(host, {
      host,
      reason: known?.reason ?? reason,
      names: [...new Set([...(known?.names ?? []), ...names])],
    });
  };
  const others: T[] = [];
  for (const failure of failures) {
    const { name, error } = failure;
    const silent = silentHost(error);
    if (error instanceof UnreachableError)
      for (const each of error.hosts) add({ ...each, names: [...each.names, name] });
    else if (silent === undefined) others.push(failure);
    else add({ ...silent, names: [name] });
  }
  if (failures.length - others.length < 2) return { others: failures };
  return { unreachable: new UnreachableError([...hosts.values()]), others };
};
