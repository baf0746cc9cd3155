/** Diagnostics as SARIF 2.1.0, for code scanning and for editors that read it. */
import { errorCodes } from "../../error-codes.ts";
import type { Diagnostic } from "../diagnostics.ts";

const location = (file: string, region: Readonly<Record<string, number>>) => ({
  physicalLocation: {
    artifactLocation: { uri: encodeURI(file.replaceAll("\\", "/")) },
    region,
  },
});

/** One log with one run, as JSON text with its end of line. Pure. @param version Of bake. */
export const formatSarif = (diagnostics: readonly Diagnostic[], version: string): string => {
  const ids = [...new Set(diagnostics.map(({ code }) => code))].toSorted();
  const log = {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "bake",
            version,
            rules: ids.map((id) => ({ id, shortDescription: { text: errorCodes[id].title } })),
          },
        },
        columnKind: "utf16CodeUnits",
        results: diagnostics.map(({ severity, code, message, label, help, file, line, column, length, notes }) => ({
          ruleId: code,
          ruleIndex: ids.indexOf(code),
          level: severity,
          message: {
            text: [label === undefined ? message : `${message}: ${label}`, ...(help === undefined ? [] : [help])].join(
              "\n",
            ),
          },
          locations: [location(file, { startLine: line, startColumn: column, endColumn: column + length })],
          ...(notes.length > 0 && {
            relatedLocations: notes.map((note, index) => ({
              id: index + 1,
              message: { text: note.message },
              ...location(note.file, { startLine: note.line, startColumn: note.column }),
            })),
          }),
        })),
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
};
