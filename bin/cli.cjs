// Runs the bundle in dist/ with V8's code cache: to compile it anew would take longer than most commands do.
// In words that an old Node.js can read, before it is asked for anything that it does not have.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 18)) {
  process.stderr.write(`bake needs Node.js 20.18 or newer; this is ${process.version} (${process.execPath}).\n`);
  process.exit(2);
}
const {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const dist = join(__dirname, "../dist");
let digest;
try {
  // From here on the same, also when bake is bundled anew meanwhile.
  digest = readFileSync(join(dist, "current"), "latin1").trim();
} catch {
  process.stderr.write(
    `${dist} holds no bundle: run bin/bake of a checkout, which makes it, or install the package again.\n`,
  );
  process.exit(2);
}
const folder = join(dist, digest);

/** Beside the chunks of a checkout; an installed package stays as it is. Undefined where there is no home. */
const cacheFolder = () => {
  if (existsSync(join(__dirname, "../src"))) return folder;
  try {
    const home = process.env.XDG_CACHE_HOME || join(require("node:os").homedir(), ".cache");
    return join(home, "bake/compiled", digest);
  } catch {
    return undefined;
  }
};
const caches = cacheFolder();

/**
 * What V8 made of a chunk before. V8 trusts what it is given, and a damaged cache would end the process: so it is stored
 * twice. And it runs: it is taken from nobody else.
 */
const readCache = (path) => {
  let file;
  try {
    file = openSync(path, "r");
    const { uid } = fstatSync(file);
    if (caches !== folder && uid !== 0 && uid !== process.getuid?.()) return undefined;
    const stored = readFileSync(file);
    const data = stored.subarray(0, stored.length / 2);
    return data.equals(stored.subarray(stored.length / 2)) ? data : undefined;
  } catch {
    // The first run makes it.
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
};

const writeCache = (path, script) => {
  try {
    mkdirSync(caches, { recursive: true, mode: 0o700 });
    const data = script.createCachedData();
    const fresh = openSync(`${path}.${process.pid}`, "w");
    writeSync(fresh, data);
    writeSync(fresh, data);
    fsyncSync(fresh);
    closeSync(fresh);
    renameSync(`${path}.${process.pid}`, path);
  } catch {
    // Where nothing can be written, it goes without.
  }
};

const loaded = new Map();
const uncached = new Map();
// By then all that the process used is compiled, and comes into the cache.
process.on("exit", () => uncached.forEach((script, path) => writeCache(path, script)));

/** A chunk's exports, as `require` gives them. */
const load = (name) => {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const filename = join(folder, name);
  const cache = caches && join(caches, `${name}.${process.version}-${process.arch}.cache`);
  const cachedData = cache && readCache(cache);
  const script = new Script(readFileSync(filename, "latin1"), { filename, cachedData });
  if (cache && (cachedData === undefined || script.cachedDataRejected)) uncached.set(cache, script);
  const chunk = { exports: {} };
  loaded.set(name, chunk);
  script.runInThisContext()(chunk.exports, requireFrom, chunk, filename);
  return chunk.exports;
};
const requireFrom = (id) => (id.startsWith("./") ? load(id.slice(2)) : require(id));

load("cli.js");
