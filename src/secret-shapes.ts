/** What gives a secret away by its shape alone, whoever wrote it and wherever. */

/** Tokens of Buildkite, GitHub, GitLab, Hugging Face and Slack, and JSON web tokens. */
export const tokenShapes: readonly RegExp[] = [
  /\bbk[a-z]{2}_[A-Za-z0-9._-]{4,}/g,
  /\b(?:gh[a-z]_[A-Za-z0-9_]{8,}|github_pat_[A-Za-z0-9_]{8,}|glpat-[A-Za-z0-9_-]{8,}|hf_[A-Za-z0-9]{16,}|xox[a-z]-[A-Za-z0-9-]{8,})/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?/g,
];

/** Access key IDs (20 capitals and digits) and secret keys (40 letters and digits of each kind, which a digest in hex is not). */
export const accessKeyShapes: readonly RegExp[] = [
  /(?<![A-Za-z0-9])(?=[A-Z0-9]*[A-Z])(?=[A-Z0-9]*[0-9])[A-Z0-9]{20}(?![A-Za-z0-9])/g,
  /(?<![A-Za-z0-9+/=])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[0-9])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])/g,
];

const privateKeyStart = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/;

/** `user:password@` of a URL; a bare `git@` is no secret. */
const userInfo = /(?<=:\/\/)[^\s"'<>/?#@]*:[^\s"'<>/?#@]*(?:@[^\s"'<>/?#@]*)*(?=@)/g;

/** Where in a text something lies that has the shape of a secret: from and to, as offsets. */
export const findSecretShapes = (text: string): readonly (readonly [start: number, end: number])[] =>
  [...tokenShapes, ...accessKeyShapes, userInfo, new RegExp(privateKeyStart, "g")].flatMap((shape) =>
    [...text.matchAll(shape)].map((match) => [match.index, match.index + match[0].length] as const),
  );

export const looksSecret = (text: string): boolean => findSecretShapes(text).length > 0;
