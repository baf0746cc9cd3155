/** The profile's secrets as they come from files and variables: read, and looked at. Nothing here keeps or prints a value. */
import { tokenKinds, tokenPlaceholder } from "../secrets/table.ts";
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

/** A path with `~/` at its beginning as a shell would have it; others as they are. Pure. */
export const fromHome = (path: string, environment: SecretReader["environment"]): string =>
  path.startsWith("~/") && environment["HOME"] !== undefined ? `${environment["HOME"]}${path.slice(1)}` : path;

const why = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "ENOENT"
    ? "is not there"
    : code === "EACCES"
      ? "may not be read by this user"
      : `cannot be read: ${message}`;
};

/** Left from a guide or an example: the whole value says so. */
const placeholder = new RegExp(
  String.raw`^(<.*>|${tokenPlaceholder}|x{3,}|todo|fixme|token|secret|password|your[-_ ].*|(replace|change)[-_ ]?me|\$\{?[A-Za-z_]\w*\}?)$`,
  "i",
);

/** What the agent, git and bake-token take as a token. */
const isToken = (value: string): string | undefined => {
  if (placeholder.test(value)) return "is a placeholder";
  if (/^["'].*["']$/.test(value)) return "stands in quotes; they would be part of the token";
  if (/^[A-Za-z_]\w*=/.test(value)) return "looks like NAME=value; only the value is wanted";
  if (/\s/.test(value)) return "holds blanks or several lines; a token is one word";
  return /^[A-Za-z0-9._~+/=-]+$/.test(value)
    ? undefined
    : "holds other characters than letters, digits and ._~+/=- (pasted with control characters, or in another encoding?)";
};

/** A token of another service is refused by that service alone, on every node. @param of Whose it has to be. */
const tokenOf =
  (of: "buildkite" | "git", wanted: string) =>
  (value: string): string | undefined => {
    const kind = tokenKinds.find(({ prefix }) => new RegExp(`^${prefix}`).test(value));
    return isToken(value) ?? (kind === undefined || kind.of === of ? undefined : `holds ${kind.noun}, not ${wanted}`);
  };

const keyBody =
  /^-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----\n([A-Za-z0-9+/=\n]+)\n-----END [A-Z0-9 ]*PRIVATE KEY-----\s*$/;

/** An OpenSSH key names its cipher after its magic; older forms say it in a header. */
const isPrivateKey = (value: string): string | undefined => {
  if (/^(Proc-Type: 4,ENCRYPTED|DEK-Info:)/m.test(value) || value.includes("BEGIN ENCRYPTED PRIVATE KEY")) {
    return "is encrypted; a node cannot type its passphrase";
  }
  const [, kind = "", body] = keyBody.exec(value) ?? [];
  if (body === undefined) return "is no private key as ssh-keygen writes it";
  if (kind !== "OPENSSH ") return undefined;
  const bytes = Buffer.from(body, "base64");
  const magic = "openssh-key-v1\0";
  if (bytes.subarray(0, magic.length).toString("latin1") !== magic) return "is no private key as ssh-keygen writes it";
  const length = bytes.length > magic.length + 4 ? bytes.readUInt32BE(magic.length) : 0;
  const cipher = bytes.subarray(magic.length + 4, magic.length + 4 + length).toString("latin1");
  return cipher === "none" ? undefined : "is encrypted; a node cannot type its passphrase";
};

const shapes: Readonly<Record<SecretName, (value: string) => string | undefined>> = {
  agentToken: tokenOf("buildkite", "an agent token"),
  gitToken: tokenOf("git", "one of a git server"),
  proxyCredentials: (value) => {
    const [, user = "", password = ""] = /^([^:\s]+):([^\0-\x1f\x7f]+)$/.exec(value) ?? [];
    if (user === "") return "is not user:password in one line";
    return placeholder.test(password) ? "is a placeholder" : undefined;
  },
  nodeKey: isPrivateKey,
  basePassword: (value) => (/[\0-\x1f\x7f]/.test(value) ? "is not one line of text" : undefined),
};

/** The only one that no node gets: a bake gets into its base by it. */
const ofBake: SecretName = "basePassword";

interface ReadSecret {
  readonly value?: string;
  readonly problem?: string;
  readonly warning?: string;
}

/** Reads one secret through `reader` alone. @returns its value, or what is wrong with it. */
export const readSecret = async (
  name: SecretName,
  source: { readonly file: string } | { readonly env: string },
  reader: SecretReader,
): Promise<ReadSecret> => {
  const place = "env" in source ? `variable ${source.env}` : source.file;
  let text: string | undefined;
  let warning: string | undefined;
  if ("env" in source) text = reader.environment[source.env];
  else {
    try {
      const file = await reader.readFile(fromHome(source.file, reader.environment));
      text = file.text;
      if ((file.mode & 0o077) !== 0) {
        const mode = (file.mode & 0o777).toString(8).padStart(4, "0");
        warning = `${place} (secrets.${name}) can be read by others, mode ${mode}: chmod 600 ${place}`;
      }
    } catch (error) {
      return { problem: `secrets.${name}: ${place} ${why(error)}` };
    }
  }
  const value = name === "nodeKey" ? text?.replaceAll("\r\n", "\n") : text?.trim();
  const wrong = value === undefined ? "is not set" : value.trim() === "" ? "is empty" : shapes[name](value);
  return {
    ...(warning !== undefined && { warning }),
    ...(wrong === undefined && value !== undefined
      ? { value }
      : { problem: `secrets.${name}: ${place} ${wrong ?? "is not set"}` }),
  };
};

/**
 * Reads every secret that a node gets, through `reader` alone. All problems at once: it throws nothing.
 * @returns the values that are right; the others are among the problems.
 */
export const readSecrets = async (secrets: Profile["secrets"], reader: SecretReader): Promise<SecretValues> => {
  const values: Partial<Record<SecretName, string>> = {};
  const problems: string[] = [];
  const warnings: string[] = [];
  for (const name of (Object.keys(shapes) as SecretName[]).filter((each) => each !== ofBake)) {
    const source = secrets[name];
    // The node itself fetches it from CSMS.
    if (source === undefined || "csms" in source) continue;
    const { value, problem, warning } = await readSecret(name, source, reader);
    if (warning !== undefined) warnings.push(warning);
    if (value !== undefined) values[name] = value;
    if (problem !== undefined) problems.push(problem);
  }
  return { values, problems, warnings };
};
