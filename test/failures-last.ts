/**
 * Reporter: says at the very end which tests failed and why, in few lines. Logs of CI are often seen by their end alone,
 * and the output of a bake in between is long.
 */
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

export default class FailuresLast implements Reporter {
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
    if (lines.length > 0) process.stdout.write(`\nfailed:\n${lines.join("\n")}\n`);
  }
}
