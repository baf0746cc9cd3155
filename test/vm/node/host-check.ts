/** `bake check --host` by real ssh, against a node that is right at first, then set up partly by hand. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Vm } from "../../../src/vm/machine.ts";
import type { Profile } from "../../../src/profile/schema.ts";
import { loadProfile } from "../../../src/profile/load.ts";
import { rules } from "../../../src/commands/rules.ts";
import type { NodePlan } from "../../../src/plan/node-plan.ts";
import { root } from "../../../src/host/root.ts";
import { certificatesFor } from "../../huaweicloud/certificates.ts";
import { testHost } from "../golden-image.ts";
import { namesIn } from "./canaries.ts";
import type { OtherNode } from "./other-profile.ts";

const host = testHost();
let folder = "";
let wrappers = "";
let vm: Vm;
let plan: NodePlan;
let settings: Profile;
let target = "";
/** Where the profile and the image are: the command compares bake ids with it. */
let bakeFolder = "";
let profile = "";

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs bake with an ssh that reads the test's configuration instead of the user's. */
const bake = (...args: string[]): Promise<Outcome> =>
  new Promise((done) => {
    process.stdout.write(`\n$ bake ${args.join(" ")}\n`);
    const child = spawn(join(root, "bin/bake"), args, {
      cwd: bakeFolder,
      env: { ...process.env, CI: "true", PATH: `${wrappers}:${process.env["PATH"] ?? ""}` },
    });
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("data", (data: Buffer) => {
        text[name] += data.toString();
        process.stdout.write(data);
      });
    }
    child.on("close", (code) => done({ code: code ?? -1, ...text }));
  });

const checkHost = (...more: string[]): Promise<Outcome> =>
  bake("check", "--profile", profile, "--trial", "--host", target, ...more);

interface Report {
  readonly node: { readonly imageHere: string; readonly baked: { readonly bakeId: string } };
  readonly results: {
    readonly id: string;
    readonly outcome: string;
    readonly found?: string;
    readonly level: string;
  }[];
  readonly rows: { readonly row: string; readonly outcome: string }[];
}

const ids = (report: Report, outcome: string): string[] =>
  report.results.filter((result) => result.outcome === outcome).map(({ id }) => id);

const onNode = async (command: string): Promise<string> => (await vm.ssh(command, { timeout: 300_000 })).stdout;

/**
 * Everything outside of /run, /proc and /sys that was made or changed since `since` was touched. Only the times of /tmp
 * itself are left out: the check's folder is there where /run is mounted noexec, and containerd's shim has a file there
 * for a moment when buildx asks its builders by `docker exec`.
 */
const changedSince = (since: string): Promise<string> =>
  onNode(
    `find /tmp /opt /root /var/tmp /etc /usr /home /srv -xdev ! -path /tmp \\( -newer ${since} -o -cnewer ${since} \\) -print`,
  );

/** Answers on each port as a web server and as an HTTP proxy that leads every host to itself. Arguments: certificate, key, ports. */
const site = `
import http.server, socket, ssl, sys, threading, time
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])
class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    do_HEAD = do_GET
    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile('rb'), self.connection.makefile('wb', 0)
        self.close_connection = False
    def log_message(self, *words): pass
for port in sys.argv[3:]:
    server = http.server.ThreadingHTTPServer(('0.0.0.0', int(port)), Site)
    threading.Thread(target=server.serve_forever).start()
`;

/** A site within the VM: its services answer on loopback, so that nothing leaves the machine. The git proxy is there already. */
const siteInTheVm = async (): Promise<void> => {
  const ofSite = plan.checks.filter(({ level }) => level === "site");
  const direct = ofSite.flatMap(({ resource: [, , { address }] }) => {
    const match = typeof address === "string" ? /^tcp:\/\/(.+):(\d+)$/.exec(address) : null;
    return match === null ? [] : [{ name: match[1] ?? "", port: Number(match[2]) }];
  });
  const { pypiCache } = settings.network;
  const services = [
    ...direct,
    ...(pypiCache === undefined ? [] : [{ name: pypiCache.host, port: pypiCache.port }]),
    // The proxy of this profile is on the node itself.
    { name: "127.0.0.1", port: 9 },
  ];
  const isAddress = (name: string): boolean => /^[\d.]+$/.test(name);
  const names = [...new Set(services.map(({ name }) => name))].filter((name) => !/^(127|10\.0\.2)\./.test(name));
  const behind = ofSite.flatMap(({ id }) => /^reaches-(.+)-443$/.exec(id)?.[1] ?? []);
  const { authority, certificate, key } = certificatesFor(behind.join(",DNS:") || "nobody");
  const put = (text: string, file: string): string =>
    `echo ${Buffer.from(text).toString("base64")} | base64 -d ${file}`;
  await onNode(
    [
      "set -e",
      ...names.map((name) =>
        isAddress(name) ? `ip address replace ${name}/32 dev lo` : `echo '127.0.0.1 ${name}' >>/etc/hosts`,
      ),
      put(readFileSync(authority, "utf8"), ">>/etc/ssl/certs/ca-certificates.crt"),
      put(certificate, ">/run/test-site.pem"),
      put(key, ">/run/test-site.key"),
      put(site, ">/run/test-site.py"),
      `systemd-run --quiet --unit=test-site python3 /run/test-site.py /run/test-site.pem /run/test-site.key ${[...new Set(services.map(({ port }) => port))].join(" ")}`,
      "for try in $(seq 60); do systemctl is-active -q test-site && curl -s -o /dev/null http://127.0.0.1:9/ && exit; sleep 1; done; exit 1",
    ].join("\n"),
  );
};

/** Registers the tests. */
export const checkByHand = (node: OtherNode): void => {
  describe("bake check --host", () => {
    beforeAll(async () => {
      await node.start();
      folder = mkdtempSync(join(tmpdir(), "bake-hostcheck-"));
      wrappers = join(folder, "bin");
      mkdirSync(wrappers);
      ({ vm } = node.started);
      ({ plan, profile: settings } = node.golden);
      ({ profile } = node.canaries);
      bakeFolder = node.canaries.folder();
      target = `root@127.0.0.1:${vm.sshPort}`;
      await siteInTheVm();
      // The user's ssh configuration says which key; nothing is known of the host yet.
      writeFileSync(
        join(folder, "ssh_config"),
        `Host 127.0.0.1\n  IdentityFile ${node.started.identity.key.privateKeyFile}\n  IdentitiesOnly yes\n  UserKnownHostsFile ${folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking accept-new\n`,
      );
      writeFileSync(join(wrappers, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh -F '${folder}/ssh_config' "$@"\n`, {
        mode: 0o755,
      });
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    test("never accepts an unknown host key, whatever the configuration says", async () => {
      const { code, stderr } = await checkHost();
      expect(code).toBe(2);
      expect(stderr).toContain("error[BK512]: the host key of root@127.0.0.1");
      // As its user would compare it: with the key that the host's own console shows.
      const [type = "", key = ""] = (await onNode("cat /etc/ssh/ssh_host_ed25519_key.pub")).split(" ");
      writeFileSync(join(folder, "known_hosts"), `[127.0.0.1]:${vm.sshPort} ${type} ${key.trim()}\n`);
    });

    test("bake init --from-host writes a profile with what the node has, and changes nothing on it", async () => {
      await onNode("touch /run/before && sleep 1");
      const { code, stderr } = await bake("init", "read", "--from-host", target);
      expect(code, stderr).toBe(0);
      const { profile: read } = loadProfile(readFileSync(join(bakeFolder, "profiles/read.yaml"), "utf8"), "read.yaml", {
        rules,
      });
      expect(read).toMatchObject({
        agents: { version: plan.facts.agents.version, spawn: 2, cards: 4, queue: "ascend" },
        docker: { version: plan.facts.docker.version, dataRoot: plan.facts.docker.dataRoot },
        buildx: { version: plan.facts.buildx.version },
        builders: { image: plan.facts.builders.image },
        storage: {
          disk: { adopt: `UUID=${plan.facts.storage.uuid}` },
          mount: plan.facts.storage.mount,
          filesystem: "ext4",
        },
        network: { pypiCache: settings.network.pypiCache, gitProxy: settings.network.gitProxy },
        targets: { qemu: { architecture: "x86_64" } },
      });
      expect(await changedSince("/run/before")).toBe("");
    });

    test("finds builders of the profile that the data disk had before, and what it advises takes them away", async () => {
      const { code, stdout } = await checkHost("--json");
      const report = JSON.parse(stdout) as Report;
      expect(ids(report, "failed")).toEqual(["bake-builder-others"]);
      expect(code).toBe(1);
      for (const name of ["cachebuilder3", "cachebuilder4"])
        await onNode(`docker rm -f buildx_buildkit_${name}0 && docker volume rm buildx_buildkit_${name}0_state`);
    });

    test("finds nothing wrong with a node then, and leaves it as it was", async () => {
      await onNode("touch /run/before && sleep 1");
      const { code, stdout } = await checkHost("--json");
      const report = JSON.parse(stdout) as Report;
      expect(report.results.filter(({ outcome }) => outcome === "failed")).toEqual([]);
      expect(report.node.imageHere).toBe("same");
      expect(ids(report, "not checked")).toEqual(
        plan.checks.filter(({ level }) => level === "npu").map(({ id }) => id),
      );
      expect(code).toBe(0);
      expect(await changedSince("/run/before")).toBe("");
      expect(await onNode("ls /run | grep -c bake-check || true")).toBe("0\n");
    });

    const canaries = {
      journal: `bkct_${randomBytes(12).toString("hex")}`,
      unit: `unit${randomBytes(12).toString("hex")}`,
      proxy: `proxy${randomBytes(12).toString("hex")}`,
    };

    test("names exactly what is wrong with a node that was set up partly by hand", async () => {
      await onNode(`set -e
mkdir -p /etc/systemd/system/buildkite-agent.service.d
cat >/etc/systemd/system/buildkite-agent.service.d/canary.conf <<'END'
[Service]
Environment=EXTRA_REGISTRY_TOKEN=${canaries.unit}
ExecStartPre=-/bin/echo registering with ${canaries.journal}
END
systemctl daemon-reload
systemctl restart buildkite-agent
# An operator lets the agents go on, whatever the health timer sees.
echo 'a test' >/run/bake/override`);
      await onNode(`set -e
export HOME=/root
docker stop -t 5 $(docker ps -q)
systemctl stop docker.socket docker.service
mkdir -p /var/lib/docker
cp -a ${plan.facts.docker.dataRoot}/. /var/lib/docker
python3 - <<'END'
import json
path = '/etc/docker/daemon.json'
daemon = json.load(open(path))
daemon['data-root'] = '/var/lib/docker'
daemon['proxies'] = {'http-proxy': 'http://user:${canaries.proxy}@proxy.example:3128', 'no-proxy': '127.0.0.0/8'}
json.dump(daemon, open(path, 'w'), indent=2)
END
systemctl start docker.socket docker.service
docker start buildx_buildkit_cachebuilder10
mv /root/.docker/cli-plugins/docker-buildx /usr/local/bin/the-real-buildx
cat >/root/.docker/cli-plugins/docker-buildx <<'END'
#!/bin/sh
for word; do
  [ "$word" != version ] || { echo github.com/docker/buildx v0.99.0 0123456; exit; }
done
exec /usr/local/bin/the-real-buildx "$@"
END
chmod 0700 /root/.docker/cli-plugins/docker-buildx
touch /run/before
sleep 1`);
      const bundle = join(folder, "bundle.tar.gz");
      const { code, stdout, stderr } = await checkHost("--json", "--bundle", bundle);
      const report = JSON.parse(stdout) as Report;
      expect(ids(report, "failed").toSorted()).toEqual(["buildx-version", "data-root"]);
      expect(report.rows.filter(({ outcome }) => outcome === "failed").map(({ row }) => row)).toEqual([
        "G21",
        "G22",
        "G23",
      ]);
      const found = (id: string): string => report.results.find((result) => result.id === id)?.found ?? "";
      expect(found("data-root")).toContain("/var/lib/docker overlay2");
      expect(found("buildx-version")).toContain("v0.99.0");
      expect(code).toBe(1);

      expect(await changedSince("/run/before")).toBe("");
      expect(await onNode("ls /run | grep -c bake-check || true")).toBe("0\n");

      expect(statSync(bundle).mode & 0o777).toBe(0o600);
      const unpacked = join(folder, "bundle");
      mkdirSync(unpacked);
      await host.run("tar", ["-xzf", bundle, "-C", unpacked, "--strip-components=1"]);
      const read = (name: string): string => readFileSync(join(unpacked, name), "utf8");
      // Each canary was where the bundle looks, and is gone from it.
      expect(read("journal-buildkite-agent.txt")).toContain("registering with [redacted]");
      expect(read("units-show.txt")).toContain("EXTRA_REGISTRY_TOKEN=[redacted]");
      expect(read("daemon.json.txt")).toContain("[redacted]@proxy.example");
      for (const canary of Object.values(canaries)) {
        expect((await host.run("grep", ["-rl", canary, unpacked], { allowFailure: true })).stdout).toBe("");
        expect(stdout + stderr).not.toContain(canary);
      }
      expect(namesIn(Buffer.from(stdout + stderr))).toEqual([]);
      for (const name of readdirSync(unpacked)) expect(namesIn(readFileSync(join(unpacked, name))), name).toEqual([]);
      for (const name of ["journal-bake.txt", "docker-info.txt", "disks.txt", "run-bake.txt", "check.json"]) {
        expect(read(name).length, name).toBeGreaterThan(100);
      }
    });

    test("prints a table by guide row, and each failure with what to do", async () => {
      const { code, stdout } = await checkHost();
      expect(code).toBe(1);
      expect(stdout).toMatch(/^ {2}G21 +daemon\.json and data-root +failed +1 failed, /m);
      expect(stdout).toMatch(/^ {2}G20 +Docker units +passed /m);
      expect(stdout).toMatch(/^ {2}G5 +.* not checked +.*BAKE_ABSENT=npu/m);
      expect(stdout).toContain("failed checks\n");
      expect(stdout).toMatch(/found .*v0\.99\.0/);
      expect(stdout).toMatch(/checks: \d+ passed, 2 failed, \d+ not checked, 0 advisory/);
    });

    test("a key that is not accepted and a port where nobody listens are told apart", async () => {
      const config = readFileSync(join(folder, "ssh_config"), "utf8");
      writeFileSync(join(folder, "ssh_config"), config.replace(/IdentityFile .*/, "IdentityFile /dev/null"));
      const refused = await checkHost();
      expect(refused).toMatchObject({ code: 2 });
      expect(refused.stderr).toContain("error[BK513]");
      const nobody = await bake("check", "--profile", profile, "--trial", "--host", "root@127.0.0.1:1");
      expect(nobody.stderr).toContain("error[BK511]");
    });
  });
};
