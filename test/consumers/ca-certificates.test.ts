/** A site's own authorities: what is one, and who trusts it then: the system by its own tools, bake's client, curl. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { caCertificate } from "../../src/profile/ca-certificates.ts";
import { makeHttp } from "../../src/store/http.ts";
import { trusting } from "../../src/store/site-authorities.ts";
import { certificatesFor } from "../huaweicloud/certificates.ts";
import { needs } from "../needs.ts";
import { readProfile, render } from "../plan-of.ts";
import { openWorkshop, type Workshop } from "../provisioned.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-authorities-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { authority, key, certificate } = certificatesFor("localhost");
const pem = readFileSync(authority, "utf8");

const base = readProfile();
const plan = planFor({
  name: "2cards",
  profile: { ...base, network: { ...base.network, caCertificates: [pem, `\n${pem}`] } },
});
const { files } = render(plan);
const contentOf = (path: string): string => files.find((file) => file.path === `node${path}`)?.content ?? "";

describe("a certificate", () => {
  it("of an authority is taken, whatever is around it and however its lines are broken", () => {
    expect(caCertificate(`subject=x\r\n${pem.replaceAll("\n", "\r\n")}\n`)).toBe(pem);
  });

  it.each([
    ["of a server", certificate],
    ["twice", `${pem}${pem}`],
    ["cut off", pem.slice(0, 200)],
    ["with a private key", `${pem}${key}`],
    ["that is none", "/etc/site/ca.pem"],
  ])("%s is none", (_title, text) => {
    expect(caCertificate(text)).toBeUndefined();
  });
});

it("is said once, and reaches the system, the builders, the jobs and stock hosts", () => {
  expect(contentOf("/etc/bake/ca/1.crt")).toBe(pem);
  expect(contentOf("/etc/bake/ca.pem")).toBe(pem);
  expect(contentOf("/etc/bake/ca/2.crt")).toBe("");
  expect(contentOf("/etc/bake/agent.env")).toContain('NODE_EXTRA_CA_CERTS="/etc/bake/ca.pem"');
  expect(contentOf("/etc/bake/agent.env")).toContain('REQUESTS_CA_BUNDLE="/etc/bake/ca-bundle.pem"');
  for (const registry of ["docker.io", "quay.io"])
    expect(contentOf("/etc/bake/buildkitd.toml")).toContain(`[registry."${registry}"]\n"ca" = ["/etc/bake/ca.pem"]\n`);
  // Without one nothing is there.
  const without = render(planFor({ name: "2cards", profile: base })).files;
  expect(
    without.some(
      ({ path, content }) =>
        path.startsWith("node/etc/bake/ca") || (content.includes("ca.pem") && path.includes("etc/bake")),
    ),
  ).toBe(false);
});

needs("root").describe("provision.sh", () => {
  let workshop: Workshop;
  beforeAll(async () => {
    workshop = await openWorkshop();
  }, 60_000);
  afterAll(() => workshop.close());

  const check = String(plan.checks.find(({ id }) => id === "ca-certificates")?.resource[2]["exec"]);
  const after = `mkdir -p /etc/bake/ca; cp /var/tmp/bake/node/etc/bake/ca/1.crt /etc/bake/ca/
if sh -c ${JSON.stringify(check).replaceAll("$", "\\$")}; then echo trusted; fi
stat -L -c %a /etc/bake/ca-bundle.pem
rm -rf /var/tmp/bake/node/etc/bake/ca; BAKE_ARTIFACTS=none bash -c "$(sed '/^stage_base/,$d' /var/tmp/bake/provision.sh)
trust_authorities" provision /var/tmp/bake
grep -c . /etc/bake/ca-bundle.pem >/dev/null && ! grep -qxF "$(sed -n 3p /var/tmp/one.crt)" /etc/bake/ca-bundle.pem && echo gone`;
  const tree = { "var/tmp/bake/node/etc/bake/ca/1.crt": pem, "var/tmp/one.crt": pem };

  it("apt: update-ca-certificates has it in its bundle, for all to read; what is no longer wanted goes", async () => {
    const { code, output, answer } = await workshop.provision({
      manager: "apt-get",
      tree: { ...tree, "etc/ca-certificates.conf": "", "etc/ca-certificates/update.d/x/y": "" },
      after,
    });
    expect(code, output).toBe(0);
    expect(answer).toBe("trusted\n644\ngone\n");
  }, 300_000);

  it("dnf: update-ca-trust is given it before packages are asked for", async () => {
    const { code, output, answer } = await workshop.provision({
      manager: "dnf",
      tree,
      before: `mkdir -p /etc/pki/tls/certs
printf '%s\\n' '#!/bin/sh' '[ "$1" = extract ] && { echo of-the-system; cat /etc/pki/ca-trust/source/anchors/*.crt 2>/dev/null; } >/etc/pki/tls/certs/ca-bundle.crt; chmod 0444 /etc/pki/tls/certs/ca-bundle.crt' >/usr/bin/update-ca-trust
chmod 0755 /usr/bin/update-ca-trust`,
      after,
    });
    expect(code, output).toBe(0);
    expect(answer).toBe("trusted\n444\ngone\n");
  }, 300_000);
});

describe("bake's own downloads", () => {
  const server = createServer({ key, cert: certificate }, (_request, response) => response.end("hello\n"));
  let url = "";
  beforeAll(async () => {
    await new Promise<void>((done) => server.listen(0, "localhost", done));
    const address = server.address();
    url = `https://localhost:${typeof address === "object" && address !== null ? address.port : 0}/`;
  });
  afterAll(() => server.close());
  const host = (env: Record<string, string> = {}): Host => {
    const { signal } = new AbortController();
    return {
      ...system,
      run: runProcess(signal),
      env: env,
      cacheDir: folder,
      signal,
      progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
    };
  };

  it("trust it, and so do the commands that fetch", async () => {
    await expect(makeHttp({ env: host().env })(url)).rejects.toThrow(/certificate/);
    const trusted = await trusting(host(), [pem]);
    const { status, body } = await makeHttp({ env: trusted.env })(url);
    expect([status, await new Response(body as never).text()]).toEqual([200, "hello\n"]);
    const curl = ["--noproxy", "*", "-sS", url];
    expect((await host().run("curl", curl, { allowFailure: true })).stderr).toMatch(/certificate/);
    expect((await trusted.run("curl", curl)).stdout).toBe("hello\n");
  });

  it("beside those that SSL_CERT_FILE named before; a file that is not there is told", async () => {
    const other = readFileSync(certificatesFor("other.example").authority, "utf8");
    const trusted = await trusting(host({ SSL_CERT_FILE: authority }), [other]);
    expect((await makeHttp({ env: trusted.env })(url)).status).toBe(200);
    await expect(trusting(host({ SSL_CERT_FILE: "/nowhere" }), [other])).rejects.toMatchObject({ code: "BK219" });
    const same = host();
    expect(await trusting(same, [])).toBe(same);
  });
});
