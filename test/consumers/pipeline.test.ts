/** Who reads the pipeline: Buildkite's own schema, its agent, which replaces variables, and the shell that runs its commands. */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Ajv } from "ajv";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as YAML from "yaml";
import type { PipelineFile } from "../../src/buildkite/pipeline.ts";
import { toYaml } from "../../src/formats/yaml.ts";
import { exampleProfiles, examplePipeline } from "../buildkite/example.ts";
import { hostileStrings } from "../hostile.ts";
import { needs, toolPath } from "../needs.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-pipeline-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** In all ways that change its form. */
const pipelines: readonly PipelineFile[] = [
  examplePipeline(),
  examplePipeline({ verifyPipeline: "smoke-test", flavor: "a flavor's $name" }),
  examplePipeline({}, []),
];

needs("Buildkite's schema of pipelines").test("Buildkite's schema accepts it, as YAML and as JSON", () => {
  const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
  const schema = JSON.parse(readFileSync(toolPath("Buildkite's schema of pipelines"), "utf8")) as object;
  const validate = ajv.compile(schema);
  for (const pipeline of pipelines) {
    for (const form of [YAML.parse(toYaml(pipeline)), JSON.parse(JSON.stringify(pipeline))]) {
      validate(form);
      expect(validate.errors).toBeNull();
      expect(form).toEqual(JSON.parse(JSON.stringify(pipeline)));
    }
  }
  // The schema is one that sees mistakes.
  const wrong = { steps: [{ ...pipelines[0]?.steps[0], comand: "x" }] };
  expect(validate(wrong)).toBe(false);
});

interface Uploaded {
  readonly steps: readonly { readonly key: string; readonly command?: string }[];
}

/** What Buildkite would get: the agent has replaced variables, and made one text of a step's commands. */
const uploaded = (pipeline: PipelineFile): Uploaded => {
  const output = execFileSync(toolPath("buildkite-agent"), ["pipeline", "upload", "--dry-run", "--no-color"], {
    input: toYaml(pipeline),
    env: { PATH: process.env["PATH"] ?? "", HOME: folder, BUILDKITE_BUILD_NUMBER: "77", image: "WRONG", node: "WRONG" },
    stdio: ["pipe", "pipe", "ignore"],
    encoding: "utf8",
  });
  return JSON.parse(output) as Uploaded;
};

const commandOf = ({ steps }: Uploaded, key: string): string => {
  const command = steps.find((each) => each.key === key)?.command;
  if (command === undefined) throw new Error(`no command of ${key}`);
  return command;
};

needs("buildkite-agent").test(
  "the agent replaces the build's number alone; every dollar of a command reaches the shell",
  () => {
    for (const pipeline of pipelines) {
      const text = JSON.stringify(uploaded(pipeline));
      expect(text).toBe(JSON.stringify(uploaded(pipeline)));
      expect(text).not.toContain("WRONG");
      expect(text).not.toContain("$$");
      expect(text).toContain('bake-canary-2cards\'-\\"$BUILDKITE_BUILD_NUMBER\\"');
    }
    expect(JSON.stringify(uploaded(examplePipeline({ verifyPipeline: "smoke" })))).toContain("that build 77 made");
  },
);

/** Runs the commands of a step as the agent does, with a bake and an agent that write down what they are called with. */
const run = (command: string): { status: number | null; calls: string[][] } => {
  const bin = join(folder, "bin");
  const log = join(folder, "calls");
  mkdirSync(bin, { recursive: true });
  rmSync(log, { force: true });
  for (const name of ["bake", "buildkite-agent", "docker", "sleep"]) {
    const file = join(bin, name);
    writeFileSync(
      file,
      `#!/bin/bash\nprintf '%s\\0' ${name} "$@" >> ${log}\nprintf '\\n\\0' >> ${log}\n[ "$2" != get ] || echo IMAGE\n`,
    );
    chmodSync(file, 0o755);
  }
  const { status } = spawnSync("/bin/bash", ["-e", "-c", command], {
    cwd: folder,
    env: { PATH: `${bin}:${process.env["PATH"]}`, BUILDKITE_BUILD_NUMBER: "77", BUILDKITE_AGENT_NAME: "a" },
  });
  const text = existsSync(log) ? readFileSync(log, "utf8") : "";
  const calls = text
    .split("\n\0")
    .filter((each) => each !== "")
    .map((each) => each.split("\0").slice(0, -1));
  return { status, calls };
};

needs("buildkite-agent").test("the shell calls bake as it is meant, for hostile targets and paths too", () => {
  const values = [...hostileStrings(25), "a=$HOME", "a=\\$HOME", "a='$(id)'", 'a="`id`"', "a=\\\\$$x", "a=b c;d&e|f>g"]
    .map((text) => text.replace(/[\0\r\n]|\{\{/g, ""))
    .filter((text) => text.trim() !== "");
  const [one] = exampleProfiles;
  if (one === undefined) throw new Error("no example");
  // One pipeline has them all: the agent and the shell take their time to start.
  const profiles = values.map((file, at) => ({ ...one, name: `p${at}`, file, record: file, to: undefined }));
  const made = uploaded(
    examplePipeline(
      { profiles, flavor: "a\\$b 'c'" },
      values.map((value, at) => `p${at}:tag=${value}`),
    ),
  );
  const steps = values.flatMap((_, at) => ["canary", "rollout", "promote"].map((part) => `${part}-p${at}`));
  const { status, calls } = run(steps.map((key) => `( ${commandOf(made, key)}\n)`).join("\n"));
  expect(status).toBe(0);
  expect(calls.filter(([name]) => name === "bake")).toEqual(
    values.flatMap((value, at) => [
      [
        ...["bake", "ecs", "create", "--profile", value, "--image", "IMAGE", "--name", `bake-canary-p${at}-77`],
        ...["--flavor", "a\\$b 'c'", "--yes"],
      ],
      [
        ...["bake", "rollout", "run", "--profile", value, "--rollout", `build-77-${one.bakeId.slice(0, 10)}`],
        ...["--image", "IMAGE", "--to", `tag=${value}`, "--yes"],
      ],
      ["bake", "catalog", "promote", "IMAGE", "--profile", value, "--verified", "--yes"],
    ]),
  );
});

needs("buildkite-agent").test(
  "the bake hands over the image of its record; a rollout goes on with its own journal alone",
  () => {
    const made = uploaded(examplePipeline());
    expect(run(commandOf(made, "bake-2cards")).status).not.toBe(0);
    mkdirSync(join(folder, "out/2cards-huaweicloud"), { recursive: true });
    writeFileSync(
      join(folder, "out/2cards-huaweicloud/image.json"),
      `${JSON.stringify({ bakeId: "x", imageId: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", sourceImage: "y" }, null, 2)}\n`,
    );
    expect(run(commandOf(made, "bake-2cards"))).toEqual({
      status: 0,
      calls: [
        ["bake", "image", "--profile", "2cards", "--target", "huaweicloud", "--frozen-lockfile"],
        ["buildkite-agent", "meta-data", "set", "bake-image-2cards", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"],
      ],
    });
    const [{ bakeId } = { bakeId: "" }] = exampleProfiles;
    const rollout = `build-77-${bakeId.slice(0, 10)}`;
    // No earlier try: nothing is downloaded.
    expect(run(commandOf(made, "rollout-2cards")).calls.slice(1)).toEqual([
      [
        ...["buildkite-agent", "artifact", "search", `out/rollouts/${rollout}/journal.jsonl`],
        ...["--step", "rollout-2cards", "--include-retried-jobs", "--allow-empty-results", "--format", "%c %j,"],
      ],
      [
        ...["bake", "rollout", "run", "--profile", "2cards", "--rollout", rollout],
        ...["--image", "IMAGE", "--to", "bake-profile=2cards", "--yes"],
      ],
    ]);
    expect(run(commandOf(made, "soak-8cards-wave-2")).calls.slice(1)).toEqual([
      ["sleep", "600"],
      ["bake", "rollout", "node", "npu-0005", "--profile", "8cards", "--image", "IMAGE", "--yes"],
      ["bake", "rollout", "node", "npu-0006", "--profile", "8cards", "--image", "IMAGE", "--yes"],
    ]);
  },
);

/** Artifacts of a build as the agent's API has them: one journal a try, all of one path, the oldest first. */
const serveJournals = async (tries: readonly { job: string; at: string; text: string }[]) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const base = `http://${request.headers.host ?? ""}`;
    const scope = searchParams.get("scope");
    const text = tries.find(({ job }) => pathname === `/files/${job}`)?.text;
    if (text !== undefined) {
      response.end(text);
      return;
    }
    if (!/^\/v3\/builds\/[^/]+\/artifacts\/search$/.test(pathname)) {
      response.writeHead(404).end();
      return;
    }
    asked.push(`${scope ?? ""} ${searchParams.get("include_retried_jobs") ?? ""}`);
    const found = tries.filter(({ job }) => scope === "rollout-2cards" || scope === job);
    response.setHeader("content-type", "application/json");
    response.end(
      JSON.stringify(
        found.map(({ job, at, text: content }) => ({
          id: `artifact-${job}`,
          job_id: job,
          path: searchParams.get("query"),
          file_size: content.length,
          sha1sum: createHash("sha1").update(content).digest("hex"),
          sha256sum: createHash("sha256").update(content).digest("hex"),
          created_at: at,
          url: `${base}/files/${job}`,
        })),
      ),
    );
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return { asked, endpoint: `http://127.0.0.1:${port}/v3`, close: () => void server.close() };
};

needs("buildkite-agent").test(
  "a third try goes on from the journal of the second, whatever the order of the answer",
  async () => {
    const second = { job: "00000000-0000-4000-8000-000000000002", at: "2026-11-27T03:10:00Z", text: "begun\nsecond\n" };
    const first = { job: "00000000-0000-4000-8000-000000000009", at: "2026-11-27T02:50:00Z", text: "begun\n" };
    const command = commandOf(uploaded(examplePipeline()), "rollout-2cards");
    const [{ bakeId } = { bakeId: "" }] = exampleProfiles;
    const journal = join(folder, `out/rollouts/build-77-${bakeId.slice(0, 10)}/journal.jsonl`);
    const bin = join(folder, "bin");
    mkdirSync(bin);
    writeFileSync(
      join(bin, "buildkite-agent"),
      `#!/bin/sh\n[ "$1" = artifact ] || { echo IMAGE; exit; }\nexec ${toolPath("buildkite-agent")} "$@"\n`,
      { mode: 0o755 },
    );
    writeFileSync(join(bin, "bake"), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    const runStep = (endpoint: string) =>
      promisify(execFile)("/bin/bash", ["-e", "-c", command], {
        cwd: folder,
        env: {
          PATH: `${bin}:${process.env["PATH"]}`,
          HOME: folder,
          BUILDKITE_BUILD_NUMBER: "77",
          BUILDKITE_BUILD_ID: "b",
          BUILDKITE_AGENT_ACCESS_TOKEN: "t",
          BUILDKITE_AGENT_ENDPOINT: endpoint,
        },
      });
    for (const tries of [[first, second], [second, first], [second]]) {
      rmSync(join(folder, "out"), { recursive: true, force: true });
      const api = await serveJournals(tries);
      const { stdout } = await runStep(api.endpoint);
      api.close();
      expect(stdout).toContain("rollout run --profile 2cards");
      expect(readFileSync(journal, "utf8")).toBe(second.text);
      expect(api.asked).toEqual(["rollout-2cards true", `${second.job} true`]);
    }
    const none = await serveJournals([]);
    rmSync(join(folder, "out"), { recursive: true });
    expect((await runStep(none.endpoint)).stdout).toContain("rollout run --profile 2cards");
    expect(existsSync(journal)).toBe(false);
    none.close();
  },
);

test("nobody's YAML reader sees anything else", () => {
  for (const pipeline of pipelines)
    expect(YAML.parse(toYaml(pipeline), { version: "1.1" })).toEqual(JSON.parse(JSON.stringify(pipeline)));
});
