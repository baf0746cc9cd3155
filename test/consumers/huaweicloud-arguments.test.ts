/**
 * The template for Huawei Cloud against the arguments that the plugin declares: names and types, as its HCL2 spec has them
 * (github.com/huaweicloud/packer-plugin-huaweicloud v1.2.2), and the traps that it is to avoid.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";
import { needs, toolPath } from "../needs.ts";

/** Those that the template may use. */
const types: Readonly<Record<string, "string" | "number" | "bool" | "list(string)" | "map(string)">> = {
  region: "string",
  source_image: "string",
  flavor: "string",
  availability_zone: "string",
  enterprise_project_id: "string",
  vpc_id: "string",
  subnets: "list(string)",
  security_groups: "list(string)",
  associate_public_ip_address: "bool",
  eip_type: "string",
  eip_bandwidth_size: "number",
  volume_type: "string",
  volume_size: "number",
  user_data: "string",
  instance_name: "string",
  image_name: "string",
  image_description: "string",
  image_type: "string",
  image_tags: "map(string)",
  wait_image_ready_timeout: "string",
  communicator: "string",
  ssh_username: "string",
  ssh_timeout: "string",
  ssh_file_transfer_method: "string",
  ssh_keypair_name: "string",
  ssh_private_key_file: "string",
  spot_pricing: "bool",
  spot_maximum_price: "string",
  kms_key_id: "string",
  floating_ip: "string",
  image_members: "list(string)",
};

/** Those of its block `data_disks`. */
const diskTypes: typeof types = { volume_size: "number", volume_type: "string", kms_key_id: "string" };

const templateOf = (path: string, locked: boolean): string => {
  const profile = readProfile(join(root, path));
  const plan = planFor({ name: "cloud", profile, target: "huaweicloud", ...(locked && { lock: trialLock }) });
  return render(plan).files.find((file) => file.path === "packer/huaweicloud.pkr.hcl")?.content ?? "";
};

/** The `source` block's arguments, with their text. */
const argumentsOf = (hcl: string): Map<string, string> => {
  const block = /source "huaweicloud-ecs" "node" \{\n([\s\S]*?)\n\}/.exec(hcl)?.[1] ?? "";
  const found = new Map<string, string>();
  let open = "";
  for (const line of block.split("\n")) {
    if (open !== "") {
      found.set(open, `${found.get(open)}\n${line}`);
      if (line === "  }") open = "";
      continue;
    }
    const [, name, value] = /^ {2}([a-z_0-9]+) *= (.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    found.set(name, value);
    if (value === "{") open = name;
  }
  return found;
};

const isOf: Readonly<Record<string, RegExp>> = {
  string:
    /^"(?:[^"\\]|\\.)*"$|^base64encode\(file\("[^"]+"\)\)$|^var\.[a-z_]+$|^join\(" ", compact\(\["(?:[^"\\]|\\.)*", var\.built_from\]\)\)$/,
  number: /^\d+$/,
  bool: /^(true|false)$/,
  "list(string)": /^\[("(?:[^"\\]|\\.)*")(, "(?:[^"\\]|\\.)*")*\]$/,
  "map(string)": /^\{\n(?: {4}"(?:[^"\\]|\\.)*" += "(?:[^"\\]|\\.)*"\n)+ {2}\}$/,
};

describe.each([
  ["test/golden/cloud/profile.yaml", false],
  ["test/golden/cloud-mirror/profile.yaml", true],
])("%s", (path, locked) => {
  const hcl = templateOf(path, locked);
  const given = argumentsOf(hcl);

  test("every argument is one of the plugin's, of its type", () => {
    expect(given.size).toBeGreaterThan(15);
    for (const [name, value] of given) {
      expect(types[name], name).toBeDefined();
      expect(value, name).toMatch(isOf[types[name] ?? ""] ?? /^$/);
    }
  });

  test("further disks have arguments of the plugin's, of their type, and are no part of the image", () => {
    const disks = [...hcl.matchAll(/^ {2}data_disks \{\n([\s\S]*?)^ {2}\}/gm)].map(([, text = ""]) => text);
    expect(disks).toHaveLength(path.includes("mirror") ? 2 : 0);
    for (const [, name = "", value] of disks.join("").matchAll(/^ {4}([a-z_]+) *= (.*)$/gm)) {
      expect(value, name).toMatch(isOf[diskTypes[name] ?? ""] ?? /^$/);
    }
    expect(given.get("image_type")).toBe('"system"');
  });

  test("every variable that is used is declared, and every declared one is used", () => {
    const declared = [...hcl.matchAll(/^variable "([a-z_]+)" \{/gm)].map(([, name]) => name);
    const used = [...hcl.matchAll(/(?<!["\w])(?:\$\{)?var\.([a-z_]+)/g)].map(([, name]) => name);
    const inTexts = [...hcl.matchAll(/\$\{var\.([a-z_]+)\}/g)].map(([, name]) => name);
    expect(new Set([...used, ...inTexts])).toEqual(new Set(declared));
  });

  test("the traps", () => {
    expect(given.get("image_type")).toBe('"system"');
    expect(given.get("security_groups")?.split(",")).toHaveLength(1);
    for (const together of ["vpc_id", "subnets"]) expect(given.has(together)).toBe(true);
    // An address only with a bandwidth, none without.
    expect(given.get("associate_public_ip_address")).toBe(String(given.has("eip_bandwidth_size")));
    // A key pair of the cloud needs the file with its private key, and the plugin refuses one without the other.
    expect(given.has("ssh_keypair_name")).toBe(given.has("ssh_private_key_file"));
    // Never left to the plugin, which draws one.
    expect(given.has("availability_zone")).toBe(true);
    expect(given.get("user_data")).toMatch(/^base64encode\(/);
    const tags = [...(given.get("image_tags") ?? "").matchAll(/"([^"]*)" += "([^"]*)"/g)];
    expect(tags.length).toBeLessThanOrEqual(10);
    for (const [, key = "", value = ""] of tags) {
      expect(key.length, key).toBeLessThanOrEqual(36);
      expect(value.length, key).toBeLessThanOrEqual(43);
    }
    // Whatever the image is called, the server's name is one that the cloud takes.
    expect(given.get("instance_name")).toMatch(/^"[A-Za-z0-9._-]{1,64}"$/);
    expect(given.get("instance_name")).toMatch(locked ? /^"bake-cloud-[A-Za-z0-9_-]{10}"$/ : /^"bake-cloud"$/);
    expect(tags.length).toBeLessThanOrEqual(3 + 5);
    if (locked)
      expect(given.get("image_description")).toMatch(
        / Bake id [A-Za-z0-9_-]{43}\. Lock [A-Za-z0-9_-]{43}\.", var\.built_from\]\)\)$/,
      );
    expect(given.get("image_description")).not.toMatch(/[<>]|\\n/);
    // cloud-init is waited for first, hygiene comes last, and no credentials are written down.
    const steps = [...hcl.matchAll(/^ {2}provisioner "[a-z]+" \{[\s\S]*?^ {2}\}/gm)].map(([text]) => text);
    expect(steps[0]).toContain("boot-finished");
    expect(steps.at(-1)).toContain("hygiene.sh");
    expect(hcl).not.toMatch(/access_key|secret_key|security_token/);
  });

  needs("packer").test("Packer reads it: its formatter changes nothing", () => {
    expect(hcl).toBe(execFileSync(toolPath("packer"), ["fmt", "-"], { input: hcl, encoding: "utf8" }));
  });
});

needs("packer").test("Packer refuses what the image's description has no room for, before anything is made", () => {
  const variable = /^variable "built_from" \{\n[\s\S]*?^\}\n/m.exec(
    templateOf("test/golden/cloud/profile.yaml", false),
  )?.[0];
  const folder = mkdtempSync(join(tmpdir(), "bake-built-from-"));
  try {
    // The plugin cannot be had here; the variable is Packer's own to judge.
    const file = join(folder, "x.pkr.hcl");
    const rest = 'source "null" "x" {\n  communicator = "none"\n}\nbuild {\n  sources = ["source.null.x"]\n}\n';
    writeFileSync(file, `${variable}${rest}`);
    const judge = (value: string) => {
      const { status, stdout, stderr } = spawnSync(
        toolPath("packer"),
        ["validate", "-var", `built_from=${value}`, file],
        {
          encoding: "utf8",
          env: { ...process.env, CHECKPOINT_DISABLE: "1", PACKER_CONFIG_DIR: folder },
        },
      );
      return { status, text: stdout + stderr };
    };
    for (const value of ["", "Commit 4b5a6978. Build https://ci.example.com/builds/7", "x".repeat(400)])
      expect(judge(value), value).toMatchObject({ status: 0 });
    for (const value of ["x".repeat(401), "a<b", "a>b", "a\nb", "a\rb"]) {
      const { status, text } = judge(value);
      expect(status, value).toBe(1);
      expect(text.replace(/\s+/g, " ")).toContain("The image's description takes 400 more characters");
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
