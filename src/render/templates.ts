/** Handlebars, where every value must go through a writer of the format that it lands in. */
import Handlebars from "handlebars";
import { alignedHcl, hclString } from "../formats/hcl.ts";
import { unitValue, unitWord } from "../formats/lines.ts";
import { toYaml } from "../formats/yaml.ts";

const writers: Readonly<Record<string, (value: never) => string>> = {
  hcl: (value: string) => hclString(value),
  hclNumber: (value: number) => {
    if (!Number.isFinite(value)) throw new RangeError(`${String(value)} is not a number`);
    return String(value);
  },
  unit: (value: string) => unitValue(value),
  word: (value: string) => unitWord(value),
  /** A comment of one line, in any format whose comments start with `#`. */
  comment: (value: string) => value.replace(/[^\x20-\x7e]+/g, " "),
  /** A block of top-level YAML keys. */
  yaml: (value: object) => toYaml(value).trimEnd(),
};

/** @throws Error when a template prints a value without naming a writer. */
const requireWriters = (program: hbs.AST.Program, name: string): void => {
  for (const statement of program.body) {
    if (statement.type === "MustacheStatement") {
      const { path, params } = statement as hbs.AST.MustacheStatement;
      const writer = path.type === "PathExpression" ? (path as hbs.AST.PathExpression).original : "";
      if (!(writer in writers) || params.length !== 1) {
        throw new Error(`${name}:${statement.loc.start.line}: {{${writer}}} needs a writer, such as {{hcl value}}`);
      }
    } else if (statement.type === "BlockStatement") {
      const { program: inner, inverse } = statement as hbs.AST.BlockStatement;
      if (inner) requireWriters(inner, name);
      if (inverse) requireWriters(inverse, name);
    }
  }
};

/** One environment for all templates: making one costs more than rendering with it. */
const handlebars = Handlebars.create();
for (const [writer, write] of Object.entries(writers)) {
  handlebars.registerHelper(writer, (value: unknown) => {
    if (value === undefined || value === null) throw new RangeError(`a value for {{${writer} …}} is missing`);
    return write(value as never);
  });
}

/** Renders one template; unknown variables are errors. */
export const renderTemplate = (name: string, source: string, data: object): string => {
  const program = handlebars.parse(source);
  requireWriters(program, name);
  try {
    const text = handlebars.compile(program, { noEscape: true, strict: true, knownHelpers: {} })(data);
    return /\.hcl(?:\.hbs)?$/.test(name) ? alignedHcl(text) : text;
  } catch (error) {
    if (error instanceof RangeError) throw new RangeError(`${name}: ${error.message}`, { cause: error });
    throw error;
  }
};

/** The sources under templates/ and packer/, by path relative to bake's root. */
export type Templates = Readonly<Record<string, string>>;

/** @throws Error when it was not loaded. */
export const template = (templates: Templates, name: string): string => {
  const source = templates[name];
  if (source === undefined) throw new Error(`template ${name} was not loaded`);
  return source;
};
