/**
 * An HCL2 string literal: quotes, escapes and both template introducers are neutral inside it.
 * @throws RangeError for text that is not in Unicode's normal form C: HCL would change it.
 */
export const hclString = (text: string): string => {
  if (text.normalize("NFC") !== text) throw new RangeError(`${JSON.stringify(text)} cannot be written in HCL`);
  const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };
  const escaped = text.replace(
    /["\\\n\r\t]|[\u0000-\u001f\u007f]|[$%](?=\{)/g,
    (character) =>
      escapes[character] ??
      (character === "$" || character === "%"
        ? character + character
        : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
  return `"${escaped}"`;
};
