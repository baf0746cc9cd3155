/** Some two hundred wrong profiles: what each is told first, by the command that people run. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { validate } from "../../src/commands/validate.ts";
import { right, slips } from "./slips.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-slips-"));
writeFileSync(join(folder, "ascend.yaml"), right);
writeFileSync(join(folder, "right.yaml"), right);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What `bake validate` prints, with the folder's name taken out. */
const report = async (path: string): Promise<{ code: number; text: string }> => {
  const written: string[] = [];
  const keep = (chunk: unknown): boolean => {
    written.push(String(chunk));
    return true;
  };
  const spies = [vi.spyOn(process.stderr, "write"), vi.spyOn(process.stdout, "write")];
  for (const spy of spies) spy.mockImplementation(keep);
  try {
    const code = await validate({}, [path], "0.0.0");
    return { code, text: written.join("").replaceAll(`${folder}/`, "") };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
};

const told: string[] = [];

test.each(slips.map((slip) => [`${slip.kind}: ${slip.name}`, slip] as const))("%s", async (name, slip) => {
  const path = join(folder, "profile.yaml");
  writeFileSync(path, slip.profile);
  const { code, text } = await report(path);
  const [first = ""] = text.split("\n\n");
  const help = /= help: .*/.exec(first)?.[0] ?? "";
  told.push(
    `${name.replaceAll("\u0000", "␀")}\n  exit ${code}, ${(first.split("\n")[0] ?? "").replaceAll("\ufffd", "?")}\n  ${help}`.trimEnd(),
  );
  expect(code).toBe(1);
  expect(first).toContain(`error[${slip.code}]: `);
  expect(first).toMatch(/--> profile\.yaml:\d+:\d+/);
  expect(first).toContain(slip.says);
});

test("there are two hundred of them", () => {
  expect(slips.length).toBeGreaterThanOrEqual(200);
});

test("the first lines of all", async () => {
  await expect(`${told.join("\n")}\n`).toMatchFileSnapshot(join(import.meta.dirname, "slips.txt"));
});

test("a folder in the place of a profile", async () => {
  const { code, text } = await report(folder);
  expect(code).toBe(2);
  expect(text).toContain("is a folder, and a profile is a file\n");
  expect(text).toContain("ascend.yaml");
});

test.each([
  ["CRLF", right.replaceAll("\n", "\r\n")],
  ["UTF-8 with a BOM", `\ufeff${right}`],
  ["JSON", JSON.stringify({ agents: { version: "3.137.0", spawn: 4, cards: 2 }, extends: "./right.yaml" })],
  [
    "full-width signs in comments and texts",
    `# 队列：ascend，四个\n${right}pins: { docker: { reason: "因为：测试，通过" } }\n`,
  ],
])("%s is right", async (_name, text) => {
  writeFileSync(join(folder, "profile.yaml"), text);
  expect(await report(join(folder, "profile.yaml"))).toEqual({ code: 0, text: "profile.yaml: ok\n" });
});
