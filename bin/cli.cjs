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
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} = require("node:fs");
const { homedir } = require("node:os");
const { join } = require("node:path");
const { Script } = require("node:vm");

const folder = join(__dirname, "../dist");
// Its name holds its digest, and so does the cache's: V8 itself compares no more than the length of the source.
const name = (existsSync(folder) ? readdirSync(folder) : []).find((each) => /^cli-\w+\.cjs$/.test(each));
if (name === undefined) {
  process.stderr.write(
    `${folder} holds no bundle: run bin/bake of a checkout, which makes it, or install the package again.\n`,
  );
  process.exit(2);
}
const filename = join(folder, name);

/** Beside the bundle of a checkout; an installed package stays as it is. Undefined where there is no home. */
const cacheFolder = () => {
  if (existsSync(join(__dirname, "../src"))) return folder;
  try {
    return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "bake/compiled");
  } catch {
    return undefined;
  }
};
const caches = cacheFolder();
const cache = join(caches ?? folder, `${name}.${process.version}-${process.arch}.cache`);

const digestOf = (data) => createHash("sha256").update(data).digest();

// V8 trusts what it is given: a damaged cache would end the process. Its digest stands in front. It runs: it is taken from
// nobody else.
let cachedData;
try {
  const file = openSync(cache, "r");
  const { uid } = fstatSync(file);
  const stored = readFileSync(file);
  closeSync(file);
  const data = stored.subarray(32);
  const isOurs = uid === 0 || uid === process.getuid?.() || caches === folder;
  if (isOurs && digestOf(data).equals(stored.subarray(0, 32))) cachedData = data;
} catch {
  // The first run makes it.
}
const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(filename, "utf8")}\n})`;
const script = new Script(source, { filename, cachedData });
if (caches !== undefined && (cachedData === undefined || script.cachedDataRejected)) {
  process.on("exit", () => {
    try {
      mkdirSync(caches, { recursive: true, mode: 0o700 });
      const data = script.createCachedData();
      const file = openSync(`${cache}.${process.pid}`, "w");
      writeSync(file, digestOf(data));
      writeSync(file, data);
      fsyncSync(file);
      closeSync(file);
      renameSync(`${cache}.${process.pid}`, cache);
    } catch {
      // Where nothing can be written, it goes without.
    }
  });
}
script.runInThisContext()(exports, require, module, filename, folder);
