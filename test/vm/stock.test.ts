/** A stock image becomes the node by its user-data, from a mirror: no bake, the same checks. */
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chooseAccelerator } from "../../src/vm/accelerator.ts";
import { checkImage, type CheckReport, dataDiskFor } from "../../src/check/check-image.ts";
import { nodeArchive, stockInstanceUserData, stockTemplateNames } from "../../src/render/stock.ts";
import { readTemplates } from "../../src/host/root.ts";
import { fillMirror } from "../../src/store/mirror.ts";
import { Store } from "../../src/store/store.ts";
import { bake, cache, testHost } from "./golden-image.ts";
import { planTrial } from "./trial.ts";

/** Serves a mirror as any web server would. @returns what was asked for, too. */
const serve = async (folder: string): Promise<{ server: Server; port: number; asked: string[] }> => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = join(folder, normalize(new URL(request.url ?? "", "http://mirror").pathname));
    asked.push(request.url ?? "");
    if (!existsSync(path)) response.writeHead(404).end();
    else createReadStream(path).pipe(response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  return { server, port: typeof address === "object" && address !== null ? address.port : 0, asked };
};

describe("a stock image with stock user-data", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-stock-"));
  const logDir = join(folder, "log");
  let server: Server | undefined;
  let asked: string[] = [];
  let report: CheckReport;

  afterAll(() => {
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeAll(async () => {
    // The profile's image comes by its node, as one that is too large to be carried; the builders' with the rest.
    const {
      plan,
      templates: own,
      rendered,
      bakeId,
      base: image,
    } = await planTrial((profile) => ({
      ...profile,
      images: profile.images.map((each) => ({ ...each, from: "mirror" })),
    }));
    const mirror = join(folder, "mirror");
    const { code, output } = await bake(folder, ["fetch", "--profile", "2cards", "--trial", "--to", mirror]);
    expect(code, output).toBe(0);
    // That has the node's files of the trial as it is.
    const files = [{ name: "the node's files", content: nodeArchive(rendered) }];
    expect(await fillMirror(mirror, new Store(join(cache, "store")), files)).toBe(1);
    const serving = await serve(mirror);
    ({ server, asked } = serving);
    const host = testHost();
    const templates = { ...own, ...readTemplates(stockTemplateNames) };
    report = await checkImage(host, {
      plan,
      templates,
      bakeId,
      image,
      accelerator: await chooseAccelerator({ host, architecture: plan.target.architecture, image }),
      dataDisk: dataDiskFor(plan),
      logDir,
      brief: true,
      userDataFor: (instance) =>
        stockInstanceUserData(plan, templates, instance, { mirror: `http://10.0.2.2:${serving.port}/`, rendered }),
    });
  });

  test("is the node: every check passes, the agents have the contract's names, a job builds", () => {
    expect(report.results.filter(({ outcome }) => outcome === "failed")).toEqual([]);
    expect(report.results.filter(({ outcome }) => outcome === "passed").length).toBeGreaterThan(50);
    expect(report.problems).toEqual([]);
    expect(report.boots[0]?.agents).toEqual([1, 2, 3, 4].map((index) => `bake-check-2cards-${index}-2cards`));
    expect(report.boots[0]?.jobs.map(({ exitStatus }) => exitStatus)).toEqual([0]);
  });

  test("fetched the image that nothing carries by itself, once Docker ran", () => {
    const journal = readFileSync(join(logDir, "journal.log"), "utf8");
    expect(journal).toMatch(
      /bake-images: fetching \d+ blobs of bake\.local\/trial\/busybox:1, .*, from http:\/\/10\.0\.2\.2:/,
    );
    expect(journal).toContain("bake-images: loading bake.local/trial/busybox:1");
    expect(journal).not.toContain("bake-images: pulling");
  });

  test("took everything from the mirror by digest, once", () => {
    expect(asked.length).toBeGreaterThan(6);
    expect(new Set(asked).size).toBe(asked.length);
    for (const path of asked) expect(path).toMatch(/^\/sha256\/[0-9a-f]{2}\/[0-9a-f]{62}$/);
  });
});
