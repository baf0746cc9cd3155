/** Writes what a program asked for to standard output. */
export const printJson = (value: object): void => void process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
