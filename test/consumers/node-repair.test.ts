/** What gets lost on a running node is noticed and brought back: the node's own scripts and goss with a real dockerd. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Blob, ContainerImage } from "../../src/artifact.ts";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { gossFile } from "../../src/render/goss.ts";
import { substitute, trialVersions } from "../../src/trial/substitutions.ts";
import { startDockerd, type TestDockerd } from "../dockerd.ts";
import { needs, toolPath } from "../needs.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";
import { makeArchive } from "../registry.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-repair-"));
const at = (path: string): string => join(folder, path);
/** A node's text below another root. */
const moved = (text: string): string =>
  text.replace(/(?<![\w$}])\/(opt|run|etc)\/bake/g, `${folder}/$1/bake`).replace(/\/dev\/console/g, at("console"));
const put = (path: string, text: string, mode = 0o644): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
  chmodSync(at(path), mode);
};

const store = (bytes: Uint8Array): Blob => {
  const hex = createHash("sha256").update(bytes).digest("hex");
  put(`opt/bake/images/blobs/sha256/${hex}`, "");
  writeFileSync(at(`opt/bake/images/blobs/sha256/${hex}`), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length, mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" };
};
/** The image of the trial's lock, with bytes that a node has. */
const withBytes = (image: ContainerImage, layers: readonly string[]): ContainerImage => {
  const work = mkdtempSync(join(folder, "image-"));
  makeArchive(work, { layers });
  const config = store(readFileSync(join(work, "config.json")));
  return {
    ...image,
    manifest: config,
    config,
    layers: layers.map((_, index) => store(gzipSync(readFileSync(join(work, `layer-${index}.tar`))))),
  };
};

const watched = ["image-1", "image-2", "bake-builder-image", "docker-forwarding", "docker-nat"];

// dockerd wants root.
needs("root", "docker", "goss").describe("a node with a real dockerd", () => {
  let dockerd: TestDockerd;
  const inside = (command: string, ...args: string[]) => {
    const [nsenter = "", ...words] = dockerd.inside;
    return spawnSync(nsenter, [...words, command, ...args], {
      encoding: "utf8",
      env: { ...dockerd.env, PATH: `${at("bin")}:${dockerd.env["PATH"]}` },
      timeout: 50_000,
    });
  };
  const node = (name: string, ...args: string[]) => inside(at(`opt/bake/bin/${name}`), ...args);
  const docker = (...args: string[]) => inside("docker", ...args);
  const called = (): string => (existsSync(at("systemctl.log")) ? readFileSync(at("systemctl.log"), "utf8") : "");

  beforeAll(async () => {
    const [buildkit, small] = trialLock.artifacts.filter((each) => each.kind === "container-image");
    if (buildkit === undefined || small === undefined) throw new Error("the trial's lock has two images");
    const artifacts = trialLock.artifacts.map((each) =>
      each === buildkit ? withBytes(buildkit, ["one", "two"]) : each === small ? withBytes(small, ["one"]) : each,
    );
    const plan = planFor({
      name: "2cards",
      profile: substitute(readProfile()).profile,
      lock: { ...trialLock, artifacts },
      trial: true,
    });
    for (const { path, content } of render(plan).nodeFiles) {
      if (
        /^\/opt\/bake\/(bin\/bake-(images|ready|gate|health|repair)$|images)|^\/opt\/bake\/checks\/checks/.test(path)
      ) {
        put(path, path.endsWith("/manifest.json") ? content : moved(content), 0o755);
      }
    }
    // Of its checks those about Docker, which is all that is here.
    const checks = plan.checks.filter(({ id }) => watched.includes(id));
    expect(checks.map(({ id }) => id).toSorted()).toEqual(watched.toSorted());
    put("opt/bake/checks/gating.yaml", gossFile(checks));
    put("opt/bake/checks/live.yaml", gossFile(checks.filter(({ live }) => live)));
    put("etc/bake/images.env", `IMAGES_FOLDER="${at("state/images")}"\n`);
    put("etc/bake/instance.env", 'BAKE_ABSENT="npu"\n');
    symlinkSync(toolPath("goss"), at("opt/bake/bin/goss"));
    // A restart of a unit is its command; bake-builders' first step gives the image its local name.
    put(
      "bin/systemctl",
      `#!/bin/bash
echo "$*" >>${at("systemctl.log")}
case $* in
  "restart --no-block bake-images.service") ${at("opt/bake/bin/bake-images")} >>${at("images.log")} 2>&1 ;;
  "restart --no-block bake-builders.service") docker tag ${trialVersions.buildkitImage} localhost:1/${trialVersions.buildkitImage} ;;
  *buildkite-agent*) [ "$1" != show ] || cat ${at("agent-state")} ;;
  show*) echo active ;;
  is-failed*) exit 1 ;;
esac
`,
      0o755,
    );
    put("agent-state", "active\n");
    dockerd = await startDockerd();
    expect(node("bake-images")).toMatchObject({ status: 0 });
    expect(inside("systemctl", "restart", "--no-block", "bake-builders.service").status).toBe(0);
    expect(node("bake-ready").stdout).toMatch(/^ready for jobs: .* 5 passed, 0 failed/);
    rmSync(at("systemctl.log"));
  }, 60_000);
  afterAll(async () => {
    await dockerd.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it("brings back what a job's `docker system prune -af` took, and jobs go on", () => {
    expect(docker("system", "prune", "-af").stdout).toContain("deleted: sha256:");
    expect(docker("images", "--quiet").stdout).toBe("");
    const { status, stdout } = node("bake-health");
    expect(status).toBe(0);
    expect(stdout).toContain("failed G24 image moby/buildkit");
    expect(stdout).toContain("bake-repair: images: bake-images.service brings them back");
    // What else it took is seen once the node is looked at as a whole.
    node("bake-health");
    expect(node("bake-ready").stdout).toMatch(/^ready for jobs: .* 5 passed, 0 failed/);
    expect(called()).not.toContain("stop");
    expect(existsSync(at("run/bake/stopped"))).toBe(false);
  });

  it("brings it back after a restart of the agents: the gate waits, and does not refuse for ever", () => {
    node("bake-health");
    docker("system", "prune", "-af");
    rmSync(at("run/bake/status.json"));
    const gate = node("bake-gate");
    expect(gate.status).toBe(1);
    expect(gate.stdout).toContain("images: bake-images.service brings them back");
    // systemd tries again in ten seconds.
    expect(node("bake-gate").stdout).toMatch(/^ready for jobs: .* 5 passed, 0 failed/);
    node("bake-health");
  });

  it("gives an image its name back without loading it again", () => {
    docker("tag", trialVersions.smallImage, "kept:1");
    docker("image", "rm", trialVersions.smallImage);
    expect(node("bake-health").stdout).toContain("bring");
    expect(readFileSync(at("images.log"), "utf8")).toContain(`${trialVersions.smallImage} had lost its name`);
    expect(node("bake-health").stdout).toBe("");
  });

  it("sets ip_forward again, which `sysctl --system` takes away on a hardened base", () => {
    inside("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward");
    expect(node("bake-health").stdout).toContain("net.ipv4.ip_forward was 0: setting it to 1");
    expect(inside("cat", "/proc/sys/net/ipv4/ip_forward").stdout).toBe("1\n");
    expect(node("bake-health").stdout).toBe("");
  });

  it("tells builders of an earlier profile, and removes those of bake alone, when the profile says so", () => {
    const local = `localhost:1/${trialVersions.buildkitImage}`;
    docker("tag", trialVersions.smallImage, local);
    const made = (builder: string, image: string): void => {
      docker("volume", "create", `buildx_buildkit_${builder}0_state`);
      expect(docker("create", "--name", `buildx_buildkit_${builder}0`, image).status).toBe(0);
    };
    made("cachebuilder1", local);
    made("cachebuilder9", local);
    made("mine", trialVersions.smallImage);
    const text = readFileSync(join(root, "templates/node/bake-builders"), "utf8");
    const part = /^others\(\) \{\n[^]*?^done < <\(others\)\n/m.exec(text)?.[0] ?? "";
    const others = (remove: boolean): string =>
      inside(
        "bash",
        "-c",
        `say() { echo "$*"; }; container_of() { echo "buildx_buildkit_\${1}0"; }; instances=${folder} made=${folder}
BUILDER_NAMES="cachebuilder1 cachebuilder2" BUILDER_REMOVE_OTHERS=${remove}
${part}`,
      ).stdout;
    expect(others(false)).toMatch(/^cachebuilder9 is not of this profile and keeps its cache: .*\n$/);
    expect(others(true)).toBe("cachebuilder9 is not of this profile: removing it, with its cache\n");
    expect(others(true)).toBe("");
    expect(docker("ps", "--all", "--format", "{{.Names}}").stdout.trim().split("\n").toSorted()).toEqual([
      "buildx_buildkit_cachebuilder10",
      "buildx_buildkit_mine0",
    ]);
    expect(docker("volume", "ls", "--quiet").stdout).not.toContain("cachebuilder9");
    docker("rm", "-f", "buildx_buildkit_cachebuilder10", "buildx_buildkit_mine0");
    inside("systemctl", "restart", "--no-block", "bake-builders.service");
  });

  it("sees that a firewall flushed Docker's rules, and restarts Docker once no agent runs", async () => {
    rmSync(at("systemctl.log"));
    inside("sh", "-c", "iptables -F && iptables -t nat -F");
    expect(node("bake-health").stdout).toContain("failed G20 Docker's rules lead containers out of the host");
    expect(node("bake-health").stdout).toContain("the agents stop after their jobs");
    expect(called()).toContain("stop --no-block buildkite-agent.service");
    expect(called()).not.toContain("restart");
    writeFileSync(at("agent-state"), "inactive\n");
    expect(node("bake-health").stdout).toContain("restarting it, no agent runs");
    expect(called()).toContain("restart --no-block docker.service");
    await dockerd.restart();
    expect(node("bake-health").stdout).toContain("this node is right again: the agents start");
    expect(called()).toContain("start --no-block buildkite-agent.service");
  });
});

const planned = render(
  planFor({ name: "2cards", profile: substitute(readProfile()).profile, lock: trialLock, trial: true }),
);
const commandOf = (id: string): string => {
  const check = planFor({ name: "2cards", profile: readProfile() }).checks.find((each) => each.id === id);
  return String(check?.resource[2]["exec"]);
};

needs("root").describe("disks", () => {
  /** In a mount table of its own: what it mounts is gone with it. */
  const apart = (script: string) =>
    spawnSync("unshare", ["--mount", "bash", "--norc", "-euo", "pipefail", "-c", script], { encoding: "utf8" });

  it("a file system without inodes is not ready for jobs, one with them is", () => {
    mkdirSync(at("disk"), { recursive: true });
    const ask = (id: string): string =>
      commandOf(id).replaceAll("'/mnt'", at("disk")).replaceAll("/root/.buildkite-agent", at("disk"));
    const { stdout, stderr } = apart(`
truncate -s 300M ${at("disk.img")}
mkfs.ext4 -q -N 2000 ${at("disk.img")}
mount -o loop ${at("disk.img")} ${at("disk")}
says() { if sh -c "$2"; then echo "$1 passes"; else echo "$1 fails"; fi; }
${["data-disk-inodes", "checkouts-inodes"].map((id) => `says ${id} ${JSON.stringify(ask(id)).replaceAll("$", "\\$")}`).join("\n")}
seq 1 5000 | sed 's|^|${at("disk")}/file-|' | xargs touch 2>/dev/null || true
${["data-disk-inodes", "checkouts-inodes"].map((id) => `says ${id} ${JSON.stringify(ask(id)).replaceAll("$", "\\$")}`).join("\n")}
umount ${at("disk")}
mount -t tmpfs none ${at("disk")}
says checkouts-room ${JSON.stringify(ask("checkouts-room")).replaceAll("$", "\\$")}
mount -o remount,size=100M ${at("disk")}
says checkouts-room ${JSON.stringify(ask("checkouts-room")).replaceAll("$", "\\$")}
umount ${at("disk")}`);
    expect(stderr.replace(/.*(too few inodes|Inode count).*\n/g, "")).toBe("");
    expect(stdout.trim().split("\n")).toEqual([
      ...["data-disk-inodes passes", "checkouts-inodes passes"],
      ...["data-disk-inodes fails", "checkouts-inodes fails"],
      ...["checkouts-room passes", "checkouts-room fails"],
    ]);
  });

  it("a disk that discards for longer than mkfs may take is formatted all the same", () => {
    put(
      "bin/mkfs.ext4",
      '#!/bin/bash\ncase "$*" in *nodiscard*) ;; *) sleep 210 ;; esac\nexec /sbin/mkfs.ext4 "$@"\n',
      0o755,
    );
    // Without its main part; what it asks of udev and the disk is answered here.
    const text = readFileSync(join(root, "templates/node/bake-storage"), "utf8").replace(
      /^case \$STORAGE_KIND in\n[^]*/m,
      "",
    );
    put(
      "etc/bake/storage.env",
      'STORAGE_KIND="blank" STORAGE_FILESYSTEM="ext4" STORAGE_UUID="7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001" STORAGE_LABEL="bake-data"\n',
    );
    const run = (more: string) =>
      apart(`PATH=${at("bin")}:$PATH
${moved(text).replace(/\/var\/lib\/bake/g, at("var"))}
half_made() { false; }; identity() { echo here; }; name_of() { echo "$1"; }; udevadm() { :; }
${more}
truncate -s 64M ${at("blank.img")}
make_filesystem ${at("blank.img")}`);
    const { status, stdout } = run('blockdev() { stat -c %s "$2"; }');
    expect([status, stdout]).toEqual([0, expect.stringContaining(`data disk is ${at("blank.img")}`)]);
    // Its limit grows with the disk.
    const large = run('blockdev() { echo $((8 << 40)); }\ntimeout() { echo "limit $2" >&2; shift 2; "$@"; }');
    expect(large.stdout + large.stderr).not.toContain("refused");
    const limits = run('blockdev() { echo $((8 << 40)); }\ntimeout() { echo "$2"; return 124; }');
    expect(limits.stdout).toContain("not done after 2248 s");
  });
});

needs("root").describe("kernel settings", () => {
  it("win over a base's own, whoever reads them: systemd-sysctl, sysctl --system, sysctl -p", () => {
    const file = planned.nodeFiles.find(({ path }) => path.startsWith("/etc/sysctl.d/"));
    expect(file?.path).toBe("/etc/sysctl.d/99-zz-bake.conf");
    const provision = readFileSync(join(root, "templates/node/provision.sh"), "utf8");
    const block = /^ {2}if \[ -e \/etc\/sysctl\.conf \]; then\n[^]*?^ {2}fi\n/m.exec(provision)?.[0] ?? "";
    // Of this network alone: the other settings are the machine's.
    put("sysctl/node/etc/sysctl.d/99-zz-bake.conf", (file?.content ?? "").replace(/^kernel\..*\n/gm, ""));
    put(
      "base.conf",
      "# hardened\nnet.ipv4.ip_forward=0\n-net/ipv4/conf/all/send_redirects = 0\n net.ipv4.conf.all.forwarding = 0\nnet.ipv4.ip_default_ttl = 63\n",
    );
    const script = `set -euo pipefail
mkdir -p ${at("sysctl.d")}; cp ${at("base.conf")} ${at("sysctl.conf")}; touch ${at("none")}
[ -e /etc/sysctl.conf ] || touch /etc/sysctl.conf
ln -sf ../sysctl.conf ${at("sysctl.d")}/99-sysctl.conf
mount --bind ${at("sysctl.d")} /etc/sysctl.d
for other in /usr/lib/sysctl.d /run/sysctl.d /lib/sysctl.d; do if [ -d $other ] && [ ! -L $other ]; then mount -t tmpfs none $other; fi; done
upload=${at("sysctl")}
mount --bind ${at("sysctl.conf")} /etc/sysctl.conf
ask() { "$@" >/dev/null; echo "$1 $(cat /proc/sys/net/ipv4/ip_forward)"; }
echo 1 >/proc/sys/net/ipv4/ip_forward
cp ${at("sysctl")}/node/etc/sysctl.d/99-zz-bake.conf /etc/sysctl.d/
ask /usr/lib/systemd/systemd-sysctl
${block.replaceAll("sed -Ei --follow-symlinks", "edit").replace(/^/, 'edit() { sed -E "$1" "$2" >/tmp/edited.$$ && cat /tmp/edited.$$ >"$2"; rm -f /tmp/edited.$$; }\n')}
ask /usr/lib/systemd/systemd-sysctl
if command -v sysctl >/dev/null; then ask sysctl --system; ask sysctl -p; fi
cat /etc/sysctl.conf`;
    const { stdout, stderr } = spawnSync("unshare", ["--net", "--mount", "bash", "--norc", "-c", script], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    const withSysctl = spawnSync("sh", ["-c", "command -v sysctl"]).status === 0;
    expect(stdout.split("\n")).toEqual([
      "/usr/lib/systemd/systemd-sysctl 1",
      "bake: /etc/sysctl.conf of the base says net.ipv4.ip_forward=0,  net.ipv4.conf.all.forwarding = 0: it says 1 now",
      "/usr/lib/systemd/systemd-sysctl 1",
      ...(withSysctl ? ["sysctl 1", "sysctl 1"] : []),
      ...["# hardened", "net.ipv4.ip_forward=1", "-net/ipv4/conf/all/send_redirects = 0"],
      ...[" net.ipv4.conf.all.forwarding = 1", "net.ipv4.ip_default_ttl = 63", ""],
    ]);
  });
});

/** A look that found these failed, and what bake-repair does about it with `bin/` before all others. */
const repair = (...names: readonly string[]) => {
  put(
    "run/bake/status.json",
    `{\n${names.map((name) => `{"id": "x", "repair": "${name}"}`).join(",\n")}\n"unanswered": []\n}\n`,
  );
  rmSync(at("run/bake/repairs"), { recursive: true, force: true });
  const script = readFileSync(join(root, "templates/node/bake-repair"), "utf8")
    .replaceAll("/sys/class/net", at("net"))
    .replaceAll("/etc/gitconfig", at("etc/gitconfig"))
    .replaceAll("/root/.docker", at("docker"));
  put("opt/bake/bin/repair-here", moved(script), 0o755);
  return spawnSync("bash", [at("opt/bake/bin/repair-here")], {
    encoding: "utf8",
    env: { ...process.env, PATH: `${at("bin")}:${process.env["PATH"]}` },
  });
};

it("a full data disk: the collector is started, and the agents stop all the same", () => {
  put("bin/systemctl", `#!/bin/sh\necho "$*" >>${at("started")}\n`, 0o755);
  expect(repair("room")).toMatchObject({
    status: 1,
    stdout: "bake-repair: the data disk is full: bake-garbage collects what nobody uses\n",
  });
  expect(readFileSync(at("started"), "utf8").split("\n")).toContain("start --no-block bake-garbage.service");
});

it("firewalld that came after Docker: its bridges are in no zone that lets them out, and are put into one", () => {
  for (const name of ["lo", "eth0", "docker0", "br-0123456789ab", "br-lan"]) put(`net/${name}`, "");
  put("zones/br-0123456789ab", "public\n");
  put("firewall-state", "inactive\n");
  put("zone-names", "block dmz public trusted\n");
  put("bin/systemctl", `#!/bin/sh\n[ "$(cat ${at("firewall-state")})" = active ]\n`, 0o755);
  // As firewalld answers: without a zone by exit 2, for one that is not there by 112.
  put(
    "bin/firewall-cmd",
    `#!/bin/bash
cd ${folder}
case $* in
  --get-zones) cat zone-names ;;
  --get-zone-of-interface=*) cat "zones/\${1#*=}" 2>/dev/null || { echo "no zone"; exit 2; } ;;
  "--zone=docker --list-all" | "--zone=trusted --list-all") printf 'docker (active)\\n  target: ACCEPT\\n  icmp-block-inversion: no\\n' ;;
  "--zone=public --list-all") printf 'public (active)\\n  target: default\\n' ;;
  --zone=*" "--change-interface=*) echo "\${1#*=}" >"zones/\${2#*=}"; echo success ;;
  *) echo "Error: INVALID_ZONE" >&2; exit 112 ;;
esac
`,
    0o755,
  );
  const ask = () =>
    spawnSync("sh", ["-c", commandOf("docker-firewall-zone").replaceAll("/sys/class/net", at("net"))], {
      encoding: "utf8",
      env: { ...process.env, PATH: `${at("bin")}:${process.env["PATH"]}` },
    });
  expect(ask()).toMatchObject({ status: 0, stdout: "" });
  put("firewall-state", "active\n");
  expect(ask()).toMatchObject({ status: 1, stdout: "docker0: no zone\n" });
  put("zones/docker0", "docker\n");
  expect(ask()).toMatchObject({ status: 1, stdout: "br-0123456789ab: public\n" });
  expect(repair("zone")).toMatchObject({ status: 0 });
  expect(ask()).toMatchObject({ status: 0, stdout: "" });
  expect(readFileSync(at("zones/docker0"), "utf8")).toBe("trusted\n");
  expect(existsSync(at("zones/eth0")) || existsSync(at("zones/br-lan"))).toBe(false);
  put("zone-names", "docker public trusted\n");
  expect(repair("zone").stdout).toContain("docker0 goes into zone docker");
  expect(readFileSync(at("zones/docker0"), "utf8")).toBe("docker\n");
});

it("git's rule goes back into its file, beside what others have there", () => {
  const rule = planned.nodeFiles.find(({ path }) => path === "/opt/bake/git-rule")?.content ?? "";
  expect(planned.nodeFiles.find(({ path }) => path === "/etc/gitconfig")?.content).toBe(rule);
  put("opt/bake/git-rule", rule);
  const env = { ...process.env, GIT_CONFIG_SYSTEM: at("etc/gitconfig") };
  const ask = (id: string) =>
    spawnSync("sh", ["-c", commandOf(id).replaceAll("HOME=/root", `HOME=${at("home")}`)], { encoding: "utf8", env });
  const others = '[filter "lfs"]\n\trequired = true';
  for (const left of [undefined, others, `${others}\n${rule.replace(/^\tinsteadOf.*\n/m, "")}`]) {
    rmSync(at("etc/gitconfig"), { force: true });
    if (left !== undefined) put("etc/gitconfig", left);
    expect(ask("git-proxy").stdout).toBe("");
    expect(repair("git-rule")).toMatchObject({ status: 0 });
    expect(readFileSync(at("etc/gitconfig"), "utf8")).toBe(`${left === undefined ? "" : `${others}\n`}${rule}`);
    expect(ask("git-proxy").stdout).toContain("https://github.com/");
    expect(ask("git-proxy-alone").stdout.trim()).toBe("1");
    expect(ask("git-proxy-rewrites").stdout).toMatch(/^https:\/\/(?!github\.com).*owner\/name\.git\n$/);
  }
});

needs("root").test("the buildx plugin goes back to root alone; one that is gone is a person's", () => {
  expect(repair("buildx")).toMatchObject({ status: 1 });
  put("docker/cli-plugins/docker-buildx", "", 0o777);
  expect(repair("buildx")).toMatchObject({ status: 0 });
  expect(statSync(at("docker/cli-plugins/docker-buildx")).mode & 0o7777).toBe(0o700);
});
