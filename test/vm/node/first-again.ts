/** The first profile's image again, on the data disk that a node of another profile has used since: A, B and A. */
import type { DiskFile } from "../../../src/vm/disks.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AgentApi } from "../../../src/check/agent-api/server.ts";
import { type GoldenImage, type StartedVm, startVm, testHost } from "../golden-image.ts";
import type { OtherNode } from "./other-profile.ts";
import { dataDisk } from "./power-cuts.ts";
import { apiFor, boot, type ReadyNode, readyDisks } from "./ready-node.ts";

const host = testHost();
const token = "token-of-the-third-node";
const small = "bake.local/trial/busybox:1";

/** The data disk as the other profile's node had it. */
export interface UsedDisk {
  disk?: DiskFile | undefined;
}

/** Registers a test that takes the disk as jobs and a user of the other profile may leave it. That node is then as it was. */
export const useTheDisk = (other: OtherNode): UsedDisk => {
  const used: UsedDisk = {};
  test("a job of the other profile removes an image that the first one needs, and a user brings one", async () => {
    await other.start();
    const there = (command: string) => other.started.vm.ssh(command, { timeout: 300_000 });
    await there(
      `systemctl stop bake-health.timer bake-health.service && docker image rm --force ${small} &&
tar -c -C /etc hostname | docker import --message own - users/own:1 && sync`,
    );
    used.disk = (await other.started.vm.snapshot()).data["data"];
    expect(used.disk).toBeDefined();
    await there("docker image rm users/own:1 && systemctl restart bake-images && systemctl start bake-health.timer");
  });
  return used;
};

/** Registers the tests. They come last: the other profile's node loses its power. */
export const firstProfileAgain = (other: OtherNode, used: UsedDisk): void => {
  describe("the first profile again on that disk", () => {
    let first: ReadyNode;
    let golden: GoldenImage;
    let node: StartedVm;
    let api: AgentApi;
    const there = async (command: string): Promise<string> =>
      (await node.vm.ssh(command, { allowFailure: true, timeout: 120_000 })).stdout.trim();

    beforeAll(async () => {
      if (used.disk === undefined) throw new Error("the disk of the other profile's node was not taken");
      first = await readyDisks();
      golden = first.golden;
      await other.started.vm.kill();
      api = await apiFor(golden, token);
      node = await startVm(host, golden, {
        disks: [{ ...dataDisk, from: { childOf: used.disk } }],
        instance: {
          agentToken: token,
          environment: { BUILDKITE_AGENT_ENDPOINT: api.endpoint("10.0.2.2"), BAKE_ABSENT: "npu" },
        },
      });
      await node.vm.waitForSsh(boot);
      await api.waitForAgents(boot);
    });
    afterAll(async () => {
      await node?.end();
      await api?.close();
    });

    test("it is ready: nothing was written anew, and what it lacked came back from its own seed", async () => {
      expect(api.problems()).toEqual([]);
      expect(await there("bake-status | grep -c '^status *ready for jobs'")).toBe("1");
      expect(await there("journalctl -b -u bake-storage -o cat")).not.toMatch(/making ext4|writing the seed/);
      const loaded = await there("journalctl -b -u bake-images -o cat");
      expect(loaded).toContain(`bake-images: loading ${small}`);
      expect(loaded).not.toContain("pulling");
    });

    test("four agents see the models, and a job of each runs the image", async () => {
      expect(await there("for i in 1 2 3 4; do /opt/bake/bin/bake-models seen $i; done")).toMatch(
        /^(sees 2 models\n?){4}$/,
      );
      const jobs = await Promise.all(
        [1, 2, 3, 4].map((index) =>
          api.runJob({
            agent: `bake-test-${index}-2cards`,
            command: `docker run --rm --network none ${small} echo it runs`,
            timeoutMs: 300_000,
          }),
        ),
      );
      for (const { log } of jobs) expect(log).toContain("it runs");
    });

    test("what a user had, from the first node on, is there", async () => {
      expect(await there("docker image ls --quiet users/own:1 | wc -l; cat /mnt/docker-cache3/kept")).toBe("1\nkept");
      expect(await there("cat /mnt/.bake/ssh/id_ed25519.pub; cut -d ' ' -f 1,2 /root/.ssh/id_ed25519.pub")).toBe(
        `${first.key}\n${first.key.split(" ").slice(0, 2).join(" ")}`,
      );
    });
  });
};
