/** report.html in a real browser: at two widths, light and dark. BAKE_TEST_SCREENSHOTS=FOLDER keeps what it looks like. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, vi } from "vitest";
import type { Report } from "../../src/report/input.ts";
import { reportPage } from "../../src/report/page.ts";
import { type Browser, startBrowser, type Tab } from "../browser.ts";
import { needs, toolPath } from "../needs.ts";
import { hostsReport, imageReport } from "../report/sample.ts";

const { test, describe } = needs("chromium");
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const folder = mkdtempSync(join(tmpdir(), "bake-report-"));
let browser: Browser | undefined;
beforeAll(async () => {
  if (toolPath("chromium") !== "") browser = await startBrowser(toolPath("chromium"));
});
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

const urlOf = (name: string, report: Report): string => {
  const file = join(folder, `${name}.html`);
  writeFileSync(file, reportPage(report));
  return pathToFileURL(file).href;
};

const tabOf = async (): Promise<Tab> => {
  if (browser === undefined) throw new Error("there is no browser");
  return browser.tab();
};

/** Texts whose contrast with what is behind them is below 4.5 to 1 (WCAG 2.2, AA), as the browser paints them. */
const faint = `(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (element) => { for (let at = element; at; at = at.parentElement) { const color = rgb(getComputedStyle(at).backgroundColor); if (color[3] === 255) return color; } return [255, 255, 255, 255]; };
  return [...document.querySelectorAll("body *")].flatMap((element) => {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "")) return [];
    const style = getComputedStyle(element);
    const [a, b] = [light(rgb(element instanceof SVGElement ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return ratio < 4.5 ? [element.textContent.slice(0, 40) + " " + ratio.toFixed(2)] : [];
  });
})()`;

/** Elements that reach beyond the window, or whose text does not fit into them. */
const beyond = `[...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".hidden,.skip,thead"))
  .map((each) => each.outerHTML.slice(0, 120))`;

describe.each([
  ["image", imageReport],
  ["hosts", hostsReport],
] as const)("of %s", (name, report) => {
  test.each([
    [1400, "light"],
    [1400, "dark"],
    [400, "light"],
    [400, "dark"],
  ] as const)(
    "%i pixels, %s: readable, nothing sideways, nothing asked for, nothing in the console",
    async (width, scheme) => {
      const url = urlOf(name, report);
      const tab = await tabOf();
      await tab.look({ width, height: 900, scheme });
      await tab.open(url);
      expect(await tab.value("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      expect(await tab.value(beyond)).toEqual([]);
      expect(await tab.value(faint)).toEqual([]);
      // The style sheet is the one that the policy names, and follows the reader's system.
      const page = (await tab.value("getComputedStyle(document.body).backgroundColor")) as string;
      expect(page).toBe(scheme === "light" ? "rgb(245, 246, 248)" : "rgb(15, 19, 24)");
      // What somebody hears: one main part, named parts, one first heading, tables with names and headings.
      expect(
        await tab.value(
          `["main", "header", "nav[aria-label]", "footer", "h1"].map((each) => document.querySelectorAll(each).length)`,
        ),
      ).toEqual([1, 1, 1, 1, 1]);
      expect(
        await tab.value(
          `[...document.querySelectorAll("table")].filter((each) => !each.getAttribute("aria-label") || !each.querySelector("th[scope=col]") || !each.querySelector("th[scope=row]")).length`,
        ),
      ).toBe(0);
      const height = (await tab.value("document.documentElement.scrollHeight")) as number;
      await tab.look({ width, height: Math.min(height, width === 400 ? 1600 : 1000), scheme });
      if (name === "image" && width === 1400) await tab.value(`document.getElementById("boot").scrollIntoView()`);
      const picture = await tab.screenshot("png");
      // Not one colour: something was painted.
      expect(picture.length).toBeGreaterThan(20_000);
      const keep = process.env["BAKE_TEST_SCREENSHOTS"];
      if (keep !== undefined) {
        writeFileSync(join(keep, `report-${name}-${width}-${scheme}.png`), picture);
        writeFileSync(join(keep, `report-${name}-${width}-${scheme}.webp`), await tab.screenshot("webp"));
      }
      expect(tab.said).toEqual([]);
      expect(tab.asked).toEqual([url]);
    },
  );
});

test("the policy holds: neither a script nor a picture nor a style of somebody else works", async () => {
  const tab = await tabOf();
  await tab.look({ width: 1400, height: 900, scheme: "light" });
  await tab.open(urlOf("policy", hostsReport));
  await tab.value(
    `document.body.insertAdjacentHTML("beforeend", "<p id=x style='color:rgb(1,2,3)'>x</p><img src='https://example.com/x.png'>")`,
  );
  await tab.value(
    `{ const script = document.createElement("script"); script.textContent = "window.ran = true"; document.body.append(script); }`,
  );
  expect(await tab.value("window.ran ?? false")).toBe(false);
  expect(await tab.value(`getComputedStyle(document.getElementById("x")).color`)).not.toBe("rgb(1, 2, 3)");
  // Each of the three is told, and the picture is not fetched.
  expect(tab.refused).toEqual(["csp"]);
  for (const what of ["inline script", "inline style", "Loading the image"])
    expect(tab.said.join("\n")).toContain(what);
});

test("hostile values are text", async () => {
  const bad = `</script></style></title><script>window.ran = 1</script><img src=x onerror="window.ran = 2">" onclick='x' \u202e\u0000&lt;`;
  const [, second] = hostsReport.nodes;
  const tab = await tabOf();
  await tab.look({ width: 400, height: 900, scheme: "light" });
  await tab.open(
    urlOf("hostile", {
      ...hostsReport,
      profile: bad,
      nodes: [{ ...second!, name: bad, facts: [[bad, bad]], problems: [bad] }],
    }),
  );
  expect(await tab.value("window.ran ?? false")).toBe(false);
  expect(await tab.value("[document.scripts.length, document.images.length]")).toEqual([0, 0]);
  const text = bad.replace("\u202e", "\ufffd").replace("\u0000", "\ufffd");
  expect(await tab.value(`document.querySelector("h1").firstChild.data`)).toBe(`${text} `);
  expect(await tab.value(`document.querySelector(".facts dt").textContent`)).toBe(text);
  expect(await tab.value("document.title")).toContain("</script></style></title><script>");
  expect(await tab.value("document.documentElement.scrollWidth")).toBeLessThanOrEqual(400);
  expect(tab.said).toEqual([]);
});
