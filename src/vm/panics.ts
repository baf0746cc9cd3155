/** Panics of a VM's kernel. Emulation has some of its own making: instructions that the kernel patches while another CPU runs them. */

/** Last words of kernels on a serial console. */
export const panicsIn = (console: string): string[] =>
  [...console.matchAll(/Kernel panic - not syncing: ([^\r\n]*)/g)]
    .map(([, words = ""]) => words.trim())
    // The end of the report says it again.
    .filter((words) => !words.endsWith("]---"));
