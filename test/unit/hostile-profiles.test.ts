/** Every text of a profile with strings that look like syntax: a problem at its place, or a tree that renders; never a crash. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import * as z from "zod";
import { expect, test } from "vitest";
import { agentConfigValue } from "../../src/render/formats/lines.ts";
import { loadProfile } from "../../src/profile/load.ts";
import { Profile } from "../../src/profile/schema.ts";
import { planNode } from "../../src/plan/plan.ts";
import { root } from "../../src/root.ts";
import { hostileStrings, seed } from "../hostile.ts";
import { readProfile, render } from "../plan-of.ts";

type Path = readonly (string | number)[];
type Data = { [key: string | number]: Data } & object;

/** Where the schema takes a text: values, items of lists, and names in maps (with `name` in place of the key). */
const texts = (type: z.core.$ZodType, path: Path = []): { path: Path; key: boolean }[] => {
  if (type instanceof z.ZodOptional || type instanceof z.ZodDefault) return texts(type.unwrap(), path);
  if (type instanceof z.ZodUnion) return type.options.flatMap((option) => texts(option, path));
  if (type instanceof z.ZodObject)
    return Object.entries(type.shape as Record<string, z.core.$ZodType>).flatMap(([key, child]) =>
      texts(child, [...path, key]),
    );
  if (type instanceof z.ZodArray) return texts(type.element, [...path, 0]);
  if (type instanceof z.ZodRecord)
    return [{ path: [...path, "name"], key: true }, ...texts(type.valueType, [...path, "NAME"])];
  return type instanceof z.ZodString ||
    type instanceof z.ZodURL ||
    type instanceof z.ZodUUID ||
    type instanceof z.ZodEnum
    ? [{ path, key: false }]
    : [];
};

const fields = texts(Profile);
const right = readProfile();

/** The profile with a text at a path; forms that exclude what the path is in are left out. */
const withText = (path: Path, key: boolean, text: string): unknown => {
  const copy = structuredClone(right) as unknown as Data;
  let holder = copy;
  for (const [index, step] of path.slice(0, -1).entries()) {
    const next = path[index + 1];
    const inner = holder[step];
    const isForm =
      ["disk", "base", "agentToken", "gitToken", "proxyCredentials", "nodeKey"].includes(String(step)) &&
      typeof next === "string";
    if (typeof inner !== "object" || isForm) holder[step] = (typeof next === "number" ? [] : {}) as Data;
    holder = holder[step] as Data;
  }
  const last = path.at(-1) ?? "";
  if (key) Object.defineProperty(holder, text, { value: "value", enumerable: true });
  else holder[last] = text as unknown as Data;
  return copy;
};

/** Each is a whole profile, so fewer than the writers get; HOSTILE_PROFILES=10000 takes as many, in half a minute. */
const count = Number(process.env["HOSTILE_PROFILES"] ?? 2500);

test(`${count} strings in the fields of a profile`, { timeout: 300_000 }, () => {
  expect(fields.length).toBeGreaterThan(45);
  const environment: string[] = [];
  let accepted = 0;
  for (const [index, text] of hostileStrings(count, seed + 1).entries()) {
    const { path, key } = fields[index % fields.length] ?? { path: [], key: false };
    const what = `seed ${seed}: ${path.join(".")} ${JSON.stringify(text.slice(0, 200))}`;
    const source = JSON.stringify(withText(path, key, text)).replaceAll("\u007f", "\\u007f");
    const loaded = loadProfile(source, "p.yaml");
    if (loaded.profile === undefined) {
      expect(loaded.diagnostics.length, what).toBeGreaterThan(0);
      continue;
    }
    accepted += 1;
    if (path.join(".") === "agents.environment.NAME") environment.push(text);
    // Whatever the schema takes, every writer must take.
    const { files } = render(planNode({ name: "hostile", profile: loaded.profile }));
    if (path.join(".") === "agents.settings.NAME") {
      const cfg = files.find((file) => file.path.endsWith("/buildkite-agent.cfg"))?.content;
      expect(cfg, what).toContain(`=${agentConfigValue(text)}\n`);
    }
  }
  expect(accepted).toBeGreaterThan(count / 20);
  expect(environment.length).toBeGreaterThan(count / 500);
  // The environment of jobs, as a shell reads the file.
  const profile = {
    ...right,
    agents: { ...right.agents, environment: Object.fromEntries(environment.map((text, index) => [`V${index}`, text])) },
  };
  const file = render(planNode({ name: "hostile", profile })).files.find(
    ({ path }) => path === "node/etc/bake/agent.env",
  );
  const names = environment.map((_, index) => `V${index}`).join(" ");
  const { stdout } = spawnSync("bash", ["-c", `. <(cat); for name in ${names}; do printf '%s\\0' "\${!name}"; done`], {
    input: file?.content ?? "",
    encoding: "utf8",
    cwd: join(root, "test"),
  });
  expect(stdout.split("\0").slice(0, -1), `seed ${seed}`).toEqual(environment);
});
