/** A real browser, Debian's chromium, spoken to over a pipe in its DevTools protocol. It has no network. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** How a page is looked at. */
interface Look {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
}

export interface Tab {
  readonly look: (look: Look) => Promise<void>;
  /** Opens a file, and waits until it is loaded. */
  readonly open: (url: string) => Promise<void>;
  /** The value of an expression, as JSON has it. */
  readonly value: (expression: string) => Promise<unknown>;
  /** What the window shows. */
  readonly screenshot: (format: "png" | "webp") => Promise<Buffer>;
  /** What the console said since the tab was made, and what the page asked for besides itself. */
  readonly said: string[];
  readonly asked: string[];
  /** Why requests were refused. */
  readonly refused: string[];
}

export interface Browser {
  readonly tab: () => Promise<Tab>;
  readonly close: () => Promise<void>;
}

/** Starts it. @param program Its path. */
export const startBrowser = async (program: string): Promise<Browser> => {
  const folder = mkdtempSync(join(tmpdir(), "bake-browser-"));
  const child: ChildProcess = spawn(
    program,
    [
      "--headless=new",
      "--remote-debugging-pipe",
      `--user-data-dir=${folder}`,
      // Root has no sandbox, and the pages are the test's own.
      ...["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"],
      "--host-resolver-rules=MAP * ~NOTFOUND",
      "about:blank",
    ],
    { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] },
  );
  const write = child.stdio[3] as Writable;
  const read = child.stdio[4] as Readable;
  const waiting = new Map<number, { done: (value: unknown) => void; failed: (error: Error) => void }>();
  const listeners = new Set<(answer: Answer) => void>();
  let log = "";
  child.stderr?.on("data", (text: Buffer) => (log = (log + text.toString()).slice(-2000)));
  write.on("error", () => undefined);
  child.on("exit", (code) => {
    for (const { failed } of waiting.values()) failed(new Error(`the browser ended (${code}): ${log}`));
  });
  let rest: Buffer = Buffer.alloc(0);
  read.on("data", (part: Buffer) => {
    rest = Buffer.concat([rest, part]);
    for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
      const answer = JSON.parse(rest.subarray(0, end).toString("utf8")) as Answer;
      rest = rest.subarray(end + 1);
      const asked = answer.id === undefined ? undefined : waiting.get(answer.id);
      if (answer.id !== undefined) waiting.delete(answer.id);
      if (answer.error !== undefined) asked?.failed(new Error(answer.error.message));
      else asked?.done(answer.result);
      if (answer.method !== undefined) for (const listener of listeners) listener(answer);
    }
  });
  let next = 1;
  const send = async <T>(method: string, params: object = {}, sessionId?: string): Promise<T> =>
    new Promise<T>((done, failed) => {
      const id = next++;
      waiting.set(id, { done: done as (value: unknown) => void, failed });
      write.write(`${JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) })}\0`);
    });

  const tab = async (): Promise<Tab> => {
    const { targetId } = await send<{ targetId: string }>("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await send<{ sessionId: string }>("Target.attachToTarget", { targetId, flatten: true });
    const said: string[] = [];
    const asked: string[] = [];
    const refused: string[] = [];
    let loaded: () => void = () => undefined;
    listeners.add(({ method, params, sessionId: from }) => {
      if (from !== sessionId) return;
      if (method === "Page.loadEventFired") loaded();
      if (method === "Runtime.consoleAPICalled" || method === "Runtime.exceptionThrown" || method === "Log.entryAdded")
        said.push(JSON.stringify(params));
      if (method === "Network.loadingFailed")
        refused.push((params as { blockedReason?: string; errorText: string }).blockedReason ?? "failed");
      if (method === "Network.requestWillBeSent") asked.push((params as { request: { url: string } }).request.url);
    });
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(`${domain}.enable`, {}, sessionId);
    return {
      said,
      asked,
      refused,
      look: async ({ width, height, scheme }) => {
        const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
        await send("Emulation.setDeviceMetricsOverride", metrics, sessionId);
        const features = [{ name: "prefers-color-scheme", value: scheme }];
        await send("Emulation.setEmulatedMedia", { features }, sessionId);
      },
      open: async (url) => {
        const whole = new Promise<void>((done) => (loaded = done));
        await send("Page.navigate", { url }, sessionId);
        await whole;
      },
      value: async (expression) => {
        const { result, exceptionDetails } = await send<{ result: { value?: unknown }; exceptionDetails?: object }>(
          "Runtime.evaluate",
          { expression, returnByValue: true },
          sessionId,
        );
        if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
        return result.value;
      },
      screenshot: async (format) => {
        const { data } = await send<{ data: string }>(
          "Page.captureScreenshot",
          { format, ...(format === "webp" && { quality: 80 }) },
          sessionId,
        );
        return Buffer.from(data, "base64");
      },
    };
  };
  return {
    tab,
    close: async () => {
      const ended = new Promise<void>((done) => child.once("exit", () => done()));
      if (child.exitCode === null && child.signalCode === null) {
        await send("Browser.close").catch(() => undefined);
        const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
        await ended;
        clearTimeout(timer);
      }
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};
