/**
 * What secrets are called and how they begin: the one table that every regular expression about them is made from. The
 * entries are sources of regular expressions, in lower case where case does not count. No imports, so that all may use it.
 */

/** The last word of a name whose value is a secret. */
export const nameWords = {
  token: "token",
  secret: "secret",
  password: "passw(?:or)?d",
  passphrase: "passphrase",
  credentials: "credentials?",
  key: "(?:api|access|secret|private)[-_]?key",
} as const;

/** Any of these words. */
export const nameWord = Object.values(nameWords).join("|");

/** Words that say so only when they stand apart: HW_AK, HW_SK. */
export const accessKeyWord = "[as]k";

/** Whole names that end in none of these words. */
export const otherNames = "sshpass|docker_auth_config";

interface TokenForm {
  readonly prefix: string;
  /** What follows at least, also of one that was cut off: enough to hide it. */
  readonly body: string;
}

/** Tokens that say by their beginning what they are. */
export const tokenForms = {
  buildkite: { prefix: "bk[a-z]{2,3}_", body: "[A-Za-z0-9._-]{4,}" },
  /** GitHub gives out five kinds (`githubKinds`); a sixth would be hidden as well. */
  github: { prefix: "gh[a-z]_", body: "[A-Za-z0-9_]{8,}" },
  githubFineGrained: { prefix: "github_pat_", body: "[A-Za-z0-9_]{8,}" },
  gitlab: { prefix: "glpat-", body: "[A-Za-z0-9_-]{8,}" },
  huggingFace: { prefix: "hf_", body: "[A-Za-z0-9]{16,}" },
  slack: { prefix: "xox[a-z]-", body: "[A-Za-z0-9-]{8,}" },
  jsonWebToken: { prefix: "eyJ", body: "[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{4,}(?:\\.[A-Za-z0-9_-]*)?" },
} as const satisfies Readonly<Record<string, TokenForm>>;

/** The prefixes that GitHub gives out. A search of a whole disk takes these alone: chance writes any other too. */
export const githubKinds = "gh[pousr]_";

/** What a guide writes in the place of a Buildkite token: bkct_xxx, or with dots and a slip of the finger bkct_xxx.xxxoxx. */
export const tokenPlaceholder = `${tokenForms.buildkite.prefix}[xo0*._-]+`;

/** Whose a token is, by its beginning, as messages name it. A JSON web token may be anybody's. */
export const tokenKinds: readonly {
  readonly prefix: string;
  readonly of: "buildkite" | "git" | "other";
  readonly noun: string;
}[] = [
  // Buildkite gives agents bkct_ ones, or of old such without a prefix.
  { prefix: "bkua_", of: "other", noun: "a Buildkite API token of a user" },
  { prefix: "bkaj_", of: "other", noun: "a Buildkite token of one job" },
  { prefix: tokenForms.buildkite.prefix, of: "buildkite", noun: "a Buildkite token" },
  { prefix: tokenForms.github.prefix, of: "git", noun: "a GitHub token" },
  { prefix: tokenForms.githubFineGrained.prefix, of: "git", noun: "a GitHub token" },
  { prefix: tokenForms.gitlab.prefix, of: "git", noun: "a GitLab token" },
  { prefix: tokenForms.huggingFace.prefix, of: "other", noun: "a Hugging Face token" },
  { prefix: tokenForms.slack.prefix, of: "other", noun: "a Slack token" },
];

/** The line before or behind a private key. Pure. @param kind `RSA `, `OPENSSH `, or any. */
export const privateKeyLine = (edge: "BEGIN" | "END", kind = "[A-Z0-9 ]*"): string =>
  `-----${edge} ${kind}PRIVATE KEY-----`;
