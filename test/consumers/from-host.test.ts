/** `bake init --from-host` of hosts as people set them up: real git, real files, an ssh that stays here. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { rules } from "../../src/commands/rules.ts";
import { root } from "../../src/host/root.ts";
import { loadProfile } from "../../src/profile/load.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { needs } from "../needs.ts";

// A whole command, and an ssh with its own view of files: seconds each, more on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const top = mkdtempSync(join(tmpdir(), "bake-from-host-"));
afterAll(() => rmSync(top, { recursive: true, force: true }));

const usual: Readonly<Record<string, string>> = {
  docker: `case "$1 $2" in
  "info --format") echo "27.5.1 /mnt/docker-data/docker" ;;
  "buildx version") echo "github.com/docker/buildx v0.20.0 x" ;;
  "inspect --format") echo moby/buildkit:v0.19.0 ;;
esac`,
  findmnt: "echo /mnt ext4 85805e4a-0000-4000-8000-000000000001",
  systemctl: ":",
};

interface Host {
  /** By path on the host: below /root and /etc. */
  readonly files?: Readonly<Record<string, string>>;
  /** Scripts in the place of programs. */
  readonly programs?: Readonly<Record<string, string>>;
}

interface Outcome {
  readonly code: number | null;
  readonly stderr: string;
  readonly text: string;
  readonly profile: Profile | undefined;
}

/** What init makes of a host. */
const readHost = ({ files = {}, programs = {} }: Host): Outcome => {
  const folder = mkdtempSync(join(top, "host-"));
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text, { mode });
  };
  for (const [path, text] of Object.entries({
    "/root/.buildkite-agent/buildkite-agent.cfg":
      'name="%hostname-%spawn-2cards"\nspawn=4\ntags="queue=ascend"\ntoken="EXAMPLEEXAMPLE"\n',
    "/etc/gitconfig": "",
    ...files,
  }))
    put(`tree${path}`, text);
  for (const [name, text] of Object.entries({ ...usual, ...programs }))
    put(`bin/${name}`, `#!/bin/bash\n${text}\n`, 0o755);
  // The last argument is the command; its folders are those of the host.
  put(
    "here/ssh",
    `#!/bin/bash
[ "$2" != exit ] || exit 0
exec unshare --mount bash --norc -c 'mount -t tmpfs none /root && cp -a ${folder}/tree/root/. /root/
mount -t tmpfs none /mnt && cp -a /etc ${folder}/tree/etc /mnt/ && mount --bind /mnt/etc /etc && umount -l /mnt
PATH=${folder}/bin:$PATH; eval "$1"' ssh "\${!#}"
`,
    0o755,
  );
  const { status, stderr } = spawnSync(
    join(root, "bin/bake"),
    ["init", "site", "--from-host", "root@192.0.2.8", "--architecture", "x86_64"],
    {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, CI: "true", PATH: `${folder}/here:${process.env["PATH"] ?? ""}` },
    },
  );
  const file = join(folder, "profiles/site.yaml");
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return { code: status, stderr, text, profile: loadProfile(text, "site.yaml", { rules }).profile };
};

const proxy = "https://gh-proxy.example.com/https://github.com/";
const gitconfig = (text: string): Host => ({ files: { "/root/.gitconfig": text } });

needs("root").describe("git's rules", () => {
  it("the first of several insteadOf is the proxy's, those of ssh are further rewrites", () => {
    const { code, stderr, profile } = readHost(
      gitconfig(
        `[url "${proxy}"]\n\tinsteadOf = https://github.com/\n\tinsteadOf = git@github.com:\n\tinsteadOf = ssh://git@github.com/\n`,
      ),
    );
    expect(code, stderr).toBe(0);
    expect(profile?.network.gitProxy).toEqual({ for: "https://github.com/", via: proxy });
    expect(profile?.network.gitRewrites).toEqual([{ for: ["git@github.com:", "ssh://git@github.com/"], via: proxy }]);
    expect(stderr).not.toContain("note: git");
    expect(stderr).not.toContain("credentials");
  });

  it("rules from ssh, to several places, and of other hosts are carried", () => {
    const { code, stderr, profile } = readHost(
      gitconfig(
        '[url "https://github.com/"]\n\tinsteadOf = git@github.com:\n[url "https://gitee-proxy.example.com/"]\n\tinsteadOf = https://gitee.com/\n\tinsteadOf = git@gitee.com:\n[url "https://github.com/"]\n\tinsteadOf = ssh://git@github.com/\n',
      ),
    );
    expect(code, stderr).toBe(0);
    expect(profile?.network.gitProxy).toEqual({ for: "https://gitee.com/", via: "https://gitee-proxy.example.com/" });
    expect(profile?.network.gitRewrites).toEqual([
      { for: ["git@github.com:", "ssh://git@github.com/"], via: "https://github.com/" },
      { for: ["git@gitee.com:"], via: "https://gitee-proxy.example.com/" },
    ]);
  });

  it.each([
    ["to ssh", '[url "git@github.com:"]\n\tinsteadOf = https://github.com/\n', 1],
    ["of a word", '[url "https://github.com/"]\n\tinsteadOf = https\n\tpushInsteadOf = git@github.com:\n', 2],
  ])("%s: a note each, and the profile", (_name, text, count) => {
    const { code, stderr, profile } = readHost(gitconfig(text));
    expect(code, stderr).toBe(0);
    expect(profile?.network.gitProxy).toBeUndefined();
    expect(stderr.match(/^note: git: .*\(\/root\/\.gitconfig:\d+\) is not carried over/gm)).toHaveLength(count);
  });

  it("a rewrite that a rule of ours refuses is left out, the others stay", () => {
    const { code, stderr, profile } = readHost(
      gitconfig(
        '[url "https://github.com"]\n\tinsteadOf = git@github.com:\n[url "https://gitee.com/"]\n\tinsteadOf = gitee:\n',
      ),
    );
    expect(code, stderr).toBe(0);
    expect(profile?.network.gitRewrites).toEqual([{ for: ["gitee:"], via: "https://gitee.com/" }]);
    expect(stderr).toMatch(/note: network\.gitRewrites\[0\]\.via: what the host has is not carried over/);
  });

  it("a login is no proxy, and is shown nowhere", () => {
    const { code, stderr, text, profile } = readHost(
      gitconfig('[url "https://x-access-token:EXAMPLEEXAMPLE@github.com/"]\n\tinsteadOf = https://github.com/\n'),
    );
    expect(code, stderr).toBe(0);
    expect(profile?.network.gitProxy).toBeUndefined();
    expect(stderr).toMatch(/note: git: .*\(\/root\/\.gitconfig:2\) only adds a login: secrets\.gitToken/);
    expect(stderr + text).not.toContain("EXAMPLE");
  });

  it("the proxy is found behind another rule", () => {
    const { code, stderr, profile } = readHost(
      gitconfig(
        `[url "ssh://git@gitlab.example.com/"]\n\tinsteadOf = https://gitlab.example.com/\n[url "${proxy}"]\n\tinsteadOf = https://github.com/\n[http "https://gh-proxy.example.com/"]\n\textraheader = AUTHORIZATION: basic EXAMPLEEXAMPLE\n\tsslCAInfo = /etc/pki/site.pem\n`,
      ),
    );
    expect(code, stderr).toBe(0);
    expect(profile?.network.gitProxy).toEqual({ for: "https://github.com/", via: proxy });
    expect(stderr).toContain("https://gitlab.example.com/ (/root/.gitconfig:2) is not carried over");
    expect(stderr).not.toContain("credentials");
    expect(stderr).toMatch(/extraheader \(\/root\/\.gitconfig\) is not carried over: secrets\.gitToken/);
    expect(stderr).toMatch(/sslcainfo \(\/root\/\.gitconfig\) is not carried over/);
    expect(stderr).not.toContain("EXAMPLE");
  });

  it("a proxy that a rule of ours refuses is left out, with its reason", () => {
    const { code, stderr, profile } = readHost(
      gitconfig('[url "https://gh-proxy.example.com"]\n\tinsteadOf = https://github.com/\n'),
    );
    expect(code, stderr).toBe(0);
    expect(profile?.network.gitProxy).toBeUndefined();
    expect(stderr).toMatch(/note: network\.gitProxy\.via: what the host has is not carried over/);
  });
});

needs("root").describe("agents and Docker", () => {
  it("what protects is carried, comments are none of a value, and the environment beats the file", () => {
    const { code, stderr, text, profile } = readHost({
      files: {
        "/root/.buildkite-agent/buildkite-agent.cfg": [
          'name="%hostname-%spawn-2cards" # as the guide says',
          "spawn=2 # two for now",
          'tags="queue=ascend,rack=a7,bake-id=x"   # ours',
          "token=EXAMPLEEXAMPLE",
          "no-command-eval=true",
          "allowed-repositories: ^https://github\\.com/org/.*",
          'allowed-plugins="docker#v5, cache"',
          "hooks-path=/srv/hooks",
          "git-clone-flags=-v --depth=1",
          "disconnect-after-job=true",
          "",
        ].join("\n"),
        "/root/.buildkite-agent/hooks/pre-command": "#!/bin/sh\n",
        "/root/.buildkite-agent/hooks/environment.sample": "",
      },
      programs: {
        systemctl: `case "$*" in
  *MainPID*) echo 0 ;;
  *"-p Environment "*) echo 'BUILDKITE_AGENT_SPAWN=4 PYPI_CACHE_HOST=172.22.0.80 PYPI_CACHE_PORT=30367 "ODD=two words" HF_TOKEN=EXAMPLEEXAMPLE HTTPS_PROXY=http://user:EXAMPLE@proxy.example.com:3128/ NO_PROXY=localhost,.corp.example.com' ;;
  *DropInPaths*) printf 'User=ci\\nDropInPaths=/etc/systemd/system/buildkite-agent.service.d/x.conf\\n' ;;
esac`,
      },
    });
    expect(code, stderr).toBe(0);
    expect(profile?.agents).toMatchObject({
      spawn: 4,
      cards: 2,
      queue: "ascend",
      tags: { rack: "a7" },
      gitCloneFlags: "-v --depth=1",
      environment: { ODD: "two words" },
    });
    expect(profile?.agents.settings).toMatchObject({
      "no-command-eval": "true",
      "allowed-plugins": "docker#v5, cache",
    });
    expect(profile?.network).toMatchObject({
      pypiCache: { host: "172.22.0.80", port: 30_367 },
      httpProxy: { url: "http://proxy.example.com:3128", except: [".corp.example.com"] },
    });
    // buildkite-agent.cfg cannot hold the backslash: what protects is refused loudly.
    expect(stderr).toMatch(/^warning: agents\.settings\.allowed-repositories: .*not carried over/m);
    expect(stderr).toMatch(
      /^warning: hooks run around every job there, .*\/root\/\.buildkite-agent\/hooks\/pre-command/m,
    );
    expect(stderr).not.toContain("environment.sample");
    for (const said of [
      "hooks-path /srv/hooks (/root/.buildkite-agent/buildkite-agent.cfg:8)",
      "agents.settings.disconnect-after-job",
      "HF_TOKEN (environment of buildkite-agent.service) may be a secret",
      "HTTP proxy: its credentials were left out",
      "they run as ci there",
      "/etc/systemd/system/buildkite-agent.service.d/x.conf",
    ])
      expect(stderr).toContain(said);
    expect(stderr + text).not.toContain("EXAMPLE");
  });

  it("images of no registry are notes, a data-root on a disk of its own is told as one", () => {
    const { code, stderr, profile } = readHost({
      files: {
        "/etc/docker/daemon.json":
          '\uFEFF{ "data-root": "/var/lib/docker", "registry-mirrors": ["http://10.20.0.5:5000"], "insecure-registries": ["10.20.0.5:5000", "10.0.0.0/8"], "default-runtime": "ascend", "default-address-pools": [{ "base": "10.213.0.0/16", "size": 24 }], "log-opts": { "max-size": "100m" } }',
      },
      programs: {
        docker: `case "$1 $2" in
  "info --format") echo "27.5.1 /var/lib/docker" ;;
  "buildx version") echo "github.com/docker/buildx v0.20.0 x" ;;
  "inspect --format") echo moby/buildkit:v0.19.0 ;;
  "ps --all") echo "buildx_buildkit_cachebuilder10 moby/buildkit:v0.19.0"; echo "buildx_buildkit_mine0 moby/buildkit:latest" ;;
  "image ls") echo "quay.io/ascend/cann:9.1.0 sha256:aa"; for i in $(seq 60); do echo "local/job-$i:latest <none>"; done; echo "quay.io/other:<none> sha256:bb"; echo "<none>:<none> <none>" ;;
esac`,
        findmnt: "echo /var/lib/docker ext4 85805e4a-0000-4000-8000-000000000001",
      },
    });
    expect(code, stderr).toBe(0);
    expect(profile?.images).toEqual([{ image: "quay.io/ascend/cann:9.1.0", from: "image" }]);
    expect(profile?.storage.disk).toMatchObject({ blank: "nvme" });
    expect(profile?.network.registryMirrors).toEqual({ "docker.io": ["10.20.0.5:5000"] });
    expect(profile?.sources.insecureRegistries).toEqual(["10.20.0.5:5000"]);
    expect(profile?.docker).toMatchObject({ logMaxSize: "100m", addressPools: [{ base: "10.213.0.0/16", size: 24 }] });
    expect(stderr).not.toContain("system disk");
    for (const said of [
      "a file system of its own at /var/lib/docker (ext4, UUID=85805e4a-0000-4000-8000-000000000001)",
      "images: 60 built or loaded on the host are in no registry",
      "images: 1 without a tag are not carried over: quay.io/other@sha256:bb",
      'Docker: insecure-registries: "10.0.0.0/8" (/etc/docker/daemon.json) is not carried over',
      'Docker: default-runtime: "ascend" (/etc/docker/daemon.json) is not carried over',
      "builders: mine (moby/buildkit:latest) is not carried over",
    ])
      expect(stderr).toContain(said);
  });
});
