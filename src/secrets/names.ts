/** Names of environment variables and settings that hold secrets. */
import { accessKeyWord, nameWords, otherNames } from "./table.ts";

const { token, secret, password, passphrase, credentials, key } = nameWords;

/** Most words stand apart from what is before them, a password need not: PGPASSWORD. PWD is where a shell is. */
const secretName = new RegExp(
  `(?:(?:^|[_-])(?:(?:auth|access|api|id)?${token}|${secret}|${passphrase}|${credentials}|${key}|${accessKeyWord})|` +
    `${password}|[a-z][_-]pwd|${otherNames})$`,
  "i",
);

/** Whether a variable of this name holds a secret: GITHUB_TOKEN, AWS_SECRET_ACCESS_KEY, HW_SK. Pure. */
export const isSecretName = (name: string): boolean => secretName.test(name);

/** A variable such as ACCESS_TOKEN may say where a secret lies, by a path. Pure. */
export const saysWhere = (value: string): boolean => /^~?(?:\/[A-Za-z0-9._-]+)+$/.test(value);

/** An environment without its secrets: for commands that are given by name what they need of them. Pure. */
export const withoutSecrets = (
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !isSecretName(name)));
