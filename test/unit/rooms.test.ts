/** The order of the rooms of src/, and the length of its files. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { concerns } from "../../src/node/index.ts";
import { longBecause, mostLines, rooms } from "../rooms.ts";

const src = join(root, "src");
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .toSorted();
const textOf = (path: string): string => readFileSync(join(src, path), "utf8");
const roomOf = (path: string): string => path.replace(/\/.*/, "/");

/** What a file imports or exports anew, as paths below src/; types count too. */
const importsOf = (path: string, text: string): string[] =>
  [...text.matchAll(/^(?:import|export|\}).*?from "(\.[^"]+)"|\bimport\(\s*"(\.[^"]+)"|^import "(\.[^"]+)"/gm)].map(
    ([, ...found]) => normalize(join(dirname(path), found.find((each) => each !== undefined) ?? "")),
  );

const order = rooms.map(([name]) => name);
const arrows = files.flatMap((from) => importsOf(from, textOf(from)).map((to) => ({ from, to })));
const between = arrows.filter(({ from, to }) => roomOf(from) !== roomOf(to));

test("imports are read in every form", () => {
  const text = `import a from "./a.ts";
import {
  type B,
} from "../b.ts";
import type { C } from "./c/d.ts";
export { e } from "./e.ts";
import "./f.ts";
const g = await import("../g.ts");
const text = 'taken from "./not.ts"';
`;
  expect(importsOf("room/x.ts", text)).toEqual(["room/a.ts", "b.ts", "room/c/d.ts", "room/e.ts", "room/f.ts", "g.ts"]);
  expect(arrows.length).toBeGreaterThan(files.length);
  // Whatever is imported is one of the files: nothing was misread.
  expect(arrows.filter(({ to }) => !files.includes(to))).toEqual([]);
});

test("everything directly below src/ is a room of test/rooms.ts, and the rooms are there", () => {
  expect([...new Set(files.map(roomOf))].toSorted()).toEqual(order.toSorted());
});

test("imports lead down the list of rooms: no arrow goes up, so none go in a circle", () => {
  const upward = between
    .filter(({ from, to }) => order.indexOf(roomOf(from)) > order.indexOf(roomOf(to)))
    .map(({ from, to }) => `${from} -> ${to}`);
  expect([...new Set(upward)], "a room imports from one above it").toEqual([]);
});

test("concerns do not import each other: what several of them need are facts", () => {
  const concernOf = (path: string): string | undefined =>
    /^node\/([^/]+)\/|^node\/([^/]+)\.ts$/.exec(path)?.slice(1).find(Boolean);
  const names = new Set(concerns.map(({ name }) => name));
  const crossing = arrows.flatMap(({ from, to }) => {
    const [one, other] = [concernOf(from) ?? "", concernOf(to) ?? ""];
    return names.has(one) && names.has(other) && one !== other && !to.endsWith("/facts.ts") ? [`${from} -> ${to}`] : [];
  });
  expect(crossing).toEqual([]);
});

test("no file of src/ is long without saying why at its head", () => {
  const long = files.filter((path) => {
    const lines = textOf(path).trimEnd().split("\n");
    return lines.length > mostLines && !lines.slice(0, 10).some((line) => line.includes(longBecause));
  });
  expect(long, `more than ${mostLines} lines: take it apart, or say "${longBecause} …" in its first ten lines`).toEqual(
    [],
  );
});
