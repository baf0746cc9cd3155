/** Values as one line of YAML, for messages. Pure. */

/** What YAML reads as itself without quotes. */
const isPlain = (text: string): boolean =>
  /^[A-Za-z0-9/][A-Za-z0-9._:/-]*$/.test(text) &&
  Number.isNaN(Number(text)) &&
  !/^(true|false|null|yes|no|on|off)$/i.test(text) &&
  !text.endsWith(":");

/** One line as YAML would have it. Pure. */
export const inYaml = (value: unknown): string => {
  if (typeof value === "string") return isPlain(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(inYaml).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, each]) => `${key}: ${inYaml(each)}`);
  return `{ ${entries.join(", ")} }`;
};
