/**
 * Lite Servers: stopped, given another system, started. New user-data may not take effect there, so nothing depends on it: the
 * node's agents say by their bake id which image it runs.
 */
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { encodedUserData } from "../../huaweicloud/change-os.ts";
import type { Cloud } from "../../huaweicloud/client.ts";
import {
  changeLiteServer,
  type LiteServer,
  listLiteServers,
  showLiteServer,
  switchLiteServer,
} from "../../huaweicloud/lite-servers.ts";
import { hostLabel } from "../../huaweicloud/nodes.ts";
import type { Mover } from "../ports.ts";

/** Milliseconds between two looks at one server, and that each of its steps may take. */
const [pause, stepTime] = [20_000, 60 * 60_000];

/**
 * The mover of Lite Servers. Its `change` comes back when the server was started again; called once more for one that has the image
 * it only starts it, so that a change that was cut off is gone on with. The service's tags are not known to be written by its API:
 * who holds a server is remembered by this process alone.
 * @param keyPair Name of a key pair of the cloud: the service wants one.
 */
export const makeLiteServerMover = (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  { keyPair }: { readonly keyPair: string },
): Mover => {
  const holds = new Map<string, string>();

  /** Until nothing is being done to it. @throws BakeError BK456 when that takes too long, or it fails. */
  const settled = async (id: string): Promise<LiteServer> => {
    for (const until = host.now() + stepTime; ; ) {
      const server = await showLiteServer(cloud, id);
      if (server.power !== "building" && server.power !== "error") return server;
      if (server.power === "error" || host.now() > until) {
        throw new BakeError(
          "BK456",
          `the Lite Server ${server.name} (${id}) ${server.power === "error" ? "failed" : `is still ${server.task ?? "busy"}`}`,
          "Look at it in the console of ModelArts.",
        );
      }
      await host.sleep(pause, host.signal);
    }
  };

  return {
    kind: "lite-server",
    look: async () =>
      (await listLiteServers(cloud)).map(({ id, name, image, power, task }) => ({
        id,
        name,
        hostname: hostLabel(name),
        kind: "lite-server",
        image,
        power,
        task,
        tags: {},
        heldBy: holds.get(id),
        group: undefined,
      })),
    hold: async (node, rollout) => void holds.set(node, rollout),
    release: async (node, rollout) => {
      if (holds.get(node) === rollout) holds.delete(node);
    },
    change: async (node, { image, userData }) => {
      const encoded = userData === undefined ? undefined : encodedUserData(userData);
      let server = await settled(node);
      if (server.image !== image) {
        if (server.power === "active") {
          await switchLiteServer(cloud, node, false);
          await settled(node);
        }
        await changeLiteServer(cloud, node, { image, keyPair, userData: encoded });
        server = await settled(node);
      }
      if (server.power === "stopped") await switchLiteServer(cloud, node, true);
      return { job: undefined };
    },
    changeState: async (node) => {
      const { power, task } = await showLiteServer(cloud, node);
      if (power === "building") return { state: "running", ...(task !== undefined && { reason: task }) };
      if (power === "error") return { state: "failed", reason: "ModelArts says that it failed" };
      return power === "active" ? { state: "done" } : { state: "unknown", reason: `it is ${power}` };
    },
  };
};
