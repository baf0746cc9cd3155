/** What a base left behind, in a whole run of provision.sh: said, set aside, merged; then read by git, sysctl's readers, systemd. */
import { afterAll, beforeAll, expect } from "vitest";
import { needs } from "../needs.ts";
import { openWorkshop, type Workshop } from "../provisioned.ts";

const { describe, test } = needs("root", "docker");
const minutes = 60_000;
let workshop: Workshop;

/** Case of git-lfs/git-lfs#5588. */
const gitconfig = `[filter "lfs"]
	clean = git-lfs clean -- %f
	smudge = git-lfs smudge -- %f
	process = git-lfs filter-process
	required = true
[http]
	sslCAInfo = /etc/pki/site-ca.pem
	extraHeader = X-Site: CANARY
[safe]
	directory = *
[url "https://mirror.example.com/"]
	insteadOf = https://github.com/
	insteadOf = git://site/`;

describe("a base that was set up by hand", () => {
  beforeAll(async () => {
    workshop = await openWorkshop("real");
  }, 3 * minutes);
  afterAll(() => workshop.close());

  test(
    "is baked, and the log says what was left out; the real dockerd has started with what came out",
    async () => {
      const { code, output, answer } = await workshop.provision({
        manager: "apt-get",
        tree: {
          "etc/docker/daemon.json": `\uFEFF{"hosts": ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"], "userns-remap": "default",
            "runtimes": {"ascend": {"path": "/usr/local/Ascend/Ascend-Docker-Runtime/ascend-docker-runtime", "runtimeArgs": []}},
            "default-runtime": "ascend", "registry-mirrors": ["https://mirror.example.com"], "metrics-addr": "192.0.2.1:9323"}`,
          "etc/gitconfig": gitconfig,
          "root/.gitconfig": "[user]\n\tname = site\n[include]\n\tpath = /etc/site.gitconfig\n",
          "etc/systemd/system/docker.service.d/override.conf":
            "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0\n",
          "etc/systemd/system.control/containerd.service.d/50-CPUQuota.conf": "[Service]\nCPUQuota=10%\n",
          "usr/lib/systemd/system/docker.socket.d/tcp.conf": "[Socket]\nListenStream=2375\n",
          "etc/systemd/system/containerd.service": "-> /dev/null",
          "etc/systemd/system/sshd.service.d/site.conf": "[Service]\nNice=1\n",
          "etc/containerd/config.toml": 'root = "/data/containerd"\n',
          "usr/local/bin/dockerd": "#!/bin/sh\n",
          "etc/sysctl.conf": "vm.swappiness = 1\nkernel.panic=0\n",
          "etc/sysctl.d/99-site.conf": "-kernel/panic = 0\n# kernel.panic = 1\nkernel.panic = 10\n",
        },
        after: `cat /etc/docker/daemon.json
cd /
for key in filter.lfs.process http.sslCAInfo safe.directory user.name; do echo "$key: $(git config --get "$key")"; done
echo "rewritten: $(git ls-remote --get-url https://github.com/owner/name) $(git ls-remote --get-url git://site/x)"
echo "rules: $(git config --get-regexp '^url\\..*\\.insteadof$' | grep -c 'https://github.com/$')"
echo "includes: $(git config --global --get-all include.path | tr '\\n' ' ')"
find /etc/systemd /usr/lib/systemd/system -path '*.d/*' -name '*.conf' | grep -E 'docker|containerd|sshd'
ls -l /etc/containerd /etc/systemd/system/containerd.service | cut -c 1-10
find /opt/bake/base -type f | sort
cat /etc/sysctl.conf /etc/sysctl.d/99-site.conf
stat -c '%a %n' /etc/gitconfig /root/.gitconfig /etc/docker/daemon.json`,
      });
      expect(code, output).toBe(0);
      const settings = JSON.parse(answer.slice(0, answer.indexOf("\n}\n") + 2)) as Record<string, unknown>;
      expect(settings).toMatchObject({
        "data-root": "/mnt/docker-data/docker",
        "default-runtime": "ascend",
        "registry-mirrors": ["https://mirror.example.com"],
        runtimes: { ascend: { runtimeArgs: [] } },
      });
      expect(Object.keys(settings)).not.toContain("hosts");
      expect(answer).toContain(`filter.lfs.process: git-lfs filter-process
http.sslCAInfo: /etc/pki/site-ca.pem
safe.directory: *
user.name: site
rewritten: https://gh-proxy.test.osinfra.cn/https://github.com/owner/name https://mirror.example.com/x
rules: 1
includes: /etc/site.gitconfig /root/.gitconfig.d/private \n`);
      expect(answer).not.toContain("CANARY");
      expect(answer).toMatch(/^\/etc\/systemd\/system\/sshd.service.d\/site.conf$/m);
      expect(answer).toContain("\n-rw-r--r--\n");
      expect(answer).toContain(`/opt/bake/base/etc/containerd/config.toml
/opt/bake/base/etc/systemd/system.control/containerd.service.d/50-CPUQuota.conf
/opt/bake/base/etc/systemd/system/docker.service.d/override.conf
`);
      expect(answer).toContain("/opt/bake/base/usr/lib/systemd/system/docker.socket.d/tcp.conf\n");
      expect(answer).toContain("/opt/bake/base/usr/local/bin/dockerd\n");
      expect(answer).toContain(`vm.swappiness = 1
# bake sets it: kernel.panic=0
# bake sets it: -kernel/panic = 0
# kernel.panic = 1
kernel.panic = 10
644 /etc/gitconfig
644 /root/.gitconfig
644 /etc/docker/daemon.json
`);
      for (const said of [
        "/etc/docker/daemon.json of the base: hosts is left out",
        "/etc/docker/daemon.json of the base: userns-remap is left out",
        "/etc/gitconfig of the base: url.https://mirror.example.com/.insteadof = https://github.com/ is left out",
        "/etc/gitconfig of the base: http.extraheader is left out",
        "/etc/systemd/system/docker.service.d of the base is now /opt/bake/base/etc/systemd/system/docker.service.d",
        "/etc/containerd/config.toml of the base is now",
        "/etc/sysctl.conf of the base, now a comment: kernel.panic=0",
      ])
        expect(output).toContain(`bake: ${said}`);
    },
    5 * minutes,
  );

  const daemonJson = "etc/docker/daemon.json";
  test.each<[string, Record<string, string>, string]>([
    [
      "a key that dockerd does not know",
      { [daemonJson]: '{"disable-legacy-registry": true}' },
      "disable-legacy-registry",
    ],
    ["a file that is not there", { [daemonJson]: '{"seccomp-profile": "/data/seccomp.json"}' }, "/data/seccomp.json"],
    [
      "git settings that git refuses",
      { "etc/gitconfig": "[user\n\tname = x\n" },
      "/etc/gitconfig of the base is no git configuration (fatal: bad config line 1 in file /etc/gitconfig)",
    ],
    [
      "a second rule in a file that git includes",
      {
        "root/.gitconfig": "[include]\n\tpath = /etc/site.gitconfig\n",
        "etc/site.gitconfig": '[url "https://mirror.example.com/"]\n\tinsteadOf = https://github.com/\n',
      },
      "url.https://mirror.example.com/.insteadof",
    ],
  ])(
    "ends the bake by %s, and names it",
    async (_, tree, named) => {
      const { code, output } = await workshop.provision({ manager: "apt-get", tree });
      const failed = output.split("\n").find((line) => line.startsWith("bake: failed "));
      expect(failed).toContain(named);
      expect(output).not.toContain("bake: step enable-units");
      expect(code).toBe(1);
    },
    5 * minutes,
  );
});
