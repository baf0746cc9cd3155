/** git: what URLs are rewritten to, and the token for private repositories (guide rows G13, G14). */
import { gitConfigSection, gitConfigValue } from "../../formats/lines.ts";
import { shellWord } from "../../formats/shell.ts";
import { type GitRewrite, gitRewrites } from "../../profile/git-rewrites.ts";
import { advisory, asJobs, command, gating, httpStatus, line, literal, ofCommand } from "../check-commands.ts";
import type { Check } from "../check.ts";
import type { Concern } from "../concern.ts";
import { basicHeader, placeholderHeader, secretPlaceholder } from "../secret-placeholder.ts";
import { portOf } from "../url-port.ts";
import { gitProxyRule } from "./proxy-rule.ts";

/** Pulled in by /root/.gitconfig. */
const tokenFile = "/root/.gitconfig.d/private";

/** What the base has in such a file stays, above these lines; base-leftovers.sh knows them by the first and the last. */
const partOfBake = (header: string, lines: string): string => `# ${header}\n${lines}# End of what bake made.\n`;

const rulesPart = (header: string, rewrites: readonly GitRewrite[]): string =>
  partOfBake(
    header,
    rewrites
      .map(
        ({ prefixes, via }) =>
          `[url ${gitConfigSection(via)}]\n${prefixes.map(({ text }) => `\tinsteadOf = ${gitConfigValue(text)}\n`).join("")}`,
      )
      .join(""),
  );

/** The header stands alone: an empty one first takes away what other files set (guide row G14, S8). */
const tokenConfig = (url: string, token: string): string =>
  `[http ${gitConfigSection(url)}]\n\textraheader =\n\textraheader = ${gitConfigValue(basicHeader(token))}\n`;

/** A small public repository that has been there since GitHub began. */
const smallRepository = "https://github.com/octocat/Hello-World.git";

/**
 * Whether the proxy hands git a repository, with the proxies that jobs have. Where no repository below `for` is known, whether it
 * answers at all. By protocol 2 a server tells the one reference that it is asked for, not all.
 */
const reachesCheck = (proxy: { readonly for: string; readonly via: string }): Check => {
  const about = { id: "git-proxy-reaches", rows: ["G13"], level: "site" as const };
  const help = "ask whoever runs the git proxy for access for the outward address of this host";
  return smallRepository.startsWith(proxy.for)
    ? {
        ...about,
        title: `git reads a repository below ${proxy.for} through the proxy`,
        help,
        resource: command(
          about.id,
          asJobs(
            `cd / && HOME=/root GIT_TERMINAL_PROMPT=0 timeout -k 2 25 git -c protocol.version=2 ls-remote --exit-code ${smallRepository} HEAD`,
          ),
          { stdout: ["/^[0-9a-f]{40,64}\\s+HEAD$/"], timeout: 30_000 },
        ),
      }
    : {
        ...about,
        title: `the git proxy answers at ${proxy.via}`,
        help,
        resource: command(about.id, asJobs(httpStatus(proxy.via, 25)), {
          stdout: ["/^HTTP [1-4][0-9][0-9]$/"],
          timeout: 30_000,
        }),
      };
};

const proxyChecks = (proxy: { readonly for: string; readonly via: string }): Check[] => [
  ofCommand(
    gating,
    {
      id: "git-proxy",
      rows: ["G13"],
      title: "the git proxy is set, in one file",
      help: `once: git config --file /etc/gitconfig ${shellWord(`url.${proxy.via}.insteadOf`)} ${shellWord(proxy.for)}; git config --show-origin --get-all names the files that have it`,
      repair: "git-rule",
    },
    `HOME=/root git config --show-origin --get-all ${shellWord(`url.${proxy.via}.insteadOf`)}`,
    { stdout: [`/^file:\\S+\\s+${literal(proxy.for)}$/`] },
  ),
  ofCommand(
    gating,
    {
      id: "git-proxy-alone",
      rows: ["G13"],
      title: "no second rule rewrites the same URLs",
      help: "git config --show-origin --get-regexp '^url\\..*\\.insteadof$' names the files; remove all but that of /etc/gitconfig: of two equal rules the first one read wins",
    },
    `HOME=/root git config --get-regexp '^url\\..*\\.insteadof$' | awk -v url=${shellWord(proxy.for)} '$2 == url' | wc -l`,
    { stdout: [line("1")] },
  ),
  ofCommand(
    gating,
    {
      id: "git-proxy-rewrites",
      rows: ["G13"],
      title: `git rewrites ${proxy.for} to the proxy's address`,
      help: "git config --show-origin --get-regexp '^url\\.' names all rules: one with a longer prefix wins, and so does a pushInsteadOf for pushes",
      repair: "git-rule",
    },
    `cd / && HOME=/root git ls-remote --get-url ${shellWord(`${proxy.for}owner/name.git`)}`,
    { stdout: [line(`${proxy.via}owner/name.git`)] },
  ),
  reachesCheck(proxy),
];

/** What the further rules make of a URL below each of their beginnings, and that no other rule has the same. */
const furtherChecks = (rewrites: readonly GitRewrite[]): Check[] => {
  const pairs = rewrites.flatMap(({ prefixes, via }) => prefixes.map(({ text }) => ({ text, via })));
  if (pairs.length === 0) return [];
  // What follows a beginning that does not end a name.
  const rest = (text: string): string => (/[/:]$/.test(text) ? "owner/name.git" : "/owner/name.git");
  const asked = pairs.map(
    ({ text, via }) => `is ${shellWord(text)} ${shellWord(text + rest(text))} ${shellWord(via + rest(text))}`,
  );
  return [
    ofCommand(
      gating,
      {
        id: "git-rewrites",
        rows: ["G13"],
        title: `git rewrites what else the profile says: ${pairs.map(({ text }) => text).join(", ")}`,
        help: "git config --show-origin --get-regexp '^url\\.' names all rules: of two with the same beginning the first one read wins, and one with a longer beginning beats both",
        repair: "git-rule",
      },
      `cd / && export HOME=/root && is() { [ "$(git ls-remote --get-url "$2")" = "$3" ] && [ "$(git config --get-regexp '^url\\..*\\.insteadof$' | awk -v url="$1" '$2 == url' | wc -l)" -eq 1 ] || { echo "$1"; exit 1; }; } && ${asked.join(" && ")}`,
    ),
  ];
};

/** @param url Where the header with the token is sent. */
const tokenCheck = (url: string, hasToken: boolean): Check =>
  hasToken
    ? ofCommand(
        gating,
        {
          id: "git-token",
          rows: ["G14"],
          title: `one whole header with a token goes to ${url}`,
          help: "the header must be one line: base64 -w0",
        },
        // Never the header itself: goss prints what it found.
        `HOME=/root git config --get-all ${shellWord(`http.${url}.extraheader`)} | awk 'NF == 0 { reset++ } /^AUTHORIZATION: basic [A-Za-z0-9+\\/]+=*$/ && !/ ${placeholderHeader}/ { whole++ } END { print reset + 0, whole + 0, NR }' && stat -c %a ${tokenFile}`,
        { stdout: [line("1 1 2"), line("600")] },
      )
    : ofCommand(
        advisory,
        {
          id: "bake-git-include",
          rows: ["G14"],
          title: "a token for private repositories would be read from a file of its own (secrets.gitToken is not set)",
        },
        "HOME=/root git config --global --get-all include.path",
        { stdout: [line(tokenFile)] },
      );

export const git: Concern = {
  name: "git",
  rules: [gitProxyRule],
  contribute: ({ profile, header }) => {
    const { network, secrets } = profile;
    const { gitProxy } = network;
    const rewrites = gitRewrites(profile);
    const further = rewrites.slice(gitProxy === undefined ? 0 : 1);
    const server = new URL(gitProxy?.via ?? "https://github.com/");
    // git matches it after the rewriting (guide row G14).
    const tokenUrl = `${server.origin}/`;
    const hasToken = secrets.gitToken !== undefined;
    return {
      files: [
        ...(rewrites.length === 0
          ? []
          : [
              // The one file with these rules: of two equal rules git takes the first that it reads (guide row G13).
              { path: "/etc/gitconfig", content: rulesPart(header, rewrites), order: 140 },
              // What bake-repair lays again.
              { path: "/opt/bake/git-rule", content: rulesPart(header, rewrites) },
            ]),
        // A missing include is ignored: the token comes with user-data, or not at all (guide row G14).
        {
          path: "/root/.gitconfig",
          content: partOfBake(header, `[include]\n\tpath = ${gitConfigValue(tokenFile)}\n`),
          order: 150,
        },
      ],
      directories: [{ path: "/root/.gitconfig.d", mode: "0700", order: 50 }],
      packages: [{ action: "install", apt: "git", dnf: "git", order: 40 }],
      checks: [
        ...(gitProxy === undefined ? [] : proxyChecks(gitProxy)),
        ...furtherChecks(further),
        tokenCheck(tokenUrl, hasToken),
      ],
      destinations: [
        {
          host: server.hostname,
          port: portOf(server),
          when: "node",
          why: gitProxy === undefined ? "git" : "git proxy",
          order: 40,
        },
        ...further
          .map(({ via }) => new URL(via))
          .map((url) => ({
            host: url.hostname,
            port: portOf(url),
            when: "node" as const,
            why: "git, rewritten",
            order: 41,
          })),
      ],
      userData: hasToken
        ? [
            {
              path: tokenFile,
              origin: ["secrets", "gitToken"],
              content: (instance) => tokenConfig(tokenUrl, instance.gitToken ?? secretPlaceholder("gitToken")),
              order: 20,
            },
          ]
        : [],
    };
  },
};
