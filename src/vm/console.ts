/** What a machine's kernel says on its serial console. */
import { readFile } from "node:fs/promises";

/**
 * The last words of kernels that panicked, once for each panic. Pure.
 * Emulation has panics of its own making: instructions that the kernel patches while another CPU runs them.
 */
export const panicsIn = (console: string): string[] =>
  [...console.matchAll(/Kernel panic - not syncing: ([^\r\n]*)/g)]
    .map(([, words = ""]) => words.trim())
    // The end of the report says it again.
    .filter((words) => !words.endsWith("]---"));

/** The last lines of a console's log, and where it is, for messages. */
export const consoleSays = async (file: string, lines: number): Promise<string> => {
  const said = (await readFile(file, "utf8").catch(() => "")).trimEnd();
  return said === ""
    ? "nothing on the serial console"
    : `serial console, last lines (${file}):\n${said.split("\n").slice(-lines).join("\n")}`;
};
