/** Numbers, units and truth values, and what of them is meant as a text. Pure. */
import type { ValueMend, Wrong } from "./values.ts";

/** How much of the setting's own unit one of these is. */
const units: readonly (readonly [setting: RegExp, factors: Readonly<Record<string, number>>])[] = [
  [/^GiB\b/, { g: 1, t: 1024, m: 1 / 1024 }],
  [/^MiB\b/, { m: 1, g: 1024 }],
  [/^Seconds\b/, { s: 1, m: 60, h: 3600 }],
  [/^Minutes\b/, { m: 1, h: 60, s: 1 / 60 }],
  [/^Mbit\/s/, { m: 1, g: 1000 }],
  [/^Bytes\b/, { b: 1, k: 1024 }],
];

const unitName = (description: string): string =>
  /^(?:GiB|MiB|Seconds|Minutes|Mbit\/s|Bytes)\b/.exec(description)?.[0] ?? "";

const ascii = (text: string): string =>
  text
    .normalize("NFKC")
    .replace(/[“”„‘’「」『』]/g, "")
    .trim();

/** `100GB`, `1.5 TiB`, `25min`. */
const withUnit = (text: string, description: string): ValueMend[] => {
  const [, digits, word] = /^([\d.,_]+)\s*([A-Za-z]+(?:\/s)?)$/.exec(text) ?? [];
  if (digits === undefined || word === undefined) return [];
  const number = Number(digits.replace(/[_,]/g, ""));
  const name = unitName(description);
  const factors = units.find(([setting]) => setting.test(description))?.[1];
  const factor = factors?.[word[0]?.toLowerCase() ?? ""];
  const label =
    name === ""
      ? "a number without a word"
      : `a number of ${/^[A-Z][a-z]+$/.test(name) ? name.toLowerCase() : name}, without a unit`;
  if (name !== "" && factor === undefined) return [];
  return [{ value: number * (factor ?? 1), label }];
};

const truths: ReadonlyMap<string, boolean> = new Map([
  ["yes", true],
  ["y", true],
  ["on", true],
  ["true", true],
  ["1", true],
  ["enabled", true],
  ["no", false],
  ["n", false],
  ["off", false],
  ["false", false],
  ["0", false],
  ["disabled", false],
]);

/** What may have been meant by a number, or by something else where a number or a truth value belongs. Pure. */
export function* numberMends({ found, written, description, isRight }: Wrong): Generator<ValueMend> {
  const plain = ascii(written.replace(/^["']|["']$/g, ""));
  if (typeof found === "number" || typeof found === "boolean" || typeof found === "bigint") {
    const other = String(found) !== written && typeof found === "number";
    const reads = other
      ? `YAML reads the number ${found} here`
      : `YAML reads ${typeof found === "number" ? "a number" : `the truth value ${String(found)}`} here`;
    yield { value: written, label: reads, because: "quotes make it a text" };
    if (/^0?[0-7]{3}$/.test(written))
      yield { value: `0${written.slice(-3)}`, label: reads, because: "quotes make it a text" };
    if (/^0o?[0-7]{3}$/.test(written))
      yield { value: `0${written.slice(-3)}`, label: reads, because: "quotes make it a text" };
    const [, major, minor] = /^(\d+)\.(\d+)$/.exec(written) ?? [];
    if (minor !== undefined)
      yield { value: `${major}.${minor}.x`, label: reads, because: "its newest patch release, or all three numbers" };
  }
  const truth = truths.get(plain.toLowerCase());
  if (truth !== undefined && typeof found !== "boolean")
    yield {
      value: truth,
      label: /^\d/.test(plain) || typeof found === "number" ? "a number to YAML" : "a text to YAML 1.2",
    };
  if (typeof found === "string") {
    const digits = Number(plain.replace(/(?<=\d)[_,](?=\d{3})/g, ""));
    if (plain !== "" && Number.isFinite(digits)) {
      const wide = plain !== written.replace(/^["']|["']$/g, "");
      yield {
        value: digits,
        label: wide
          ? "full-width signs"
          : /^["']/.test(written)
            ? "a text, where a number is asked"
            : "no number to YAML",
      };
    }
    yield* withUnit(plain, description);
    // Where the unit belongs to the value: 50MB of a log.
    const [, amount, unit] = /^(\d+)\s*([kmg])(?:i?b)?$/i.exec(plain) ?? [];
    if (unit !== undefined) yield { value: `${amount}${unit.toLowerCase()}`, label: "a number with k, m or g" };
  }
  if (typeof found === "number" && isRight(`${found}m`) && !isRight("x"))
    yield { value: `${found}m`, label: "a size has a unit: k, m or g" };
  if (typeof found === "number" && !Number.isInteger(found) && isRight(Math.round(found)))
    yield {
      value: undefined,
      label: "a whole number is asked",
      because: `write ${Math.floor(found)} or ${Math.ceil(found)}`,
    };
}
