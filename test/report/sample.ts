/** Reports to look at: numbers as a trial under emulation has them, artifacts and hosts as a site has them. */
import type { BootReport } from "../../src/check/check-image.ts";
import type { CheckResult, Outcome } from "../../src/check/results.ts";
import type { UnitTime } from "../../src/check/timeline.ts";
import { difference, type Item } from "../../src/lock/diff.ts";
import type { Report, ReportedNode } from "../../src/report/input.ts";
import type { Check } from "../../src/node/check.ts";
import { unlockedPlan } from "../plan-of.ts";

const hex = (start: string): string => (start + "7f3a90c4d1e58b26".repeat(4)).slice(0, 64);

const item = (kind: string, name: string, version: string, size: number, digits: string): Item => ({
  kind,
  name,
  version,
  digest: hex(digits),
  size,
  files: new Map([[hex(digits), size]]),
});

const items: readonly Item[] = [
  item("buildkite-agent", "buildkite-agent", "3.59.0", 12_418_377, "fd5f0f50"),
  item("buildx", "buildx", "0.20.1", 63_127_552, "b336dab2"),
  item("container-image", "moby/buildkit:v0.19.0", "v0.19.0", 101_350_442, "c3a5f8f5"),
  item("container-image", "quay.io/ascend/cann:8.5.0-910b-ubuntu22.04-py3.11", "8.5.0", 6_912_304_118, "897bb0dd"),
  item("docker-static", "docker", "27.5.1", 77_461_222, "826554a7"),
  item("goss", "goss", "0.4.9", 12_976_128, "60401761"),
  item("model", "Qwen/Qwen3-0.6B", "c1899de289a04d12100db370d81485cdf75e47ca", 1_519_204_480, "08f7c3cb"),
];

const former = [
  ...items
    .filter(({ name }) => name !== "goss" && !name.startsWith("quay.io"))
    .map((each) => (each.name === "docker" ? { ...each, version: "27.4.1", digest: hex("1a2b3c4d") } : each)),
  item("container-image", "quay.io/ascend/cann:8.3.rc1-910b-ubuntu22.04-py3.11", "8.3.rc1", 6_700_000_000, "5a5b5c5d"),
  item("model", "Qwen/Qwen2.5-0.5B", "060db6499f32faf8b98477b0a26969ef7d8b9987", 988_000_000, "77777777"),
].map(({ kind, name, version, digest }): Item => ({ kind, name, version, digest }));

const unit = (name: string, start: number, up: number): UnitTime => ({ unit: name, start, up, state: "active" });

const boot = (faster: number, agents: readonly string[]): BootReport => ({
  agents: agents.map((each) => each),
  jobs: agents.map((agent, index) => ({
    agent,
    exitStatus: index === 1 ? 1 : 0,
    log:
      index === 1
        ? "$ git clone https://github.com/vllm-project/vllm-ascend\nmilestone built\n#7 CACHED\nBUILDKITE_AGENT_TOKEN=bkct_cRaZyT0kenThatNobodyMaySee\ndocker: Error response from daemon: no such device: /dev/davinci2.\n"
        : "milestone checked-out\nmilestone built\n#5 CACHED\n#7 CACHED\n#8 CACHED\nmilestone cached\nmilestone ran\n",
    seconds: 148.2 / faster + index * 11,
  })),
  results: [],
  timeline: {
    userspace: 14.2 / faster,
    finished: 106.9 / faster,
    units: [
      unit("bake-storage.service", 24.8 / faster, 33.1 / faster),
      unit("mnt.mount", 33.2 / faster, 34.9 / faster),
      unit("bake-seed.service", 35.0 / faster, 36.4 / faster),
      unit("containerd.service", 36.5 / faster, 41.8 / faster),
      unit("docker.service", 41.9 / faster, 62.3 / faster),
      unit("bake-images.service", 62.4 / faster, 66.8 / faster),
      unit("bake-builders.service", 66.9 / faster, 92.5 / faster),
      unit("bake-ready.service", 92.6 / faster, 96.0 / faster),
      unit("buildkite-agent.service", 96.1 / faster, 101.7 / faster),
      { unit: "bake-health.service", state: "inactive" },
    ],
    longest: [
      { unit: "cloud-init-local.service", seconds: 17.7 / faster },
      { unit: "cloud-init-network.service", seconds: 12.4 / faster },
      { unit: "systemd-udev-settle.service", seconds: 8.8 / faster },
      { unit: "systemd-journal-flush.service", seconds: 3.1 / faster },
      { unit: "ssh.service", seconds: 2.2 / faster },
    ],
  },
  seconds: { ssh: 87.3 / faster, agents: 202.4 / faster, jobs: 507.9 / faster },
});

const { checks } = unlockedPlan();

const resultOf = (check: Check, outcome: Outcome, more: Partial<CheckResult> = {}): CheckResult => ({
  check,
  outcome,
  ...more,
});

/** All checks of a plan, those of a VM passed but for some. */
const results = (failed: Readonly<Record<string, Partial<CheckResult>>> = {}): CheckResult[] =>
  checks.map((check) => {
    const found = failed[check.id];
    if (found !== undefined) return resultOf(check, "failed", found);
    return check.level === "npu" || check.level === "site"
      ? resultOf(check, "not checked", {
          detail: check.level === "npu" ? "no NPU in a VM" : "the site's services are not looked for from a VM",
        })
      : resultOf(check, "passed");
  });

const idOf = (row: string): string =>
  checks.find(({ level, rows }) => level === "gating" && rows.includes(row))?.id ?? "";

const agents = [1, 2, 3, 4].map((index) => `bake-check-2cards-${index}-2cards`);

/** An image whose check has findings, of a profile that had another image before. */
export const imageReport: Report = {
  profile: "2cards",
  trial: false,
  version: "0.1.0+0123456789ab",
  at: "2026-11-27T02:57:31.204Z",
  image: {
    facts: [
      ["bake id", "s7kbW1NoOlSvxlB5u1brSoE1gb_Or8BL_3igDZmzUXw"],
      ["made", "2026-11-27 02:37 UTC"],
      ["target", "qemu"],
      ["architecture", "x86_64"],
      ["file", "image.qcow2"],
      ["size", "9.12 GB"],
      ["sha256", hex("08842b29")],
      ["built with", "tcg"],
    ],
    size: 9_124_302_848,
    base: { name: "openeuler-22.03-lts-sp4", digest: hex("350ff5f5") },
    items,
    changes: {
      bakeId: "k1Zq0vB7Wm5yTn3RfXc9LsHdAeUgJp2oQi4VbNxEwYk",
      madeAt: "2026-11-20 09:12 UTC",
      difference: difference(former, items),
    },
  },
  nodes: [
    {
      name: "out/2cards",
      results: results({
        [idOf("G24")]: {
          expected: "exit-status 0",
          found: "exit-status 1; prints Error response from daemon: No such image: moby/buildkit:v0.19.0",
          detail: "expected exit-status 0; found exit-status 1",
        },
        [idOf("G27")]: { detail: "goss did not report it" },
      }),
      problems: [],
      boots: [boot(1, agents), boot(1.3, agents.slice(0, 1))],
      panics: [],
    },
  ],
  disk: { size: 500, images: 17, models: 2, buildCaches: 3, caches: 150, minFree: 50, fileSystem: 5 },
  steps: [
    { id: "fetch", title: "compare 17 files with their digests", seconds: 3, last: 3.2 },
    { id: "packer:start-vm", title: "in the VM: start the build VM", seconds: 93, last: 88.4 },
    { id: "packer:packages", title: "in the VM: packages", seconds: 25.8, last: 24.9 },
    { id: "packer:install-artifacts", title: "in the VM: install artifacts", seconds: 64.4, last: 40.2 },
    { id: "packer:seed", title: "in the VM: put images and models into the seed", seconds: 58.5, last: 60.1 },
    { id: "packer", title: "Packer builds the image (tcg)", seconds: 331.7, last: 298.3 },
    { id: "flatten", title: "flatten and compress the image", seconds: 21.2, last: 22.5 },
    { id: "scan-secrets", title: "search the raw disk for secrets", seconds: 11 },
    { id: "boot-ssh", title: "boot the image (tcg) until ssh answers", seconds: 87.3, last: 85.1 },
    { id: "jobs", title: "run a build on each of 4 agents", seconds: 305.5, last: 251.7 },
  ],
};

const host = (name: string, version: string, failed: Readonly<Record<string, Partial<CheckResult>>>): ReportedNode => ({
  name,
  results: results(failed),
  problems: [],
  facts: [
    ["host name", name.slice(name.indexOf("@") + 1)],
    ["system", `openEuler ${version}, aarch64`],
    ["kernel", "5.10.0-216.0.0.115.oe2203sp4.aarch64"],
    ["systemd", "249"],
    ["baked", "no: checks of bake's own files are left out"],
  ],
});

/** Three hosts: right, with findings, not reached. */
export const hostsReport: Report = {
  profile: "site",
  trial: false,
  version: "0.1.0+0123456789ab",
  at: "2026-11-27T02:57:31.204Z",
  nodes: [
    host("root@npu-0007.ci.example.com", "22.03 (LTS-SP4)", {}),
    host("root@npu-0008.ci.example.com", "22.03 (LTS-SP3)", {
      [idOf("G15")]: { expected: 'stdout "27.5.1"', found: "prints 26.1.4", detail: "" },
    }),
    {
      name: "root@npu-0009.ci.example.com:2222",
      results: [],
      problems: ["BK511: root@npu-0009.ci.example.com:2222 cannot be reached by ssh"],
    },
  ],
  steps: [],
};
