/** What stands for a secret in out/: no secret is ever written there. Checks know it by the same values. Pure. */

const opening = "<";

/** `<secrets.agentToken>` */
export const secretPlaceholder = (name: string): string => `${opening}secrets.${name}>`;

/** A negated bracket expression of grep without its brackets: what no placeholder begins with. */
export const notPlaceholder = `^${opening}`;

/** The user that a git token is sent as (guide row G14). */
const tokenUser = "x-access-token:";

/** How a git token is sent: the value of an HTTP header. */
export const basicHeader = (token: string): string =>
  `AUTHORIZATION: basic ${Buffer.from(`${tokenUser}${token}`).toString("base64")}`;

/** How the encoded part of such a header starts where a placeholder is in it. Base64 of three bytes at a time: 18 of them. */
export const placeholderHeader = Buffer.from(`${tokenUser}${secretPlaceholder("gitToken")}`.slice(0, 18)).toString(
  "base64",
);
