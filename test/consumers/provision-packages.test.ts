/** provision.sh's way with packages, on real databases of them: dnf's, the same under the name yum, and dpkg's; umask 077. */
import { afterAll, beforeAll, expect } from "vitest";
import { needs } from "../needs.ts";
import { openWorkshop, type Workshop } from "../provisioned.ts";

const { describe, test } = needs("root");
const minutes = 60_000;
let workshop: Workshop;

describe("packages", () => {
  beforeAll(async () => {
    workshop = await openWorkshop();
  }, minutes);
  afterAll(() => workshop.close());

  test.each(["dnf", "yum"] as const)(
    "%s: Docker of the distribution goes, what needs it is told, what is missing comes, past a repository that is dead",
    async (manager) => {
      const { code, output, answer } = await workshop.provision({
        manager,
        missing: ["iptables", "git"],
        installed: [
          { name: "docker-engine", requires: ["libcgroup"], files: ["/usr/bin/dockerd"] },
          { name: "libcgroup" },
          { name: "podman", requires: ["docker-engine"] },
          { name: "cockpit-podman", requires: ["podman"] },
        ],
        offered: [{ name: "kernel" }, { name: "kernel-core" }, { name: "kernel-headers" }, { name: "kernel-devel" }],
        tree: {
          // git is hidden by the base, and the kernel is held as an earlier bake did.
          "etc/dnf/dnf.conf": "[main]\ngpgcheck=0\nplugins=0\nexclude=git,kernel* foo\n",
          "etc/yum.repos.d/dead.repo": "[dead]\nname=dead\nbaseurl=http://127.0.0.1:9/\nenabled=1\n",
        },
        after: `echo "installed: $(rpm -qa --qf '%{NAME}\\n' | sort | tr '\\n' ' ')"
ls -l /usr/bin/dockerd | cut -c 1-10
grep exclude /etc/dnf/dnf.conf
quiet() { ${manager} -q --assumeyes --setopt=*.skip_if_unavailable=1 "$@" >/dev/null 2>&1; echo "$2: $?"; }
quiet install kernel-headers; quiet install kernel-devel; quiet install kernel`,
      });
      expect(output).toContain("bake: remove docker-engine, and what needs them: cockpit-podman podman\n");
      expect(output).toContain("bake: install git iptables\n");
      expect(output).toContain("exclude=kernel* of the base becomes kernel kernel-core kernel-modules*");
      expect(code, output).toBe(0);
      const installed = / installed: (.*)/.exec(` ${answer}`)?.[1] ?? "";
      for (const name of ["git", "iptables", "libcgroup"]) expect(installed.split(" ")).toContain(name);
      for (const name of ["docker-engine", "podman"]) expect(installed.split(" ")).not.toContain(name);
      expect(answer).toContain("-rwxr-xr-x\n");
      expect(answer).toMatch(/^exclude=git, *foo kernel kernel-core kernel-modules\*$/m);
      expect(answer).toMatch(/^kernel-headers: 0\nkernel-devel: 0\nkernel: 1$/m);
    },
    5 * minutes,
  );

  test(
    "what the node needs is not taken along: the bake stops before anything is removed",
    async () => {
      const { code, output, answer } = await workshop.provision({
        manager: "dnf",
        installed: [{ name: "docker-engine" }, { name: "cloud-init", requires: ["docker-engine"] }],
        after: "rpm -q docker-engine cloud-init",
      });
      expect(output).toContain("bake: failed removing docker-engine would take cloud-init along, which the node needs");
      expect(code).toBe(1);
      expect(answer).toBe("docker-engine-1-1.noarch\ncloud-init-1-1.noarch\n");
    },
    5 * minutes,
  );

  const dockerCe = [
    { name: "docker-ce", files: ["/usr/bin/dockerd", "/usr/bin/docker-proxy"] },
    { name: "docker-ce-cli", files: ["/usr/bin/docker"] },
    { name: "containerd.io", files: ["/usr/bin/containerd", "/usr/bin/ctr", "/usr/bin/runc"] },
    { name: "docker-buildx-plugin", files: ["/usr/libexec/docker/cli-plugins/docker-buildx"] },
    { name: "docker-compose-plugin" },
    { name: "docker-ce-rootless-extras" },
    // Known by no list: by its file.
    { name: "site-containerd-shim", files: ["/usr/bin/containerd-shim-runc-v2"] },
  ];
  test.each(["apt-get", "dnf"] as const)(
    "%s: docker-ce goes whole, and who else owns a file of the static archive",
    async (manager) => {
      const { code, output, answer } = await workshop.provision({
        manager,
        installed: dockerCe,
        after:
          "rpm -qa --qf '%{NAME}\\n'; grep '^Package:' /var/lib/dpkg/status; ls /usr/libexec/docker/cli-plugins/docker-buildx",
      });
      expect(code, output).toBe(0);
      expect(answer).toContain("curl");
      for (const { name } of dockerCe) expect(answer.split("\n"), name).not.toContain(name);
      if (manager === "apt-get") expect(answer).not.toMatch(/^Package: (docker|containerd|site)/m);
      expect(answer).toContain("docker-buildx': No such file or directory");
    },
    5 * minutes,
  );

  test(
    "a site's own repository, from the profile's files, is there before packages are asked for",
    async () => {
      const { code, output, answer } = await workshop.provision({
        manager: "dnf",
        missing: ["git"],
        tree: {
          "etc/yum.repos.d/site.repo": "",
          "var/tmp/bake/node/etc/yum.repos.d/own.repo": "[own]\nname=own\nbaseurl=file:///test/repository\nenabled=1\n",
        },
        before: "printf 'base\\t0644\\t/etc/yum.repos.d/own.repo\\n' >>/var/tmp/bake/files.tsv",
        after: "rpm -q git; stat -c '%a %U' /etc/yum.repos.d/own.repo",
      });
      expect(code, output).toBe(0);
      expect(answer).toBe("git-1-1.noarch\n644 root\n");
    },
    5 * minutes,
  );

  test(
    "files of packages that came are packed as they came, for the search for secrets: none of the base, none that a script made or changed",
    async () => {
      const library = "/usr/lib/python3/oauthlib/base.py";
      const { code, output, answer } = await workshop.provision({
        manager: "dnf",
        missing: ["git"],
        installed: [{ name: "of-the-base", provides: "/bin/sh", content: { "/usr/share/of-the-base": "of the base" } }],
        offered: [
          { name: "git", requires: ["oauthlib"] },
          {
            name: "oauthlib",
            content: {
              [library]: "an example",
              "/usr/share/oauthlib/with blanks": "two",
              "/etc/oauthlib.conf": "as it came",
            },
            post: "echo a key >/etc/oauthlib.conf; echo a key >/etc/oauthlib.key",
          },
        ],
        variables: { BAKE_PACKAGES: "/var/lib/bake-packages.tar.gz" },
        after: `tar -tPzf /var/lib/bake-packages.tar.gz
tar -xPOzf /var/lib/bake-packages.tar.gz ${library}; echo
stat -c %a /var/lib/bake-packages.tar.gz`,
      });
      expect(code, output).toBe(0);
      expect(answer).toBe(`/usr/lib/python3/oauthlib/base.py\n/usr/share/oauthlib/with blanks\nan example\n600\n`);
    },
    5 * minutes,
  );

  test(
    "where nothing came the archive is empty; where none is asked for there is none",
    async () => {
      const archive = "/var/lib/bake-packages.tar.gz";
      const none = await workshop.provision({
        manager: "apt-get",
        variables: { BAKE_PACKAGES: archive },
        after: `tar -tzf ${archive} && echo empty`,
      });
      expect([none.code, none.answer], none.output).toEqual([0, "empty\n"]);
      const unasked = await workshop.provision({ manager: "apt-get", after: `ls ${archive}` });
      expect([unasked.code, unasked.answer], unasked.output).toEqual([0, expect.stringContaining("No such file")]);
    },
    5 * minutes,
  );
});
