/**
 * What a program gets from `--json` when a command ends before it has told anything: one object of one shape for all of them. Set
 * up by the command line; it loads nothing.
 */
import type { BakeError } from "../errors.ts";
import type { Diagnostic } from "../profile/diagnostics.ts";

let asked = false;
let told = false;
let failure: BakeError | undefined;
let diagnostics: readonly Diagnostic[] = [];

/** From now on standard output is for a program: whether something is written there is noticed. */
export const expectJson = (): void => {
  if (asked) return;
  asked = true;
  const { stdout } = process;
  const write = stdout.write.bind(stdout) as (...args: unknown[]) => boolean;
  stdout.write = (...args: unknown[]): boolean => {
    told = true;
    return write(...args);
  };
};

/** The last failure counts: it ended the command. */
export const noteFailure = (error: BakeError): void => void (failure = error);

/** Problems of profiles that were printed for people. */
export const noteDiagnostics = (found: readonly Diagnostic[]): void => void (diagnostics = [...diagnostics, ...found]);

/** Writes that object, on one line, where nothing was told and the command did not end well. */
export const endJson = (exitCode: number): void => {
  if (!asked || told || exitCode === 0) return;
  const object = {
    ok: false,
    diagnostics,
    ...(failure !== undefined && { failure: { code: failure.code, message: failure.message, help: failure.help } }),
  };
  process.stdout.write(`${JSON.stringify(object)}\n`);
};
