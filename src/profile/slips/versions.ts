/** Versions that are not whole, or have something around them. Pure. */
import { exampleOf } from "../schema-questions.ts";
import type { ValueMend, Wrong } from "./values.ts";

/** What may have been meant by a version. Pure. */
export function* openVersionHelp({ found, written, types, isRight }: Wrong): Generator<ValueMend> {
  if (!isRight("1.2.3") || isRight("x")) return;
  const example = types.map(exampleOf).find((each) => typeof each === "string") ?? "1.2.3";
  const text = (typeof found === "string" ? found : written).normalize("NFKC").trim();
  if (typeof found === "string") {
    const [whole] = /\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?/.exec(text) ?? [];
    if (whole !== undefined && !/^\d+\.\d+\.\d+\./.test(text))
      yield { value: whole, label: text.startsWith("v") ? "without the v" : "the number alone" };
    const [, line] = /^[v^~>=< ]*(\d+\.\d+)(?:\.[*xX]?)?$/.exec(text) ?? [];
    if (line !== undefined)
      yield {
        value: `${line}.x`,
        label: "two numbers of three",
        because: "its newest patch release, or all three numbers",
      };
  }
  const [, major] = /^[v^~>=< ]*(\d+)(?:\.[*xX])*$/.exec(text) ?? [];
  if (major !== undefined)
    yield {
      value: undefined,
      label: "one number of three",
      because: `write all three, such as ${example}, or two and an x, such as ${example.replace(/\d+$/, "x")}`,
    };
  if (/^[a-z]+$/i.test(text) && found !== null)
    yield {
      value: undefined,
      label: "a word, where a release is asked",
      because: `write one, such as ${example}; bake lock --outdated says when there is a newer one`,
    };
}
