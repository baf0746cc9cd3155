/** Types of single values that several sections share. */
import * as z from "zod";

/** A version, exact or such as `26.1.x`: the lock holds the exact one. @param example Shown in messages and by editors. */
export const version = (example: string) =>
  z
    .string()
    .regex(
      /^\d+\.\d+\.(?:x|\d+(?:-[0-9A-Za-z.-]+)?)$/,
      `expected a version such as ${example}, or ${example.replace(/\d+$/, "x")} for its newest patch release`,
    )
    .meta({ examples: [example] });

/** Without `..`, without a trailing slash: it is compared and joined as text. */
export const absolutePath = z
  .string()
  .regex(
    /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/,
    "expected an absolute path of letters, digits, `.`, `_` and `-`, without `..` and without a trailing slash",
  );

/** A file on the machine where bake runs. A relative one is meant from the profile that names it. */
export const localFile = z
  .string()
  .regex(/^[^\0\n\r]+$/, "expected the path of a file")
  .meta({ profileRelative: true });

/** A word that needs quotes in no format. @param what Names it in the message: `a queue name`. */
export const token = (what: string) =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, `expected ${what} of letters, digits, \`.\`, \`_\` and \`-\``);

/** Never `__proto__`, which objects take for something else. */
export const environmentName = z
  .string()
  .regex(/^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable, such as HF_ENDPOINT");

/** What an environment file can hold: formats/lines.ts says why. */
export const oneLine = z
  .string()
  .regex(/^[^\0-\x08\n-\x1f\x7f]*$/, "expected one line of text without control characters")
  .refine(
    (text) => !/[\p{Noncharacter_Code_Point}\p{Surrogate}]/u.test(text),
    "expected text; this holds a code that is no character",
  );
