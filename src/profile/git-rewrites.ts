/** Rules by which git rewrites the beginnings of URLs (url.<via>.insteadOf). Pure. */
import type { Profile } from "./schema.ts";
import { isHost } from "./schema/address.ts";

/** One rule: each of `prefixes` becomes `via`. */
export interface GitRewrite {
  readonly prefixes: readonly { readonly text: string; readonly at: readonly (string | number)[] }[];
  readonly via: string;
  /** Where `via` stands. */
  readonly at: readonly (string | number)[];
}

const isScheme = /^(?:https?|ssh|git|ftps?|file)$/;

/**
 * Whether a text can be what git URLs begin with: a URL, or ssh's short form `git@host:`. Without quotes, backslashes and blanks:
 * every format that it lands in takes these. A user is git's own or nobody's: any other word there may be a token.
 */
export const isGitPrefix = (text: string): boolean => {
  const [, scheme, user, host = "", port, rest = ""] =
    /^(?:(https?|ssh|git):\/\/)?(?:(git)@)?(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5})(?=\/))?(|[/:][!#-&(-;=?A-Za-z_~-]*)$/.exec(
      text,
    ) ?? [];
  if (!isHost(host.replace(/^\[|\]$/g, "")) || (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535)))
    return false;
  // `host:path` is ssh's, or a short name such as `gh:`; the beginning of a scheme is none.
  if (scheme === undefined)
    return rest.startsWith(":") && !rest.startsWith("://") && !(user === undefined && isScheme.test(host));
  // Without the slash it would be the beginning of other hosts' names too.
  return rest.startsWith("/") && (user === undefined || scheme === "ssh");
};

/** All rules of a profile, its proxy's first. */
export const gitRewrites = ({ network: { gitProxy, gitRewrites: further } }: Profile): GitRewrite[] => [
  ...(gitProxy === undefined
    ? []
    : [
        {
          prefixes: [{ text: gitProxy.for, at: ["network", "gitProxy", "for"] }],
          via: gitProxy.via,
          at: ["network", "gitProxy", "via"],
        },
      ]),
  ...further.map(({ for: prefixes, via }, index) => ({
    prefixes: prefixes.map((text, which) => ({ text, at: ["network", "gitRewrites", index, "for", which] })),
    via,
    at: ["network", "gitRewrites", index, "via"],
  })),
];
