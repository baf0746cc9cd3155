/** Profiles as they are loaded: `extends`, what rules read, how problems are told. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Diagnostic } from "../../src/profile/diagnostics.ts";
import { effectiveValues } from "../../src/profile/effective.ts";
import { loadProfile } from "../../src/profile/load.ts";
import { formatGithub } from "../../src/profile/report/github.ts";
import { formatSarif } from "../../src/profile/report/sarif.ts";
import { formatText } from "../../src/profile/report/text.ts";
import { rules } from "../../src/commands/rules.ts";
import { userDataSize } from "../../src/node/identity/login-keys-rule.ts";
import { userDataLimit } from "../../src/profile/user-data-limit.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { root } from "../../src/host/root.ts";
import { negativeCases, reportOf } from "../negative/reports.ts";
import { readProfile } from "../plan-of.ts";
import { profileTexts, withAt } from "../profile-texts.ts";

const negative = join(root, "test/negative");
const right = readFileSync(join(negative, "right.yaml"), "utf8");

/** Loads `profile.yaml` from texts in memory; `right.yaml` is among them. */
const load = (files: Readonly<Record<string, string>>) => {
  const all: Readonly<Record<string, string>> = { "right.yaml": right, ...files };
  return loadProfile(all["profile.yaml"] ?? "", "profile.yaml", { rules, read: (path) => all[path] });
};

const errors = (diagnostics: readonly Diagnostic[]): string[] =>
  diagnostics.map(({ code, message }) => `${code} ${message}`);

describe("extends", () => {
  test("maps merge, lists and single values replace, a key without a value takes away", () => {
    const { profile, diagnostics } = load({
      "profile.yaml":
        "extends: right.yaml\nagents: { spawn: 2, cards: 4 }\nnetwork: { gitProxy: ~, vpc: [10.0.0.0/8] }\nimages: [quay.io/example/one:1]\n",
    });
    expect(diagnostics).toEqual([]);
    expect(profile?.agents).toMatchObject({ version: "3.137.0", spawn: 2, cards: 4, queue: "ascend" });
    expect(profile?.network.pypiCache).toEqual({ host: "172.22.0.80", port: 30367 });
    expect(profile?.network.gitProxy).toBeUndefined();
    expect(profile?.network.vpc).toEqual(["10.0.0.0/8"]);
    expect(profile?.images).toEqual([{ image: "quay.io/example/one:1", from: "image" }]);
  });

  test("of forms that exclude each other the nearer one replaces", () => {
    const { profile } = load({
      "profile.yaml":
        "extends: right.yaml\nstorage: { disk: { adopt: LABEL=data } }\nsecrets: { agentToken: { env: AGENT } }\ntargets: { qemu: { base: { file: bases/own.qcow2 } } }\n",
    });
    expect(profile?.storage.disk).toEqual({ adopt: "LABEL=data" });
    expect(profile?.secrets.agentToken).toEqual({ env: "AGENT" });
    expect(profile?.targets.qemu?.base).toEqual({ file: "bases/own.qcow2" });
  });

  test("append and remove change a list, through a chain", () => {
    const { profile, diagnostics } = load({
      "profile.yaml":
        "extends: site.yaml\nimages: { append: [quay.io/example/three:1], remove: [quay.io/example/one:1] }\n",
      "site.yaml": "extends: right.yaml\nimages: { append: [quay.io/example/one:1, quay.io/example/two:1] }\n",
    });
    expect(diagnostics).toEqual([]);
    expect(profile?.images.slice(1).map(({ image }) => image)).toEqual([
      "quay.io/example/two:1",
      "quay.io/example/three:1",
    ]);
  });

  test("an image of the extended profile is taken from the mirror instead", () => {
    const { profile, diagnostics } = load({
      "profile.yaml":
        "extends: site.yaml\nimages: { remove: [quay.io/example/two:1], append: [ { image: quay.io/example/two:1, from: mirror } ] }\n",
      "site.yaml":
        "extends: right.yaml\nnetwork: { artifactMirror: http://10.0.0.9 }\nimages: [quay.io/example/one:1, quay.io/example/two:1]\n",
    });
    expect(diagnostics).toEqual([]);
    expect(profile?.images).toEqual([
      { image: "quay.io/example/one:1", from: "image" },
      { image: "quay.io/example/two:1", from: "mirror" },
    ]);
  });

  test("paths are meant from the file that names them", () => {
    const { profile } = load({
      "profile.yaml": "extends: sites/north/site.yaml\nsecrets: { gitToken: { file: tokens/git } }\n",
      "sites/north/site.yaml":
        "extends: ../../right.yaml\nsecrets: { agentToken: { file: token }, nodeKey: { file: /etc/key } }\n",
    });
    expect(profile?.secrets).toMatchObject({
      agentToken: { file: "sites/north/token" },
      gitToken: { file: "tokens/git" },
      nodeKey: { file: "/etc/key" },
    });
  });

  test("a name is a profile beside it, else bake's own", () => {
    const files: Readonly<Record<string, string>> = {
      "p/site.yaml": "extends: shared\n",
      "p/shared.yaml": right,
      "/own/shared.yaml": "nonsense: 1\n",
      "/own/right.yaml": right,
    };
    const of = (text: string) => loadProfile(text, "p/site.yaml", { rules, read: (path) => files[path], own: "/own" });
    expect(of("extends: shared\n").diagnostics).toEqual([]);
    expect(of("extends: right\n").diagnostics).toEqual([]);
    expect(of("extends: rihgt\n").diagnostics).toMatchObject([
      { code: "BK106", label: "looked at p/rihgt.yaml, p/rihgt.yml, /own/rihgt.yaml, /own/rihgt.yml" },
    ]);
  });

  test("every value says where it was set", () => {
    const { profile, tree } = load({ "profile.yaml": "extends: right.yaml\nagents:\n  spawn: 2\n" });
    const values = effectiveValues(profile as Profile, tree as NonNullable<typeof tree>);
    const of = (path: string) => values.find((each) => each.path === path);
    expect(of("agents.spawn")).toMatchObject({ value: 2, from: { file: "profile.yaml", line: 3, column: 10 } });
    expect(of("agents.queue")).toMatchObject({ value: "ascend", from: { file: "right.yaml" } });
    expect(of("agents.stopTimeout")).not.toHaveProperty("from");
    expect(of("images[0]")).toMatchObject({
      from: { file: "right.yaml" },
      description: expect.stringContaining("Docker") as string,
    });
    // As it is written, whatever its form: another profile can be made of it.
    expect(of("images[0]")?.value).toBe("quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12");
    const mirrored = load({
      "profile.yaml":
        "extends: right.yaml\nnetwork: { artifactMirror: http://10.0.0.9 }\nimages: [ { image: a/b:1, from: mirror }, { image: c/d:1 } ]\n",
    });
    expect(mirrored.profile?.images).toEqual([
      { image: "a/b:1", from: "mirror" },
      { image: "c/d:1", from: "image" },
    ]);
    const written = effectiveValues(mirrored.profile as Profile, mirrored.tree as NonNullable<typeof tree>)
      .filter(({ path }) => path.startsWith("images"))
      .map(({ path, value, from }) => [path, value, from?.column]);
    expect(written).toEqual([
      ["images[0].image", "a/b:1", 20],
      ["images[0].from", "mirror", 33],
      ["images[1].image", "c/d:1", 52],
      ["images[1].from", "image", undefined],
    ]);
  });
});

describe("twelve mistakes over two files", () => {
  const folder = join(negative, "twelve-mistakes");
  const files = Object.fromEntries(
    ["profile.yaml", "site.yaml"].map((name) => [name, readFileSync(join(folder, name), "utf8")]),
  );
  const planted = errors(load(files).diagnostics);

  test("are twelve problems, the profile's own first, in the order of lines", () => {
    expect(planted).toHaveLength(12);
    const { diagnostics } = load(files);
    expect(diagnostics.map(({ file, line }) => [file, line])).toEqual(
      diagnostics
        .map(({ file, line }) => [file, line] as const)
        .toSorted((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1)),
    );
  });

  test.each([
    ["profile.yaml", "spwan: 4", "spawn: 4", /unknown key "spwan"/],
    ["profile.yaml", "cards: 16", "cards: 2", /NPUs/],
    ["profile.yaml", "HF_TOKEN: pasted-by-hand", "HF_HOME: /mnt/hf", /HF_TOKEN/],
    ["profile.yaml", "cancel-grace-peroid", "cancel-grace-period", /cancel-grace-peroid/],
    ["profile.yaml", "queue: other", "rack: a7", /agents\.tags cannot set queue/],
    ["profile.yaml", "append: [quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12]", "append: []", /listed twice/],
    ["site.yaml", "/var/lib/docker", "/mnt/docker", /docker\.dataRoot/],
    ["site.yaml", "0.13.1", "0.20.0", /buildx 0\.13\.1/],
    ["site.yaml", "moby/buildkit:latest", "moby/buildkit:v0.19.0", /the tag latest/],
    ["site.yaml", "nmve", "nvme", /nmve/],
    ["site.yaml", "172.22.0.xx", "172.22.0.80", /placeholder/],
    ["site.yaml", "99999", "30367", /99999/],
  ])("%s: %s mended is one problem less", (file, wrong, mended, gone) => {
    const text = files[file] ?? "";
    expect(text).toContain(wrong);
    const left = errors(load({ ...files, [file]: text.replace(wrong, mended) }).diagnostics);
    expect(planted.filter((message) => !gone.test(message))).toHaveLength(11);
    expect(left).toEqual(planted.filter((message) => !gone.test(message)));
  });
});

test.each(profileTexts.map((text) => [text.path.join("."), text] as const))(
  "%s: a wrong value does not keep rules from looking at the rest",
  (_name, text) => {
    const profile = readProfile();
    // Of another shape, and beside it more NPUs than there are, which a rule finds.
    const wrong = withAt({ ...profile, agents: { ...profile.agents, spawn: 64 } }, text, text.key ? "not a name!" : []);
    const { diagnostics } = loadProfile(JSON.stringify(wrong), "profile.yaml", { rules });
    expect(
      errors(diagnostics).filter((each) => each.startsWith("BK119")),
      errors(diagnostics).join("\n"),
    ).toHaveLength(1);
  },
);

describe("rules", () => {
  const covers = (declared: string, path: string): boolean =>
    declared === path ||
    path.startsWith(`${declared}.`) ||
    path.startsWith(`${declared}[`) ||
    declared.startsWith(`${path}.`);

  /** A profile that notes which paths are read. */
  const recorded = (value: object, reads: Set<string>, path = ""): object =>
    new Proxy(value, {
      get: (target, key) => {
        const found: unknown = Reflect.get(target, key);
        if (typeof key !== "string" || (Array.isArray(target) && !/^\d+$/.test(key)) || !Object.hasOwn(target, key))
          return found;
        const below = Array.isArray(target) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
        reads.add(below);
        return typeof found === "object" && found !== null ? recorded(found, reads, below) : found;
      },
    });

  test.each(rules.filter(({ reads }) => Array.isArray(reads)).map((rule) => [rule.code, rule] as const))(
    "%s reads what it says it reads",
    (_code, rule) => {
      const reads = new Set<string>();
      const everything = load({
        "profile.yaml":
          "extends: right.yaml\nnetwork: { vpc: [10.0.0.0/8], httpProxy: { url: http://p:1 }, metadata: { exceptUsers: [a] } }\nsecrets: { nodeKey: { env: K }, proxyCredentials: { env: P }, basePassword: { env: B } }\nagents: { tags: { a: b }, settings: { priority: 1 }, environment: { A: b }, endpoint: https://a.example/v3 }\nbuilders: { maxCacheSize: 5 }\n",
      }).profile as Profile;
      Array.from(rule.find(recorded(everything, reads) as Profile));
      expect(reads.size).toBeGreaterThan(0);
      const declared = (rule.reads as readonly string[]).map((path) => path.replace("{}", ""));
      expect([...reads].filter((path) => !declared.some((each) => covers(each, path)))).toEqual([]);
      expect(
        declared.filter((each) => ![...reads].some((path) => covers(each, path) && path.length >= each.length)),
      ).toEqual([]);
    },
  );

  test("each has a case that shows it", () => {
    const shown = new Set(negativeCases.flatMap((name) => reportOf(name).codes));
    expect(rules.map(({ code }) => code).filter((code) => !shown.has(code))).toEqual([]);
  });
});

describe("reports", () => {
  const { diagnostics, texts } = load({
    "profile.yaml": "extends: site,1.yaml\nagents: { queue: 50% off }\n",
    "site,1.yaml": "extends: right.yaml\nsecrets: { agentToken: bkct_EXAMPLE00000000 }\n",
  });

  test("GitHub: one command a problem, with what it separates by escaped", () => {
    expect(diagnostics.map(formatGithub)).toEqual([
      '::error file=profile.yaml,line=2,col=18,endColumn=25,title=BK102::agents.queue cannot be "50%25 off": expected a queue name of letters, digits, `.`, `_` and `-`%0Ahelp: for example: queue: ascend',
      "::error file=site%2C1.yaml,line=2,col=24,endColumn=44,title=BK102::secrets.agentToken cannot be a value that is not shown: expected { file: … }, { env: … } or { csms: … }%0Aextended here: profile.yaml:1:10",
    ]);
  });

  test("SARIF: rules, places, and who extended the file", () => {
    const log = JSON.parse(formatSarif(diagnostics, "1.2.3")) as { runs: { tool: unknown; results: unknown[] }[] };
    expect(log.runs[0]?.tool).toMatchObject({
      driver: {
        name: "bake",
        version: "1.2.3",
        rules: [{ id: "BK102", shortDescription: { text: expect.any(String) as string } }],
      },
    });
    expect(log.runs[0]?.results[1]).toMatchObject({
      ruleId: "BK102",
      level: "error",
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: "site,1.yaml" },
            region: { startLine: 2, startColumn: 24, endColumn: 44 },
          },
        },
      ],
      relatedLocations: [{ physicalLocation: { artifactLocation: { uri: "profile.yaml" }, region: { startLine: 1 } } }],
    });
  });

  test("secrets in places where nobody looks for them are in no report", () => {
    const text = readFileSync(join(negative, "leaks/profile.yaml"), "utf8").replace("../right.yaml", "right.yaml");
    const loaded = load({ "profile.yaml": text });
    expect(loaded.diagnostics.length).toBeGreaterThan(10);
    const all = [
      ...loaded.diagnostics.map((each) => formatText(each, loaded.texts.get(each.file), false)),
      ...loaded.diagnostics.map(formatGithub),
      formatSarif(loaded.diagnostics, "1"),
      JSON.stringify(loaded.diagnostics),
    ].join("\n");
    expect(all).not.toContain("EXAMPLE");
    expect(all).not.toContain("RVhBTVBMRTAwMDA");
    expect(all).not.toContain("99999999");
  });

  test.each([
    "secrets: { gitToken: !EXAMPLEtag }",
    "secrets: { gitToken: &EXAMPLEanchor x }",
    "secrets: { gitToken: { file: !EXAMPLEtag x } }",
    "secrets: { gitToken: { file: EXAMPLE0123456789EXAMPLE0123456789 } }",
    "x: &t { value: EXAMPLE }\nsecrets: { gitToken: *t }",
    "agents: { environment: { HF_TOKEN: !EXAMPLEtag } }",
    "agents: { environment: { HF_TOKEN: { value: EXAMPLE } } }",
    "agents:\n  environment:\n    HF_TOKEN: EXAMPLE: EXAMPLE",
    'agents:\n  environment:\n    HF_TOKEN: "EXAMPLE"EXAMPLE',
    "network: { httpProxy: { url: http://bob:1234/EXAMPLE@proxy:3128 } }",
    "network: { httpProxy: { url: http://:EXAMPLE@proxy:3128 } }",
    "network: { httpProxy: { url: http://bob:hun EXAMPLE@proxy:3128 } }",
    "network: { httpProxy: { url: http://EXAMPLE@proxy:3128 } }",
    "network: { gitProxy: { via: https://EXAMPLE@proxy/https://github.com } }",
    "extends: https://bob:EXAMPLE@git.example/site.yaml",
  ])("nor is what stands in: %s", (line) => {
    const { diagnostics: found, texts: shown } = load({
      "profile.yaml": line.startsWith("extends") ? line : `extends: right.yaml\n${line}\n`,
    });
    expect(found.length).toBeGreaterThan(0);
    const all = [
      ...found.map((each) => formatText(each, shown.get(each.file), false)),
      JSON.stringify(found),
      formatSarif(found, "1"),
    ].join("\n");
    expect(all).not.toContain("EXAMPLE");
  });

  test("a token in a URL is refused, whatever its shape", () => {
    for (const url of [
      "https://EXAMPLE@proxy.example/https://github.com/",
      "http://:EXAMPLE@proxy.example/https://github.com/",
    ]) {
      const { diagnostics: found } = load({
        "profile.yaml": `extends: right.yaml\nnetwork: { gitProxy: { via: "${url}" } }\n`,
      });
      expect(errors(found)).toEqual(["BK118 network.gitProxy.via holds a secret"]);
    }
  });

  test.each([
    "storage: { mount: /mnt, uuid: 7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e002 }\ndocker: { dataRoot: /mnt/bkup_data }",
    'agents: { environment: { A: "--env MAX_TOKEN=4096", B: "mailto:ops@example.com", C: "http://host:8080?x=ops@example.com", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" } }',
    'agents: { environment: { LD_LIBRARY_PATH: "/usr/local/Ascend/driver/lib64:/opt/Ascend/nnal/atb/latest/atb/cxx0/lib", COLOR: "#ff0000" } }',
    "agents: { environment: { BUILDKITE_S3_DEFAULT_REGION: cn-north-4, BUILDKITE_ARTIFACT_UPLOAD_DESTINATION: s3://x } }",
    "storage: { disk: { adopt: LABEL=data }, minFree: 150 }",
    "network: { httpProxy: { url: http://proxy.example:3128, except: [.example.com, host, 10.0.0.1] } }",
  ])("no false alarm: %s", (lines) => {
    expect(errors(load({ "profile.yaml": `extends: right.yaml\n${lines}\n` }).diagnostics)).toEqual([]);
  });

  test.each([
    "constructor: foo",
    "docker: { toString: foo }",
    "secrets: { agentToken: { constructor: foo } }",
    "agents: { settings: { __proto__: x } }",
    "agents: { environment: { __proto__: x } }",
    "agents: { spawn: .inf }",
    "network: { valueOf: { hasOwnProperty: 1 } }",
  ])("a key that every object has is no key of a profile: %s", (line) => {
    expect(load({ "profile.yaml": `extends: right.yaml\n${line}\n` }).diagnostics.length).toBeGreaterThan(0);
  });

  test("a pasted secret is in none of them", () => {
    const all = [
      ...diagnostics.map((each) => formatText(each, texts.get(each.file), true)),
      ...diagnostics.map(formatGithub),
      formatSarif(diagnostics, "1"),
      JSON.stringify(diagnostics),
      ...texts.values(),
    ].join("\n");
    expect(all).not.toContain("EXAMPLE0000");
  });

  test("a long line is shown around the place", () => {
    const long = `agents: { environment: { ${Array.from({ length: 400 }, (_, index) => `A${index}: "x"`).join(", ")} }, queue: "?" }`;
    const loaded = load({ "profile.yaml": `extends: right.yaml\n${long}\n` });
    const [first] = loaded.diagnostics;
    const frame = formatText(first as Diagnostic, loaded.texts.get("profile.yaml"), false).split("\n");
    expect(frame[3]?.length).toBeLessThan(200);
    expect(frame[3]?.slice(frame[4]?.indexOf("^"))).toMatch(/^"\?" }/);
  });

  test("secrets of a profile that is no YAML are not shown either", () => {
    for (const text of [
      "secrets:\n  agentToken: not-by-shape-0001\n  : [\n",
      "secrets: { agentToken: not-by-shape-0001, gitToken: not-by-shape-0001 \n",
      "secrets:\n  agentToken: not-by-shape-0001: x\n",
      'secrets:\n  agentToken: "not-by-shape-0001\n',
      "secrets:\n  agentToken: *not-by-shape-0001\n",
      "secrets:\n  agentToken: |\n  not-by-shape-0001\n",
      "secrets:\n  agentToken:\n    - not-by-shape-0001\n",
      "secrets:\n\tagentToken: not-by-shape-0001\n",
    ]) {
      const loaded = load({ "profile.yaml": text });
      expect(loaded.diagnostics.length).toBeGreaterThan(0);
      const report = loaded.diagnostics.map((each) => formatText(each, loaded.texts.get(each.file), false)).join("\n");
      expect(report, text).not.toContain("not-by-shape-0001");
      expect(JSON.stringify(loaded.diagnostics), text).not.toContain("not-by-shape-0001");
    }
  });
});

describe("the setting that is wrong", () => {
  const paths = (files: Readonly<Record<string, string>>) =>
    load(files).diagnostics.map(({ code, path }) => [code, path]);

  test("is told beside the words: by its shape, by a rule, by a key that nobody knows", () => {
    expect(
      paths({
        "profile.yaml":
          "extends: right.yaml\nagents: { spawn: many, spwan: 1 }\ndocker: { version: 25.0.4 }\nimages: [a]\n",
      }),
    ).toEqual([
      ["BK102", "agents.spawn"],
      ["BK103", "agents.spwan"],
      ["BK112", "docker.version"],
      ["BK102", "images[0]"],
    ]);
    // None where the text as a whole is wrong.
    expect(paths({ "profile.yaml": "a: [\n" })).toEqual([["BK101", undefined]]);
  });

  test("holds no secret, when somebody wrote one as a key", () => {
    const folder = join(negative, "leaks");
    const text = readFileSync(join(folder, "profile.yaml"), "utf8").replace("../right", "right");
    const { diagnostics } = load({ "profile.yaml": text });
    expect(diagnostics.length).toBeGreaterThan(10);
    expect(JSON.stringify(diagnostics)).not.toContain("EXAMPLE");
  });
});

test.each([
  ["at the limit", 0, []],
  ["a byte above it", 1, ["BK133"]],
])("user-data %s of what the cloud takes", (_, more, codes) => {
  const profile = readProfile();
  const rest = 3000;
  // Each key stands in a line of its own.
  const key = "k".repeat(userDataLimit - rest - 9 + more);
  const found = [...userDataSize.find({ ...profile, ssh: { ...profile.ssh, operatorKeys: [key] } })];
  expect(found.map(() => userDataSize.code)).toEqual(codes);
});
