/** Where the services of a region answer. Pure. */
import { BakeError } from "../errors.ts";

/** Services that bake speaks to, and the host that each is reached at: public addresses are the VPC service's. */
const hosts = {
  iam: "iam",
  ims: "ims",
  ecs: "ecs",
  evs: "evs",
  vpc: "vpc",
  eip: "vpc",
  as: "as",
  bms: "bms",
  modelarts: "modelarts",
  obs: "obs",
} as const;

export type Service = keyof typeof hosts;

/** Regions whose services lie in another domain. */
const domains: Readonly<Record<string, string>> = { "eu-west-101": "myhuaweicloud.eu" };

export type Endpoints = Readonly<Record<Service, string>>;

/** The variable that names another endpoint of a service. */
const variableOf = (service: string): string => `HW_ENDPOINT_${service.toUpperCase()}`;

/** The domain that Packer's plugin makes of HW_AUTH_URL: its host without the service, and without the region where it has one. */
const domainOf = (authUrl: string): string => {
  const labels = new URL(authUrl).hostname.split(".");
  return labels.slice(labels.length > 3 ? 2 : 1).join(".");
};

/** @throws BakeError BK425 for what is no https URL of a host: a temporary credential's token goes along. */
const requireEndpoint = (variable: string, value: string): string => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol === "https:" && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "")
    return url.origin;
  throw new BakeError(
    "BK425",
    `${variable} names no endpoint that bake can use`,
    "It is https://host, with a port where it needs one, and nothing behind it: https://ecs.cn-north-4.myhuaweicloud.com",
  );
};

/**
 * The endpoints of a region.
 * @param env HW_ENDPOINT_ECS and its like name others; HW_AUTH_URL names IAM's, and the domain of all, as Packer's plugin takes it.
 * @throws BakeError BK425
 */
export const endpointsOf = (region: string, env: Readonly<Record<string, string | undefined>> = {}): Endpoints => {
  const set = (name: string): string | undefined => (env[name] ?? "").trim() || undefined;
  const authUrl = set("HW_AUTH_URL")?.replace(/\/v3\/?$/, "");
  const iam = authUrl === undefined ? undefined : requireEndpoint("HW_AUTH_URL", authUrl);
  const domain = iam === undefined ? (domains[region] ?? "myhuaweicloud.com") : domainOf(iam);
  return Object.fromEntries(
    Object.entries(hosts).map(([service, host]) => {
      const variable = variableOf(service);
      const named = set(variable);
      if (named !== undefined) return [service, requireEndpoint(variable, named)];
      return [service, service === "iam" && iam !== undefined ? iam : `https://${host}.${region}.${domain}`];
    }),
  ) as Record<Service, string>;
};
