// Runs the bundle in dist/ with V8's code cache: to compile it anew would take longer than most commands do.
// In words that an old Node.js can read, before it is asked for anything that it does not have.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 18)) {
  process.stderr.write(`bake needs Node.js 20.18 or newer; this is ${process.version} (${process.execPath}).\n`);
  process.exit(2);
}
const { createHash } = require("node:crypto");
const {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const folder = join(__dirname, "../dist");
// Its name holds its digest, and so does the cache's: V8 itself compares no more than the length of the source.
const name = (existsSync(folder) ? readdirSync(folder) : []).find((each) => /^cli-\w+\.cjs$/.test(each));
if (name === undefined) {
  process.stderr.write(`${folder} holds no bundle: run bin/bake, which makes it.\n`);
  process.exit(2);
}
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
