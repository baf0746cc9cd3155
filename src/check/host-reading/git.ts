/** git's settings on a host: rules that rewrite URLs, and everything else by its name. Pure. */
import { isGitPrefix } from "../../profile/git-rewrites.ts";
import { type Finding, placeOf, type Said } from "./finding.ts";

/** A login in a URL is starred out on the host already. */
const hideLogins =
  "sed -E 's#(https?://)[^/@[:space:]]*@#\\1***@#g; s#(://)[^/@[:space:]]*:[^/@[:space:]]*@#\\1***@#g'";

const files = "/etc/gitconfig /root/.config/git/config /root/.gitconfig";

export const gitCommands = {
  gitProxy: `{ git config --system --includes --show-origin --get-regexp '^url\\..*insteadof$'; HOME=/root git config --global --includes --show-origin --get-regexp '^url\\..*insteadof$'; } 2>/dev/null | ${hideLogins}`,
  // git names the file of a value, not its line.
  gitLines: `grep -niE '^[^#;]*insteadof[[:space:]]*=' ${files} /dev/null 2>/dev/null | ${hideLogins}`,
  // Names alone: a value may be a secret.
  gitNames: `{ git config --system --includes --show-origin --name-only --list; HOME=/root git config --global --includes --show-origin --name-only --list; } 2>/dev/null | ${hideLogins}`,
} as const;

interface Rewrite {
  readonly kind: string;
  readonly via: string;
  readonly from: string;
  readonly file?: string;
  readonly line?: number;
}

const rewritesOf = (said: Said): Rewrite[] => {
  const lines = new Map<string, number[]>();
  for (const [, file = "", line] of said("gitLines").matchAll(/^([^:\n]+):(\d+):/gm))
    lines.set(file, [...(lines.get(file) ?? []), Number(line)]);
  return said("gitProxy")
    .split("\n")
    .flatMap((text): Rewrite[] => {
      const [, file, via, kind, from] =
        /^(?:file:(\S+)\s+)?url\.(\S+)\.((?:push)?insteadof)\s+(\S+)$/i.exec(text) ?? [];
      if (via === undefined || kind === undefined || from === undefined) return [];
      // In the order in which they stand in the file, as git reads them.
      const line = file === undefined ? undefined : lines.get(file)?.shift();
      return [
        {
          kind: kind.toLowerCase(),
          via,
          from,
          ...(file !== undefined && { file }),
          ...(line !== undefined && { line }),
        },
      ];
    });
};

const isHttp = (url: string): boolean => /^https?:\/\//.test(url);
const hasLogin = (url: string): boolean => /^https?:\/\/[^/]*@/.test(url);
const withoutLogin = (url: string): string => url.replace(/^(https?:\/\/)[^/]*@/, "$1");

/** Never a password, which the host hid, nor a user that is a token. */
const told = ({ kind, via, from, file, line }: Rewrite): string =>
  `git: url.${via.replace(/(:\/\/)[^/]*@/, (login, slashes: string) => (login === "://git@" ? login : `${slashes}***@`))}.${kind === "insteadof" ? "insteadOf" : "pushInsteadOf"} = ${withoutLogin(from)}${placeOf(file, line)}`;

/** Settings that bake writes itself, or that a node has no use for. */
const ownNames =
  /^(url\..*|include\.path|user\.(name|email)|core\.(repositoryformatversion|filemode|bare|logallrefupdates))$/i;

const otherSettings = (said: Said): string[] => {
  const seen = new Map<string, string>();
  for (const [, file = "", name = ""] of said("gitNames").matchAll(/^file:(\S+)\s+(\S+)$/gm)) {
    // Between the two a URL may have a login.
    if (!ownNames.test(name)) seen.set(name.replace(/(:\/\/)[^/]*@/, "$1***@"), file);
  }
  return [...seen].map(([name, file]) => {
    const help = /^http\..*extraheader$/i.test(name)
      ? "secrets.gitToken brings a token for private repositories"
      : /^https?\.(.*\.)?proxy$/i.test(name)
        ? "network.httpProxy is for everything on the node"
        : "set it in the base image where jobs need it";
    return `git: ${name}${placeOf(file)} is not carried over: ${help}`;
  });
};

/** Rules that are carried, as the profile has them: those to one address stand together. */
const carried = (rules: readonly Pick<Rewrite, "from" | "via">[]): { for: string[]; via: string }[] =>
  [...new Set(rules.map(({ via }) => via))].map((via) => ({
    for: rules.flatMap((rule) => (rule.via === via ? [rule.from] : [])),
    via,
  }));

/** The rule for the git proxy, further rules, and what of git's settings is left. Pure. */
export const gitFinding = (said: Said): Finding => {
  const notes: string[] = [];
  const rules: (Rewrite & { readonly login: boolean })[] = [];
  for (const rule of rewritesOf(said)) {
    const via = withoutLogin(rule.via);
    if (rule.kind !== "insteadof") notes.push(`${told(rule)} is not carried over: bake has no rules for push alone`);
    else if (!isHttp(rule.via))
      notes.push(`${told(rule)} is not carried over: network.gitRewrites is to http and https URLs, this is not`);
    else if (isHttp(rule.from) && via === withoutLogin(rule.from))
      notes.push(`${told(rule)} only adds a login: secrets.gitToken brings a token for private repositories`);
    else if (rules.some(({ from }) => from === rule.from))
      notes.push(`${told(rule)} is not carried over: of two rules for one beginning git takes the first`);
    else if (!isGitPrefix(rule.from))
      notes.push(`${told(rule)} is not carried over: network.gitRewrites.for is the beginning of a URL, this is not`);
    else rules.push({ ...rule, via, login: hasLogin(rule.via) });
  }
  const http = rules.filter(({ from }) => isHttp(from));
  const proxy = http.find(({ from }) => /^https?:\/\/github\.com(\/|$)/.test(from)) ?? http[0];
  for (const { login, file, line } of rules)
    if (login) notes.push(`git proxy: its URL holds credentials, they were left out${placeOf(file, line)}`);
  const further = carried(rules.filter((rule) => rule !== proxy));
  return {
    answers: {
      ...(proxy !== undefined && { gitProxy: { for: proxy.from, via: proxy.via } }),
      ...(further.length > 0 && { gitRewrites: further }),
    },
    notes: [...notes, ...otherSettings(said)],
  };
};
