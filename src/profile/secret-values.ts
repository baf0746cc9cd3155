/** The profile's secrets as they come from files and variables: read, and looked at. Nothing here keeps or prints a value. */
import type { Profile } from "./schema.ts";

type SecretName = keyof Profile["secrets"];

export interface SecretValues {
  readonly values: Readonly<Partial<Record<SecretName, string>>>;
  /** What is wrong, one line a secret; never its value. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

export interface SecretReader {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A file's text and mode; throws the system's error. */
  readonly readFile: (path: string) => Promise<{ readonly text: string; readonly mode: number }>;
}

const why = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "ENOENT"
    ? "is not there"
    : code === "EACCES"
      ? "may not be read by this user"
      : `cannot be read: ${message}`;
};

/** Left from a guide or an example. */
const placeholder = /^<.*>$|^bk[a-z]{2}_x+|(^|[^A-Za-z])x{3,}|replace|change.?me/i;

const shapes: Readonly<Record<SecretName, (value: string) => string | undefined>> = {
  agentToken: (value) =>
    /\s/.test(value)
      ? "holds blanks or several lines; a token is one word"
      : placeholder.test(value)
        ? "is a placeholder"
        : undefined,
  gitToken: (value) =>
    /\s/.test(value)
      ? "holds blanks or several lines; a token is one word"
      : placeholder.test(value)
        ? "is a placeholder"
        : undefined,
  proxyCredentials: (value) => (/^[^:\s]+:[^\r\n]+$/.test(value) ? undefined : "is not user:password in one line"),
  nodeKey: (value) =>
    /^-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\r?\n[\s\S]+\n-----END [A-Z0-9 ]*PRIVATE KEY-----\s*$/.test(value)
      ? undefined
      : "is no private key as ssh-keygen writes it",
};

/** Reads every secret that the profile names. All problems at once. */
export const readSecrets = async (secrets: Profile["secrets"], reader: SecretReader): Promise<SecretValues> => {
  const values: Partial<Record<SecretName, string>> = {};
  const problems: string[] = [];
  const warnings: string[] = [];
  for (const name of Object.keys(shapes) as SecretName[]) {
    const source = secrets[name];
    if (source === undefined) continue;
    const place = "env" in source ? `variable ${source.env}` : source.file;
    let text: string | undefined;
    if ("env" in source) text = reader.environment[source.env];
    else {
      try {
        const file = await reader.readFile(source.file);
        text = file.text;
        if ((file.mode & 0o077) !== 0) {
          const mode = (file.mode & 0o777).toString(8).padStart(4, "0");
          warnings.push(`${place} (secrets.${name}) can be read by others, mode ${mode}: chmod 600 ${place}`);
        }
      } catch (error) {
        problems.push(`secrets.${name}: ${place} ${why(error)}`);
        continue;
      }
    }
    const value = name === "nodeKey" ? text?.replaceAll("\r\n", "\n") : text?.trim();
    if (value === undefined) problems.push(`secrets.${name}: ${place} is not set`);
    else if (value.trim() === "") problems.push(`secrets.${name}: ${place} is empty`);
    else {
      const wrong = shapes[name](value);
      if (wrong === undefined) values[name] = value;
      else problems.push(`secrets.${name}: ${place} ${wrong}`);
    }
  }
  return { values, problems, warnings };
};
