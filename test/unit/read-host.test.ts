import { expect, test } from "vitest";
import { agentConfigLine } from "../../src/check/host-reading/agent.ts";
import { readingOf } from "../../src/check/read-host.ts";

const outputs = (said: Readonly<Record<string, string>>) =>
  new Map(Object.entries(said).map(([name, stdout]) => [name, { status: 0, stdout: `${stdout}\n` }]));

test("a host as the guide makes it", () => {
  const { answers, notes } = readingOf(
    outputs({
      hostname: "modelfoundry-prod-node-0008",
      architecture: "aarch64",
      system: "euleros 2.0",
      npus: "8",
      agent: 'name="%hostname-%spawn-2cards"\nspawn=4\ntags="queue=ascend"\ngit-clone-flags="--depth=1"',
      agentVersion: "buildkite-agent version 3.120.1, build 1234",
      environment: "PYPI_CACHE_HOST=172.22.0.80\nPYPI_CACHE_PORT=30367",
      docker: "26.1.3 /mnt/docker-data/docker",
      buildx: "github.com/docker/buildx v0.13.1 788433953af10f2a698f5c07611dddce2e08c7a0",
      builder: "moby/buildkit:buildx-stable-1",
      images:
        "quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12\n<none>:<none>\nnpu/vllm-ci:v_1764000000\nmoby/buildkit:buildx-stable-1",
      disk: "/mnt ext4 85805e4a-0000-4000-8000-000000000001",
      gitProxy: "url.https://gh-proxy.test.osinfra.cn/https://github.com/.insteadof https://github.com/",
    }),
  );
  expect(answers).toEqual({
    from: "modelfoundry-prod-node-0008",
    architecture: "aarch64",
    npus: 8,
    spawn: 4,
    cards: 2,
    queue: "ascend",
    agentVersion: "3.120.1",
    dockerVersion: "26.1.3",
    dataRoot: "/mnt/docker-data/docker",
    buildxVersion: "0.13.1",
    buildkitImage: "moby/buildkit:buildx-stable-1",
    adopt: "UUID=85805e4a-0000-4000-8000-000000000001",
    mount: "/mnt",
    pypiCache: { host: "172.22.0.80", port: 30_367 },
    gitProxy: { for: "https://github.com/", via: "https://gh-proxy.test.osinfra.cn/https://github.com/" },
    images: ["quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12"],
  });
  expect(notes).toEqual(["system there: euleros 2.0; targets.qemu.base is yours to choose"]);
});

test("what is not there is named, and a password in a proxy's URL stays where it is", () => {
  const { answers, notes } = readingOf(
    outputs({
      hostname: "bare",
      architecture: "x86_64",
      npus: "0",
      docker: "27.5.1 /var/lib/docker",
      disk: "/ ext4 11111111-0000-4000-8000-000000000001",
      gitProxy: "url.https://user:EXAMPLE@proxy.example/https://github.com/.insteadof https://github.com/",
    }),
  );
  expect(answers).toEqual({
    from: "bare",
    architecture: "x86_64",
    dockerVersion: "27.5.1",
    gitProxy: { for: "https://github.com/", via: "https://proxy.example/https://github.com/" },
    images: [],
  });
  expect(notes).toEqual([
    "spawn of the agents: not found there",
    "cards of each agent (…-<cards>cards in the agent's name): not found there",
    "queue: not found there",
    "agent version: not found there",
    "buildx: not found there",
    "image of cachebuilder1: not found there",
    "data disk: Docker's data-root lies on the system disk; a blank NVMe disk is taken",
    "NPUs: none found there",
    "PyPI cache: not found there",
    "git proxy: its URL holds credentials, they were left out",
  ]);
});

// By the agent's own reader (buildkite/agent: cliconfig/file.go).
test.each([
  ["spawn=4", ["spawn", "4"]],
  ["  spawn = 4   # four of them", ["spawn", "4"]],
  ['tags="queue=ascend,rack=a7" # ours', ["tags", "queue=ascend,rack=a7"]],
  ['name="%hostname#%spawn"', ["name", "%hostname#%spawn"]],
  ["name='a # b' # c", ["name", "a # b"]],
  ["name: x", ["name", "x"]],
  ["export name=x", ["name", "x"]],
  ["tags=queue=a", ["tags", "queue=a"]],
  ["# spawn=4", undefined],
  ["", undefined],
  ["nothing", undefined],
])("a line of the agent's file: %j", (line, expected) => {
  expect(agentConfigLine(line)).toEqual(expected);
});

test("a second look at what is not carried over", () => {
  const { answers, notes, warnings } = readingOf(
    outputs({
      hostname: "odd",
      agentFile: "/etc/buildkite-agent/buildkite-agent.cfg",
      agent: 'name="npu-%hostname-1cards"\nspawn=8 # all\ntags="queue=a,os=euler os,rack=a7"\nbuild-path=/data/builds',
      environment: "BUILDKITE_AGENT_TAGS=queue=b\nPYPI_CACHE_HOST=# Replace with ip\nBUILDKITE_NO_PLUGINS=true",
      hooks: "/etc/buildkite-agent/hooks/environment",
      docker: "27.5.1 /data/docker",
      disk: "/data btrfs 11111111-0000-4000-8000-000000000001",
    }),
  );
  // What the environment says beats the file, whole.
  expect(answers).toMatchObject({ spawn: 8, cards: 1, queue: "b", agentSettings: { "no-plugins": "true" } });
  expect(answers.tags).toBeUndefined();
  expect(answers.adopt).toBeUndefined();
  expect(notes).toEqual(
    expect.arrayContaining([
      "agents: name npu-%hostname-1cards (/etc/buildkite-agent/buildkite-agent.cfg:1) is not carried over: bake names them %hostname-%spawn-<cards>cards",
      "agents: build-path /data/builds (/etc/buildkite-agent/buildkite-agent.cfg:4) is not carried over: it is /root/.buildkite-agent/builds on a node of bake",
      "PyPI cache: PYPI_CACHE_HOST=# Replace with ip and PYPI_CACHE_PORT= name none (environment of buildkite-agent.service)",
      "data disk: /data is btrfs, neither ext4 nor xfs; a blank NVMe disk is taken",
    ]),
  );
  expect(warnings).toEqual([expect.stringContaining("/etc/buildkite-agent/hooks/environment")]);
});

test("Docker's address pools, limits of logs and proxy are carried; what a profile cannot have is a note with its place", () => {
  const { answers, notes } = readingOf(
    outputs({
      hostname: "h",
      architecture: "aarch64",
      npus: "8",
      daemon: JSON.stringify({
        "default-address-pools": [{ base: "10.213.0.0/16", size: 24 }],
        "log-driver": "json-file",
        "log-opts": { "max-size": "100m", "max-file": "5", compress: "true" },
        proxies: { "http-proxy": "http://proxy.example:3128", "no-proxy": "localhost,.example.com" },
      }),
      dockerEnvironment: "HTTPS_PROXY=http://***@other.example:3128/",
    }),
  );
  expect(answers).toMatchObject({
    addressPools: [{ base: "10.213.0.0/16", size: 24 }],
    logMaxSize: "100m",
    logMaxFiles: 5,
    // Of the two that which https takes, from wherever.
    httpProxy: { url: "http://other.example:3128", except: [".example.com"] },
  });
  expect(notes).toEqual(
    expect.arrayContaining([
      'Docker: log-opts: compress: "true" (/etc/docker/daemon.json) is not carried over',
      "HTTP proxy: its credentials were left out: secrets.proxyCredentials (/etc/docker/daemon.json)",
      "HTTP proxy: http://other.example:3128 is Docker's alone there; network.httpProxy is that of the agents and their jobs too",
    ]),
  );
});

test("of two proxies the agents' is taken, and Docker's is a note", () => {
  const { answers, notes } = readingOf(
    outputs({
      npus: "8",
      environment: "HTTPS_PROXY=http://proxy.example:3128\nNO_PROXY=.example.com",
      dockerEnvironment: "HTTPS_PROXY=http://docker.example:3128\nNO_PROXY=.example.com,10.0.0.5",
    }),
  );
  expect(answers.httpProxy).toEqual({ url: "http://proxy.example:3128", except: [".example.com"] });
  expect(notes).toEqual(
    expect.arrayContaining([
      "HTTP proxy: Docker's http://docker.example:3128 is not carried over: the agents have another one",
      "HTTP proxy: Docker reaches 10.0.0.5 without it, the agents do not: not carried over",
    ]),
  );
});

test("another driver's logs, and pools that are none, are notes", () => {
  const { answers, notes } = readingOf(
    outputs({
      npus: "8",
      daemon:
        '{ "log-driver": "syslog", "log-opts": { "max-size": "1m" }, "default-address-pools": [{ "base": "10.0.0.0/8" }] }',
    }),
  );
  expect(answers.logMaxSize ?? answers.addressPools).toBeUndefined();
  for (const note of [
    'Docker: log-driver: "syslog"',
    'Docker: log-opts: {"max-size":"1m"}',
    'Docker: default-address-pools: [{"base":"10.0.0.0/8"}]',
  ])
    expect(notes).toContain(`${note} (/etc/docker/daemon.json) is not carried over`);
});
