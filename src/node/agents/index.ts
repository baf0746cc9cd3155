/** The Buildkite agents: one service that starts them all (guide rows G2–G10). */
import { agentConfigValue, environmentFile } from "../../formats/lines.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Concern, Page } from "../concern.ts";
import type { Facts } from "../facts.ts";
import { installRelease } from "../install.ts";
import { secretPlaceholder } from "../secret-placeholder.ts";
import { portOf } from "../url-port.ts";
import { agentChecks } from "./checks.ts";
import type { AgentFacts } from "./facts.ts";
import { csms } from "./csms.ts";
import { csmsMetadata } from "./csms-rule.ts";
import { environmentHook } from "./hook.ts";
import { agentApi, jobEnvironment, places, tokenEnvironmentFile, tokenFile, tokenVia } from "./service.ts";
import { agentEnvironment } from "./environment-rule.ts";
import { agentSettings } from "./settings-rule.ts";
import { agentTags } from "./tags-rule.ts";
import { agentVersion } from "./version-rule.ts";

/** buildkite-agent.cfg. */
const configFile = (
  { agents }: Profile,
  { nameTemplate }: AgentFacts,
  token: ReturnType<typeof tokenVia>,
  header: string,
  bakeId: string | undefined,
): string => {
  const tags = [
    `queue=${agents.queue}`,
    ...(bakeId === undefined ? [] : [`bake-id=${bakeId}`]),
    ...Object.entries(agents.tags).map(([key, value]) => `${key}=${value}`),
  ];
  const settings: [key: string, value: string][] = [
    ["name", nameTemplate],
    ["spawn", String(agents.spawn)],
    ["tags", tags.join(",")],
    ["build-path", places.builds],
    ["hooks-path", places.hooks],
    ["plugins-path", places.plugins],
    ["git-clone-flags", agents.gitCloneFlags],
    ["git-fetch-flags", agents.gitFetchFlags],
    ["health-check-addr", agents.healthAddress],
    ...(agents.endpoint === undefined ? [] : ([["endpoint", agents.endpoint]] as [string, string][])),
    ...Object.entries(agents.settings).map(([key, value]): [string, string] => [key, String(value)]),
    ...(token === "file" ? ([["token", `file://${tokenFile}`]] as [string, string][]) : []),
  ];
  return `# ${header}\n${settings.map(([key, value]) => `${key}=${agentConfigValue(value)}\n`).join("")}`;
};

const pageOf = ({ agents }: Facts, boot: Page["boot"]): Page => ({
  ...(boot !== undefined && { boot }),
  summary: [
    {
      label: "agents",
      text: `${agents.spawn}, named \`${agents.nameTemplate}\`, queue \`${agents.queue}\``,
      order: 10,
    },
  ],
  chain: [{ text: "buildkite-agent", order: 80 }],
  paths: [
    {
      paths: [places.prefix],
      what: "configuration, builds, hooks; the agent itself is a link to `/opt/bake/bin`",
      order: 80,
    },
    {
      paths: [`${places.hooks}/environment`],
      what: "gives each job its `EPOCHSECONDS`, then runs `environment.site` beside it, which may be the site's (`files`)",
      order: 81,
    },
  ],
  sections: [
    {
      text: `## Each agent

| index | builder | devices | build cache | models (ModelScope) | models (Hugging Face) |
|--:|---|---|---|---|---|
${agents.each
  .map(
    ({ index, builder, devices, dockerCache, modelCache, hfCache }) =>
      `| ${index} | ${builder} | ${devices.join(" ")} | \`${dockerCache}\` | \`${modelCache}\` | \`${hfCache}\` |`,
  )
  .join("\n")}`,
      reference: true,
      order: 60,
    },
  ],
});

export const agents: Concern = {
  name: "agents",
  rules: [agentEnvironment, agentSettings, agentTags, agentVersion, csmsMetadata],
  requirements: (profile, architecture) => [
    {
      kind: "buildkite-agent",
      name: "buildkite-agent",
      asked: profile.agents.version,
      architecture,
      path: ["agents", "version"],
    },
  ],
  contribute: ({ profile, facts, locked, header }) => {
    const token = tokenVia(profile.agents.version);
    const api = agentApi(profile);
    const name = (index: number): string => `<hostname>-${index}-${facts.agents.cards}cards`;
    const { each, spawn } = facts.agents;
    const fetched = csms(profile, header);
    return {
      files: [
        {
          path: places.config,
          mode: "0600",
          content: (bakeId) => configFile(profile, facts.agents, token, header, bakeId),
          order: 40,
        },
        {
          path: "/etc/bake/agent.env",
          content: `# ${header}\n${environmentFile(jobEnvironment(profile))}`,
          order: 50,
        },
        {
          path: "/etc/bake/token.env",
          content: `# ${header}\n${environmentFile({ TOKEN_PATH: tokenFile })}`,
          order: 65,
        },
        environmentHook(header),
        ...fetched.files,
      ],
      directories: [
        { path: "/etc/bake/secrets", mode: "0700", order: 30 },
        { path: places.builds, order: 60 },
        { path: places.hooks, order: 70 },
        { path: places.plugins, order: 80 },
      ],
      units: [
        ...fetched.units,
        {
          name: "buildkite-agent.service",
          values: {
            binary: places.binary,
            configFile: places.config,
            stopTimeout: `${profile.agents.stopTimeout}s`,
            tokenEnvironmentFile: token === "environment" && tokenEnvironmentFile,
          },
          order: 120,
        },
      ],
      scripts: [{ name: "bake-token", order: 120 }, { name: "bake-epoch" }, ...fetched.scripts],
      installs: installRelease(locked, "buildkite-agent"),
      checks: agentChecks(profile, facts.agents),
      destinations: [
        { host: api.hostname, port: portOf(api), when: "node", why: "Buildkite agent API", order: 10 },
        {
          host: "buildkiteartifacts.com",
          port: 443,
          when: "node",
          why: "artifacts of Buildkite jobs",
          order: 20,
        },
        ...fetched.destinations,
        {
          host: "download.pytorch.org",
          port: 443,
          when: "job",
          why: "wheels that CI's image build installs",
          order: 70,
        },
        {
          host: "mirrors.huaweicloud.com",
          port: 443,
          when: "job",
          why: "Ascend wheels and distribution packages of CI's image build",
          order: 75,
        },
        {
          host: "www.modelscope.cn",
          port: 443,
          when: "job",
          why: "models, asked even when they are cached",
          order: 80,
        },
      ],
      userData: [
        {
          path: tokenFile,
          origin: ["secrets", "agentToken"],
          content: ({ agentToken = fetched.fetches ? undefined : secretPlaceholder("agentToken") }) =>
            agentToken === undefined ? undefined : `${agentToken}\n`,
          order: 10,
        },
      ],
      explain: [
        {
          what: "agents",
          value: each.length === 1 ? name(1) : `${name(1)} … ${name(spawn)}`,
          because: ["agents.spawn", "agents.cards"],
          order: 10,
        },
        ...each.map(({ index, builder, devices, dockerCache, modelCache, hfCache }) => ({
          what: `agent ${index} owns`,
          value: [
            devices.map((device) => device.replace("/dev/", "")).join(" "),
            builder,
            dockerCache,
            modelCache,
            hfCache,
          ].join(", "),
          because: ["agents.spawn", "agents.cards", "storage.mount"],
          order: 20,
        })),
        {
          what: "agents' token",
          value: `${tokenFile} (${token === "file" ? "read by the agent: token=file://…" : "environment of the service: this agent cannot read files"})`,
          because: ["agents.version", "secrets.agentToken"],
          order: 30,
        },
      ],
      page: pageOf(facts, fetched.boot),
      needsLock: [{ what: "the bake id, and the agents' bake-id tag", order: 60 }],
    };
  },
};
