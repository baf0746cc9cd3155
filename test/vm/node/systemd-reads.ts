/** What the writers for systemd wrote, read back by systemd itself. */
import { expect } from "vitest";
import type { Ssh } from "../../../src/vm/ssh.ts";
import { environmentFile, unitWord } from "../../../src/formats/lines.ts";
import { hostileStrings, seed } from "../../hostile.ts";

const written = (write: (text: string) => string): { text: string; line: string }[] =>
  hostileStrings(4000, seed + 2)
    .filter((text) => text.length < 200)
    .flatMap((text) => {
      try {
        return [{ text, line: write(text) }];
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return [];
      }
    });

/** Files with strings that look like syntax, as environment and as arguments of a service. */
export const expectSystemdToReadWhatIsWritten = async (ssh: Ssh): Promise<void> => {
  const variables = written((text) => environmentFile({ A: text }).replace(/^A=/, "").trimEnd());
  const environment = variables.map(({ line }, index) => `V${index}=${line}\n`).join("");
  await ssh("cat >/run/hostile.env", { input: environment });
  const found = await ssh(
    "systemd-run --quiet --wait --pipe -p EnvironmentFile=/run/hostile.env python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'",
    { timeout: 120_000 },
  );
  const read = JSON.parse(found.stdout) as Record<string, string>;
  expect(variables.length).toBeGreaterThan(1500);
  const wrong = variables.flatMap(({ text }, index) => (read[`V${index}`] === text ? [] : [[text, read[`V${index}`]]]));
  expect(wrong.slice(0, 5), `seed ${seed}`).toEqual([]);

  const words = written(unitWord).slice(0, 500);
  const unit = `[Service]\nType=oneshot\nStandardOutput=truncate:/run/hostile.out\nExecStart=/usr/bin/python3 /run/hostile.py ${words.map(({ line }) => line).join(" ")}\n`;
  await ssh("cat >/run/hostile.py", { input: "import json, sys\nprint(json.dumps(sys.argv[1:]))\n" });
  await ssh("cat >/run/systemd/system/hostile.service && systemctl daemon-reload && systemctl start hostile", {
    input: unit,
    timeout: 120_000,
  });
  const said = JSON.parse((await ssh("cat /run/hostile.out")).stdout) as string[];
  await ssh("rm -f /run/hostile.* /run/systemd/system/hostile.service && systemctl daemon-reload");
  const misread = words.flatMap(({ text }, index) => (said[index] === text ? [] : [[text, said[index]]]));
  expect(misread.slice(0, 5), `seed ${seed}`).toEqual([]);
};
