/** As much of XML as the object storage's answers need: elements without attributes. Pure. */

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** What stands within each element of this name, with its entities resolved where it is text. */
export const elements = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}>([^]*?)</${name}>`, "g"))].map(([, content = ""]) =>
    content.includes("<")
      ? content
      : content.replace(/&(?:#(\d+)|(\w+));/g, (whole, code?: string, entity?: string) =>
          code === undefined ? (entities[entity ?? ""] ?? whole) : String.fromCodePoint(Number(code)),
        ),
  );
