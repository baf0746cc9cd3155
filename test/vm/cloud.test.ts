/**
 * What the cloud's target renders, booted: the golden image with the files of that target, and its golden user-data from an
 * OpenStack metadata service at 169.254.169.254, as when it is attached to an ECS, and from a config drive. The agent token is a
 * secret of CSMS, which the node fetches through the agency that the metadata service knows.
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
import { agencyFiles, type Csms, secretName, serverMetadata, startCsms } from "./node/csms.ts";
import { blankDisk, until } from "./node/power-cuts.ts";
import { apiFor, boot } from "./node/ready-node.ts";

const host = testHost();
const folder = mkdtempSync(join(cache, "cloud-"));
const image = join(folder, "cloud.qcow2");

let golden: GoldenImage;
let plan: NodePlan;
let started: StartedVm | undefined;
let api: AgentApi | undefined;
let csms: Csms | undefined;

/** What the guest calls this host. */
const hostAddress = "169.254.169.2";

/** The same node, for a server of the cloud. @param fetches Whether it fetches its token from CSMS. */
const cloudPlan = ({ plan: { base, artifacts, lockDigest } }: GoldenImage, fetches: boolean): NodePlan => {
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
  const profile = {
    ...substitute(written).profile,
    targets: written.targets,
    ...(fetches && { secrets: { agentToken: { csms: secretName } } }),
  };
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
  plan = cloudPlan(local, true);
  golden = { ...local, templates: { ...local.templates, ...readTemplates(templateNames(plan)) } };
  csms = await startCsms("token-of-csms");
  const files = differingFiles(plan, golden, { sameId: true }).map(({ content, ...file }) => ({
    ...file,
    content: content
      .replaceAll("<bake id>", golden.bakeId)
      // A profile takes https alone; the emulated one is on this host, without a certificate.
      .replace(/^CSMS_ENDPOINT=.*$/m, `CSMS_ENDPOINT="http://${hostAddress}:${csms?.port}"`),
  }));
  layInto(golden.image, image, files, { folder, enable: ["bake-csms.service"] });
}, boot);

afterAll(async () => {
  await started?.end();
  await api?.close();
  await csms?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @param token What user-data brings; undefined where the node fetches it. */
const start = async (datasource: Datasource, token: string | undefined, endpoint: string): Promise<StartedVm> => {
  await started?.end();
  started = await startVm(
    host,
    { ...golden, image },
    {
      datasource,
      metaData: JSON.stringify({
        ...{ uuid: `${datasource}-${host.now()}`, hostname: "bake-test", name: "bake-test" },
        ...serverMetadata,
      }),
      metadataFiles: agencyFiles,
      userDataFor: (publicKey) =>
        instanceUserData(plan, golden.templates, {
          ...(token !== undefined && { agentToken: token }),
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
  (await vm.ssh("cat /var/lib/cloud/instance/datasource")).stdout;

/** The token's file: its mode, and its content by a digest alone. */
const tokenOf = async ({ vm }: StartedVm): Promise<string> =>
  (await vm.ssh("cd /etc/bake/secrets && stat -c '%a %n' agent-token && cat agent-token", { allowFailure: true }))
    .stdout;

test("the cloud's image differs by where cloud-init looks, and by nothing else", () => {
  expect(differingFiles(cloudPlan(golden, false), golden, { sameId: true }).map(({ path }) => path)).toEqual([
    "/etc/cloud/cloud.cfg.d/90_bake.cfg",
    "/etc/cloud/ds-identify.cfg",
  ]);
});

test("user-data comes from an OpenStack metadata service, the token from CSMS: not before the agency may read it", async () => {
  api = await apiFor(golden, "token-of-csms");
  const node = await start("OpenStack", undefined, api.endpoint(hostAddress));
  await node.vm.waitForSsh(boot);
  expect(await foundBy(node)).toMatch(/^DataSourceOpenStack(Local|)\b/);
  let said = "";
  const saysWhy = async (): Promise<boolean> => {
    said = (await node.vm.ssh("bake-status", { allowFailure: true })).stdout;
    return said.includes("CSMS gives none") && said.includes("NOT READY");
  };
  await until("the node says why it has no token", saysWhy, { everyMs: 2000 });
  expect(said).toMatch(/^token {5}CSMS gives none: not allowed: the agency may not read secret buildkite-agent-token/m);
  expect(await tokenOf(node)).toBe("");

  csms?.allow();
  await api.waitForAgents(boot);
  expect((await node.vm.ssh("bake-status")).stdout).toMatch(/^node {6}bake-test, (?:.*\n)+?status {4}ready for jobs/);
  expect(await tokenOf(node)).toBe("600 agent-token\ntoken-of-csms\n");
  expect(csms?.asked.map(({ problem }) => problem).filter((problem) => problem !== undefined)).toEqual([]);
  // What hands out the agency's credentials is closed by then.
  const asked = await node.vm.ssh(
    "curl --silent --max-time 5 http://169.254.169.254/openstack/latest/securitykey || echo closed",
  );
  expect(asked.stdout).toBe("closed\n");
});

test("user-data from a config drive arrives where there is no metadata service, and a token in it stays", async () => {
  const before = csms?.asked.length;
  const node = await start("ConfigDrive", "token-of-the-drive", "http://10.0.2.2:9/v3");
  await node.vm.waitForSsh(boot);
  expect(await foundBy(node)).toMatch(/^DataSourceConfigDrive\b/);
  expect(await tokenOf(node)).toBe("600 agent-token\ntoken-of-the-drive\n");
  expect(csms?.asked.length).toBe(before);
});
