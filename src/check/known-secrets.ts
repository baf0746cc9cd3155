/** The secrets that this machine knows: those that must not be found in an image that is made on it. */
import { readFile } from "node:fs/promises";
import type { Host } from "../host/host.ts";
import { fromHome } from "../profile/secret-values.ts";
import { isSecretName, saysWhere } from "../secrets/names.ts";
import { decodeLogin } from "../secrets/url-with-login.ts";
import { type Secret, shortestSecret } from "./exact-values.ts";

/** Where a profile says that a secret comes from. */
export type SecretSources = Readonly<
  Record<string, { readonly file: string } | { readonly env: string } | { readonly csms: string } | undefined>
>;

export interface KnownSecrets {
  readonly secrets: readonly Secret[];
  /** Secrets of the profile that cannot be looked for, each with the reason. */
  readonly unknown: readonly string[];
}

/** Below this, a variable's value is too likely to be a word: PASSWORD=changeme is in many a manual. */
const shortestVariable = 12;

const fromEnvironment = (environment: Readonly<Record<string, string | undefined>>): Secret[] =>
  Object.entries(environment).flatMap(([name, value = ""]) => {
    const what = `environment variable ${name}`;
    if (isSecretName(name)) {
      const text = value.trim();
      return text.length < shortestVariable || saysWhere(text) ? [] : [{ name: what, value: text }];
    }
    // A proxy or a mirror with a password in its URL.
    const password = /^[a-z][a-z0-9+.-]*:\/\/[^\s:@/]*:([^\s@/]+)@/i.exec(value)?.[1];
    if (password === undefined) return [];
    const plain = decodeLogin(password);
    return plain.length < shortestSecret ? [] : [{ name: `password in environment variable ${name}`, value: plain }];
  });

/**
 * The profile's secrets as far as they are on this machine, and what its environment holds besides.
 * A bake needs none of them: one that is not there is not looked for. Reads the files that the profile names.
 */
export const knownSecrets = async (
  sources: SecretSources,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<KnownSecrets> => {
  const secrets: Secret[] = [];
  const unknown: string[] = [];
  for (const [key, source] of Object.entries(sources)) {
    if (source === undefined) continue;
    const name = `secrets.${key}`;
    if ("csms" in source) {
      unknown.push(`${name}: in CSMS, where nodes alone fetch it`);
      continue;
    }
    const value =
      "env" in source
        ? environment[source.env]
        : await readFile(fromHome(source.file, environment), "utf8").catch(() => undefined);
    const place = "env" in source ? `variable ${source.env}` : source.file;
    if (value === undefined || value.trim() === "") unknown.push(`${name}: ${place} is not here`);
    else if (value.trim().length < shortestSecret) unknown.push(`${name}: shorter than ${shortestSecret} characters`);
    else secrets.push({ name, value });
  }
  const values = new Set(secrets.map(({ value }) => value.trim()));
  const others = fromEnvironment(environment).filter(({ value }) => !values.has(value));
  return { secrets: [...secrets, ...others], unknown };
};

/**
 * A host whose commands do not inherit the variables that the profile's secrets come from, whatever their names. Pure.
 */
export const withholdSecrets = (host: Host, sources: SecretSources): Host => {
  const withhold = Object.values(sources).flatMap((source) =>
    source !== undefined && "env" in source ? [source.env] : [],
  );
  return { ...host, run: (file, args, options) => host.run(file, args, { ...options, withhold }) };
};
