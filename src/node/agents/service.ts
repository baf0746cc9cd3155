/** The agents' service: where its files lie, and how the token reaches it (guide rows G2–G4). Pure. */
import { caBundle, caFile } from "../ca-places.ts";
import { isAtLeast } from "../../formats/version.ts";
import type { Profile } from "../../profile/schema.ts";
import { buildxState } from "../builders/facts.ts";

const prefix = "/root/.buildkite-agent";

export const places = {
  prefix,
  /** SELinux lets systemd start what lies here, and nothing below /root (guide row G2 has it there: `link`). */
  binary: "/opt/bake/bin/buildkite-agent",
  link: `${prefix}/bin/buildkite-agent`,
  config: `${prefix}/buildkite-agent.cfg`,
  builds: `${prefix}/builds`,
  hooks: `${prefix}/hooks`,
  plugins: `${prefix}/plugins`,
} as const;

/** `token="file://…"` works from this release on (facts: buildkite-agent 3.133.0). */
const readsTokenFile = (version: string): boolean => isAtLeast(version, "3.133.0");

/**
 * Where user-data, CSMS and `bake-token` put the token, for agents of every version: so user-data of one image is right for another
 * one too, on the way forward and back.
 */
export const tokenFile = "/etc/bake/secrets/agent-token";

/** What systemd reads for an agent that cannot read the file; made from it before each start, and gone with the boot. */
export const tokenEnvironmentFile = "/run/bake/agent-token.env";

/** How the token reaches an agent of this version: `file` is read by the agent itself, `environment` by systemd. */
export const tokenVia = (version: string): "file" | "environment" => (readsTokenFile(version) ? "file" : "environment");

/** The agent's default endpoint moved with 3.122.0 (facts: network requirements of Buildkite's agents). */
export const agentApi = ({ agents }: Profile): URL => {
  if (agents.endpoint !== undefined) return new URL(agents.endpoint);
  return new URL(
    `https://${isAtLeast(agents.version, "3.122.0") ? "agent-edge.buildkite.com" : "agent.buildkite.com"}/`,
  );
};

/** Environment of the agents, which their jobs inherit; an environment file of its own brings HOME. */
export const jobEnvironment = ({ agents, network }: Profile): Readonly<Record<string, string>> => ({
  // A job with a DOCKER_CONFIG of its own, as plugins that log in make one, would look for the builders below it.
  BUILDX_CONFIG: buildxState,
  ...(network.pypiCache !== undefined && {
    PYPI_CACHE_HOST: network.pypiCache.host,
    PYPI_CACHE_PORT: String(network.pypiCache.port),
  }),
  // What brings a list of its own: Python's requests and pip, Node.
  ...(network.caCertificates.length > 0 && {
    REQUESTS_CA_BUNDLE: caBundle,
    PIP_CERT: caBundle,
    NODE_EXTRA_CA_CERTS: caFile,
  }),
  ...agents.environment,
});
