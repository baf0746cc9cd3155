/** Editors: yaml-language-server, the one behind most of them, with the schema that profiles name in their first line. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
}

interface Problem {
  readonly message: string;
  readonly range: { readonly start: { readonly line: number; readonly character: number } };
}

let server: ChildProcess;
let next = 0;
const answers = new Map<number, (result: unknown) => void>();
const problems = new Map<string, (found: readonly Problem[]) => void>();

const send = (message: object): void => {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  server.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
};
const request = (method: string, params: object): Promise<unknown> =>
  new Promise((done) => {
    next += 1;
    answers.set(next, done);
    send({ id: next, method, params });
  });

const receive = (message: Message): void => {
  if (message.method === "textDocument/publishDiagnostics") {
    const { uri, diagnostics } = message.params as { uri: string; diagnostics: readonly Problem[] };
    problems.get(uri)?.(diagnostics);
  } else if (message.method !== undefined && message.id !== undefined) {
    // It asks for settings: there are none.
    send({ id: message.id, result: message.method === "workspace/configuration" ? [{}, {}, {}, {}, {}] : null });
  } else if (message.id !== undefined) {
    answers.get(message.id)?.(message.result);
  }
};

beforeAll(async () => {
  server = spawn(
    process.execPath,
    [join(root, "node_modules/yaml-language-server/bin/yaml-language-server"), "--stdio"],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  let buffer = Buffer.alloc(0);
  server.stdout?.on("data", (data: Buffer) => {
    buffer = Buffer.concat([buffer, data]);
    for (;;) {
      const head = buffer.indexOf("\r\n\r\n");
      const length = Number(/Content-Length: (\d+)/.exec(buffer.subarray(0, Math.max(0, head)).toString())?.[1]);
      if (head < 0 || buffer.length < head + 4 + length) return;
      const body = buffer.subarray(head + 4, head + 4 + length).toString();
      buffer = buffer.subarray(head + 4 + length);
      receive(JSON.parse(body) as Message);
    }
  });
  await request("initialize", {
    processId: process.pid,
    rootUri: pathToFileURL(root).href,
    capabilities: { textDocument: { hover: { contentFormat: ["markdown"] }, completion: {} } },
  });
  send({ method: "initialized", params: {} });
});

afterAll(() => server.kill());

/** Opens a text as if it were a file in profiles/, and waits for what the server says of it. */
const open = async (name: string, text: string): Promise<{ uri: string; found: readonly Problem[] }> => {
  const uri = pathToFileURL(join(root, "profiles", name)).href;
  const found = new Promise<readonly Problem[]>((done) => problems.set(uri, done));
  send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });
  return { uri, found: await found };
};

const schemaLine = "# yaml-language-server: $schema=../schema/profile.schema.json\n";

test.each(["1card", "2cards", "4cards", "8cards", "ascend"])("%s.yaml has nothing to complain of", async (name) => {
  const text = readFileSync(join(root, `profiles/${name}.yaml`), "utf8");
  expect(text.startsWith(schemaLine)).toBe(true);
  expect((await open(`${name}.yaml`, text)).found).toEqual([]);
});

test("list edits, removed keys and both forms of a disk are right", async () => {
  const text = `${schemaLine}extends: ./ascend.yaml\nimages: { append: [quay.io/example/one:1] }\nnetwork: { pypiCache: }\nstorage: { disk: { adopt: LABEL=data }, filesystem: ~ }\n`;
  expect((await open("edits.yaml", text)).found).toEqual([]);
});

test("an unknown key and a wrong value are marked where they stand", async () => {
  const { found } = await open("wrong.yaml", `${schemaLine}agents:\n  spwan: 4\nstorage:\n  filesystem: btrfs\n`);
  expect(found.map(({ range }) => [range.start.line, range.start.character])).toEqual([
    [2, 2],
    [4, 14],
  ]);
  expect(found[0]?.message).toContain("spwan");
  expect(found[1]?.message).toContain("ext4");
});

test("hovering over a key shows its description", async () => {
  const { uri } = await open("hover.yaml", `${schemaLine}agents:\n  spawn: 4\n`);
  const answer = await request("textDocument/hover", { textDocument: { uri }, position: { line: 2, character: 4 } });
  expect(JSON.stringify(answer)).toContain("Agents started by the one service");
});

test("keys and values are completed", async () => {
  const { uri } = await open("complete.yaml", `${schemaLine}storage:\n  filesystem: \n  \n`);
  const labels = async (line: number, character: number): Promise<string[]> => {
    const answer = (await request("textDocument/completion", {
      textDocument: { uri },
      position: { line, character },
    })) as {
      items: { label: string }[];
    };
    return answer.items.map(({ label }) => label);
  };
  expect(await labels(3, 2)).toEqual(expect.arrayContaining(["disk", "minSize", "mount"]));
  expect(await labels(2, 14)).toEqual(expect.arrayContaining(["ext4", "xfs"]));
});
