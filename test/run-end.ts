/**
 * Reporter: what a run ends with. How long each file took (for `bin/test`, which sets BAKE_TEST_MINUTES to a file), how many
 * tests were skipped and why, and at the very end which failed and why, in few lines. Logs of CI are often seen by their end
 * alone, and the output of a bake in between is long.
 */
import { appendFileSync } from "node:fs";
import type { Reporter, TestCase, TestModule, TestSuite } from "vitest/node";

/** Lines of an error's message that are shown. */
const shown = 6;

const brief = (message: string): string =>
  message
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(0, shown)
    .map((line) => `    ${line.slice(0, 200)}`)
    .join("\n");

const seconds = (test: TestCase | TestModule | TestSuite): string =>
  test.type === "test" ? ` after ${Math.round((test.diagnostic()?.duration ?? 0) / 1000)} s` : "";

/** `3 skipped in test/x.test.ts: needs goss`, a line a file. */
const skipped = (modules: readonly TestModule[]): string[] =>
  modules.flatMap((module) => {
    const tests = [...module.children.allTests("skipped")];
    const lacks = [...new Set(tests.flatMap((test) => test.meta().lacks ?? []))];
    // The one that carries the reason is none itself.
    const count = tests.filter((test) => test.meta().lacks === undefined).length;
    if (count === 0) return [];
    return [
      `  ${count} in ${module.relativeModuleId}: ${lacks.length === 0 ? "no reason is known" : `needs ${lacks.join(", ")}`}`,
    ];
  });

const minutes = (modules: readonly TestModule[]): { file: string; milliseconds: number }[] =>
  modules.map((module) => {
    const { duration, collectDuration, setupDuration } = module.diagnostic();
    return { file: module.relativeModuleId, milliseconds: duration + collectDuration + setupDuration };
  });

export default class RunEnd implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly { message: string }[]): void {
    const failed = modules.flatMap((module) => [
      ...[module, ...module.children.allSuites()]
        .map((at) => ({ at, errors: at.errors() }))
        .filter(({ errors }) => errors.length > 0),
      ...[...module.children.allTests("failed")].map((at) => ({ at, errors: at.result().errors ?? [] })),
    ]);
    const lines = [
      ...failed.map(({ at, errors }) => {
        const name = at.type === "module" ? at.relativeModuleId : `${at.module.relativeModuleId} > ${at.fullName}`;
        return [`  ${name}${seconds(at)}`, ...errors.map(({ message }) => brief(message))].join("\n");
      }),
      ...unhandled.map(({ message }) => `  outside of a test\n${brief(message)}`),
    ];
    const file = process.env["BAKE_TEST_MINUTES"];
    if (file !== undefined) {
      const rows = minutes(modules).filter((each) => /^test\/(vm|aarch64)\//.test(each.file));
      appendFileSync(file, rows.map((row) => `${Math.round(row.milliseconds / 1000)}\t  ${row.file}\n`).join(""));
    }
    const left = skipped(modules);
    if (left.length > 0) process.stdout.write(`\nskipped:\n${left.join("\n")}\n`);
    if (lines.length > 0) process.stdout.write(`\nfailed:\n${lines.join("\n")}\n`);
  }
}
