// Bundles the CLI into dist/cli-<hash>.cjs, one file for bin/cli.cjs and its code cache, and warms that cache.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

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

rmSync("dist", { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ["src/cli.ts"],
  outdir: "dist",
  entryNames: "[name]-[hash]",
  outExtension: { ".js": ".cjs" },
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node20",
  logLevel: "warning",
  metafile: true,
  legalComments: "none",
  minifyWhitespace: true,
  minifySyntax: true,
  define: {
    "import.meta.url": "bundleUrl",
    BAKE_VERSION: JSON.stringify(`${readJson("package.json").version}${commitOf()}`),
  },
  banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
});
// Node refuses such a call from a script with a code cache: what is imported lazily has to be in the bundle.
const [bundle = ""] = readdirSync("dist").filter((name) => name.endsWith(".cjs"));
if (/\bimport\(/.test(readFileSync(join("dist", bundle), "utf8"))) throw new Error(`dist/${bundle} calls import()`);

// The licences of what is in the bundle go with it.
const packages = [
  ...new Set(
    Object.keys(metafile.inputs).flatMap(
      (path) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(0, 1) ?? [],
    ),
  ),
].toSorted();
const licences = packages.map((folder) => {
  const { name, version, license } = readJson(join(folder, "package.json"));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  if (file === undefined) throw new Error(`${name} comes without its licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync("dist/LICENSES.txt", `The bundle holds these packages.\n\n${licences.join(`\n${"-".repeat(72)}\n\n`)}`);

// What this run compiles is in the cache, for every later one. Nothing of it is kept; without it all works, slower.
const folder = mkdtempSync(join(tmpdir(), "bake-build-"));
const cli = join(process.cwd(), "bin/cli.cjs");
spawnSync(process.execPath, [cli, "render", "--profile", "2cards"], { cwd: folder });
rmSync(folder, { recursive: true, force: true });
