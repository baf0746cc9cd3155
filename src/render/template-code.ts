/**
 * Templates compiled. A module of its own, because bake's bundle holds another in its place, with all templates compiled when it was
 * made (build.mjs): to compile them takes as long as all the rest of a rendering.
 */
import { runInThisContext } from "node:vm";
import Handlebars from "handlebars";
import { writers } from "./writers.ts";

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

/**
 * A template as JavaScript; unknown variables are errors when it runs.
 * @public Used by build.mjs.
 * @throws Error when it prints a value without a writer.
 */
export const compile = (name: string, source: string): string => {
  const program = Handlebars.parse(source);
  requireWriters(program, name);
  // A text, whatever its type says.
  return Handlebars.precompile(program, { noEscape: true, strict: true, knownHelpers: {} }) as unknown as string;
};

/** What Handlebars makes a template of. @throws Error as `compile`. */
export const templateCode = (name: string, source: string): TemplateSpecification =>
  runInThisContext(`(${compile(name, source)})`) as TemplateSpecification;
