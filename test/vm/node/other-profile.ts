/** A node of another profile (four cards for each of two agents, proxies, secrets of every kind) on the first node's data disk. */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AgentApi, startAgentApi } from "../../../src/check/agent-api/server.ts";
import { type GoldenImage, type StartedVm, startVm, testHost } from "../golden-image.ts";
import { type Canaries, namesIn } from "./canaries.ts";
import { boot, type ReadyNode, readyDisks } from "./ready-node.ts";

const host = testHost();
/** Other than what the cloud's metadata say. */
const name = "canary-node-7";

/** What the part after this one goes on with. */
export interface OtherNode {
  readonly canaries: Canaries;
  /** Boots it, once. */
  readonly start: () => Promise<void>;
  golden: GoldenImage;
  started: StartedVm;
  api: AgentApi;
}

/** Registers the tests. */
export const anotherProfile = (canaries: Canaries): OtherNode => {
  let starting: Promise<void> | undefined;
  const node = { canaries, start: () => (starting ??= start()) } as OtherNode;
  const served: string[] = [];
  let first: ReadyNode;
  let gitProxy: Server | undefined;
  const there = async (command: string): Promise<string> =>
    (await node.started.vm.ssh(command, { allowFailure: true, timeout: 120_000 })).stdout.trim();

  afterAll(async () => {
    await node.started?.end();
    await node.api?.close();
    gitProxy?.close();
  });

  const start = async (): Promise<void> => {
    node.golden = await canaries.golden();
    first = await readyDisks();
    const disk = first.ready.data["data"];
    if (disk === undefined) throw new Error("the ready node has no data disk");
    gitProxy = createServer((request, response) => {
      served.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      // The one that a check asks for, so that it has something to read.
      if (request.url?.endsWith("/octocat/Hello-World.git/info/refs?service=git-upload-pack") === true) {
        const line = (text: string): string => `${(text.length + 4).toString(16).padStart(4, "0")}${text}`;
        const head = `${"ab".repeat(20)} HEAD\0symref=HEAD:refs/heads/master\n`;
        response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
        response.end(`${line("# service=git-upload-pack\n")}0000${line(head)}0000`);
        return;
      }
      response.writeHead(404).end();
    });
    await new Promise<void>((done) => gitProxy?.listen(canaries.gitProxyPort, "127.0.0.1", done));
    node.api = await startAgentApi({
      now: Date.now,
      expected: {
        token: canaries.secrets.agentToken,
        spawn: 2,
        nameTemplate: (index) => `%hostname-${index}-4cards`,
        hostname: name,
        tags: ["queue=ascend", `bake-id=${node.golden.bakeId}`],
      },
    });
    node.started = await startVm(host, node.golden, {
      disks: [{ id: "data", serial: "moved-here", from: { childOf: disk } }],
      userDataFor: (publicKey) => {
        const keys = join(canaries.folder(), "login.pub");
        writeFileSync(keys, `${publicKey}\n`);
        const text = canaries.userData("--node", name, "--no-npus", "--authorized-key", keys);
        // Nobody's Buildkite account is asked here.
        const absent = /^( *)BAKE_ABSENT="npu"\n/m;
        expect(text).toMatch(absent);
        return text.replace(absent, `$&$1BUILDKITE_AGENT_ENDPOINT="${node.api.endpoint("10.0.2.2")}"\n`);
      },
    });
    await node.started.vm.waitForSsh(boot);
    await node.api.waitForAgents(boot);
  };

  describe("a data disk of another profile", () => {
    beforeAll(node.start);

    test("everything that was there stays, what is new is added", async () => {
      expect(node.api.problems()).toEqual([]);
      expect(await there("journalctl -b -u bake-storage -o cat")).not.toMatch(/making ext4|writing the seed/);
      expect(await there("cat /mnt/docker-cache3/kept")).toBe("kept");
      expect(await there("docker volume ls -q | sort")).toBe(first.volumes);
      expect(
        await there("docker buildx inspect cachebuilder2 | grep ^Status; ls /root/.docker/buildx/instances"),
      ).toMatch(/running\ncachebuilder1\s+cachebuilder2$/);
      // The key that user-data delivered is in use; the other node's own stays on the disk.
      expect(await there("cut -d ' ' -f 1,2 /root/.ssh/id_ed25519.pub")).toBe(canaries.nodeKey());
      expect(await there("cat /mnt/.bake/ssh/id_ed25519.pub")).toBe(first.key);
    });

    test("the whole header of a fine-grained token goes to the git proxy, once", async () => {
      await there("cd / && git ls-remote https://github.com/owner/private.git");
      const header = `Basic ${Buffer.from(`x-access-token:${canaries.secrets.gitToken}`).toString("base64")}`;
      expect(served.map((line) => line.replace(/basic/i, "Basic"))).toContain(
        `GET /https://github.com/owner/private.git/info/refs?service=git-upload-pack ${header}`,
      );
      expect(await there("git config --system --list; cat /root/.gitconfig")).not.toContain("AUTHORIZATION");
    });

    test("Docker, builders and jobs have the HTTP proxy with its credentials", async () => {
      const [user = "", password = ""] = canaries.secrets.proxyCredentials.split(":");
      const proxy = `http://${user}:${encodeURIComponent(password)}@127.0.0.1:9`;
      expect(await there("docker info --format '{{.HTTPProxy}} {{.NoProxy}}'")).toMatch(
        /^http:\/\/xxxxx:xxxxx@127\.0\.0\.1:9 .*10\.0\.2\.2/,
      );
      expect(await there("docker inspect --format '{{.Config.Env}}' buildx_buildkit_cachebuilder10")).toContain(
        `HTTPS_PROXY=${proxy}`,
      );
      const job = await node.api.runJob({
        agent: `${name}-1-4cards`,
        command: "echo $HTTP_PROXY",
        timeoutMs: 120_000,
      });
      expect(job.log).toContain(proxy);
    });

    test("secrets are in files of root alone, and in no log of the node", async () => {
      expect(
        await there("stat -c '%a %U %n' /etc/bake/secrets /etc/bake/secrets/* /root/.gitconfig.d/private"),
      ).toMatch(/^700 root \/etc\/bake\/secrets\n(600 root \S+\n?)+$/);
      // Agents of this version cannot read a file: systemd reads it for them, from memory.
      const environment = "/run/bake/agent-token.env";
      expect(await there(`stat -c '%a %U' ${environment}; findmnt -no FSTYPE -T ${environment}`)).toBe(
        "600 root\ntmpfs",
      );
      const logs = await there(
        `journalctl -b -o export | tr -d '\\0'; find /run/bake -type f ! -path ${environment} -exec cat {} +; dmesg`,
      );
      expect(logs.length).toBeGreaterThan(100_000);
      expect(namesIn(Buffer.from(logs))).toEqual([]);
      expect(namesIn(readFileSync(node.started.vm.consoleLog))).toEqual([]);
    });
  });
  return node;
};
