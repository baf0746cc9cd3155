// Bundles the CLI into dist/cli-<hash>.cjs, one file for bin/cli.cjs and its code cache, and warms that cache.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
await build({
  entryPoints: ["src/cli.ts"],
  outdir: "dist",
  entryNames: "[name]-[hash]",
  outExtension: { ".js": ".cjs" },
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node20",
  logLevel: "warning",
  minifyWhitespace: true,
  minifySyntax: true,
  define: { "import.meta.url": "bundleUrl" },
  banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
});
// Node refuses such a call from a script with a code cache: what is imported lazily has to be in the bundle.
const [bundle = ""] = readdirSync("dist").filter((name) => name.endsWith(".cjs"));
if (/\bimport\(/.test(readFileSync(join("dist", bundle), "utf8"))) throw new Error(`dist/${bundle} calls import()`);
// What this run compiles is in the cache, for every later one. Nothing of it is kept; without it all works, slower.
const folder = mkdtempSync(join(tmpdir(), "bake-build-"));
const cli = join(process.cwd(), "bin/cli.cjs");
spawnSync(process.execPath, [cli, "render", "--profile", "2cards"], { cwd: folder });
rmSync(folder, { recursive: true, force: true });
