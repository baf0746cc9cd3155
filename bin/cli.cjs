// Runs the bundle in dist/ with V8's code cache: to compile it anew would take longer than most commands do.
const { readdirSync, readFileSync, renameSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const folder = join(__dirname, "../dist");
// Its name holds its digest, and so does the cache's: V8 itself compares no more than the length of the source.
const name = readdirSync(folder).find((each) => /^cli-\w+\.cjs$/.test(each));
if (name === undefined) throw new Error(`${folder} holds no bundle; run bin/bake`);
const filename = join(folder, name);
const cache = `${filename}.${process.version}-${process.arch}.cache`;

let cachedData;
try {
  cachedData = readFileSync(cache);
} catch {
  // The first run makes it.
}
const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(filename, "utf8")}\n})`;
const script = new Script(source, { filename, cachedData });
if (cachedData === undefined || script.cachedDataRejected) {
  process.on("exit", () => {
    try {
      writeFileSync(`${cache}.${process.pid}`, script.createCachedData());
      renameSync(`${cache}.${process.pid}`, cache);
    } catch {
      // A checkout that cannot be written to goes without.
    }
  });
}
script.runInThisContext()(exports, require, module, filename, folder);
