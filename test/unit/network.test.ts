/** Whom a node talks to, and by which way. */
import { expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import type { Destination } from "../../src/node/concern.ts";
import { concerns } from "../../src/node/index.ts";
import { planDestinations } from "../../src/plan/destinations.ts";
import { allowlist } from "../../src/render/allowlist.ts";
import { readProfile } from "../plan-of.ts";

const planWith = (except: string[]) => {
  const profile = readProfile();
  const httpProxy = { url: "http://proxy.example.com:3128", except };
  return planFor({ name: "proxied", profile: { ...profile, network: { ...profile.network, httpProxy } } });
};
/** What a node asks without the proxy, and by it. */
const tried = (except: string[]): { readonly direct: string[]; readonly byProxy: string[] } => {
  const site = planWith(except).checks.filter(({ id }) => id.startsWith("reaches-"));
  const ids = (type: string): string[] =>
    site.flatMap(({ id, resource }) => (resource[0] === type ? [id.replace("reaches-", "")] : []));
  return { direct: ids("addr"), byProxy: ids("command") };
};

test("with an HTTP proxy a node asks the proxy, what it reaches without it, and through it the rest", () => {
  const byProxy = ["agent-edge.buildkite.com-443", "buildkiteartifacts.com-443", "gh-proxy.test.osinfra.cn-443"];
  expect(tried([])).toEqual({ direct: ["proxy.example.com-3128"], byProxy });
  expect(tried([".osinfra.cn"]).direct).toContain("gh-proxy.test.osinfra.cn-443");
  expect(tried(["*.buildkite.com"]).direct).toContain("agent-edge.buildkite.com-443");
  // An ending of a name is no domain of it.
  expect(tried(["kite.com", "infra.cn"])).toEqual({ direct: ["proxy.example.com-3128"], byProxy });
});

test("the allowlist says what the proxy must let through", () => {
  const page = allowlist(planWith([]));
  expect(page).toContain("| `proxy.example.com` | 3128 | HTTP proxy |\n");
  expect(page).toContain(
    "| `agent-edge.buildkite.com` | 443 | Buildkite agent API; by the HTTP proxy, which must let it through |\n",
  );
  // The machine that bakes has no proxy by this profile.
  expect(page).toContain("| `download.docker.com` | 443 | Docker's static archive |\n");
});

test("an image of this machine is not taken for one of Docker Hub", () => {
  const profile = readProfile();
  const images = ["localhost/team/tools:1", "docker.io/library/busybox:1"].map((image) => ({
    image,
    from: "image" as const,
  }));
  const { destinations } = planFor({ name: "local", profile: { ...profile, images } });
  const hosts = destinations.flatMap(({ host, when }) => (when === "job" ? [host] : []));
  expect(hosts.filter((host) => host === "localhost" || host.includes("docker"))).toEqual([
    "localhost",
    "registry-1.docker.io",
  ]);
});

test("one host and port stands in the list once, with all that it is asked for", () => {
  const asked = (why: string, when: Destination["when"] = "node"): Destination => ({
    host: "mirror.example.com",
    port: 80,
    when,
    why,
  });
  const all = planDestinations([asked("models"), asked("images"), asked("models"), asked("wheels", "job")], undefined);
  expect(all.map(({ when, why }) => ({ when, why }))).toEqual([
    { when: "node", why: "models; images" },
    { when: "job", why: "wheels" },
  ]);
});

test("a time server is a destination by UDP: no TCP check asks it, no proxy carries it, and the allowlist says so", () => {
  const server: Destination = { host: "ntp.example.com", port: 123, protocol: "udp", when: "node", why: "time server" };
  const web: Destination = { host: "ntp.example.com", port: 123, when: "node", why: "the same port by TCP" };
  const destinations = planDestinations([server, web, server], { url: "http://proxy.example.com:3128", except: [] });
  expect(destinations.map(({ protocol, through }) => [protocol, through])).toEqual([
    ["udp", undefined],
    ["tcp", "proxy"],
  ]);
  const direct = planDestinations([server, web], undefined);
  expect(
    concerns.flatMap(({ checkDestinations }) => checkDestinations?.(direct) ?? []).map(({ title }) => title),
  ).toEqual(["ntp.example.com:123 lets this node through: the same port by TCP"]);
  const page = allowlist({ ...planWith([]), destinations: direct });
  expect(page).toContain("| `ntp.example.com` | 123/udp | time server |\n");
  expect(page).not.toContain("All of it is outbound TCP");
  expect(allowlist(planWith([]))).toContain("All of it is outbound TCP");
});
