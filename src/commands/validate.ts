import { join } from "node:path";
import { BakeError } from "../errors.ts";
import { isPath, places } from "./find-profile.ts";
import { say } from "../host/verbosity.ts";
import type { Diagnostic } from "../profile/diagnostics.ts";
import { formatGithub } from "../profile/report/github.ts";
import { printDiagnostics, readProfileFile, reportFailure } from "./profile-file.ts";
import { forEachProfile, namesOf } from "./profiles.ts";

export interface ValidateOptions {
  readonly json?: boolean;
  readonly format?: "text" | "json" | "github" | "sarif";
  readonly explain?: string | true;
  /** Goes on until it is stopped. */
  readonly watch?: boolean;
}

type Format = NonNullable<ValidateOptions["format"]>;

const out = (text: string): void => void process.stdout.write(text);

const objectOf = (
  profile: string,
  file: string | undefined,
  diagnostics: readonly Diagnostic[],
  failure?: BakeError,
): object => ({
  profile,
  ...(file !== undefined && { file }),
  ok: failure === undefined && diagnostics.every(({ severity }) => severity !== "error"),
  diagnostics,
  ...(failure !== undefined && { failure: { code: failure.code, message: failure.message, help: failure.help } }),
});

/** What a program gets of one profile. */
interface Told {
  readonly exitCode: number;
  readonly object: object;
  readonly diagnostics: readonly Diagnostic[];
}

/** Looks at one, and prints it in the formats that go line by line. */
const look = async (
  name: string,
  format: Format,
  explain: string | true | undefined,
  onRead?: (path: string) => void,
): Promise<Told> => {
  try {
    const file = await readProfileFile(name, onRead);
    const { profile, tree, diagnostics } = file;
    const exitCode = profile === undefined ? 1 : 0;
    if (explain !== undefined && profile !== undefined && tree !== undefined) {
      const asked = explain === true ? undefined : explain;
      // The plan with all it needs: for this answer alone.
      const { explanation, formatExplanation, lockFor } = await import("./explain.ts");
      const found = explanation(file.name, profile, tree, asked, await lockFor(file.lockFile, profile));
      if (format !== "json") {
        printDiagnostics(file);
        out(`${formatExplanation(found, asked !== undefined)}\n`);
      }
      return { exitCode, diagnostics, object: { profile: name, file: file.file, ok: true, diagnostics, ...found } };
    }
    if (format === "text") printDiagnostics(file);
    else if (format === "github") for (const diagnostic of diagnostics) out(`${formatGithub(diagnostic)}\n`);
    if (format === "text" && profile !== undefined) say(`${file.file}: ok`);
    return { exitCode, diagnostics, object: objectOf(name, file.file, diagnostics) };
  } catch (error) {
    // A program that asked for JSON gets some, whatever happens.
    if (format !== "json" || !(error instanceof BakeError)) throw error;
    return { exitCode: 2, diagnostics: [], object: objectOf(name, undefined, [], error) };
  }
};

/** `12:04:31`, where the user is. */
const clock = (): string => new Date().toTimeString().slice(0, 8);

/** So many files are named. */
const mostNamed = 3;

/** Validates again whenever a file that says something about the profiles changed. @returns the exit code of whoever stopped it. */
const validateAgain = async (
  explain: ValidateOptions["explain"],
  named: readonly string[] | undefined,
): Promise<number> => {
  const { whenever } = await import("./watch.ts");
  return whenever(async (changed) => {
    const files = new Set<string>();
    const others = changed.length - mostNamed;
    if (changed.length > 0)
      say(`\n${clock()} ${changed.slice(0, mostNamed).join(", ")}${others > 0 ? ` and ${others} more` : ""} changed`);
    // Of all profiles those that come count too.
    if (named === undefined) for (const { folder, kind } of places()) if (kind === "project") files.add(folder);
    // A folder that is not there is no place where names are looked for: it may come, or come back.
    for (const name of named ?? []) if (!isPath(name)) files.add(join("profiles", `${name}.yaml`));
    try {
      await forEachProfile(await namesOf(named), (name) =>
        look(name, "text", explain, (path) => files.add(path)).then(({ exitCode }) => exitCode, reportFailure),
      );
    } catch (error) {
      reportFailure(error);
    }
    if (changed.length === 0) say(`\n${clock()} watching ${named?.join(", ") ?? "all profiles"}; Ctrl-C ends it`);
    return files;
  });
};

/**
 * `bake validate`. Reports of programs go to standard output, those of people to standard error.
 * @param named Undefined for all.
 * @returns the exit code: 0 ok (also with warnings), 1 errors in a profile, 2 when one could not be read.
 */
export const validate = async (
  { json, format: asked, explain, watch }: ValidateOptions,
  named: readonly string[] | undefined,
  version: string,
): Promise<number> => {
  const format = json === true ? "json" : (asked ?? "text");
  if (explain !== undefined && (format === "github" || format === "sarif")) {
    process.stderr.write(`error: --explain is told as text or JSON, not as ${format}\n`);
    return 2;
  }
  if (watch === true) {
    if (format === "text") return validateAgain(explain, named);
    process.stderr.write(`error: --watch is for people: it tells text, not ${format}\n`);
    return 2;
  }
  try {
    const told: Told[] = [];
    const exitCode = await forEachProfile(await namesOf(named), async (name) => {
      try {
        const one = await look(name, format, explain);
        told.push(one);
        return one.exitCode;
      } catch (error) {
        return reportFailure(error);
      }
    });
    const [first] = told;
    if (format === "json") {
      const whole =
        named?.length === 1 && first !== undefined
          ? first.object
          : { ok: exitCode === 0, profiles: told.map(({ object }) => object) };
      out(`${JSON.stringify(whole, null, 2)}\n`);
    } else if (format === "sarif" && told.length > 0) {
      const { formatSarif } = await import("../profile/report/sarif.ts");
      out(
        formatSarif(
          told.flatMap(({ diagnostics }) => diagnostics),
          version,
        ),
      );
    }
    return exitCode;
  } catch (error) {
    return reportFailure(error);
  }
};
