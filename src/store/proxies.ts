/** Connections: which proxy leads to a host, and which certificate authorities are trusted. */
import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";
import { EnvHttpProxyAgent, Pool } from "undici";
import { BakeError } from "../errors.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A proxy may close the connection instead of answering CONNECT. undici takes that for a connection that broke later, and
 * connects again at once, for ever. Under another code it is an error.
 */
const withoutLoop = (settings: Pool.Options): Pool.Options => {
  const { connect } = settings;
  if (typeof connect !== "function") return settings;
  const closed = (): Error => Object.assign(new Error("the proxy closed the connection"), { code: "PROXY_CLOSED" });
  return {
    ...settings,
    connect: (options, callback) =>
      connect(options, (...[error, socket]) => {
        if (error === null) callback(error, socket);
        else callback("code" in error && error.code === "UND_ERR_SOCKET" ? closed() : error, null);
      }),
  };
};

/** Milliseconds: whoever is there takes a connection sooner. */
const longestConnect = 10_000;

const setting = (env: Environment, name: string): string => env[name.toLowerCase()] ?? env[name] ?? "";

/** A proxy without a scheme is one that speaks http, as curl takes it. @throws BakeError BK219 */
const proxyOf = (env: Environment, name: string): string => {
  const value = setting(env, name);
  if (value === "") return "";
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new BakeError(
    "BK219",
    `${name} names no proxy that bake can use`,
    "It is http://host:port or https://host:port.",
  );
};

/** Node knows the common authorities; crane reads this variable too. @throws BakeError BK219 */
const authorities = (file: string | undefined): string[] | undefined => {
  if (file === undefined || file === "") return undefined;
  try {
    return [...rootCertificates, readFileSync(file, "utf8")];
  } catch (error) {
    throw new BakeError(
      "BK219",
      `SSL_CERT_FILE cannot be read: ${(error as Error).message}`,
      "It names a file of certificates in PEM form.",
    );
  }
};

/**
 * Connections through the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name, in either case.
 * @param env SSL_CERT_FILE is taken from it too.
 * @param stall Milliseconds without an answer, or without a byte of one.
 * @throws BakeError BK219 when a variable names no proxy, or no file of certificates.
 */
export const makeDispatcher = (env: Environment, stall: number): EnvHttpProxyAgent => {
  const ca = authorities(env["SSL_CERT_FILE"]);
  const connect = { timeout: Math.min(stall, longestConnect), ...(ca !== undefined && { ca }) };
  return new EnvHttpProxyAgent({
    httpProxy: proxyOf(env, "HTTP_PROXY"),
    httpsProxy: proxyOf(env, "HTTPS_PROXY"),
    noProxy: setting(env, "NO_PROXY"),
    headersTimeout: stall,
    bodyTimeout: stall,
    connect,
    // The host behind a proxy; plain http needs no tunnel, and some proxies allow none.
    requestTls: connect,
    proxyTunnel: false,
    factory: (origin: string | URL, settings: Pool.Options) => new Pool(origin, withoutLoop(settings)),
  });
};
