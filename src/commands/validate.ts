import { printDiagnostics, readProfileFile, reportFailure } from "./profile-file.ts";

/** `bake validate`. @returns the exit code. */
export const validate = async (options: { profile: string; json?: boolean }): Promise<number> => {
  try {
    const file = await readProfileFile(options.profile);
    if (options.json === true) process.stdout.write(`${JSON.stringify({ diagnostics: file.diagnostics }, null, 2)}\n`);
    else printDiagnostics(file.diagnostics, file.text);
    if (file.profile === undefined) return 1;
    if (options.json !== true) process.stdout.write(`${file.file}: ok\n`);
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
