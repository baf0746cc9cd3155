/** A pinned BuildKit builder for each agent (guide row G24). */
import { imageReferenceOf } from "../../formats/image-reference.ts";
import { isAtLeast } from "../../formats/version.ts";
import { environmentFile } from "../../formats/lines.ts";
import { shellWord } from "../../formats/shell.ts";
import { toToml } from "../../formats/toml.ts";
import type { Profile } from "../../profile/schema.ts";
import { advisory, asksDocker, byHand, gating, line, literal, ofCommand } from "../check-commands.ts";
import type { Check } from "../check.ts";
import type { Concern, Destination } from "../concern.ts";
import type { Facts } from "../facts.ts";
import { cachesShare } from "./facts.ts";

/** From BuildKit 0.17 on a limit of its own, before that one number that both keeps and limits. */
const knowsMaxUsedSpace = (image: string): boolean => {
  const { tag } = imageReferenceOf(image);
  return !/^v\d+\.\d/.test(tag) || isAtLeast(tag, "0.17.0");
};

/**
 * What of buildkitd.toml limits the cache. BuildKit reads `GB` as GiB, a number as bytes, whatever its own documentation says
 * (moby/buildkit: cmd/buildkitd/config/gcpolicy.go), and passes over keys that it does not know.
 */
const limitsOf = ({ agents, builders, storage }: Profile): Readonly<Record<string, string | number>> => {
  const share = Math.max(1, Math.floor(cachesShare / agents.spawn));
  if (!knowsMaxUsedSpace(builders.image)) {
    const limit = builders.maxCacheSize ?? Math.max(1, Math.floor((storage.minSize * share) / 100));
    return { gckeepstorage: limit * 2 ** 30 };
  }
  return {
    maxUsedSpace: builders.maxCacheSize === undefined ? `${share}%` : `${builders.maxCacheSize}GB`,
    // Above what the node itself wants free: below that there are no jobs, and without builds no garbage is collected.
    minFreeSpace: `${storage.minFree + Math.max(1, Math.min(storage.minFree, Math.floor(storage.minSize / 20)))}GB`,
  };
};

/** buildkitd.toml by section and key. */
const configOf = (profile: Profile): Parameters<typeof toToml>[0] => ({
  "worker.oci": { gc: true, ...limitsOf(profile) },
  ...Object.fromEntries(
    Object.entries(profile.builders.mirrors)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([registry, mirrors]) => [`registry.${JSON.stringify(registry)}`, { mirrors }]),
  ),
});

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
      `container inspect --format '{{.State.Status}} {{.Config.Image}}${more}' buildx_buildkit_${name}0 && test -s /root/.docker/buildx/instances/${name}`,
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
        { path: "/etc/bake/buildkitd.toml", content: `# ${header}\n${toToml(configOf(profile))}`, order: 130 },
      ],
      units: [{ name: "bake-builders.service", order: 80 }],
      scripts: [{ name: "bake-builders", order: 50 }],
      checks: [
        localImageCheck(facts),
        ...names.map((name) => checkOf(name, facts)),
        ofCommand(
          advisory,
          {
            id: "bake-builder-others",
            rows: ["G24"],
            title: "no builder of an earlier profile keeps its cache on the data disk",
            help: "docker buildx rm NAME, or builders.removeOthers",
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
      destinations: Object.values(profile.builders.mirrors)
        .flat()
        .map((mirror): Destination => {
          const { hostname, port } = new URL(`https://${mirror}`);
          return {
            host: hostname,
            port: Number(port || 443),
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
