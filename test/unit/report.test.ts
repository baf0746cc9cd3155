/** report.html as a strict parser reads it: small ones byte by byte, and what hostile values make of it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { CheckResult } from "../../src/check/results.ts";
import { element, page } from "../../src/formats/html.ts";
import { ticksOf } from "../../src/report/charts.ts";
import type { Report } from "../../src/report/input.ts";
import { reportPage } from "../../src/report/page.ts";
import { root } from "../../src/host/root.ts";
import { hostileStrings, seed } from "../hostile.ts";
import { hostsReport, imageReport } from "../report/sample.ts";

interface Node {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
  readonly all: string;
}

/** Every element of each page in its order, as expat reads it: it ends at the first thing that is not well-formed. */
const parsed = (pages: readonly string[]): Node[][] =>
  JSON.parse(
    execFileSync(
      "python3",
      [
        "-c",
        `import sys, json, xml.etree.ElementTree as tree
read = lambda page: [{"tag": e.tag, "attributes": e.attrib, "text": e.text or "", "all": "".join(e.itertext())} for e in tree.fromstring(page.encode()).iter()]
print(json.dumps([read(page) for page in json.load(sys.stdin)]))`,
      ],
      { input: JSON.stringify(pages), encoding: "utf8", maxBuffer: 2 ** 28 },
    ),
  ) as Node[][];

const elementsOf = (html: string): Node[] => parsed([html])[0] ?? [];

const textsOf = (nodes: readonly Node[], tag: string): string[] =>
  nodes.filter((node) => node.tag === tag).map(({ all }) => all);

const result = (more: Partial<CheckResult>): CheckResult => ({
  check: { id: "docker-version", rows: ["G15"], title: "Docker is 27.5.1", level: "gating", help: "Bake again." },
  outcome: "passed",
  ...more,
});

const small: Report = {
  profile: "site",
  trial: true,
  version: "0.1.0",
  at: "2026-11-27T02:57:31.204Z",
  nodes: [
    { name: "root@a", results: [result({})], problems: [] },
    {
      name: "root@b",
      results: [result({ outcome: "failed", expected: '"27.5.1"', found: "26.1 <b>" })],
      problems: [],
    },
    { name: "root@c", results: [], problems: ["BK511: root@c cannot be reached by ssh"] },
  ],
  steps: [],
};

describe("a report", () => {
  test("of hosts, whole", async () => {
    // The style sheet stands in src/report/style.ts; the digest of it is in the policy.
    const html = reportPage(small).replace(/<style>[^<]*<\/style>/, "<style></style>");
    await expect(html).toMatchFileSnapshot(join(root, "test/report/expected/hosts.html"));
  });

  test("of hosts has a row a host, and of each what failed", () => {
    const nodes = elementsOf(reportPage(hostsReport));
    const links = nodes.filter(({ attributes }) => attributes["href"]?.startsWith("#host-"));
    expect(links.map(({ all }) => all)).toEqual(hostsReport.nodes.map(({ name }) => name));
    expect(textsOf(nodes, "dd").filter((text) => text.includes("26.1.4"))).toHaveLength(1);
    expect(nodes.find(({ attributes }) => attributes["class"] === "problem")?.all).toContain("BK511");
    // Each link leads to something.
    const ids = new Set(nodes.map(({ attributes }) => attributes["id"]));
    const targets = nodes.flatMap(({ attributes: { href } }) => (href === undefined ? [] : [href.slice(1)]));
    expect(targets.filter((id) => !ids.has(id))).toEqual([]);
  });

  test("of an image tells what was baked, what changed, what failed, how it booted, what takes room and time", () => {
    const nodes = elementsOf(reportPage(imageReport));
    expect(textsOf(nodes, "h2")).toEqual(["Checks", "Boot", "What was baked", "Sizes", "Times"]);
    const rows = textsOf(nodes, "tr").map((text) => text.replace(/\s+/g, " ").trim());
    const row = (start: string): string => rows.find((text) => text.startsWith(start)) ?? "";
    for (let guide = 1; guide <= 28; guide++) expect(rows.some((text) => text.startsWith(`G${guide}`))).toBe(true);
    expect(row("docker27.5.1")).toContain("was 27.4.1");
    expect(row("quay.io/ascend/cann:8.5.0")).toContain("was quay.io/ascend/cann:8.3.rc1");
    expect(row("goss")).toContain("new");
    expect(row("buildx")).toContain("the same");
    expect(row("Qwen/Qwen2.5")).toContain("no longer there");
    expect(
      nodes.some(
        ({ all, tag }) => tag === "p" && all.includes("2 artifacts changed, 1 artifact added, 1 artifact removed"),
      ),
    ).toBe(true);
    expect(row("docker.service41.9")).toBe("docker.service41.962.3");
    // Parts stand behind the step that they are parts of.
    const packer = rows.findIndex((text) => text.startsWith("Packer builds"));
    expect(rows[packer + 1]).toMatch(/^in the VM: start the build VM/);
    expect(row("in the VM: install artifacts")).toContain("+60 %");
    // Journal and inode tables take room too.
    expect(row("left")).toBe("left273");
    // Where every number of a chart stands as text, its bars are for the eye alone.
    expect(nodes.filter(({ tag, attributes }) => tag === "svg" && attributes["aria-hidden"] !== "true")).toEqual([]);
  });

  test("without what nobody knows: no image before, no sizes, nothing checked", () => {
    const image = imageReport.image!;
    const { changes: _changes, size: _size, ...rest } = image;
    const nodes = elementsOf(
      reportPage({
        ...imageReport,
        image: { ...rest, items: rest.items.map(({ size: _bytes, files: _files, ...item }) => item) },
        nodes: [],
        disk: undefined,
        steps: [],
      } as unknown as Report),
    );
    expect(textsOf(nodes, "h2")).toEqual(["What was baked"]);
    expect(textsOf(nodes, "p")[0]).toContain("not checked");
    expect(nodes.some(({ all }) => all.startsWith("There is no earlier image"))).toBe(true);
  });

  test("of a check that came to no end says why", () => {
    const problems = ["BK503: the VM did not answer by ssh within 600 s"];
    const nodes = elementsOf(
      reportPage({ ...imageReport, nodes: [{ name: "out/2cards", results: [], problems, boots: [] }] }),
    );
    expect(textsOf(nodes, "h2")).toEqual(["Checks", "What was baked", "Sizes", "Times"]);
    expect(nodes.find(({ attributes }) => attributes["class"] === "problem")?.all).toContain(problems[0]);
  });

  test("holds no secret: neither those that are named nor what looks like one", () => {
    const secret = "correct horse battery";
    const found = `Authorization: Bearer abcdef0123456789, ${secret}, https://user:pa55word@proxy`;
    const html = reportPage(
      {
        ...imageReport,
        nodes: [
          {
            ...imageReport.nodes[0]!,
            results: [result({ outcome: "failed", found, detail: found })],
            problems: [found],
            panics: [found],
          },
        ],
      },
      [secret],
    );
    for (const value of ["abcdef0123456789", secret, "pa55word", "bkct_"]) expect(html).not.toContain(value);
    expect(html).toContain("[redacted]");
    // What is no secret stays whole.
    expect(html).toContain("s7kbW1NoOlSvxlB5u1brSoE1gb_Or8BL_3igDZmzUXw");
  });
});

/** What a browser or XML would not show as it is, as the page has it. */
const shown = (text: string): string =>
  text
    .replace(/\r\n?/g, "\n")
    // oxlint-disable-next-line no-control-regex
    .replace(
      /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/g,
      "\ufffd",
    )
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");

const hostileValues = [
  "</script><script>alert(1)</script>",
  "</style></title></textarea><img src=x onerror=alert(1)>",
  `" onmouseover="alert(1)" x='`,
  "<!-- --> <![CDATA[ ]]> <?xml ?> &amp; &#x3c; &copy;",
  "\u0000\u0007\u001b[31mred\u001b[0m\u007f\u0085\ud800 \udc00\ufffe",
  "\u202egnp.exe\u2066",
  "one\r\ntwo\rthree\tfour",
  "javascript:alert(1)",
  "中文，全角“引号”",
  ...hostileStrings(60),
];

describe("hostile values", () => {
  test(`as texts and attributes are texts and attributes (seed ${seed})`, () => {
    const pages = parsed(
      hostileValues.map((value) =>
        page({
          lang: "en",
          title: value,
          style: "p{color:red}",
          body: [element("p", { class: value, "aria-label": value }, value), element("td", {}, [value, 1, undefined])],
        }),
      ),
    );
    const tags = "html head meta meta meta meta meta title style body p td".split(" ");
    for (const [index, nodes] of pages.entries()) {
      const value = hostileValues[index] ?? "";
      expect(
        nodes.map(({ tag }) => tag),
        value,
      ).toEqual(tags);
      expect(textsOf(nodes, "title")).toEqual([shown(value)]);
      expect(textsOf(nodes, "p")).toEqual([shown(value)]);
      expect(textsOf(nodes, "td")).toEqual([`${shown(value)}1`]);
      const { attributes } = nodes.find(({ tag }) => tag === "p") ?? {};
      expect(attributes).toEqual({ class: shown(value), "aria-label": shown(value) });
    }
  });

  test("in every place of a report: it stays well-formed, with elements that do nothing", () => {
    // What the program itself chooses between stays.
    const chosen = ["outcome", "level", "change", "state", "rows", "at"];
    const nested = (value: unknown, bad: string): unknown =>
      typeof value === "string"
        ? bad
        : Array.isArray(value)
          ? value.map((each) => nested(each, bad))
          : value instanceof Map || typeof value !== "object" || value === null
            ? value
            : Object.fromEntries(
                Object.entries(value).map(([key, each]) => [key, chosen.includes(key) ? each : nested(each, bad)]),
              );
    const pages = parsed(
      hostileValues
        .slice(0, 9)
        .flatMap((bad) => [imageReport, hostsReport].map((report) => reportPage(nested(report, bad) as Report))),
    );
    for (const nodes of pages) {
      expect(nodes.filter(({ tag }) => ["script", "img", "iframe", "link"].includes(tag))).toEqual([]);
      const names = nodes.flatMap(({ attributes }) => Object.keys(attributes));
      expect(names.filter((name) => /^on|^src|^style/.test(name))).toEqual([]);
    }
  });
});

test.each([
  ["a script", () => element("script", {}, "1")],
  ["a picture", () => element("img", { src: "x" })],
  ["a handler", () => element("p", { onclick: "x" })],
  ["a style of its own", () => element("p", { style: "x" })],
  ["a link that leads away", () => element("a", { href: "https://example.com/" })],
  ["a link that is a script", () => element("a", { href: "javascript:x" })],
  ["a style sheet that ends itself", () => page({ lang: "en", title: "", style: "</style>", body: [] })],
])("%s is not written", (_, write) => {
  expect(write).toThrow(RangeError);
});

test("an axis has at most six round numbers from 0 on", () => {
  expect(ticksOf(106.9)).toEqual([0, 30, 60, 90]);
  expect(ticksOf(1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticksOf(7)).toEqual([0, 2, 4, 6]);
  expect(ticksOf(100_000)).toEqual([0, 100_000]);
  expect(Math.max(...Array.from({ length: 4000 }, (_, index) => ticksOf(index + 1).length))).toBeLessThanOrEqual(6);
});
