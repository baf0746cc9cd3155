// Before the tests: what a fresh clone lacks is said in one line, with what to run, and not by one failing test after the other.
// In words that need no package.
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const stop = (why) => {
  process.stderr.write(
    `npm test: ${why}\n  Run ./bin/test once (as root, or where sudo asks nothing): it sets up what is missing and runs all tests.\n  For the tools alone: ./bin/bake set-up --for-tests\n`,
  );
  process.exit(2);
};

if (!existsSync(join(root, "node_modules/.package-lock.json"))) stop("the npm packages are not installed");
// Somebody who wants to run what can be run: tests that need a tool are skipped then, and counted.
if ((process.env.BAKE_TEST_WITHOUT_TOOLS ?? "") === "") {
  const file = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "bake/test/tools.json");
  const hint = "\n  BAKE_TEST_WITHOUT_TOOLS=1 npm test runs without: tests that need one are skipped, some fail";
  if (!existsSync(file)) stop(`the tools that tests run were never made here${hint}`);
  const gone = Object.entries(JSON.parse(readFileSync(file, "utf8"))).filter(([, path]) => !existsSync(path));
  if (gone.length > 0) stop(`tools that tests run are gone: ${gone.map(([, path]) => path).join(", ")}${hint}`);
}
