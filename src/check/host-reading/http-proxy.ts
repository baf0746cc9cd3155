/** The HTTP proxy of a host: of its agents, else of its Docker. Pure. */
import { withoutSecretShapes } from "../../secrets/shapes.ts";
import type { Answers } from "../../profile/new-profile.ts";
import { type Finding, placeOf, type Said } from "./finding.ts";

export const proxyCommands = {
  // Of the running daemon, whoever set it: unit, drop-ins, files.
  dockerEnvironment:
    "pid=$(systemctl show -p MainPID --value docker.service); [ \"${pid:-0}\" -gt 0 ] && tr '\\0' '\\n' </proc/$pid/environ 2>/dev/null | grep -iE '^(https?|no)_proxy=' | sed -E 's#(://)[^/@]*@#\\1***@#'",
} as const;

/** Always reached without it. */
const known = ["localhost", "127.0.0.1", "::1", "169.254.169.254"];

/**
 * A proxy as variables say it. Pure.
 * @param read HTTP_PROXY and its like by their names. @param place Of the variables, for notes.
 */
export const proxyFinding = (read: (name: string) => string | undefined, place: string): Finding => {
  const [http, https] = [read("HTTP_PROXY"), read("HTTPS_PROXY")];
  const url = https ?? http;
  if (url === undefined || url === "") return { answers: {}, notes: [] };
  const except = (read("NO_PROXY") ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
  return {
    answers: {
      httpProxy: {
        url: `${/:\/\//.test(url) ? "" : "http://"}${url}`.replace(/(:\/\/)[^/]*@/, "$1").replace(/\/$/, ""),
        except: except.filter((entry) => !known.includes(entry)),
      },
    },
    notes: [
      ...(url.includes("@") ? [`HTTP proxy: its credentials were left out: secrets.proxyCredentials${place}`] : []),
      ...(http !== undefined && https !== undefined && http !== https
        ? [`HTTP proxy: HTTP_PROXY and HTTPS_PROXY differ, that of https is taken for both${place}`]
        : []),
    ],
  };
};

const daemonFile = "/etc/docker/daemon.json";

/** `proxies` of daemon.json beats the daemon's environment (moby: daemon/config). */
const dockerProxy = (said: Said): Finding => {
  const environment = new Map(
    said("dockerEnvironment")
      .split("\n")
      .flatMap((line) => {
        const [, name, value = ""] = /^([A-Za-z_]+)=(.*)$/.exec(line) ?? [];
        return name === undefined ? [] : [[name.toUpperCase(), value] as const];
      }),
  );
  let ofFile: Readonly<Record<string, unknown>> = {};
  try {
    const { proxies } = JSON.parse(said("daemon").replace(/^\uFEFF/, "")) as { proxies?: unknown };
    if (typeof proxies === "object" && proxies !== null) ofFile = proxies as Record<string, unknown>;
  } catch {
    // Told where the rest of the file is read.
  }
  const inFile = (name: string): string | undefined => {
    const value = ofFile[name.toLowerCase().replace("_", "-")];
    return typeof value === "string" ? value : undefined;
  };
  const fromFile = ["HTTP_PROXY", "HTTPS_PROXY"].some((name) => inFile(name) !== undefined);
  return proxyFinding(
    (name) => inFile(name) ?? environment.get(name),
    fromFile ? placeOf(daemonFile) : " (environment of docker.service)",
  );
};

/**
 * Docker's proxy, where the agents have none; a profile has one for all of them. Pure.
 * @param ofAgents That of the agents.
 */
export const dockerProxyFinding = (said: Said, ofAgents: Answers["httpProxy"]): Finding => {
  const { answers, notes } = dockerProxy(said);
  const { httpProxy } = answers;
  if (httpProxy === undefined) return { answers: {}, notes: [] };
  const shown = withoutSecretShapes(httpProxy.url);
  if (ofAgents === undefined)
    return {
      answers,
      notes: [
        ...notes,
        `HTTP proxy: ${shown} is Docker's alone there; network.httpProxy is that of the agents and their jobs too`,
      ],
    };
  const others = httpProxy.except.filter((entry) => !ofAgents.except.includes(entry));
  return {
    answers: {},
    notes: [
      ...(httpProxy.url === ofAgents.url
        ? []
        : [`HTTP proxy: Docker's ${shown} is not carried over: the agents have another one`]),
      ...(others.length === 0
        ? []
        : [`HTTP proxy: Docker reaches ${others.join(", ")} without it, the agents do not: not carried over`]),
    ],
  };
};
