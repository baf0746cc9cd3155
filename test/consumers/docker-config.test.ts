/** A job whose DOCKER_CONFIG is its own finds buildx and its builder: asked of a real client and a real plugin (guide rows G23, G24). */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../../src/host/root.ts";
import { type DockerDaemon, startDockerDaemon } from "../docker-daemon.ts";
import { needs, toolPath } from "../needs.ts";
import { render, trialPlan } from "../plan-of.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-job-"));
const plan = trialPlan();
const check = plan.checks.find(({ id }) => id === "builder-any-docker-config");

let daemon: DockerDaemon | undefined;

beforeAll(() => {
  const agentEnvironment = render(plan).files.find(({ path }) => path === "node/etc/bake/agent.env");
  writeFileSync(join(folder, "agent.env"), agentEnvironment?.content ?? "");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * What bash says, with folders of its own in the place of those where a node has Docker's plugin and buildx's state, both as
 * provision.sh and bake-builders leave them.
 */
const onNode = (script: string) => {
  const provision = readFileSync(join(root, "templates/node/provision.sh"), "utf8");
  const install = /^install_buildx\(\) \{\n[^]*?^\}$/m.exec(provision)?.[0] ?? "";
  return spawnSync(
    "unshare",
    [
      "--mount",
      "bash",
      "--norc",
      "-ec",
      `for place in /root /run /usr/local/lib; do mount -t tmpfs none $place; done
umask 077
${install}
install_buildx ${folder}/docker-buildx
export HOME=/root PATH=${folder}:$PATH
docker buildx create --name cachebuilder1 --driver docker-container >/dev/null
set +e
${script}`,
    ],
    { encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", DOCKER_HOST: daemon?.host ?? "" } },
  );
};
const ownConfig = `export DOCKER_CONFIG=$(mktemp -d); echo '{"auths":{}}' >$DOCKER_CONFIG/config.json\n`;
// As systemd does for the service.
const agents = `set -a; . ${folder}/agent.env; set +a\n`;

needs("root", "docker", "buildx").describe("a job with a DOCKER_CONFIG of its own", () => {
  beforeAll(async () => {
    daemon = await startDockerDaemon(folder);
    // Not below /root, which the job gets anew.
    copyFileSync(join(toolPath("docker"), "usr/bin/docker"), join(folder, "docker"));
    copyFileSync(toolPath("buildx"), join(folder, "docker-buildx"));
  }, 60_000);
  afterAll(() => daemon?.stop());

  it("finds its builder", () => {
    const { stdout, stderr, status } = onNode(`${ownConfig}${agents}docker buildx inspect cachebuilder1`);
    expect(stdout, stderr).toMatch(/^Name: +cachebuilder1$/m);
    expect(status).toBe(0);
  });

  it("would not, without the agents' environment; and not the plugin, without the link", () => {
    expect(onNode(`${ownConfig}docker buildx inspect cachebuilder1`).stderr).toMatch(
      /no builder "cachebuilder1" found/,
    );
    const { stderr, status } = onNode(
      `rm /usr/local/lib/docker/cli-plugins/docker-buildx\n${ownConfig}${agents}docker buildx version`,
    );
    expect(stderr).toMatch(/'buildx' is not a docker command|unknown command: docker buildx/);
    expect(status).not.toBe(0);
  });

  it("its check says so, and one plugin is there, not two", () => {
    const command = String(check?.resource[2]["exec"]).replace("/etc/bake/agent.env", `${folder}/agent.env`);
    expect(onNode(command)).toMatchObject({ status: 0, stderr: "" });
    expect(onNode(`: >${folder}/empty.env; ${command.replace("agent.env", "empty.env")}`).status).not.toBe(0);
    expect(onNode(`rm -r /usr/local/lib/docker\n${command}`).status).not.toBe(0);
    expect(onNode(`rm -r /root/.docker/buildx\n${command}`).status).not.toBe(0);
    // A host that was set up from the guide: what its agents run with.
    const byHand = check?.byHand?.resource[2]["exec"];
    writeFileSync(join(folder, "by-hand"), `systemctl() { echo $$; }\n${String(byHand)}\n`);
    const asked = (more: string): number | null => onNode(`${more}exec bash ${folder}/by-hand`).status;
    expect(asked(agents)).toBe(0);
    expect(asked("")).not.toBe(0);
    const alone = plan.checks.find(({ id }) => id === "buildx-plugin-alone");
    const count = String(alone?.resource[2]["exec"]);
    expect(onNode(count).stdout.trim()).toBe("1");
    expect(onNode(`rm /usr/local/lib/docker/cli-plugins/docker-buildx\n${count}`).stdout.trim()).toBe("1");
    expect(
      onNode(
        `rm /usr/local/lib/docker/cli-plugins/docker-buildx\ncp ${folder}/docker-buildx /usr/local/lib/docker/cli-plugins\n${count}`,
      ).stdout.trim(),
    ).toBe("2");
  });
});
