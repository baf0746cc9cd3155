/**
 * What the cloud's target renders, booted: the golden image with the files of that target, and its golden user-data from an
 * OpenStack metadata service at 169.254.169.254, as when it is attached to an ECS, and from a config drive.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AgentApi } from "../../src/check/agent-api/server.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import { planNode } from "../../src/plan/plan.ts";
import { readTemplates, root } from "../../src/host/root.ts";
import { instanceUserData, templateNames } from "../../src/render/tree.ts";
import { planTarget } from "../../src/targets/index.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import type { Datasource } from "../../src/vm/datasource.ts";
import { readProfile } from "../plan-of.ts";
import { cache, type GoldenImage, goldenImage, type StartedVm, startVm, testHost } from "./golden-image.ts";
import { differingFiles, layInto } from "./laid-image.ts";
import { blankDisk } from "./node/power-cuts.ts";
import { apiFor, boot } from "./node/ready-node.ts";

const host = testHost();
const folder = mkdtempSync(join(cache, "cloud-"));
const image = join(folder, "cloud.qcow2");

let golden: GoldenImage;
let plan: NodePlan;
let started: StartedVm | undefined;
let api: AgentApi | undefined;

/** The same node, for a server of the cloud. */
const cloudPlan = ({ plan: { base, artifacts, lockDigest } }: GoldenImage): NodePlan => {
  const file = join(folder, "profile.yaml");
  writeFileSync(
    file,
    `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}
targets:
  huaweicloud:
    region: cn-north-4
    sourceImage: 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0
    flavor: s6.large.2
    architecture: x86_64
    vpc: 11111111-2222-4333-8444-555555555555
    subnet: 66666666-7777-4888-9999-aaaaaaaaaaaa
    securityGroup: bbbbbbbb-cccc-4ddd-8eee-ffffffffffff
`,
  );
  const written = readProfile(file);
  // A trial bakes locally; where its node looks for user-data is the question here.
  const profile = { ...substitute(written).profile, targets: written.targets };
  const name = "2cards";
  if (base === undefined || artifacts === undefined || lockDigest === undefined) throw new Error("a trial has a lock");
  return planNode({
    name,
    profile,
    target: planTarget(name, profile, "huaweicloud"),
    trial: true,
    locked: { base, artifacts, digest: lockDigest },
  });
};

beforeAll(async () => {
  const local = await goldenImage();
  plan = cloudPlan(local);
  golden = { ...local, templates: { ...local.templates, ...readTemplates(templateNames(plan)) } };
  layInto(golden.image, image, differingFiles(plan, golden, { sameId: true }), folder);
}, boot);

afterAll(async () => {
  await started?.end();
  await api?.close();
  rmSync(folder, { recursive: true, force: true });
});

const start = async (datasource: Datasource, token: string, endpoint: string): Promise<StartedVm> => {
  await started?.end();
  started = await startVm(
    host,
    { ...golden, image },
    {
      datasource,
      metaData: JSON.stringify({ uuid: `${datasource}-${host.now()}`, hostname: "bake-test", name: "bake-test" }),
      userDataFor: (publicKey) =>
        instanceUserData(plan, golden.templates, {
          agentToken: token,
          authorizedKeys: [publicKey],
          environment: { BUILDKITE_AGENT_ENDPOINT: endpoint, BAKE_ABSENT: "npu" },
        }),
      ...(datasource === "OpenStack" && { disks: [blankDisk] }),
    },
  );
  return started;
};

/** Where cloud-init says that it found user-data. */
const foundBy = async ({ vm }: StartedVm): Promise<string> =>
  (await vm.ssh("cat /var/lib/cloud/instance/datasource; stat -c '%a %n' /etc/bake/secrets/agent-token*")).stdout;

test("the cloud's image differs by where cloud-init looks, and by nothing else", () => {
  expect(differingFiles(plan, golden, { sameId: true }).map(({ path }) => path)).toEqual([
    "/etc/cloud/cloud.cfg.d/90_bake.cfg",
    "/etc/cloud/ds-identify.cfg",
  ]);
});

test("user-data from an OpenStack metadata service makes the node: its agents register, so its gate is open", async () => {
  api = await apiFor(golden, "token-of-the-cloud");
  const node = await start("OpenStack", "token-of-the-cloud", api.endpoint("169.254.169.2"));
  await node.vm.waitForSsh(boot);
  expect(await foundBy(node)).toMatch(/^DataSourceOpenStack(Local|)\b.*\n600 /);
  await api.waitForAgents(boot);
  expect((await node.vm.ssh("bake-status")).stdout).toMatch(/^node {6}bake-test, (?:.*\n)+?status {4}ready for jobs/);
});

test("user-data from a config drive arrives where there is no metadata service", async () => {
  const node = await start("ConfigDrive", "token-of-the-drive", "http://10.0.2.2:9/v3");
  await node.vm.waitForSsh(boot);
  expect(await foundBy(node)).toMatch(/^DataSourceConfigDrive\b.*\n600 /);
});
