// Runs the bundle in dist/ with V8's code cache: to compile it anew would take longer than most commands do.
const { createHash } = require("node:crypto");
const { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, writeSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const folder = join(__dirname, "../dist");
// Its name holds its digest, and so does the cache's: V8 itself compares no more than the length of the source.
const name = readdirSync(folder).find((each) => /^cli-\w+\.cjs$/.test(each));
if (name === undefined) throw new Error(`${folder} holds no bundle; run bin/bake`);
const filename = join(folder, name);
const cache = `${filename}.${process.version}-${process.arch}.cache`;

const digestOf = (data) => createHash("sha256").update(data).digest();

// V8 trusts what it is given: a damaged cache would end the process. Its digest stands in front.
let cachedData;
try {
  const stored = readFileSync(cache);
  const data = stored.subarray(32);
  if (digestOf(data).equals(stored.subarray(0, 32))) cachedData = data;
} catch {
  // The first run makes it.
}
const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(filename, "utf8")}\n})`;
const script = new Script(source, { filename, cachedData });
if (cachedData === undefined || script.cachedDataRejected) {
  process.on("exit", () => {
    try {
      const data = script.createCachedData();
      const file = openSync(`${cache}.${process.pid}`, "w");
      writeSync(file, digestOf(data));
      writeSync(file, data);
      fsyncSync(file);
      closeSync(file);
      renameSync(`${cache}.${process.pid}`, cache);
    } catch {
      // A checkout that cannot be written to goes without.
    }
  });
}
script.runInThisContext()(exports, require, module, filename, folder);
