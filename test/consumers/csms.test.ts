/** bake-csms as it is rendered, against an emulated metadata service and an emulated CSMS, which checks signatures by itself. */
import { spawn } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { planFor } from "../../src/commands/plan.ts";
import { instanceUserData } from "../../src/render/tree.ts";
import { cloudConfigProblems } from "../cloud-config-schema.ts";
import { needs } from "../needs.ts";
import { loadTemplates, readProfile, render } from "../plan-of.ts";
import { verifyUnits } from "../systemd-verify.ts";

const name = "buildkite-agent-token";
const planWith = (agentToken: { csms: string; field?: string; region?: string }, version = "3.137.0") => {
  const profile = readProfile();
  return planFor({
    name: "2cards",
    profile: { ...profile, agents: { ...profile.agents, version }, secrets: { agentToken } },
  });
};
const plan = planWith({ csms: name });
const { files, nodeFiles } = render(plan);
const nodeFile = (path: string, of = nodeFiles): string =>
  of.find((file) => file.path === path)?.content ?? expect.fail(path);

const project = "0123456789abcdef0123456789abcdef";
const access = "TEMPORARYACCESS";
const secret = "temporary-secret-key";
const securityToken = "temporary-security-token";
const token = "bkct_FromCsms.123";
const hidden = [secret, securityToken, token];

let folder = "";
let server: Server;
let port = 0;
/** What the emulator answers, by path without the query; a list is answered one after the other, the last again and again. */
let answers: Record<string, readonly [status: number, body: unknown, headers?: Record<string, string>][]>;
let asked: string[];
let wrong: string[];

const at = (path: string): string => join(folder, path);
const csmsPath = `/v1/${project}/secrets/${name}/versions/latest`;
const version = (value: unknown): [number, unknown] => [200, { version: { secret_string: value } }];

/** Computed here from the request as it came. */
const isSigned = ({ method = "", url = "", headers }: IncomingMessage): boolean => {
  const [, key, names = "", signature] =
    /^SDK-HMAC-SHA256 Access=(\S+), SignedHeaders=(\S+), Signature=(\S+)$/.exec(headers.authorization ?? "") ?? [];
  const canonical = [
    method,
    `${url}/`,
    "",
    ...names.split(";").map((each) => `${each}:${String(headers[each])}`),
    "",
    names,
    createHash("sha256").update("").digest("hex"),
  ].join("\n");
  const date = String(headers["x-sdk-date"]);
  const text = ["SDK-HMAC-SHA256", date, createHash("sha256").update(canonical).digest("hex")].join("\n");
  return (
    key === access &&
    names === "host;x-sdk-date;x-security-token" &&
    headers["x-security-token"] === securityToken &&
    signature === createHmac("sha256", secret).update(text).digest("hex")
  );
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-csms-"));
  for (const path of ["etc/bake/secrets", "run/bake", "var/lib/bake", "bin"]) mkdirSync(at(path), { recursive: true });
  asked = [];
  wrong = [];
  answers = {
    "/openstack/latest/meta_data.json": [[200, { project_id: project, region_id: "cn-north-4" }]],
    "/openstack/latest/securitykey": [[200, { credential: { access, secret, securitytoken: securityToken } }]],
    [csmsPath]: [version(token)],
  };
  server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push(path);
    if (path.startsWith("/v1/") && !isSigned(request)) wrong.push(path);
    const [first, ...rest] = answers[path] ?? [[404, "not here"]];
    if (rest.length > 0) answers[path] = rest;
    const [status, body, headers = {}] = first ?? [404, ""];
    response.writeHead(status, headers);
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
  // What closes the metadata service: notes whether the token was there by then.
  writeFileSync(
    at("bin/systemctl"),
    `#!/bin/sh\necho "$* token=$([ -e ${at("etc/bake/secrets/agent-token")} ] && echo there || echo absent)" >>${at("systemctl.log")}\n[ ! -e ${at("cannot-close")} ]\n`,
    { mode: 0o755 },
  );
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  rmSync(folder, { recursive: true, force: true });
});

const fromEnv = (text: string): Record<string, string> =>
  Object.fromEntries([...text.matchAll(/^([A-Z_]+)="?(.*?)"?$/gm)].map(([, key = "", value = ""]) => [key, value]));

interface Run {
  readonly code: number | null;
  readonly output: string;
}

/** The rendered script below another root, with short pauses; stopped once it says `until`. */
const start = (
  command: string,
  { of = nodeFiles, until, settings = {} }: { of?: typeof nodeFiles; until?: RegExp; settings?: object } = {},
): Promise<Run> => {
  const script = nodeFile("/opt/bake/bin/bake-csms", of)
    .replaceAll('"/run/bake', `"${at("run/bake")}`)
    .replaceAll('"/var/lib/bake', `"${at("var/lib/bake")}`)
    .replace("/usr/bin/systemctl", at("bin/systemctl"))
    .replace("PAUSE = 20", "PAUSE = 0.2");
  writeFileSync(at("bake-csms"), script, { mode: 0o755 });
  const variables = { ...fromEnv(nodeFile("/etc/bake/csms.env", of)), ...fromEnv(nodeFile("/etc/bake/token.env", of)) };
  const child = spawn(at("bake-csms"), [command], {
    env: {
      PATH: "/usr/bin:/bin",
      // The metadata service is asked directly, whatever proxy there is.
      http_proxy: "http://127.0.0.1:1",
      no_proxy: "127.0.0.1",
      ...variables,
      TOKEN_PATH: at(variables["TOKEN_PATH"] ?? ""),
      CSMS_METADATA: `http://127.0.0.1:${port}`,
      CSMS_ENDPOINT: `http://127.0.0.1:${port}`,
      ...settings,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      output += data.toString();
      // A moment for what it writes after it has said so.
      if (until?.test(output)) setTimeout(() => child.kill("SIGTERM"), 500);
    });
  }
  return new Promise((done) => child.on("close", (code) => done({ code, output })));
};

/** What `prepare` leaves where there was no token. */
const pending = (): void => writeFileSync(at("run/bake/csms-pending"), "");

const tokenFile = "etc/bake/secrets/agent-token";
const read = (path: string): string => readFileSync(at(path), "utf8");
const modeOf = (path: string): string => (statSync(at(path)).mode & 0o777).toString(8);
/** Neither said nor kept anywhere but in its file. */
const expectSecrecy = ({ output }: Run): void => {
  for (const each of hidden) expect(output).not.toContain(each);
  if (existsSync(at("run/bake/token-refused"))) {
    for (const each of hidden) expect(read("run/bake/token-refused")).not.toContain(each);
  }
};

test("the token is fetched through the agency, with a signature that CSMS takes, into a file for root alone", async () => {
  expect(await start("prepare")).toEqual({ code: 0, output: "" });
  expect(existsSync(at("run/bake/csms-pending"))).toBe(true);
  const run = await start("fetch");
  expect(run).toEqual({ code: 0, output: `bake-csms: the agent token is that of secret ${name}\n` });
  expect(wrong).toEqual([]);
  expect(asked).toEqual(["/openstack/latest/meta_data.json", "/openstack/latest/securitykey", csmsPath]);
  expect(read(tokenFile)).toBe(`${token}\n`);
  expect(modeOf(tokenFile)).toBe("600");
  expect(modeOf("var/lib/bake/csms-token")).toBe("600");
  expect(existsSync(at("run/bake/csms-pending"))).toBe(false);
  // The boot closes the metadata service in its own order.
  expect(existsSync(at("systemctl.log"))).toBe(false);
});

test("for an agent that reads no files it lies in the same place", async () => {
  const { nodeFiles: older } = render(planWith({ csms: name, field: "token" }, "3.120.0"));
  answers[csmsPath] = [version(JSON.stringify({ token, other: "x" }))];
  pending();
  expect((await start("fetch", { of: older })).code).toBe(0);
  expect(read(tokenFile)).toBe(`${token}\n`);
});

describe("why there is none is told in words, and it is tried again", () => {
  const noAgency = [[401, "Please configure Cloud Service Agency first"]] as [number, unknown][];
  test.each<[string, Record<string, [number, unknown, Record<string, string>?][]>, RegExp]>([
    [
      "no agency",
      { "/openstack/latest/securitykey": noAgency },
      /no agency: this server has none .*answered 401.*csms:secretVersion:get and kms:cmk:decryptDataKey/,
    ],
    ["an agency without credentials", { "/openstack/latest/securitykey": [[200, {}]] }, /no agency: /],
    [
      "not allowed",
      { [csmsPath]: [[403, { error_code: "CSMS.0403", error_msg: "Access denied" }]] },
      /not allowed: the agency may not read secret buildkite-agent-token.*CSMS answered 403 CSMS\.0403 Access denied/,
    ],
    [
      "a signature that is refused",
      { [csmsPath]: [[401, { error_code: "APIGW.0301", error_msg: "Incorrect IAM authentication\n\u001b[31m" }]] },
      /not allowed: CSMS answered 401 APIGW\.0301 Incorrect IAM authentication \[31m; the clock of this server says \d{4}-/,
    ],
    [
      "another name",
      { [csmsPath]: [[404, { error_code: "CSMS.0404", error_msg: "Secret not found" }]] },
      /unknown: there is no secret buildkite-agent-token in project 0123/,
    ],
    ["CSMS out of order", { [csmsPath]: [[503, "<html><b>busy</b></html>"]] }, /CSMS answered 503 busy/],
    ["a redirect, which is not followed", { [csmsPath]: [[302, "", { location: "/elsewhere" }]] }, /CSMS answered 302/],
    ["a value that is no token", { [csmsPath]: [version("two words")] }, /secret buildkite-agent-token is no token/],
    ["a value of no text", { [csmsPath]: [version(null)] }, /holds no text/],
    ["no answer of CSMS", { [csmsPath]: [[200, "not json"]] }, /something else than a version/],
    ["no project", { "/openstack/latest/meta_data.json": [[404, ""]] }, /names no project of this server/],
  ])("%s", async (_title, changes, expected) => {
    const [path = "", first = []] = Object.entries(changes)[0] ?? [];
    // Twice, and then it is right.
    const right = answers[path] ?? [];
    answers[path] = [...first, ...first, ...right];
    pending();
    const before = await start("fetch");
    expect(before.code).toBe(0);
    expect(before.output).toMatch(expected);
    // Once for the same reason, in ASCII.
    expect(before.output.match(/no agent token/g)).toHaveLength(1);
    expect(before.output).toMatch(/^[\x20-\x7e\n]*$/);
    expect(read(tokenFile)).toBe(`${token}\n`);
    expect(existsSync(at("run/bake/token-refused"))).toBe(false);
    expect(asked).not.toContain("/elsewhere");
    expectSecrecy(before);
  });

  test("while it lasts, the node's status has the words", async () => {
    answers[csmsPath] = [[403, { error_msg: "Access denied" }]];
    pending();
    const run = await start("fetch", { until: /no agent token/ });
    expect(run.code).toBeNull();
    expect(read("run/bake/token-refused")).toMatch(
      /^CSMS gives none: not allowed: the agency may not read secret .*\n$/,
    );
    // bake-status reads it, whoever calls it.
    expect(modeOf("run/bake/token-refused")).toBe("644");
    expect(existsSync(at(tokenFile))).toBe(false);
    expect(existsSync(at("run/bake/csms-pending"))).toBe(true);
    expectSecrecy(run);
  });

  test.each([
    ["the metadata service", { CSMS_METADATA: "http://127.0.0.1:1" }, /no network: the metadata service at/],
    ["CSMS", { CSMS_ENDPOINT: "https://kms.bake.invalid" }, /no network: https:\/\/kms\.bake\.invalid does not answer/],
  ])("no way to %s", async (_title, settings, expected) => {
    pending();
    const run = await start("fetch", { settings, until: /no agent token/ });
    expect(run.output).toMatch(expected);
    expectSecrecy(run);
  });
});

test("a metadata service that wants a token of its own gets one", async () => {
  answers["/openstack/latest/meta_data.json"] = [
    [401, ""],
    [200, { project_id: project, availability_zone: "cn-north-4a" }],
  ];
  answers["/meta-data/latest/api/token"] = [[200, "metadata-token"]];
  pending();
  expect((await start("fetch")).code).toBe(0);
  expect(asked.slice(0, 3)).toEqual([
    "/openstack/latest/meta_data.json",
    "/meta-data/latest/api/token",
    "/openstack/latest/meta_data.json",
  ]);
});

describe("a token of an earlier boot", () => {
  const earlier = async (): Promise<void> => {
    answers[csmsPath] = [version("bkct_earlier")];
    pending();
    await start("fetch");
    expect(read(tokenFile)).toBe("bkct_earlier\n");
    await start("prepare");
    // Not before CSMS was asked: the metadata service is open until then.
    expect(existsSync(at(tokenFile))).toBe(false);
  };

  test("gives way to the newer one", async () => {
    await earlier();
    answers[csmsPath] = [version(token)];
    expect((await start("fetch")).code).toBe(0);
    expect(read(tokenFile)).toBe(`${token}\n`);
    expect(existsSync(at(`${tokenFile}.kept`))).toBe(false);
  });

  test("is taken when CSMS does not answer three times", async () => {
    await earlier();
    answers[csmsPath] = [[503, ""]];
    const run = await start("fetch");
    expect(run.code).toBe(0);
    expect(run.output).toContain("the token of an earlier boot is taken: CSMS gives none (CSMS answered 503");
    expect(read(tokenFile)).toBe("bkct_earlier\n");
    expect(existsSync(at("run/bake/csms-pending"))).toBe(false);
    expect(existsSync(at("run/bake/token-refused"))).toBe(false);
  });
});

test("a token that user-data or bake-token put there stays, and CSMS is not asked", async () => {
  writeFileSync(at(tokenFile), "bkct_by_hand\n");
  expect((await start("prepare")).output).toContain("by user-data or bake-token: it stays");
  expect(await start("fetch")).toEqual({ code: 0, output: "" });
  expect(read(tokenFile)).toBe("bkct_by_hand\n");
  expect(asked).toEqual([]);
  expect(existsSync(at("run/bake/csms-pending"))).toBe(false);
});

test("after the boot the metadata service is closed before the token is there, and without that there is none", async () => {
  // While the data disk is filled the boot is not over, and closes it in its own order.
  writeFileSync(at("run/bake/status.json"), '{\n"ready": false,\n"run": "seeding",\n}\n');
  writeFileSync(at("cannot-close"), "");
  pending();
  expect((await start("fetch")).code).toBe(0);
  rmSync(at(tokenFile));
  writeFileSync(at("run/bake/status.json"), '{\n"ready": true,\n"checkedAt": "2026-01-01T00:00:00Z",\n}\n');
  writeFileSync(at("cannot-close"), "");
  pending();
  const stuck = await start("fetch", { until: /no agent token/ });
  expect(stuck.output).toContain("the metadata service could not be closed");
  expect(existsSync(at(tokenFile))).toBe(false);
  rmSync(at("cannot-close"));
  expect((await start("fetch")).code).toBe(0);
  expect(read("systemctl.log").split("\n").at(-2)).toBe("start bake-metadata.service token=absent");
  expect(read(tokenFile)).toBe(`${token}\n`);
});

describe("what is rendered", () => {
  test("the script compiles for Python 3.6, and the units are right", () => {
    const script = nodeFile("/opt/bake/bin/bake-csms");
    // Newer forms than SP8's Python 3.7 knows.
    expect(script).not.toMatch(/:=|f"|f'|removeprefix|^ *match /m);
    const units = nodeFiles
      .filter(({ path }) => path.startsWith("/etc/systemd/system/"))
      .map(({ path, content }) => ({ name: path.split("/").at(-1) ?? "", content }));
    expect(units.map((unit) => unit.name)).toContain("bake-csms.service");
    expect(verifyUnits(units)).toBe("");
    expect(nodeFile("/etc/systemd/system/bake-metadata.service")).toContain(
      "ConditionPathExists=!/run/bake/csms-pending",
    );
  });

  test("the profile's region and name reach the node, and allowlist.md has the host", () => {
    const other = render(planWith({ csms: name, region: "ap-southeast-1" }));
    expect(fromEnv(nodeFile("/etc/bake/csms.env", other.nodeFiles))).toMatchObject({
      CSMS_NAME: name,
      CSMS_ENDPOINT: "https://kms.ap-southeast-1.myhuaweicloud.com",
      CSMS_METADATA: "http://169.254.169.254",
    });
    expect(other.files.find(({ path }) => path === "allowlist.md")?.content).toContain(
      "kms.ap-southeast-1.myhuaweicloud.com",
    );
  });

  test("other profiles have nothing of it", () => {
    const none = render(planFor({ name: "2cards", profile: readProfile() }));
    expect(none.nodeFiles.filter(({ path }) => path.includes("csms"))).toEqual([]);
  });

  needs("cloud-init's schema").test("user-data brings no token, and takes one for a node without an agency", () => {
    const golden = files.find(({ path }) => path === "user-data/golden.yaml")?.content ?? "";
    expect(golden).not.toContain("agentToken");
    expect(golden).toContain("It holds no secrets: the node fetches its own.");
    expect(parse(golden)).not.toHaveProperty("write_files");
    expect(cloudConfigProblems(parse(golden))).toBe("");
    const given = instanceUserData(plan, loadTemplates(plan), {
      agentToken: "bkct_given",
      authorizedKeys: [],
      environment: {},
    });
    expect(parse(given)).toMatchObject({ write_files: [{ path: `/${tokenFile}`, content: "bkct_given\n" }] });
  });
});
