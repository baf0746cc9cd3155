/** What tests of `bake rollout` have in common: two images of a profile, servers whose agents connect, and who runs it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../src/host/root.ts";
import type { BuildkiteEmulator } from "../buildkite/emulator.ts";
import type { Emulator } from "../huaweicloud/emulator.ts";
import { bakedImage, type Server } from "../huaweicloud/world.ts";
import { runBake, userIn } from "./run-bake.ts";

export const old = "aaaaaaaa-0000-4000-8000-000000000001";
export const fresh = "aaaaaaaa-0000-4000-8000-000000000002";

/** The agents' token: it is in no output. */
export const token = "not-a-real-agent-token-for-tests";

/** The old image, and the fresh one that is current. */
export const twoImages = () => [
  bakedImage(old, "Old", { tags: { "bake-promoted": "20261112T090000Z" } }),
  bakedImage(fresh, "New", { tags: { "bake-promoted": "20261120T090000Z" } }),
];

/** The two agents of a server connect, from the image that it has. */
export const connect = (
  { cloud, buildkite }: { readonly cloud: Emulator; readonly buildkite: BuildkiteEmulator },
  { name, imageId }: Server,
): void => {
  const image = cloud.world.images.find(({ id }) => id === imageId);
  for (const index of [1, 2]) {
    buildkite.connect({
      name: `${name}-${index}`,
      hostname: name,
      queue: "ascend",
      tags: [`bake-id=${image?.tags["bake-id"] ?? ""}`],
    });
  }
};

/** 2cards.yaml with two agents a node. @param rollout The section of this name, as a map on one line. */
export const writeProfile = (folder: string, rollout: string): void =>
  writeFileSync(
    join(folder, "2cards.yaml"),
    `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}
agents: { queue: ascend, spawn: 2, cards: 4 }
secrets: { agentToken: { env: AGENT_TOKEN } }
rollout: { ${rollout} }
`,
  );

/** Who runs bake in this folder, against these emulators. */
export const userOf = (
  folder: string,
  { cloud, buildkite }: { readonly cloud: Emulator; readonly buildkite: BuildkiteEmulator },
) => userIn(folder, { AGENT_TOKEN: token, ...cloud.env, ...buildkite.env });

/** `bake rollout` with these words. */
export const rollOut = (user: ReturnType<typeof userOf>, ...args: readonly string[]) =>
  runBake(["rollout", ...args], user);

/** Of each server, which of the two images it has. */
export const imagesOf = ({ world }: Emulator): string[] =>
  world.servers.map(({ imageId }) => (imageId === old ? "old" : "new"));
