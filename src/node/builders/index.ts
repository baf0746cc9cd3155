/** A pinned BuildKit builder for each agent (guide row G24). */
import { createHash } from "node:crypto";
import { imageReferenceOf } from "../../formats/image-reference.ts";
import { isAtLeast } from "../../formats/version.ts";
import { environmentFile } from "../../formats/lines.ts";
import { shellWord } from "../../formats/shell.ts";
import { toToml } from "../../formats/toml.ts";
import { type NodeRegistries, nodeRegistries } from "../../profile/registries.ts";
import type { Profile } from "../../profile/schema.ts";
import { caFile } from "../ca-places.ts";
import { advisory, asksDocker, byHand, gating, line, literal, ofCommand } from "../check-commands.ts";
import type { Check } from "../check.ts";
import type { Concern, Destination } from "../concern.ts";
import type { Facts } from "../facts.ts";
import { buildxState, cachesShare, pluginLinkFolder } from "./facts.ts";
import { gib } from "../../formats/bytes.ts";

/** From BuildKit 0.17 on a limit of its own, before that one number that both keeps and limits. */
const knowsMaxUsedSpace = (image: string): boolean => {
  const { tag } = imageReferenceOf(image);
  return !/^v\d+\.\d/.test(tag) || isAtLeast(tag, "0.17.0");
};

/**
 * What of buildkitd.toml limits the cache. `reserve`: bytes that stay free. BuildKit reads `GB` as GiB, a number as bytes, whatever its own documentation says
 * (moby/buildkit: cmd/buildkitd/config/gcpolicy.go), and passes over keys that it does not know.
 */
const limitsOf = (
  { agents, builders, storage }: Profile,
  reserve: number,
): Readonly<Record<string, string | number>> => {
  const share = Math.max(1, Math.floor(cachesShare / agents.spawn));
  if (!knowsMaxUsedSpace(builders.image)) {
    const limit = builders.maxCacheSize ?? Math.max(1, Math.floor((storage.minSize * share) / 100));
    return { gckeepstorage: limit * gib };
  }
  return {
    maxUsedSpace: builders.maxCacheSize === undefined ? `${share}%` : `${builders.maxCacheSize}GB`,
    // Above what the node itself wants free: below that there are no jobs, and without builds BuildKit collects no garbage.
    minFreeSpace: `${reserve / gib}GB`,
  };
};

/** buildkitd.toml by section and key. */
const configOf = (
  profile: Profile,
  reserve: number,
  { mirrors, insecure }: NodeRegistries,
  secured: readonly string[],
): Parameters<typeof toToml>[0] => ({
  "worker.oci": { gc: true, ...limitsOf(profile, reserve) },
  // A mirror without TLS needs a record of its own beside the one that names it (moby/buildkit#2514).
  ...Object.fromEntries(
    [...new Set([...Object.keys(mirrors), ...insecure, ...secured])].toSorted().map((registry) => [
      `registry.${JSON.stringify(registry)}`,
      {
        ...(mirrors[registry] !== undefined && { mirrors: mirrors[registry] }),
        ...(insecure.includes(registry) && { http: true }),
        // buildx copies the file into the builder, whose image has a list of its own.
        ...(secured.includes(registry) && { ca: [caFile] }),
      },
    ]),
  ),
});

/** Registries that the builders ask by TLS, where the site has authorities of its own. */
const securedOf = (profile: Profile, facts: Facts, { mirrors, insecure }: NodeRegistries): string[] =>
  facts.caCertificates.length === 0
    ? []
    : [
        "docker.io",
        ...[...profile.images.map(({ image }) => image), profile.builders.image].map(
          (image) => imageReferenceOf(image).registry,
        ),
        ...Object.keys(mirrors),
        ...Object.values(mirrors)
          .flat()
          .map((mirror) => mirror.replace(/\/.*$/, "")),
      ].filter((registry) => !insecure.includes(registry));

/** A builder is made anew when what it trusts has changed. */
const trusts = ({ caCertificates }: Facts): string =>
  caCertificates.length === 0
    ? ""
    : `# ${caFile}: sha256 ${createHash("sha256").update(caCertificates.join("")).digest("hex")}\n`;

/** `--config` was renamed in 0.13.0 (docker/buildx: commands/create.go). */
const buildkitdConfigFlag = (version: string): string =>
  isAtLeast(version, "0.13.0") ? "--buildkitd-config" : "--config";

const imageIdOf = ({ builders, images }: Facts): string | undefined =>
  images.find(({ reference }) => reference === builders.image)?.locked?.imageId;

const checkOf = (name: string, facts: Facts): Check => {
  const { builders } = facts;
  // Not `.State.Running`, which a container that fails again and again has too.
  const inspected = (more = ""): string =>
    asksDocker(
      `container inspect --format '{{.State.Status}} {{.Config.Image}}${more}' buildx_buildkit_${name}0 && test -s ${buildxState}/instances/${name}`,
    );
  const imageId = imageIdOf(facts);
  return ofCommand(
    gating,
    {
      id: `builder-${name}`,
      rows: ["G24"],
      title: `builder ${name} runs ${builders.image}`,
      live: true,
      help: `journalctl -u bake-health -u bake-builders; by hand: systemctl restart bake-images bake-builders`,
      repair: "builders",
      ...byHand(
        `builder-${name}`,
        {
          title: `builder ${name} runs ${builders.image}`,
          help: `docker buildx create --name ${name} --driver docker-container --driver-opt image=${builders.image} --bootstrap`,
        },
        inspected(),
        { stdout: [`/^running ${literal(builders.image)}(@sha256:[0-9a-f]+)?$/`] },
      ),
    },
    inspected(imageId === undefined ? "" : " {{.Image}}"),
    { stdout: [line(["running", builders.localImage, ...(imageId === undefined ? [] : [imageId])].join(" "))] },
  );
};

/**
 * What finds a job whose DOCKER_CONFIG is a folder of its own, as plugins that log in to a registry make one: the client's
 * plugin, and buildx's list of builders.
 * @param state A command that prints where the agents' jobs look for builders.
 */
const asksAsJob = (state: string, name: string): string =>
  `export HOME=/root DOCKER_CONFIG=$(mktemp -d /run/job.XXXXXX); trap 'rm -rf "$DOCKER_CONFIG"' EXIT; state=$(${state}); test -s "$state/instances/${name}" && docker buildx version`;

const jobConfigCheck = (name: string): Check => {
  const title = "a job with a DOCKER_CONFIG of its own finds buildx and its builder";
  const help = `BUILDX_CONFIG=${buildxState} in the agents' environment, and a link to the plugin in ${pluginLinkFolder}`;
  return ofCommand(
    advisory,
    {
      id: "builder-any-docker-config",
      rows: ["G23", "G24"],
      title,
      help,
      ...byHand(
        "builder-any-docker-config",
        { title, help },
        asksAsJob(
          "tr '\\0' '\\n' <\"/proc/$(systemctl show -p MainPID --value buildkite-agent.service)/environ\" | sed -n 's/^BUILDX_CONFIG=//p'",
          name,
        ),
      ),
    },
    // As systemd reads the file for the agents' service.
    asksAsJob("sed -n 's/^BUILDX_CONFIG=\"\\(.*\\)\"$/\\1/p' /etc/bake/agent.env", name),
  );
};

/** A builder whose container is gone starts from that name alone. */
const localImageCheck = (facts: Facts): Check => {
  const imageId = imageIdOf(facts);
  return ofCommand(
    gating,
    {
      id: "bake-builder-image",
      rows: ["G24"],
      title: `the builders' image has the name that no registry has, ${facts.builders.localImage}`,
      help: "journalctl -u bake-health -u bake-builders; by hand: systemctl restart bake-images bake-builders",
      repair: "builders",
    },
    asksDocker(`image inspect --format '{{.Id}}' ${shellWord(facts.builders.localImage)}`),
    { stdout: imageId === undefined ? [] : [line(imageId)] },
  );
};

export const builders: Concern = {
  name: "builders",
  contribute: ({ profile, facts, header }) => {
    const { names, image, localImage } = facts.builders;
    const registries = nodeRegistries(profile);
    return {
      files: [
        {
          path: "/etc/bake/builders.env",
          content: `# ${header}\n${environmentFile({
            BUILDER_NAMES: names.join(" "),
            BUILDER_IMAGE: image,
            BUILDER_LOCAL_IMAGE: localImage,
            BUILDER_IMAGE_ID: imageIdOf(facts) ?? "",
            BUILDER_CONFIG_FLAG: buildkitdConfigFlag(profile.buildx.version),
            BUILDER_REMOVE_OTHERS: String(profile.builders.removeOthers),
          })}`,
          order: 120,
        },
        {
          path: "/etc/bake/buildkitd.toml",
          content: `# ${header}\n${trusts(facts)}${toToml(configOf(profile, facts.storage.reserveBytes, registries, securedOf(profile, facts, registries)))}`,
          order: 130,
        },
      ],
      units: [{ name: "bake-builders.service", order: 80 }],
      scripts: [{ name: "bake-builders", order: 50 }],
      checks: [
        localImageCheck(facts),
        ...names.map((name) => checkOf(name, facts)),
        ...names.slice(0, 1).map(jobConfigCheck),
        ofCommand(
          advisory,
          {
            id: "bake-builder-others",
            rows: ["G24"],
            title: "no builder of an earlier profile keeps its cache on the data disk",
            help: "docker rm -f buildx_buildkit_NAME0, docker volume rm buildx_buildkit_NAME0_state; or builders.removeOthers",
          },
          `list=$(${asksDocker("ps --all --format '{{.Image}} {{.Names}}'")}) || exit 1; others=$(printf '%s\\n' "$list" | sed -nE 's|^localhost:1/.* buildx_buildkit_(.*)0$|\\1|p' | grep -vxE '${names.map(literal).join("|")}'); echo $others; test -z "$others"`,
        ),
        ofCommand(
          advisory,
          {
            id: "builder-default",
            rows: ["G24"],
            title: "no CI builder is the current one of every docker build",
            help: "docker buildx use default",
          },
          `export HOME=/root; ${asksDocker("buildx inspect | sed -n 's/^Name: *//p' | head -n 1")}`,
          { stdout: [line("default")] },
        ),
      ],
      destinations: Object.values(registries.mirrors)
        .flat()
        .map((mirror): Destination => {
          const { hostname, port, host } = new URL(`registry://${mirror}`);
          return {
            host: hostname,
            port: Number(port || (registries.insecure.includes(host) ? 80 : 443)),
            when: "job",
            why: "registry mirror of the builders",
            order: 60,
          };
        }),
      explain: [
        {
          what: "builders",
          value: `${names.join(" ")}, each from ${image}`,
          because: ["agents.spawn", "builders.image"],
          order: 40,
        },
      ],
      page: {
        summary: [{ label: "builders", text: `${names.join(", ")} from \`${image}\``, order: 30 }],
        chain: [{ text: "bake-builders", order: 60 }],
        boot: [
          {
            text: `\`bake-builders\` makes the builders that are not there, and those anew whose image or configuration changed; their caches stay.\n  Their image is the pre-loaded one under a name that no registry has, \`${localImage}\`, since buildx pulls what it can.`,
            order: 60,
          },
        ],
      },
    };
  },
};
