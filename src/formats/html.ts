/**
 * HTML, made of elements: text and values of attributes are escaped here, and no other way leads into a page. What is written is
 * well-formed XML too, so that a strict parser can hold it to that.
 */
import { createHash } from "node:crypto";

const voids = new Set(["meta", "hr"]);

/** Elements that only hold and show. None of them loads, sends or runs anything. */
const known = new Set(
  "a article aside b body code dd details div dl dt em figcaption figure footer h1 h2 h3 h4 head header hr html li line main meta nav ol p pre rect section small span strong summary svg table tbody td text th thead time title tr ul".split(
    " ",
  ),
);

/** Attributes that neither run nor load anything; `href` leads within the page alone. */
const attributeName =
  /^(?:class|id|lang|charset|name|content|http-equiv|href|role|scope|colspan|title|open|tabindex|width|height|x|y|x1|x2|y1|y2|rx|text-anchor|focusable|datetime|aria-[a-z]+)$/;

/** What was written by this file. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
export type Html = Markup;

type Attributes = Readonly<Record<string, string | number | true | undefined>>;
export type Child = Html | string | number | undefined | readonly Child[];

/** Characters that a page cannot hold, that no one sees, or that turn the order of others around. */
const unseen =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const escaped = (text: string): string =>
  text
    .replace(/\r\n?/g, "\n")
    .replace(unseen, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

const attributesOf = (attributes: Attributes): string =>
  Object.entries(attributes)
    .map(([name, value]) => {
      if (value === undefined) return "";
      if (!attributeName.test(name)) throw new RangeError(`HTML: the attribute ${name} is not written`);
      const text = value === true ? "" : String(value);
      if (name === "href" && !/^#[A-Za-z][\w-]*$/.test(text)) throw new RangeError(`HTML: a link leads to ${text}`);
      return ` ${name}="${escaped(text).replaceAll("\n", "&#10;").replaceAll("\t", "&#9;")}"`;
    })
    .join("");

const markupOf = (child: Child): string =>
  child === undefined
    ? ""
    : child instanceof Markup
      ? child.text
      : typeof child === "object"
        ? child.map(markupOf).join("")
        : escaped(String(child));

/**
 * An element. Pure.
 * @param attributes One that is undefined is left out; `true` is one without a value.
 * @param children Texts are escaped.
 * @throws RangeError for an element or an attribute that could load, send or run something.
 */
export const element = (name: string, attributes: Attributes = {}, ...children: readonly Child[]): Html => {
  if (!known.has(name)) throw new RangeError(`HTML: the element ${name} is not written`);
  const head = `<${name}${attributesOf(attributes)}`;
  return new Markup(voids.has(name) ? `${head} />` : `${head}>${markupOf(children)}</${name}>`);
};

/**
 * A whole page that loads nothing, sends nothing and runs no script: its policy says so to the browser. Pure.
 * @param style CSS, of bake's own.
 * @throws RangeError for CSS that would end its element.
 */
export const page = ({
  lang,
  title,
  style,
  body,
}: {
  readonly lang: string;
  readonly title: string;
  readonly style: string;
  readonly body: readonly Child[];
}): string => {
  if (/[<&]/.test(style)) throw new RangeError("HTML: a style sheet with < or &");
  const digest = createHash("sha256").update(style).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`;
  const head = element(
    "head",
    {},
    element("meta", { charset: "utf-8" }),
    element("meta", { "http-equiv": "Content-Security-Policy", content: policy }),
    element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    element("meta", { name: "color-scheme", content: "light dark" }),
    element("meta", { name: "referrer", content: "no-referrer" }),
    element("title", {}, title),
    new Markup(`<style>${style}</style>`),
  );
  return `<!DOCTYPE html>\n${element("html", { lang }, head, "\n", element("body", {}, ...body)).text}\n`;
};
