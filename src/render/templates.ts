/** Handlebars, where every value must go through a writer of the format that it lands in. */
import Handlebars from "handlebars";
import { alignedHcl } from "../formats/hcl.ts";
import { templateCode } from "./template-code.ts";
import { writers } from "./writers.ts";

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
  const render = handlebars.template(templateCode(name, source));
  try {
    const text = render(data);
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
