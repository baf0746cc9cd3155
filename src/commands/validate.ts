import { BakeError } from "../errors.ts";
import type { Diagnostic } from "../profile/diagnostics.ts";
import { formatGithub } from "../profile/report/github.ts";
import { printDiagnostics, readProfileFile, reportFailure } from "./profile-file.ts";

type Format = "text" | "json" | "github" | "sarif";

const out = (text: string): void => void process.stdout.write(text);

const json = (
  profile: string,
  file: string | undefined,
  diagnostics: readonly Diagnostic[],
  failure?: BakeError,
): string =>
  `${JSON.stringify(
    {
      profile,
      ...(file !== undefined && { file }),
      ok: failure === undefined && diagnostics.every(({ severity }) => severity !== "error"),
      diagnostics,
      ...(failure !== undefined && { failure: { code: failure.code, message: failure.message, help: failure.help } }),
    },
    null,
    2,
  )}\n`;

/**
 * `bake validate`. Reports of programs go to standard output, those of people to standard error.
 * @returns the exit code: 0 ok (also with warnings), 1 errors in the profile, 2 when it could not be read.
 */
export const validate = async (
  options: { profile: string; json?: boolean; format?: Format; explain?: string | true },
  version: string,
): Promise<number> => {
  const format = options.json === true ? "json" : (options.format ?? "text");
  try {
    const file = await readProfileFile(options.profile);
    const { profile, tree } = file;
    if (options.explain !== undefined && (format === "github" || format === "sarif")) {
      process.stderr.write(`error: --explain is told as text or JSON, not as ${format}\n`);
      return 2;
    }
    if (options.explain !== undefined && profile !== undefined && tree !== undefined) {
      const asked = options.explain === true ? undefined : options.explain;
      // The plan with all it needs: for this answer alone.
      const { explanation, formatExplanation, lockFor } = await import("./explain.ts");
      const found = explanation(file.name, profile, tree, asked, await lockFor(file.lockFile, profile));
      if (format === "json")
        out(
          `${JSON.stringify({ profile: options.profile, file: file.file, ok: true, diagnostics: file.diagnostics, ...found }, null, 2)}\n`,
        );
      else {
        printDiagnostics(file);
        out(`${formatExplanation(found, asked !== undefined)}\n`);
      }
      return 0;
    }
    if (format === "json") out(json(options.profile, file.file, file.diagnostics));
    else if (format === "sarif") {
      const { formatSarif } = await import("../profile/report/sarif.ts");
      out(formatSarif(file.diagnostics, version));
    } else if (format === "github") for (const diagnostic of file.diagnostics) out(`${formatGithub(diagnostic)}\n`);
    else printDiagnostics(file);
    if (file.profile === undefined) return 1;
    if (format === "text") out(`${file.file}: ok\n`);
    return 0;
  } catch (error) {
    // A program that asked for JSON gets some, whatever happens.
    if (format === "json" && error instanceof BakeError) out(json(options.profile, undefined, [], error));
    return reportFailure(error);
  }
};
