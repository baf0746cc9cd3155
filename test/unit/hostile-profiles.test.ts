/** Every text of a profile with strings that look like syntax: a problem at its place, or a tree that renders; never a crash. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { agentConfigValue } from "../../src/formats/lines.ts";
import { loadProfile } from "../../src/profile/load.ts";
import { rules } from "../../src/commands/rules.ts";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { hostileStrings, seed } from "../hostile.ts";
import { readProfile, render } from "../plan-of.ts";
import { profileTexts, withAt } from "../profile-texts.ts";

const right = readProfile();

/** Each is a whole profile, so fewer than the writers get; HOSTILE_PROFILES=10000 takes as many, in half a minute. */
const count = Number(process.env["HOSTILE_PROFILES"] ?? 2500);

test(`${count} strings in the fields of a profile`, { timeout: 300_000 }, () => {
  expect(profileTexts.length).toBeGreaterThan(45);
  const environment: string[] = [];
  let accepted = 0;
  for (const [index, text] of hostileStrings(count, seed + 1).entries()) {
    const { path, key } = profileTexts[index % profileTexts.length] ?? { path: [], key: false };
    const what = `seed ${seed}: ${path.join(".")} ${JSON.stringify(text.slice(0, 200))}`;
    const source = JSON.stringify(withAt(right, { path, key }, text)).replaceAll("\u007f", "\\u007f");
    const loaded = loadProfile(source, "p.yaml", { rules });
    if (loaded.profile === undefined) {
      expect(loaded.diagnostics.length, what).toBeGreaterThan(0);
      continue;
    }
    accepted += 1;
    if (path.join(".") === "agents.environment.NAME") environment.push(text);
    // Whatever the schema takes, every writer must take.
    const { files } = render(planFor({ name: "hostile", profile: loaded.profile }));
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
  const file = render(planFor({ name: "hostile", profile })).files.find(
    ({ path }) => path === "node/etc/bake/agent.env",
  );
  const names = environment.map((_, index) => `V${index}`).join(" ");
  const { stdout } = spawnSync(
    "bash",
    ["--norc", "-c", `. <(cat); for name in ${names}; do printf '%s\\0' "\${!name}"; done`],
    {
      input: file?.content ?? "",
      encoding: "utf8",
      cwd: join(root, "test"),
    },
  );
  expect(stdout.split("\0").slice(0, -1), `seed ${seed}`).toEqual(environment);
});
