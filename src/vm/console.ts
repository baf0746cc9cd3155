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

/** The last lines of a console's log, for messages. @returns an empty text when there is none. */
export const consoleTail = async (file: string, lines: number): Promise<string> =>
  (await readFile(file, "utf8").catch(() => "")).trimEnd().split("\n").slice(-lines).join("\n");
