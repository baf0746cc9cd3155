// Runs the bundle in dist/ with V8's code cache: to compile it anew would take longer than most commands do.
// In words that an old Node.js can read, before it is asked for anything that it does not have.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 18)) {
  process.stderr.write(`bake needs Node.js 20.18 or newer; this is ${process.version} (${process.execPath}).\n`);
  process.exit(2);
}
const { closeSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, writeSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

let folder;
try {
  // From here on the same, also when bake is bundled anew meanwhile.
  folder = realpathSync(join(__dirname, "../dist/current"));
} catch {
  process.stderr.write(`${join(__dirname, "../dist")} holds no bundle: run bin/bake, which makes it.\n`);
  process.exit(2);
}

/** What V8 made of a chunk before. It trusts what it is given, and a damaged cache would end the process: so it is stored twice. */
const readCache = (file) => {
  try {
    const stored = readFileSync(file);
    const data = stored.subarray(0, stored.length / 2);
    return data.equals(stored.subarray(stored.length / 2)) ? data : undefined;
  } catch {
    // The first run makes it.
    return undefined;
  }
};

const writeCache = (file, script) => {
  try {
    const data = script.createCachedData();
    const fresh = openSync(`${file}.${process.pid}`, "w");
    writeSync(fresh, data);
    writeSync(fresh, data);
    fsyncSync(fresh);
    closeSync(fresh);
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // A checkout that cannot be written to goes without.
  }
};

const loaded = new Map();
const uncached = new Map();
// By then all that the process used is compiled, and comes into the cache.
process.on("exit", () => uncached.forEach((script, file) => writeCache(file, script)));

/** A chunk's exports, as `require` gives them. */
const load = (name) => {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const filename = join(folder, name);
  const cache = `${filename}.${process.version}-${process.arch}.cache`;
  const cachedData = readCache(cache);
  const script = new Script(readFileSync(filename, "latin1"), { filename, cachedData });
  if (cachedData === undefined || script.cachedDataRejected) uncached.set(cache, script);
  const chunk = { exports: {} };
  loaded.set(name, chunk);
  script.runInThisContext()(chunk.exports, requireFrom, chunk, filename);
  return chunk.exports;
};
const requireFrom = (id) => (id.startsWith("./") ? load(id.slice(2)) : require(id));

load("cli.js");
