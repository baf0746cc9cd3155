/**
 * What each concern contributes by itself, from the profile that sets everything: one small file a concern, so that a change of
 * one is reviewed there. `npm test -- -u` rewrites them.
 */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import type { Contribution, Instance } from "../../src/node/concern.ts";
import { concerns } from "../../src/node/index.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { root } from "../../src/host/root.ts";
import { planTarget } from "../../src/targets/index.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { contributionsOf } from "../../src/plan/plan.ts";
import { expectNothingElse } from "../expected-files.ts";
import { readProfile, trialLock } from "../plan-of.ts";
import { lockedFor } from "../../src/lock/lock.ts";

const folder = join(import.meta.dirname, "concerns");
const trial = substitute(readProfile(join(root, "test/golden/everything/profile.yaml"))).profile;
const { qemu } = trial.targets;
if (qemu === undefined) throw new Error("the profile that sets everything has a local VM");
// The made-up lock's.
const profile: Profile = { ...trial, targets: { ...trial.targets, qemu: { ...qemu, architecture: "x86_64" } } };
const target = planTarget("everything", profile, "qemu");
const { contributed } = contributionsOf({
  name: "everything",
  profile,
  target,
  trial: true,
  locked: lockedFor(trialLock, target.plan.architecture),
});

const bakeId = "the-bake-id";
const instance: Instance = { authorizedKeys: [], environment: {} };

/** Texts in the place of what makes them. */
const shown = ({ files, userData, installs, ...rest }: Contribution): object => ({
  ...(files !== undefined && {
    files: files.map((file) => ({
      ...file,
      content: typeof file.content === "string" ? file.content : file.content(bakeId),
    })),
  }),
  ...rest,
  ...(installs !== undefined && { installs: installs.map(({ rows }) => rows) }),
  ...(userData !== undefined && { userData: userData.map((file) => ({ ...file, content: file.content(instance) })) }),
});

describe("what a concern contributes", () => {
  test.each(contributed.map(({ concern, contribution }) => [concern.name, contribution] as const))(
    "%s",
    async (name, contribution) => {
      const requirements = [...concerns, target.concern]
        .find((concern) => concern.name === name)
        ?.requirements?.(profile, target.plan.architecture);
      const text = stringify(
        { ...(requirements !== undefined && { requirements }), ...shown(contribution) },
        { lineWidth: 0, aliasDuplicateObjects: false },
      );
      // Paths of this machine are no part of it.
      await expect(text.replaceAll(`${root}/`, "")).toMatchFileSnapshot(join(folder, `${name}.yaml`));
    },
  );

  test("nothing else is expected", () => {
    expectNothingElse(
      folder,
      contributed.map(({ concern }) => `${concern.name}.yaml`),
    );
  });
});
