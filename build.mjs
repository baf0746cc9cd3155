// Bundles the CLI into dist/, in chunks: what a command does not need is not read. bin/cli.cjs runs them with V8's code cache,
// and this run warms that cache.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { runInThisContext } from "node:vm";
import { build, transform } from "esbuild";

const readJson = (file) => JSON.parse(readFileSync(file, "utf8"));

/** What a package is made from: a change of anything else does not make it another. */
const shipped = ["src", "bin", "build.mjs", "package.json", ...readJson("package.json").files];

/** `+0bebbafd3c12`, or `+0bebbafd3c12.modified`; nothing outside of a checkout. */
const commitOf = () => {
  const git = (...args) => execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    // The checkout of somebody who keeps bake's files inside says nothing about bake.
    if (git("rev-parse", "--show-toplevel") !== realpathSync(".")) return "";
    const modified = git("status", "--porcelain", "--", ...shipped) !== "";
    return `+${git("rev-parse", "--short=12", "HEAD")}${modified ? ".modified" : ""}`;
  } catch {
    return "";
  }
};

/** What `src/render/template-code.ts` makes of each template, by the template's text: a text that is not among them is never rendered. */
const templateCode = async () => {
  const { outputFiles } = await build({
    entryPoints: ["src/render/template-code.ts"],
    bundle: true,
    write: false,
    format: "cjs",
    platform: "node",
    logLevel: "warning",
  });
  const compiler = { exports: {} };
  runInThisContext(`(function (module, require) {${outputFiles[0].text}\n})`)(compiler, createRequire(import.meta.url));
  const names = ["templates", "packer"].flatMap((folder) =>
    readdirSync(folder, { recursive: true }).map((name) => join(folder, name)),
  );
  const texts = names.filter((name) => name.endsWith(".hbs")).toSorted((a, b) => (a < b ? -1 : 1));
  const rows = texts.map((name) => {
    const text = readFileSync(name, "utf8");
    return `[${JSON.stringify(text)}, ${compiler.exports.compile(name, text)}]`;
  });
  return `const made = new Map([${rows.join(",\n")}]);
    export const templateCode = (name, source) => {
      const code = made.get(source);
      if (code === undefined) throw new Error(name + " was changed after bake was bundled: run bin/bake of a checkout, which bundles it anew, or install the package again");
      return code;
    };`;
};

const compiledTemplates = {
  name: "compiled templates",
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/src\/render\/template-code\.ts$/ }, async () => ({
      contents: await templateCode(),
      loader: "js",
    }));
  },
};

const { outputFiles, metafile } = await build({
  entryPoints: { cli: "src/cli.ts" },
  outdir: "dist",
  bundle: true,
  splitting: true,
  write: false,
  format: "esm",
  platform: "node",
  target: "node20",
  logLevel: "warning",
  minifyWhitespace: true,
  minifySyntax: true,
  metafile: true,
  legalComments: "none",
  define: { BAKE_VERSION: JSON.stringify(`${readJson("package.json").version}${commitOf()}`) },
  plugins: [compiledTemplates],
  // Its compiler has done its work.
  alias: { handlebars: "handlebars/runtime.js" },
});

/** esbuild splits ES modules alone, and Node has no code cache for these: each chunk becomes a function, as a CommonJS file does. */
const scriptOf = async ({ path, text }) => {
  const { code } = await transform(text, {
    format: "cjs",
    platform: "node",
    target: "node20",
    minifyWhitespace: true,
    minifySyntax: true,
    // Node refuses import() in a script with a code cache.
    supported: { "dynamic-import": false },
    define: { "import.meta.url": "bundleUrl" },
  });
  const url = code.includes("bundleUrl") ? 'const bundleUrl=require("node:url").pathToFileURL(__filename).href;' : "";
  // esbuild leaves what stands in regular expressions as it is.
  const escaped = code.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const script = `(function(exports,require,module,__filename){${url}${escaped}\n})`;
  // One byte a character: read as it is, in half the memory.
  if (Buffer.byteLength(script) !== script.length) throw new Error(`${basename(path)} is not ASCII`);
  if (/\bimport\(/.test(script)) throw new Error(`${basename(path)} calls import()`);
  return [basename(path), script];
};
const scripts = await Promise.all(outputFiles.map(scriptOf));
const digest = createHash("sha256").update(JSON.stringify(scripts)).digest("hex").slice(0, 16);
const folder = join("dist", digest);
mkdirSync(folder, { recursive: true });
for (const [name, script] of scripts) writeFileSync(join(folder, name), script);
// The licences of what is in the bundle go with it.
const packages = [
  ...new Set(
    Object.keys(metafile.inputs).flatMap(
      (path) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(0, 1) ?? [],
    ),
  ),
].toSorted();
const licences = packages.map((place) => {
  const { name, version, license } = readJson(join(place, "package.json"));
  const file = readdirSync(place).find((each) => /^licen[cs]e/i.test(each));
  if (file === undefined) throw new Error(`${name} comes without its licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(place, file), "utf8").trim()}\n`;
});
writeFileSync("dist/LICENSES.txt", `The bundle holds these packages.\n\n${licences.join(`\n${"-".repeat(72)}\n\n`)}`);

// Renamed into place: whoever starts meanwhile runs the former bundle or this one, whole. A file, not a link: npm packs no links.
const fresh = join("dist", `current.${process.pid}`);
writeFileSync(fresh, `${digest}\n`);
renameSync(fresh, "dist/current");
// A long bake may still load a chunk of a former bundle; no package takes it along.
rmSync(join(folder, ".npmignore"), { force: true });
const aDayAgo = Date.now() - 24 * 3600 * 1000;
for (const name of readdirSync("dist")) {
  const path = join("dist", name);
  if ([digest, "current"].includes(name)) continue;
  if (lstatSync(path).mtimeMs < aDayAgo) rmSync(path, { recursive: true });
  else if (/^[0-9a-f]{16}$/.test(name)) writeFileSync(join(path, ".npmignore"), "*\n");
}
// What these runs compile is in the cache, for every later one. Nothing else of them is kept; without it all works, slower.
const scratch = mkdtempSync(join(tmpdir(), "bake-build-"));
const cli = join(process.cwd(), "bin/cli.cjs");
for (const args of [["render", "--profile", "2cards"], ["validate", "--profile", "2cards"], ["--help"]])
  spawnSync(process.execPath, [cli, ...args], { cwd: scratch });
rmSync(scratch, { recursive: true, force: true });
