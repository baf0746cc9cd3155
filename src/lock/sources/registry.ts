/** What crane does with registries: logins, tokens, references, manifests. */
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { withoutSecretShapes } from "../../secrets/shapes.ts";
import { makeHttp } from "../../store/http.ts";
import { isLoopback } from "../../store/url.ts";

/**
 * A registry as resolvers see it. Repositories and references have their host in front, `docker.io` among them:
 * `quay.io/ascend/cann`, `mirror.example.com:5000/path/ascend/cann@sha256:…`. Every function throws BakeError BK251 for what
 * is not there, BK252 for what needs a login, BK253 for a registry that does not answer.
 */
export interface Registry {
  /** The bytes of a manifest or index, of a tag or a digest. Nobody has compared them with a digest. */
  readonly manifest: (reference: string) => Promise<string>;
  /** The bytes of a small blob, by digest. Nobody has compared them. */
  readonly blob: (reference: string) => Promise<string>;
  readonly tags: (repository: string) => Promise<string[]>;
  /**
   * The value of the Authorization header that reads this repository's blobs; undefined where none is asked for. A secret: it
   * is shown nowhere, and sent to no other host.
   */
  readonly authorization: (repository: string) => Promise<string | undefined>;
  /** What stands before `/v2/` in the URLs of a registry: `https://quay.io`. */
  readonly base: (registry: string) => Promise<string>;
}

interface RegistryOptions {
  /** Hosts, with their ports, that speak plain http or whose certificate nobody can check. */
  readonly insecure?: readonly string[];
  /** Milliseconds for one question. */
  readonly timeout?: number;
  /** Milliseconds that an Authorization header is used again; registries give tokens for 60 s or more. */
  readonly keep?: number;
  /** The status of a GET without TLS; undefined when nothing answers in http. */
  readonly plainStatus?: (url: string, signal: AbortSignal) => Promise<number | undefined>;
}

/**
 * The status of a GET without TLS; undefined when nothing answers in http. crane asks through the proxy too, but for a registry
 * of this machine: what it would meet is looked at.
 */
const plainStatusOf =
  ({ env }: Host): NonNullable<RegistryOptions["plainStatus"]> =>
  async (url, signal) => {
    try {
      const http = makeHttp({ env: isLoopback(new URL(url).host) ? {} : env, mostRedirects: 0 });
      const { status, body } = await http(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(2000)]) });
      body.destroy();
      return status;
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  };

const hostOf = (repository: string): string => repository.slice(0, repository.indexOf("/"));

/** Where crane falls back from https to http by itself. */
const isPrivate = (registry: string): boolean =>
  /^(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}|[^:/]*\.local)(?::\d+)?$/.test(
    registry,
  );

/** crane's last word, without what a signed URL or a header would give away. */
const lastWord = (stderr: string): string =>
  withoutSecretShapes(
    (stderr.trim().split("\n").at(-1) ?? "")
      .replace(/^Error: /, "")
      .replace(/\?[^\s":]*/g, "")
      .slice(0, 500),
  );

const missing = /\b(?:MANIFEST|NAME|BLOB)_UNKNOWN\b|\bNOT_FOUND\b|\b404 Not Found\b/;
const refused = /\bUNAUTHORIZED\b|\bDENIED\b|\b401 Unauthorized\b|\b403 Forbidden\b/;

const loginHelp = (registry: string): string =>
  `Log in to ${registry} on this machine, with an account that may read it:\n${registry === "docker.io" ? "docker login" : `docker login ${registry}`}`;

const failure = (reference: string, stderr: string): BakeError => {
  const registry = hostOf(reference);
  const said = lastWord(stderr);
  // A repository of one letter: Docker has it, crane does not.
  if (stderr.includes("could not parse reference")) {
    return new BakeError(
      "BK250",
      `${reference} is no name that crane takes`,
      "A repository's name has two characters or more.",
    );
  }
  if (missing.test(stderr)) {
    return new BakeError("BK251", `${reference} is not there`, `${registry} was reached, and does not have it.`);
  }
  if (refused.test(stderr)) {
    return new BakeError("BK252", `${registry} does not let this machine read ${reference}`, loginHelp(registry));
  }
  if (/\bTOOMANYREQUESTS\b|\b429 /.test(stderr)) {
    return new BakeError(
      "BK253",
      `${registry} takes no more requests from this address for now`,
      `Try again later, or with a mirror in \`sources.registries\`. ${loginHelp(registry)}`,
    );
  }
  return new BakeError(
    "BK253",
    `${registry} does not answer for ${reference}`,
    `${said === "" ? "" : `${said}\n`}A proxy is taken from HTTPS_PROXY, a private certificate authority from SSL_CERT_FILE.`,
  );
};

/** Registries by crane, at this path. Headers are asked for anew when they are older than `keep`. */
export const makeRegistry = (
  host: Host,
  crane: string,
  { insecure = [], timeout = 60_000, keep = 45_000, plainStatus: status = plainStatusOf(host) }: RegistryOptions = {},
): Registry => {
  const headers = new Map<string, { readonly since: number; readonly value: Promise<string | undefined> }>();
  const bases = new Map<string, Promise<string>>();

  const run = async (registry: string, args: readonly string[]) => {
    const flags = insecure.includes(registry) ? ["--insecure"] : [];
    const result = await host.run(crane, [...flags, ...args], { allowFailure: true, timeout });
    return result.exitCode === 128 && result.stderr === ""
      ? { ...result, stderr: `no answer in ${timeout / 1000} s` }
      : result;
  };

  const findBase = async (registry: string): Promise<string> => {
    if (insecure.includes(registry)) return `http://${registry}`;
    if (isLoopback(registry) || isPrivate(registry)) {
      const answer = await status(`http://${registry}/v2/`, host.signal);
      if (answer === 200 || answer === 401) {
        if (isLoopback(registry)) return `http://${registry}`;
        throw new BakeError(
          "BK253",
          `${registry} speaks http without TLS`,
          "Logins and images would cross the network in plain sight. Say so if that is meant: `sources.insecureRegistries` of the profile.",
        );
      }
    }
    return `https://${registry === "docker.io" ? "index.docker.io" : registry}`;
  };

  const base = (registry: string): Promise<string> => {
    const known = bases.get(registry) ?? findBase(registry);
    bases.set(registry, known);
    return known;
  };

  const ask = async (reference: string, args: readonly string[]): Promise<string> => {
    const registry = hostOf(reference);
    // crane would send a login to a private address without TLS.
    await base(registry);
    const { exitCode, stdout, stderr } = await run(registry, [...args, reference]);
    if (exitCode !== 0) throw failure(reference, stderr);
    return stdout;
  };

  const basic = async (repository: string): Promise<string | undefined> => {
    const { exitCode, stdout } = await run(hostOf(repository), ["auth", "get", hostOf(repository)]);
    if (exitCode !== 0) return undefined;
    const { Username, Secret } = JSON.parse(stdout) as { Username: string; Secret: string };
    return `Basic ${Buffer.from(`${Username}:${Secret}`).toString("base64")}`;
  };

  const findAuthorization = async (repository: string): Promise<string | undefined> => {
    const registry = hostOf(repository);
    await base(registry);
    const { exitCode, stdout, stderr } = await run(registry, ["auth", "token", "-H", repository]);
    if (exitCode === 0) return stdout.trim().replace(/^Authorization: /, "");
    // crane has tokens only: it fails where none is needed, and where the login itself is the header.
    if (stderr.includes('challenge scheme "" is not bearer')) return undefined;
    if (/challenge scheme "basic" is not bearer/i.test(stderr)) {
      const login = await basic(repository);
      if (login !== undefined) return login;
      throw new BakeError("BK252", `${registry} does not let this machine read ${repository}`, loginHelp(registry));
    }
    // `--insecure` does not reach this one command of crane.
    if (insecure.includes(registry) && stderr.includes("server gave HTTP response to HTTPS client")) {
      return basic(repository);
    }
    throw failure(repository, stderr);
  };

  return {
    manifest: (reference) => ask(reference, ["manifest"]),
    blob: (reference) => ask(reference, ["blob"]),
    tags: async (repository) => (await ask(repository, ["ls"])).split("\n").filter((tag) => tag !== ""),
    base,
    authorization: (repository) => {
      const known = headers.get(repository);
      if (known !== undefined && host.now() - known.since < keep) return known.value;
      const value = findAuthorization(repository);
      headers.set(repository, { since: host.now(), value });
      value.catch(() => headers.delete(repository));
      return value;
    },
  };
};
